"""A board of cells: objectives down in groups, scenarios across in blocks, a shade and a number where a property is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lab.plots.cell_maps import ink

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

GAP = 0.55  # between blocks and between groups, in cells
EMPTY = "#f3f3f1"


@dataclass(frozen=True)
class Block:
    """Neighbouring columns of one number.

    Args:
        title: Words over the columns.
        horizon: Where the number is read.
        name: Column of the scores; NAME_verdict is its verdict.
        cmap: Sequential colour map, light to dark.
        limits: Values of the lightest and of the darkest shade.
        digits: Digits after the point; the zero before it is left out.
    """

    title: str
    horizon: str
    name: str
    cmap: str
    limits: tuple[float, float]
    digits: int


def board(
    scores: pd.DataFrame, ax: Axes, *, groups: Mapping[str, Sequence[tuple[str, str]]], blocks: Sequence[Block],
    columns: Sequence[str], label_rows: bool = True,
) -> Axes:  # fmt: skip
    """Draw a board.

    A shade and the number stand where the verdict is "present", a question mark where it is "inconclusive"; a cell is
    empty where it is "absent", and a dash where the horizon was not reached.

    Args:
        scores: One row for each objective, scenario and horizon, with the number and the verdict of each block.
        ax: Axes to draw in.
        groups: (entry, label) from top to bottom, by the title of their group.
        blocks: The blocks from left to right.
        columns: The scenarios of every block.
        label_rows: Whether labels and group titles stand beside the rows.

    Returns:
        The axes; a cell is 1 by 1, and y counts downwards.
    """
    import matplotlib
    from matplotlib.patches import Rectangle

    cells = scores.set_index(["entry", "scenario", "horizon"]).sort_index()
    width = len(blocks) * (len(columns) + GAP) - GAP
    for start, block in zip(_starts(len(blocks), len(columns)), blocks, strict=True):
        ax.text(start, -1.35, block.title, fontsize="x-small", ha="left", va="bottom", linespacing=1.1)
        for place, column in enumerate(columns):
            ax.text(start + place + 0.5, -0.3, column, fontsize="x-small", ha="center", va="bottom", color="#555555")
    y = 0.0
    for title, rows in groups.items():
        if label_rows:
            ax.text(
                -0.35, y + 0.55, title, fontsize="x-small", ha="right", va="center", color="#777777", style="italic"
            )
        ax.plot([0, width], [y + 0.62, y + 0.62], color="#cccccc", linewidth=0.5)
        y += 1
        for entry, label in rows:
            if label_rows:
                ax.text(-0.35, y + 0.5, label, fontsize="x-small", ha="right", va="center")
            for start, block in zip(_starts(len(blocks), len(columns)), blocks, strict=True):
                shade = matplotlib.colormaps[block.cmap]
                for place, column in enumerate(columns):
                    value, verdict = cells.loc[(entry, column, block.horizon), [block.name, f"{block.name}_verdict"]]
                    face, ink, text = _cell(float(value), str(verdict), block, shade)
                    ax.add_patch(Rectangle((start + place + 0.03, y + 0.04), 0.94, 0.92, facecolor=face, linewidth=0))
                    ax.text(
                        start + place + 0.5, y + 0.53, text, fontsize="xx-small", ha="center", va="center", color=ink
                    )
            y += 1
        y += GAP / 2
    ax.set_xlim(-0.05, width + 0.05)
    ax.set_ylim(y, -3.1)
    ax.set_axis_off()
    return ax


def _starts(blocks: int, columns: int) -> list[float]:
    return [place * (columns + GAP) for place in range(blocks)]


def _cell(value: float, verdict: str, block: Block, shade: Colormap) -> tuple[str, str, str]:
    from matplotlib.colors import to_hex

    if verdict == "absent":
        return EMPTY, "#000000", ""
    if verdict != "present":
        return EMPTY, "#777777", "?" if verdict == "inconclusive" else "–"
    low, high = block.limits
    color = shade(0.15 + 0.75 * float(np.clip((value - low) / (high - low), 0, 1)))
    text = f"{value:.{block.digits}f}".removeprefix("0" if block.digits else "")
    return to_hex(color), ink(np.array(color)), text if len(text) < 4 else f"{value:.0e}".replace("e+0", "e")
