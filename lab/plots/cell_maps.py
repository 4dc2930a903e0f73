"""A number over two swept axes: one cell each, shaded by its median and holding it with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab.plots.summaries import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def cell_map(
    rows: Mapping[str, Summary],
    ax: Axes,
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    columns: Sequence[str] | None = None,
    digits: int = 2,
    cmap: str = "Blues",
) -> Axes:
    """Draw a table of cells: dark for large, with the median and its interval in each.

    Args:
        rows: Summaries over the same x, the first one on top, by the word that stands beside the row.
        ax: Axes to draw in; its image is `ax.images[0]`.
        limits: Values of the lightest and of the darkest shade.
        columns: Words under the columns; x itself if None.
        digits: Digits after the point.
        cmap: Sequential colour map, light to dark.

    Returns:
        The axes; the cell of row i and column j is centred at (j, i).

    Raises:
        ValueError: If there are no rows, they differ in x, or there are not as many words as columns.
    """
    summaries = list(rows.values())
    if not summaries or any(not np.array_equal(each.x, summaries[0].x) for each in summaries):
        raise ValueError(
            f"{len(summaries)} rows with x of {[len(each.x) for each in summaries]} values; a table needs at least one "
            "row, and the same x in all. Summarise every row over the same axis."
        )
    first = summaries[0]
    words = [f"{x:g}" if isinstance(x, float) else str(x) for x in first.x.tolist()] if columns is None else columns
    if len(words) != len(first.x):
        raise ValueError(f"{len(words)} words for {len(first.x)} columns. Give one for each column.")
    median = np.array([each.median for each in summaries])
    norm = (median - limits[0]) / (limits[1] - limits[0])
    # The darkest tenth of a map hardly tells neighbours apart.
    shade = np.clip(norm, 0, 1) * 0.9
    image = ax.imshow(shade, cmap=cmap, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    colors = image.to_rgba(shade)
    for row, column in np.ndindex(*median.shape):
        letters = ink(colors[row, column])
        value, low, high = (float(each[column]) for each in (median[row], summaries[row].low, summaries[row].high))
        ax.text(column, row, _short(value, digits), ha="center", va="bottom", fontsize="small", color=letters)
        if np.isfinite(low) and np.isfinite(high):
            ends = f"{_short(low, digits)} to {_short(high, digits)}"
            ax.text(column, row, ends, ha="center", va="top", fontsize="x-small", color=letters)
    ax.set_xticks(range(len(words)), words)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if not ax.get_xlabel():
        ax.set_xlabel(first.x_name)
    return ax


def ink(color: np.ndarray) -> str:
    """Choose black or white for letters, whichever contrasts more with a colour (WCAG 2.1): at least 4.5 either way.

    Args:
        color: Red, green and blue between 0 and 1, and whatever follows.

    Returns:
        "black" or "white".
    """
    red, green, blue = np.where(color[:3] > 0.04045, ((color[:3] + 0.055) / 1.055) ** 2.4, color[:3] / 12.92)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


def _short(value: float, digits: int) -> str:
    """Write a number with a true minus, and without the zero before its point."""
    text = f"{abs(value):.{digits}f}"
    return ("−" if value < 0 and float(text) else "") + text.removeprefix("0" if digits else "")
