"""Bars of one number per thing, with its interval and every seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab.plots.roles import Role
from lab.plots.summaries import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def bars(
    summary: Summary, ax: Axes, *, roles: Sequence[Role] | Role, labels: Sequence[str] | None = None, seeds: bool = True
) -> Axes:
    """Draw horizontal bars, the first one on top.

    Args:
        summary: One median, interval and set of seeds for each bar; x holds their names.
        ax: Axes to draw in.
        roles: One role for all bars, or one for each.
        labels: Names at the bars; x itself if None.
        seeds: Whether every seed stands as a faint dot.

    Returns:
        The axes; bar i is centred at height i, counted downwards.

    Raises:
        ValueError: If there are not as many roles or labels as bars.
    """
    size = len(summary.x)
    each = [roles] * size if isinstance(roles, Role) else list(roles)
    names = [str(name) for name in (summary.x if labels is None else labels)]
    for word, given in (("roles", each), ("labels", names)):
        if len(given) != size:
            raise ValueError(f"{len(given)} {word} for {size} bars. Give one for each bar.")
    place = np.arange(size)
    colors = [role.color for role in each]
    ax.barh(place, summary.median, height=0.66, color=colors, alpha=0.35, linewidth=0, zorder=1)
    ax.hlines(place, summary.low, summary.high, colors=colors, linewidth=2.2, zorder=3)
    ax.scatter(summary.median, place, c=colors, s=26, zorder=4, linewidths=0)
    if seeds and summary.count:
        # Seeds are laid side by side inside their bar, so that equal values stay visible.
        offset = np.linspace(-0.26, 0.26, summary.count)[:, None]
        height = np.broadcast_to(place + offset, summary.seeds.shape)
        shade = np.broadcast_to(np.array(colors, dtype=object), summary.seeds.shape)
        ax.scatter(summary.seeds.ravel(), height.ravel(), c=list(shade.ravel()), s=5, alpha=0.4, linewidths=0, zorder=2)
    ax.set_yticks(place, names)
    ax.set_ylim(size - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.axvline(0, color="#555555", linewidth=0.6, zorder=1)
    if not ax.get_xlabel() and summary.y_name:
        unit = f" ({summary.units})" if summary.units not in ("", "1") else ""
        ax.set_xlabel(summary.y_name + unit)
    return ax
