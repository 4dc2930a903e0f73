"""Slides of a notebook: one HTML page that needs nothing from outside, its formulas as MathML."""

from __future__ import annotations

import html
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat

HEADING = re.compile(r"^#{1,3} ", re.M)
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
        notebook: A notebook; a markdown cell with a heading, and a cell with the tag "slide", begins a slide.

    Returns:
        A whole HTML page: arrow keys go from slide to slide, and it prints one slide a page.
    """
    slides: list[list[str]] = [[]]
    for cell in notebook.cells:
        markdown = cell.cell_type == "markdown"
        begins = "slide" in cell.metadata.get("tags", []) or (markdown and HEADING.search(cell.source))
        if begins and slides[-1]:
            slides.append([])
        slides[-1].append(prose(cell.source) if markdown else _code(cell))
    first = re.search(r"^# (.+)$", notebook.cells[0].source, re.M) if notebook.cells else None
    sections = [
        f'<section tabindex="-1" aria-label="slide {number} of {len(slides)}">\n<div>\n'
        + "\n".join(slide)
        + f"\n</div>\n<footer>{number}</footer>\n</section>"
        for number, slide in enumerate(slides, 1)
    ]
    own = files("lab.course.building")
    return PAGE.format(
        title=html.escape(first[1].strip("`*") if first else "Slides"),
        style=(own / "slides.css").read_text(encoding="utf-8"),
        slides="\n".join(sections),
        script=(own / "slides.js").read_text(encoding="utf-8"),
    )


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
    try:
        # The converter aligns at & in align*, and knows no aligned.
        tidy = re.sub(r"\\(begin|end)\{aligned\}", r"\\\1{align*}", source)
        return convert(tidy, display="block" if block else "inline")
    # The converter has a dozen errors of its own, and IndexError besides.
    except Exception as problem:
        raise ValueError(
            f"The formula {source!r} cannot be written as MathML ({type(problem).__name__}). Write it with simpler "
            "commands."
        ) from None


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
