"""The policy as a heat map: prompts down, responses across, the pairs outlined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lab.plots.roles import CHOSEN, REJECTED, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Probabilities below are drawn as this one: a rejected response may fall to 1e-80.
FLOOR = 1e-4


def heat_map(
    prob: np.ndarray,
    ax: Axes,
    *,
    pairs: Iterable[tuple[int, int, int]] = (),
    floor: float = FLOOR,
    numbers: bool = True,
) -> Axes:
    """Draw probabilities of responses on a logarithmic scale of grey.

    Args:
        prob: Probabilities [prompt, response].
        ax: Axes to draw in; its image is `ax.images[0]`, for a colour bar.
        pairs: (prompt, chosen, rejected): chosen is outlined solid, rejected dashed.
        floor: Smallest probability told apart.
        numbers: Whether each cell of at least 0.01 holds its number.

    Returns:
        The axes.

    Raises:
        ValueError: If the values are not a table of probabilities.
    """
    from matplotlib.colors import LogNorm

    values = np.asarray(prob, float)
    if values.ndim != 2 or np.nanmin(values) < 0 or np.nanmax(values) > 1 + 1e-9:
        raise ValueError(
            f"prob has shape {values.shape} and values {np.nanmin(values):g} to {np.nanmax(values):g}; it must be "
            "[prompt, response] between 0 and 1. Take the median over seeds of metrics.prob at one step."
        )
    ax.imshow(np.maximum(values, floor), norm=LogNorm(floor, 1), cmap="Greys", aspect="auto", interpolation="nearest")
    if numbers:
        for (row, column), value in np.ndenumerate(values):
            if value >= 0.01:
                shade = "white" if value > 0.08 else "#333333"
                text = f"{value:.2f}".removeprefix("0")
                ax.text(column, row, text, ha="center", va="center", fontsize="xx-small", color=shade)
    for prompt, chosen, rejected in pairs:
        outline(prompt, chosen, ax, role=CHOSEN)
        outline(prompt, rejected, ax, role=REJECTED)
    ax.set_xticks(range(values.shape[1]))
    ax.set_yticks(range(values.shape[0]))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("response")
    ax.set_ylabel("prompt")
    return ax


def outline(row: int, column: int, ax: Axes, *, role: Role) -> Axes:
    """Outline one cell of a heat map in the colour and line of its role.

    Args:
        row: Prompt of the cell.
        column: Response of the cell.
        ax: Axes of the heat map.
        role: Fixed colour and line.

    Returns:
        The axes.
    """
    from matplotlib.patches import Rectangle

    style = {"solid": "solid", "dashed": (0, (2.4, 1.2)), "dotted": "dotted", "dashdot": "dashdot"}[role.line]
    cell = Rectangle(
        (column - 0.43, row - 0.43), 0.86, 0.86, fill=False, edgecolor=role.color, linewidth=1.8, linestyle=style
    )
    ax.add_patch(cell)
    return ax
