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
    exponents: bool = False,
    linear: bool = False,
) -> Axes:
    """Draw probabilities of responses on a scale of grey, logarithmic unless asked otherwise.

    Args:
        prob: Probabilities [prompt, response].
        ax: Axes to draw in; its image is `ax.images[0]`, for a colour bar.
        pairs: (prompt, chosen, rejected): chosen is outlined solid, rejected dashed.
        floor: Smallest probability told apart.
        numbers: Whether each cell of at least 0.01 holds its number.
        exponents: Whether every cell holds log10 of its probability, rounded, instead of the number.
        linear: Whether grey follows the probability itself from 0 to 1; then no floor is needed.

    Returns:
        The axes.

    Raises:
        ValueError: If the values are not a table of probabilities.
    """
    from matplotlib.colors import LogNorm, Normalize

    values = np.asarray(prob, float)
    if values.ndim != 2 or np.nanmin(values) < 0 or np.nanmax(values) > 1 + 1e-9:
        raise ValueError(
            f"prob has shape {values.shape} and values {np.nanmin(values):g} to {np.nanmax(values):g}; it must be "
            "[prompt, response] between 0 and 1. Take the median over seeds of metrics.prob at one step."
        )
    norm = Normalize(0, 1) if linear else LogNorm(floor, 1)
    shown = values if linear else np.maximum(values, floor)
    ax.imshow(shown, norm=norm, cmap="Greys", aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        text = _number(value, numbers=numbers, exponents=exponents)
        if text:
            # White on the darker half of the grey, as for 0.08 on the usual scale.
            shade = "white" if norm(shown[row, column]) > (0.5 if linear else 0.7258) else "#333333"
            ax.text(column, row, text, ha="center", va="center", fontsize="x-small", color=shade)
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


def _number(value: float, *, numbers: bool, exponents: bool) -> str:
    """Write what stands in a cell: nothing, the probability without its leading 0, or its exponent."""
    if np.isnan(value):
        return ""
    if exponents:
        return str(round(np.log10(value))).replace("-", "−") if value > 0 else "−∞"
    return f"{value:.2f}".removeprefix("0") if numbers and value >= 0.01 else ""


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
