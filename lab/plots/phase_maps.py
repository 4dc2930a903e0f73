"""Phase diagrams drawn: shades, the line where a property begins, how sure that line is, and exact curves on top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lab.plots.panels import power
from lab.plots.phases import Phases

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap

SCALES = ("log", "linear")
# Perceptually uniform and light to dark: its lightness alone orders the values, for every eye and in print.
MAP = "mako_r"
# The darkest end would swallow lines and dots.
DARKEST = 0.78


def phase_map(
    drawn: Phases,
    ax: Axes,
    *,
    threshold: float | None = None,
    limits: tuple[float, float] | None = None,
    scales: tuple[str, str] = ("log", "log"),
    shade: str = "linear",
    cmap: str = MAP,
) -> Axes:
    """Draw a phase diagram: cells shaded by their median, light for small and dark for large.

    With a threshold a line runs where the median crosses it, and a dot marks every cell whose interval holds it: the
    dotted band is where more seeds could move the line.

    Args:
        drawn: The cells, by `map_over_seeds`.
        ax: Axes to draw in; its mesh is `ax.collections[0]`, which `phase_bar` explains.
        threshold: From where on the property counts as present, in the units of the quantity.
        limits: Values of the lightest and of the darkest shade; those of the medians if None.
        scales: Scale of x and of y, each log or linear.
        shade: Scale of the shades, log or linear.
        cmap: Perceptually uniform colour map.

    Returns:
        The axes.

    Raises:
        ValueError: If a scale is unknown, or logarithmic with a value that is not above 0.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import NullLocator

    for name, scale in (("x", scales[0]), ("y", scales[1]), ("shade", shade)):
        if scale not in SCALES:
            raise ValueError(f"the scale of {name} is '{scale}'; it must be one of {', '.join(SCALES)}.")
    known = drawn.median[np.isfinite(drawn.median)]
    low, high = limits or ((float(known.min()), float(known.max())) if known.size else (0.0, 1.0))
    if shade == "log" and not low > 0:
        raise ValueError(f"the shades begin at {low:g} on a log scale; give limits above 0, or shade='linear'.")
    norm = (LogNorm if shade == "log" else Normalize)(low, high)
    edges = [_edges(name, axis, scale) for name, axis, scale in zip("xy", (drawn.x, drawn.y), scales, strict=True)]
    # As an image inside vector formats: thousands of cells would make them large and leave hairlines between them.
    ax.pcolormesh(*edges, np.clip(drawn.median, low, high), norm=norm, cmap=_light(cmap), rasterized=True, zorder=0)
    ax.set(xscale=scales[0], yscale=scales[1], xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    for axis, scale in zip((ax.xaxis, ax.yaxis), scales, strict=True):
        if scale == "log":
            axis.set_major_formatter(lambda value, _: power(np.log10(value)))
            axis.set_minor_locator(NullLocator())
    if threshold is not None:
        _threshold(drawn, threshold, ax)
    if not ax.get_xlabel():
        ax.set_xlabel(drawn.x_name)
    if not ax.get_ylabel():
        ax.set_ylabel(drawn.y_name)
    return ax


def phase_bar(
    axes: Axes | Iterable[Axes],
    *,
    label: str,
    threshold: float | None = None,
    location: str = "right",
    length: float = 1.0,
) -> Colorbar:
    """Draw the colour bar of one map, or of several that share their limits.

    Args:
        axes: The maps; the bar explains the first and stands beside all.
        label: What the shades mean, with the unit.
        threshold: Where a line crosses the bar, as in the map.
        location: Side of the maps on which it stands: right, bottom, left or top.
        length: Its length as a share of that side.

    Returns:
        The colour bar.

    Raises:
        ValueError: If maps that share a bar differ in their limits.
    """
    panels = [axes] if not isinstance(axes, Iterable) else list(axes)
    meshes = [ax.collections[0] for ax in panels]
    ranges = [mesh.get_clim() for mesh in meshes]
    if any(each != ranges[0] for each in ranges):
        raise ValueError(f"maps with limits {ranges} cannot share a bar; give phase_map the same limits for all.")
    figure = panels[0].get_figure()
    assert figure is not None
    bar = figure.colorbar(
        meshes[0], ax=panels, label=label, location=location, shrink=length, pad=0.02, aspect=26, fraction=0.05
    )
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    if threshold is not None:
        across = bar.ax.axhline if bar.orientation == "vertical" else bar.ax.axvline
        across(threshold, color="black", linewidth=1.2)
    return bar


def exact_curve(
    x: np.ndarray,
    y: np.ndarray,
    ax: Axes,
    *,
    label: str = "",
    at: float = 0.5,
    line: str = "dashed",
    color: str = "black",
) -> Axes:
    """Draw an exact curve over a map, with a white edge so that it stands out on every shade.

    Args:
        x: First coordinate along the curve; NaN breaks it.
        y: Second coordinate.
        ax: Axes of the map; their limits stay.
        label: Word beside the curve.
        at: Where the word stands, as a share of the curve's points.
        line: solid, dashed, dotted or dashdot.
        color: Colour of line and word.

    Returns:
        The axes.
    """
    from matplotlib.patheffects import withStroke

    limits = ax.get_xlim(), ax.get_ylim()
    width = 1.3
    edge = [withStroke(linewidth=width + 1.8, foreground="white")]
    ax.plot(x, y, color=color, linestyle=line, linewidth=width, path_effects=edge, zorder=4, label="_exact")
    ax.set(xlim=limits[0], ylim=limits[1])
    if label:
        place = min(int(at * len(x)), len(x) - 1)
        ax.annotate(
            label, (x[place], y[place]), xytext=(5, 3), textcoords="offset points", fontsize="small", color=color,
            path_effects=[withStroke(linewidth=2.5, foreground="white")], zorder=5,
        )  # fmt: skip
    return ax


def _threshold(drawn: Phases, threshold: float, ax: Axes) -> None:
    """Draw the line at the threshold where the medians cross it, and a dot in each cell that is open."""
    rows, columns = np.nonzero(drawn.straddles(threshold))
    # A dot a cell: smaller than the cell where there are many, never larger than a full stop.
    size = min(3.5, 130.0 / max(drawn.median.shape))
    ax.plot(
        drawn.x[columns], drawn.y[rows], linestyle="none", marker=".", markersize=size, markeredgewidth=0,
        color="#333333", zorder=2, label="_open",
    )  # fmt: skip
    # Infinities stand for "never": the line runs round them.
    median = np.ma.masked_invalid(np.where(np.isposinf(drawn.median), np.finfo(np.float64).max, drawn.median))
    if median.count() and median.min() < threshold < median.max():
        ax.contour(drawn.x, drawn.y, median, levels=[threshold], colors="black", linewidths=1.2, zorder=3)


def _edges(name: str, axis: np.ndarray, scale: str) -> np.ndarray:
    """Return the cells' borders: half way to each neighbour, on the scale on which they are drawn."""
    if scale == "log" and axis[0] <= 0:
        raise ValueError(f"{name} begins at {axis[0]:g} and is logarithmic; leave it out, or make the scale linear.")
    at = np.log(axis) if scale == "log" else np.asarray(axis, float)
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[1.5 * at[0] - 0.5 * at[1]], middle, [1.5 * at[-1] - 0.5 * at[-2]]])
    return np.exp(edges) if scale == "log" else edges


def _light(cmap: str) -> Colormap:
    """Return the lighter part of a colour map, with empty cells in grey."""
    import seaborn
    from matplotlib.colors import ListedColormap

    whole = seaborn.color_palette(cmap, as_cmap=True)
    light = ListedColormap(whole(np.linspace(0, DARKEST, 256)), name=f"light {cmap}")
    return light.with_extremes(bad="#DDDDDD")
