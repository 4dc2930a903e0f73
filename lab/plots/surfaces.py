"""Surfaces over two coordinates, with contours, arrows and the paths of real runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab.plots.roles import Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def surface(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    ax: Axes,
    *,
    levels: Sequence[float],
    text: str | Callable[[float], str] = "%g",
    at: Sequence[tuple[float, float]] = (),
    cmap: str = "Greys",
) -> Axes:
    """Draw a surface as filled contours with labelled lines.

    Args:
        x: First coordinate [x].
        y: Second coordinate [y].
        z: Height [y, x].
        ax: Axes to draw in; its filled contours are `ax.collections[0]`, for a colour bar.
        levels: Heights of the contours, increasing.
        text: printf format of a contour's label, or what writes it from the height; empty for none.
        at: Where labels stand, near these points of the plane; spread by matplotlib if empty.
        cmap: Sequential colour map.

    Returns:
        The axes.

    Raises:
        ValueError: If the shapes do not fit or the levels do not increase.
    """
    if np.shape(z) != (len(y), len(x)):
        raise ValueError(f"z has shape {np.shape(z)}; it must be [y, x] = ({len(y)}, {len(x)}). Transpose it.")
    if len(levels) < 2 or (np.diff(levels) <= 0).any():
        raise ValueError(f"levels are {list(levels)}; give two or more that increase.")
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    # The dark end would swallow paths and labels: only the lighter part of the map is used.
    light = ListedColormap(colormaps[cmap](np.linspace(0.02, 0.55, 256)))
    ax.contourf(x, y, z, levels=levels, cmap=light, extend="both", zorder=0)
    lines = ax.contour(x, y, z, levels=levels, colors="#777777", linewidths=0.5, linestyles="solid", zorder=1)
    if text:
        ax.clabel(lines, fmt=text, fontsize="x-small", colors="#444444", manual=list(at) or False)
    return ax


def arrows(
    x: np.ndarray,
    y: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    ax: Axes,
    *,
    color: str = "#555555",
    width: float = 0.0025,
) -> Axes:
    """Draw the direction of a vector field; lengths are equal, so that small vectors stay visible.

    Args:
        x: First coordinate [x].
        y: Second coordinate [y].
        u: First component [y, x], in the units in which the axes are drawn.
        v: Second component [y, x].
        ax: Axes to draw in.
        color: Colour of the arrows.
        width: Width of a shaft as a share of the axes' width.

    Returns:
        The axes.

    Raises:
        ValueError: If the shapes do not fit.
    """
    for name, given in (("u", u), ("v", v)):
        if np.shape(given) != (len(y), len(x)):
            raise ValueError(
                f"{name} has shape {np.shape(given)}; it must be [y, x] = ({len(y)}, {len(x)}). Transpose it."
            )
    length = np.hypot(u, v)
    length = np.where(length > 0, length, 1.0)
    ax.quiver(
        x, y, np.asarray(u) / length, np.asarray(v) / length,
        color=color, pivot="mid", angles="uv", scale=len(x) * 1.6, width=width, headwidth=4, zorder=2,
    )  # fmt: skip
    return ax


def path(
    x: np.ndarray,
    y: np.ndarray,
    ax: Axes,
    *,
    role: Role,
    marks: Sequence[int] = (),
    label: str = "",
    faint: bool = False,
) -> Axes:
    """Draw the way of one run over a surface, from an open dot to a filled one.

    Args:
        x: First coordinate along the way [step].
        y: Second coordinate [step].
        ax: Axes to draw in.
        role: Fixed colour and line.
        marks: Positions along the way that get a small dot.
        label: Word at its end.
        faint: Whether it is one of many: thin and pale, with a small dot at its end only.

    Returns:
        The axes.
    """
    if faint:
        ax.plot(
            x, y, color=role.color, linestyle="solid", linewidth=0.6, alpha=0.45, zorder=2.5, label="_" + role.label
        )
        ax.plot(x[-1:], y[-1:], ".", color=role.color, alpha=0.6, markersize=5, zorder=2.5, markeredgewidth=0)
        return ax
    ax.plot(x, y, color=role.color, linestyle=role.line, zorder=3, label="_" + role.label)
    ax.plot(x[:1], y[:1], "o", color=role.color, markerfacecolor="white", zorder=4, clip_on=False)
    ax.plot(x[-1:], y[-1:], "o", color=role.color, zorder=4, clip_on=False)
    if len(marks):
        ax.plot(x[list(marks)], y[list(marks)], ".", color=role.color, markersize=3.5, zorder=4)
    if label:
        ax.annotate(
            label, (x[-1], y[-1]), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize="small", color=role.color, zorder=5,
        )  # fmt: skip
    return ax
