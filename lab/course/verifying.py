"""Verify the course: its exercises, and the notebooks that are built from them."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from lab.course.asking import Verdict, verdict
from lab.course.building import build
from lab.course.building.inspecting import complaints, traces
from lab.course.chapters import Chapter, exercises
from lab.course.exercise import Exercise

MOST_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        good: Whether it is as it should be.
        where: The exercise or notebook.
        text: What was found.
    """

    good: bool
    where: str
    text: str


def verify_exercise(exercise: Exercise) -> Iterator[Finding]:
    """Try an exercise's check on its solution, its stub and its wrong answers.

    Args:
        exercise: The exercise.

    Yields:
        What is wrong; or one line, when nothing is.
    """
    # The processor's time as well as the clock's: others may be using this machine.
    started = time.perf_counter(), time.process_time()
    found = verdict(exercise, exercise.solution)
    took = min(time.perf_counter() - started[0], time.process_time() - started[1])
    complaint = [] if found.passed else [f"the solution does not pass: {found.reason}"]
    if verdict(exercise, unwritten) != Verdict(False, written=False):
        complaint.append("the stub is not seen as unwritten")
    for wrong in exercise.wrong:
        found = verdict(exercise, wrong.answer)
        if found.passed:
            complaint.append(f"the wrong answer {wrong.answer.__name__} passes")
        elif wrong.says not in found.reason:
            complaint.append(f"the wrong answer {wrong.answer.__name__} is told {found.reason!r}, not {wrong.says!r}")
    if took > MOST_SECONDS:
        complaint.append(f"its check takes {took:.1f} s; at most {MOST_SECONDS:.0f} s are allowed")
    for text in complaint:
        yield Finding(False, exercise.id, text)
    if not complaint:
        yield Finding(
            True, exercise.id, f"{len(exercise.wrong)} wrong answers rejected for their reasons, {took:.2f} s"
        )


def unwritten(*arguments: Any) -> None:
    """Stand for the stub of an exercise."""
    raise NotImplementedError("not written")


def verify_notebook(folder: Path, chapter: Chapter) -> Iterator[Finding]:
    """Compare a committed notebook with its build, and look for what readers would stumble over.

    Args:
        folder: Where notebooks stand, their sources in `src`.
        chapter: Which one.

    Yields:
        What is wrong; or one line, when nothing is.
    """
    try:
        ((release),) = build(folder, (chapter,))
        ((solved),) = build(folder, (chapter,), solutions=True)
    except (FileNotFoundError, ValueError) as problem:
        yield Finding(False, chapter.notebook, str(problem))
        return
    own = [exercise for exercise in exercises().values() if exercise.chapter == chapter.number]
    found = []
    path = folder / f"{chapter.notebook}.ipynb"
    if not path.is_file():
        found.append("it is not built; run make notebooks")
    else:
        committed = nbformat.read(path, as_version=4)
        difference = [line for line in differences(release.notebook, committed) if re.match(r"[+-](?![+-]{2} )", line)]
        if difference:
            found.append(f"it is not what its source builds; run make notebooks. {' | '.join(difference[:6])}")
        if any(cell.cell_type == "code" and not cell.execution_count for cell in committed.cells):
            found.append("it was not executed; run make notebooks")
        found += complaints(committed)
        source = (folder / "src" / f"{chapter.notebook}.py").read_text(encoding="utf-8")
        found += [f"it gives away {trace}" for trace in traces(nbformat.writes(committed), own, meant(source))]
    for text in found:
        yield Finding(False, chapter.notebook, text)
    if not found:
        cells = f"{len(release.notebook.cells)} cells, {len(own)} exercises, {len(solved.notebook.cells)} solved"
        yield Finding(True, chapter.notebook, cells)


def meant(source: str) -> str:
    """Take the comment signs off a source, so that its markdown reads as it will in the notebook."""
    return "\n".join(line.removeprefix("# ") for line in source.splitlines())


def differences(built: Any, other: Any, names: tuple[str, str] = ("release", "yours")) -> Iterator[str]:
    """Compare the cells of two notebooks.

    Args:
        built: One notebook.
        other: The other.
        names: What to call them.

    Yields:
        The lines of a unified difference of their sources; outputs are not compared.
    """
    yield from difflib.unified_diff(as_text(built), as_text(other), *names, lineterm="", n=2)


def as_text(notebook: Any) -> list[str]:
    """Write a notebook's cells as lines, as its source would.

    Args:
        notebook: The notebook.

    Returns:
        Its lines without outputs.
    """
    lines: list[str] = []
    mark: Callable[[str], str]
    for cell in notebook.cells:
        markdown = cell.cell_type == "markdown"
        mark = (lambda line: f"# {line}".rstrip()) if markdown else str
        lines += ["# %% [markdown]" if markdown else "# %%", *map(mark, cell.source.splitlines())]
    return lines
