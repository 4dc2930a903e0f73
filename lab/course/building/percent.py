"""Read the source of a notebook: a Python file whose cells begin with `# %%`."""

from __future__ import annotations

import re
from dataclasses import dataclass

MARKER = re.compile(r"# %%(?: (?P<markdown>\[markdown\]))?(?: exercise (?P<exercise>\S+))?(?: tags=\[(?P<tags>.*)\])?")
ALLOWED = '# %%, # %% [markdown], # %% exercise 3.1, each perhaps with tags=["slide"] behind'


@dataclass(frozen=True)
class Cell:
    """A cell of a source.

    Args:
        kind: "markdown", "code" or "exercise".
        text: What it holds; empty for an exercise, whose cell the builder writes.
        exercise: Name of the exercise, such as "3.1".
        tags: Its tags.
        line: Line of the source where it begins.
    """

    kind: str
    text: str
    exercise: str = ""
    tags: tuple[str, ...] = ()
    line: int = 0


def read_source(text: str, name: str) -> list[Cell]:
    """Split a source into its cells.

    Args:
        text: The file's text.
        name: What messages call the file.

    Returns:
        Its cells, in order; empty ones are an error, so that each is there on purpose.

    Raises:
        ValueError: A line is out of place; says which, and what is allowed.
    """
    starts: list[tuple[int, re.Match[str]]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("# %%"):
            marker = MARKER.fullmatch(line.rstrip())
            if marker is None or (marker["markdown"] and marker["exercise"]):
                raise ValueError(f"{name}:{number} is {line!r}; a cell begins with {ALLOWED}. Mend the line.")
            starts.append((number, marker))
        elif not starts and line.strip():
            raise ValueError(f"{name}:{number} stands before the first cell. Begin the file with # %% [markdown].")
    ends = [number - 1 for number, _ in starts[1:]] + [len(lines)]
    return [_cell(marker, lines[number:end], name, number) for (number, marker), end in zip(starts, ends, strict=True)]


def _cell(marker: re.Match[str], lines: list[str], name: str, number: int) -> Cell:
    tags = tuple(re.findall(r'"([^"]+)"', marker["tags"] or ""))
    text = "\n".join(lines).strip("\n").rstrip()
    if marker["exercise"]:
        if text.strip():
            raise ValueError(
                f"{name}:{number} begins exercise {marker['exercise']} and goes on with {text.splitlines()[0]!r}; "
                "the builder writes this cell. Begin another cell with # %% below it."
            )
        return Cell("exercise", "", marker["exercise"], tags, number)
    if not text.strip():
        raise ValueError(f"{name}:{number} begins a cell that is empty. Fill it, or delete the line.")
    if marker["markdown"]:
        return Cell("markdown", _uncommented(lines, name, number), "", tags, number)
    return Cell("code", text, "", tags, number)


def _uncommented(lines: list[str], name: str, number: int) -> str:
    for offset, line in enumerate(lines, 1):
        if line.strip() and not re.match(r"#( |$)", line):
            raise ValueError(
                f"{name}:{number + offset} is {line!r}, inside markdown; each line there begins with '# '. "
                "Put the mark before it, or begin a code cell with # %%."
            )
    return "\n".join(line[2:].rstrip() for line in lines).strip("\n")
