"""What is wrong with a built notebook: images without words, widgets, errors, size, leaked solutions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import nbformat

from lab.course.building.exercise_cells import BEGIN, parts
from lab.course.exercise import Exercise

MOST_BYTES = 300_000
SHORTEST_TRACE = 12  # characters; shorter lines, such as "return x", give nothing away
IMAGE = re.compile(r"<img\b[^>]*>", re.I)
ALT = re.compile(r"""\balt\s*=\s*("[^"]*\w[^"]*"|'[^']*\w[^']*')""", re.I)


def complaints(notebook: Any) -> Iterator[str]:
    """Say what a reader of a notebook would stumble over.

    Args:
        notebook: A notebook, executed or not.

    Yields:
        One sentence a complaint.
    """
    if "widgets" in notebook.metadata:
        yield "it holds the state of widgets"
    size = len(nbformat.writes(notebook).encode())
    if size >= MOST_BYTES:
        yield f"it has {size:,} bytes; a notebook stays under {MOST_BYTES:,}"
    for number, cell in enumerate(notebook.cells, 1):
        place = f"cell {number}"
        if cell.cell_type == "markdown":
            if re.search(r"!\[\s*\]\(", cell.source) or _wordless(cell.source):
                yield f"{place} shows an image without alt text"
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if output.output_type == "error":
                yield f"{place} ends in an error"
            if str(output.get("text", "")).startswith("✗"):
                yield f"{place} shows an answer that its check rejects"
            if any("widget" in kind for kind in data):
                yield f"{place} holds a widget"
            if "text/html" not in data and any(kind.startswith("image/") for kind in data):
                yield f"{place} shows an image without alt text; end it with lab.show(figure, 'what it shows')"
            if _wordless(data.get("text/html", "")):
                yield f"{place} shows HTML whose image has no alt text"


def traces(text: str, exercises: Iterable[Exercise], source: str = "") -> Iterator[str]:
    """Find lines of solutions in a text that students get.

    Args:
        text: Everything in the student's notebook.
        exercises: The exercises.
        source: What the notebook's author wrote into its other cells, and so means to show.

    Yields:
        Each line of a solution's body, or docstring of a wrong answer, that is in the text but neither in a task nor in
        the source.
    """
    everything, meant = _squeezed(text), _squeezed(source)
    if BEGIN in text:
        yield BEGIN
    for exercise in exercises:
        head, body = parts(exercise)
        shown = f"{meant} {_squeezed(head)}"
        secret = [*body.splitlines(), *((wrong.answer.__doc__ or "").strip() for wrong in exercise.wrong)]
        for line in map(_squeezed, secret):
            if len(line) >= SHORTEST_TRACE and line in everything and line not in shown:
                yield f"{exercise.id}: {line}"


def _wordless(html: str) -> bool:
    return any(not ALT.search(image) for image in IMAGE.findall(html))


def _squeezed(text: str) -> str:
    return " ".join(text.split())
