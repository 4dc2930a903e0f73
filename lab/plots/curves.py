"""Curves over steps or over a swept axis: a median line, its interval as a band, every seed faint behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lab.plots.roles import REFERENCE, Role
from lab.plots.summaries import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curve(
    summary: Summary, ax: Axes, *, role: Role, label: str | None = None, seeds: bool = True, markers: bool = False
) -> Axes:
    """Draw one quantity over seeds.

    Args:
        summary: Median, interval and seeds, by `over_seeds`.
        ax: Axes to draw in.
        role: Fixed colour and line.
        label: Word at the line's end; the role's own word if None, no word if empty.
        seeds: Whether every seed stands faint behind.
        markers: Whether each position has a marker, as a swept axis needs.

    Returns:
        The axes.

    Raises:
        ValueError: If the positions are words: those are bars, not a curve.
    """
    from matplotlib.collections import LineCollection

    if summary.x.dtype.kind not in "iuf":
        raise ValueError(f"x holds words ({list(summary.x[:3])}, ...); a curve needs numbers. Draw them with bars().")
    x = summary.x.astype(float)
    if seeds and summary.count:
        faint = LineCollection(
            [np.column_stack([x, y]) for y in summary.seeds],
            colors=role.color,
            linewidths=0.45,
            alpha=0.22,
            zorder=1.5,
            label="_seeds",
        )
        ax.add_collection(faint)
    ax.fill_between(x, summary.low, summary.high, color=role.color, alpha=0.2, linewidth=0, zorder=2, label="_band")
    (line,) = ax.plot(
        x,
        summary.median,
        color=role.color,
        linestyle=role.line,
        marker=role.marker if markers else "",
        zorder=3,
        label="_" + role.label,
    )
    line.set_linewidth(line.get_linewidth() * role.width)
    _name_axes(summary, ax)
    word = role.label if label is None else label
    if word:
        from lab.plots.labels import end_label

        finite = np.flatnonzero(np.isfinite(summary.median))
        last = finite[-1] if finite.size else -1
        end_label(x[last], summary.median[last], word, ax, color=role.color)
    return ax


def level(value: float, ax: Axes, *, label: str = "", role: Role = REFERENCE) -> Axes:
    """Draw a horizontal line of reference, with its word at the right edge.

    Args:
        value: Height, in data coordinates.
        ax: Axes to draw in.
        label: Word at its end.
        role: Fixed colour and line.

    Returns:
        The axes.
    """
    line = ax.axhline(value, color=role.color, linestyle=role.line, zorder=1)
    line.set_linewidth(line.get_linewidth() * role.width)
    if label:
        from lab.plots.labels import end_label

        end_label(ax.get_xlim()[1], value, label, ax, color=role.color)
    return ax


def moment(x: float, ax: Axes, *, text: str, role: Role = REFERENCE, height: float = 0.97) -> Axes:
    """Mark a position on the x axis, such as a turning point, with a thin line and a word.

    Args:
        x: Position, in data coordinates.
        ax: Axes to draw in.
        text: What happens there.
        role: Fixed colour.
        height: Where the word stands, as a share of the axes' height.

    Returns:
        The axes.
    """
    ax.axvline(x, color=role.color, linewidth=0.7, linestyle="dashed", zorder=1)
    low, high = ax.get_xlim()
    right = x < (low + high) / 2
    ax.annotate(
        text,
        (x, height),
        xycoords=("data", "axes fraction"),
        xytext=(3 if right else -3, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        fontsize="small",
        color="#555555",
    )
    return ax


def _name_axes(summary: Summary, ax: Axes) -> None:
    """Write the axis labels from the data, unless the caller wrote others."""
    if not ax.get_xlabel():
        ax.set_xlabel(summary.x_name)
    if not ax.get_ylabel() and summary.y_name:
        unit = f" ({summary.units})" if summary.units not in ("", "1") else ""
        ax.set_ylabel(summary.y_name + unit)
