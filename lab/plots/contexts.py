"""The style of every picture, at the width where it will stand: paper, slides or notebook."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

STYLE_FILE = Path(__file__).with_name("lab.mplstyle")


@dataclass(frozen=True)
class Context:
    """Where a picture will stand.

    Args:
        width: Width of the picture in inches.
        font_size: Size of its text in points.
        line_width: Width of a median line in points.
    """

    width: float
    font_size: float
    line_width: float

    def __post_init__(self) -> None:
        for name in ("width", "font_size", "line_width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0. Give inches or points.")


CONTEXTS: dict[str, Context] = {
    "paper": Context(width=6.5, font_size=7.5, line_width=1.5),
    "slides": Context(width=11.0, font_size=13.0, line_width=2.8),
    "notebook": Context(width=8.0, font_size=9.5, line_width=2.0),
}


def context(name: str = "notebook") -> Context:
    """Look up a context.

    Args:
        name: paper, slides or notebook.

    Returns:
        Its width and sizes.

    Raises:
        ValueError: If there is no such context.
    """
    if name not in CONTEXTS:
        raise ValueError(f"'{name}' is no context; the contexts are {', '.join(CONTEXTS)}. Choose one of them.")
    return CONTEXTS[name]


def style(name: str = "notebook") -> AbstractContextManager[None]:
    """Apply the lab's style inside a `with` block, and nowhere else.

    Args:
        name: paper, slides or notebook.

    Returns:
        A context manager that restores the settings it found.

    Raises:
        ValueError: If there is no such context.
    """
    import matplotlib.style

    chosen = context(name)
    sizes = {
        "font.size": chosen.font_size,
        "lines.linewidth": chosen.line_width,
        "figure.figsize": (chosen.width, 0.62 * chosen.width),
    }
    return matplotlib.style.context([STYLE_FILE, sizes])
