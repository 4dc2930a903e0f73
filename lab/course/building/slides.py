"""Slides of a notebook: one HTML page that needs nothing from outside, its formulas as MathML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat

HEADINGS = re.compile(r"^(?=#{1,2} )", re.M)
TITLE = re.compile(r"#{1,2} (.+)")
FULL, PICTURE = 27, 18  # lines on a screen, and lines that a picture covers
SHORT = 4  # lines; so little stays with what is before it
CHARACTERS = 85  # in a line of text
FUNCTION = re.compile(r"<mi>(log|exp|max|min|ln|lim|sup|inf)</mi>(?=(<mo[^>]*>&#x00028;)?)")
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{slides}
</main>
<script>
{script}
</script>
</body>
</html>
"""


def with_outputs(notebook: Any, committed: Path) -> None:
    """Take the outputs of a notebook that was executed before, cell by cell.

    Args:
        notebook: It is changed: a cell whose text is in the other notebook gets its outputs.
        committed: File of the executed notebook; without one, nothing is taken.
    """
    if not committed.is_file():
        return
    outputs = {
        cell.source: cell.outputs for cell in nbformat.read(committed, as_version=4).cells if cell.cell_type == "code"
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = outputs.get(cell.source, [])


def slides_of(notebook: Any) -> str:
    """Write a notebook as slides.

    Args:
        notebook: A notebook. A heading of the first two levels and a cell with the tag "slide" begin a slide; a slide
            that would not fit on a screen goes on on the next.

    Returns:
        A whole HTML page: arrow keys go from slide to slide, and it prints one slide a page.
    """
    slides = _dealt(list(_blocks(notebook)))
    sections = [
        f'<section tabindex="-1" aria-label="slide {number} of {len(slides)}">\n<div>\n'
        + "\n".join(slide)
        + f"\n</div>\n<footer>{number}</footer>\n</section>"
        for number, slide in enumerate(slides, 1)
    ]
    first = TITLE.search(notebook.cells[0].source) if notebook.cells else None
    own = files("lab.course.building")
    return PAGE.format(
        title=html.escape(re.sub(r"[`*$]", "", first[1]) if first else "Slides"),
        style=(own / "slides.css").read_text(encoding="utf-8"),
        slides="\n".join(sections),
        script=(own / "slides.js").read_text(encoding="utf-8"),
    )


@dataclass(frozen=True)
class _Block:
    """What stays together on a slide: a text and the code below it.

    Args:
        html: The pieces.
        lines: About how many lines they fill.
        heading: The heading that the text begins with, or "".
        begins: Whether a slide begins here.
    """

    html: tuple[str, ...]
    lines: float
    heading: str
    begins: bool


def _blocks(notebook: Any) -> Iterator[_Block]:
    waiting: _Block | None = None
    for cell in notebook.cells:
        tagged = "slide" in cell.metadata.get("tags", [])
        if cell.cell_type != "markdown":
            if tagged and waiting:
                yield waiting
                waiting = None
            block = waiting or _Block((), 0, "", tagged)
            waiting = replace(block, html=(*block.html, _code(cell)), lines=block.lines + _height(cell))
            continue
        for place, text in enumerate(part for part in HEADINGS.split(cell.source) if part.strip()):
            if waiting:
                yield waiting
            heading = TITLE.match(text)
            begins = bool(heading) or (tagged and place == 0)
            lines = sum(1 + len(line) / CHARACTERS for line in text.splitlines()) + 2 * text.count("$$")
            waiting = _Block((prose(text),), lines, heading[1] if heading else "", begins)
    if waiting:
        yield waiting


def _dealt(blocks: list[_Block]) -> list[list[str]]:
    """Deal the blocks out to slides."""
    slides: list[list[str]] = []
    heading, lines = "", 0.0
    for block in blocks:
        heading = block.heading or heading
        running = f'<p class="running">{html.escape(heading)}</p>'
        if not slides or block.begins:
            slides.append([] if block.heading or not slides else [running])
            lines = 0.0
        elif lines + block.lines > FULL and block.lines > SHORT:
            slides.append([running])
            lines = 1.0
        slides[-1] += block.html
        lines += block.lines
    return slides


def _height(cell: Any) -> float:
    """Guess how many lines a code cell and its outputs fill; a picture counts as many."""
    outputs = sum(
        PICTURE if "<img" in str(output.get("data", {})) else 1 + str(output.get("text", "")).count("\n")
        for output in cell.get("outputs", [])
    )
    return 1 + 0.8 * (cell.source.count("\n") + 1 + outputs)


def prose(markdown: str) -> str:
    """Turn markdown with formulas into HTML.

    Args:
        markdown: The text of a cell.

    Returns:
        HTML whose formulas are MathML.
    """
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        """Write formulas as MathML instead of leaving them to a script."""

        def block_math(self, body: str) -> str:
            return f"<p>{formula(body, block=True)}</p>\n"

        def latex_environment(self, name: str, body: str) -> str:
            environment = rf"\begin{{{name}}}{body}\end{{{name}}}"
            return f"<p>{formula(environment, block=True)}</p>\n"

        def inline_math(self, body: str) -> str:
            return formula(body)

    return str(MarkdownWithMath(renderer=Renderer(escape=False)).render(markdown))


def formula(latex: str, block: bool = False) -> str:
    """Turn a formula into MathML.

    Args:
        latex: The formula, without dollars.
        block: Whether it stands on a line of its own.

    Returns:
        A math element that carries its source for those who read that.

    Raises:
        ValueError: It cannot be turned.
    """
    from latex2mathml.converter import convert

    source = latex.strip()
    # The converter aligns at & in align*, and knows no aligned.
    tidy = re.sub(r"\\(begin|end)\{aligned\}", r"\\\1{align*}", source)
    try:
        written = str(convert(tidy, display="block" if block else "inline"))
        text = "".join(ElementTree.fromstring(written).itertext())
    # The converter has a dozen errors of its own, and IndexError besides.
    except Exception as problem:
        raise ValueError(_unwritable(source, type(problem).__name__)) from None
    bare = re.sub(r"\\[{}]", "", source)
    if "\\" in text or bare.count("{") != bare.count("}"):
        raise ValueError(_unwritable(source, "a command or brace is left over"))
    # As identifiers, names of functions would touch what follows them.
    return FUNCTION.sub(
        lambda found: f'<mo lspace="0.17em" rspace="{0 if found[2] else 0.17}em">{found[1]}</mo>', written
    )


def _unwritable(source: str, problem: str) -> str:
    return f"The formula {source!r} cannot be written as MathML ({problem}). Write it with simpler commands."


def _code(cell: Any) -> str:
    from nbconvert.filters.highlight import Highlight2HTML

    shown = [str(Highlight2HTML(pygments_lexer="python")(cell.source))]
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "text/html" in data:
            shown.append(f'<div class="output">{data["text/html"]}</div>')
        else:
            text = data.get("text/plain", output.get("text", ""))
            shown.append(f'<pre class="output">{html.escape(text)}</pre>')
    return "\n".join(shown)
