"""The page that a figure is drawn on: its width, its headline, its panels, and what stands at its foot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from lab.plots.contexts import context

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#6a6a6a"
MOST_VALUES = 8  # of an axis, in the line at the foot
SLACK = 0.98  # letters fitted to pixels may run a little wider than their outlines
Share = bool | Literal["none", "all", "row", "col"]


@dataclass(frozen=True)
class Page:
    """Where a figure is drawn.

    Args:
        title: The message, printed over the picture.
        lines: Experiment lines, printed at its foot.
        width: paper, slides or notebook.
        quick: Whether QUICK is printed across it: fewer seeds than the figure wants.
    """

    title: str
    lines: Mapping[str, str]
    width: str = "notebook"
    quick: bool = False

    def __post_init__(self) -> None:
        context(self.width)

    def grid(
        self,
        rows: int = 1,
        columns: int = 1,
        *,
        aspect: float = 0.6,
        title: str | None = None,
        note: str = "median and 95 % bootstrap interval, every seed faint behind",
        sharex: Share = False,
        sharey: Share = False,
        width_ratios: Sequence[float] | None = None,
        height_ratios: Sequence[float] | None = None,
    ) -> tuple[Figure, np.ndarray]:
        """Open a grid of panels.

        Args:
            rows: Rows of panels.
            columns: Columns of panels.
            aspect: Height of the panels' area as a share of the width.
            title: Another message than the figure's own, when the data decide it.
            note: What the marks mean, printed at the foot.
            sharex: As in matplotlib.
            sharey: As in matplotlib.
            width_ratios: Relative widths of the columns.
            height_ratios: Relative heights of the rows.

        Returns:
            The figure and its axes, always [row, column].
        """
        figure = self.blank(aspect=aspect, title=title, note=note)
        ratios = {"width_ratios": width_ratios, "height_ratios": height_ratios}
        axes = figure.subplots(
            rows, columns, sharex=sharex, sharey=sharey, squeeze=False,
            gridspec_kw={name: given for name, given in ratios.items() if given is not None},
        )  # fmt: skip
        return figure, axes

    def mosaic(
        self,
        layout: str,
        *,
        aspect: float = 0.6,
        title: str | None = None,
        note: str = "median and 95 % bootstrap interval, every seed faint behind",
        height_ratios: Sequence[float] | None = None,
        width_ratios: Sequence[float] | None = None,
    ) -> tuple[Figure, dict[str, Axes]]:
        """Open panels of unequal size, such as "AAB;CCB".

        Args:
            layout: As in `matplotlib.figure.Figure.subplot_mosaic`.
            aspect: Height of the panels' area as a share of the width.
            title: Another message than the figure's own, when the data decide it.
            note: What the marks mean, printed at the foot.
            height_ratios: Relative heights of the rows.
            width_ratios: Relative widths of the columns.

        Returns:
            The figure and its axes by letter.
        """
        figure = self.blank(aspect=aspect, title=title, note=note)
        return figure, figure.subplot_mosaic(layout, height_ratios=height_ratios, width_ratios=width_ratios)

    def blank(self, *, aspect: float, title: str | None = None, note: str = "") -> Figure:
        """Open a figure with headline and foot, and no panels yet.

        Args:
            aspect: Height of the panels' area as a share of the width.
            title: Another message than the figure's own.
            note: What the marks mean, printed at the foot.

        Returns:
            The figure; its layout engine keeps panels clear of headline and foot.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        chosen = context(self.width)
        size = chosen.font_size
        figure = Figure(figsize=(chosen.width, chosen.width * aspect), layout="constrained")
        FigureCanvasAgg(figure)
        headline = wrap(title or self.title, size=1.25 * size, weight="bold", width=chosen.width - 0.2)
        foot = wrap(self._foot(note), size=0.72 * size, weight="normal", width=chosen.width - 0.2)
        above = (len(headline) * 1.25 * 1.25 * size + 0.8 * size) / 72
        below = (len(foot) * 0.72 * 1.3 * size + 0.6 * size) / 72
        height = above + chosen.width * aspect + below
        figure.set_size_inches(chosen.width, height)
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.set(rect=(0, below / height, 1, 1 - (above + below) / height))  # type: ignore[call-arg]
        left = 0.1 / chosen.width
        figure.text(
            left, 1 - 0.06 / height, "\n".join(headline),
            fontsize=1.25 * size, fontweight="bold", va="top", ha="left", linespacing=1.2, in_layout=False,
        )  # fmt: skip
        figure.text(
            left, 0.06 / height, "\n".join(foot),
            fontsize=0.72 * size, color=GREY, va="bottom", ha="left", linespacing=1.25, in_layout=False,
        )  # fmt: skip
        if self.quick:
            figure.text(
                0.5, 0.5, "QUICK", rotation=28, fontsize=13 * size, fontweight="bold", color="#B00020", alpha=0.13,
                ha="center", va="center", zorder=10, in_layout=False,
            )  # fmt: skip
        return figure

    def _foot(self, note: str) -> str:
        lines = list(dict.fromkeys(self.lines.values()))
        shown = short(lines[0]) if len(lines) == 1 else f"{short(lines[0])}  and {len(lines) - 1} more"
        quick = "QUICK: few seeds, not for citing" if self.quick else ""
        return "   ·   ".join(part for part in (quick, shown, note) if part)


def short(line: str) -> str:
    """Shorten an experiment line for print: an axis of more than MOST_VALUES values keeps its ends and their number.

    Args:
        line: The experiment line; provenance and data keep it whole.

    Returns:
        Such as "mlp s1 dpo beta=0.01,…,10 (64 values) adam lr=1e-3 steps=500 seeds=8".
    """
    words = []
    for word in line.split(" "):
        values = word.split(",")
        many = len(values) > MOST_VALUES
        words.append(f"{values[0]},…,{values[-1]} ({len(values)} values)" if many else word)
    return " ".join(words)


def wrap(text: str, *, size: float, weight: str, width: float) -> list[str]:
    """Break a text into lines that fit a width, as few and as even as possible.

    Args:
        text: The words; a line break in it stays.
        size: Font size in points.
        weight: Font weight.
        width: Width in inches.

    Returns:
        The lines.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(weight=weight)

    @cache
    def run(word: str) -> float:
        # Outlines, not pixels: at few dots per inch, letters are fitted to them and measure too little. The bars keep
        # blanks from being cut off.
        return TextPath((0, 0), f"|{word}|", size=size, prop=font).get_extents().width

    def length(words: list[str]) -> float:
        return sum(run(word) - run("") for word in words) + (len(words) - 1) * (run(" ") - run(""))

    def broken(share: float) -> list[str]:
        lines: list[list[str]] = []
        for paragraph in text.split("\n"):
            lines.append([])
            for word in paragraph.split(" "):
                if lines[-1] and length([*lines[-1], word]) > share * SLACK * width * 72:
                    lines.append([])
                lines[-1].append(word)
        return [" ".join(words).strip() for words in lines]

    lines = broken(1.0)
    # The narrowest width with as many lines leaves no single word alone on the last one.
    for share in (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55):
        narrower = broken(share) if len(lines) > 1 else lines
        if len(narrower) > len(lines):
            break
        lines = narrower
    return lines
