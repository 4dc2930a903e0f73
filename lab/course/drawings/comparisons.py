"""Drawings of notebook 02: a graph of comparisons with its rewards, gaps that grow, and a model that grows too sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FITTED, TRUE = "#3B0A57", "#8A8A8A"
ROLES = (("#3B0A57", "solid"), ("#C2185B", "dashed"), ("#B8860B", "dashdot"))


def graph(wins: np.ndarray, reward: np.ndarray, fits: np.ndarray, title: str) -> tuple[Figure, str]:
    """Draw who was compared with whom, and the rewards that were fitted beside the true ones.

    Args:
        wins: How often each response beat each other, [winner, loser].
        reward: True reward, [response].
        fits: Rewards fitted to resampled comparisons, [resample, response].
        title: A few words.

    Returns:
        The figure, and what it shows in words. Rewards stand about their mean, as a shift means nothing.
    """
    centred = fits - fits.mean(1, keepdims=True)
    low, middle, high = np.quantile(centred, [0.025, 0.5, 0.975], axis=0)
    true = reward - reward.mean()
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8.6, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
        _edges(left, wins)
        plots.panel(left, title, about="a line for each compared couple, with its wins")
        place = np.arange(len(true))
        right.vlines(place, low, high, color=FITTED, linewidth=2.4, label="fitted, 95 % of 100 resamples")
        right.plot(place, middle, "o", color=FITTED, markersize=5)
        right.plot(place, true, "_", color=TRUE, markersize=22, markeredgewidth=2.4, label="true")
        right.set_xticks(place, [f"y{at + 1}" for at in place])
        low_end, high_end = right.get_ylim()
        right.set(ylabel="reward, less its mean", xlim=(-0.6, len(true) - 0.4),
                  ylim=(low_end, high_end + 0.3 * (high_end - low_end)))  # fmt: skip
        right.legend(frameon=False, fontsize="small", loc="upper left", ncols=2)
        plots.panel(right, "What comes back")
    inside = int(((low <= true) & (true <= high)).sum())
    alt = (
        f"A graph of {len(true)} responses and {int(((wins + wins.T) > 0).sum() / 2)} compared couples, "
        f"{int(wins.sum())} comparisons in all. Beside it fitted and true rewards: the true reward of {inside} of "
        f"{len(true)} responses lies in its interval."
    )
    return figure, alt


def gaps(steps: np.ndarray, series: Mapping[str, np.ndarray], flow: np.ndarray) -> tuple[Figure, str]:
    """Draw the difference of two rewards over the steps of training, for several sets of labels.

    Args:
        steps: Numbers of steps, [point].
        series: Difference of the two rewards, [point], by what the labels were; at most three.
        flow: The closed form for labels that always agree, [point].

    Returns:
        The figure, and what it shows in words.
    """
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        ax = figure.subplots()
        ax.plot(steps, flow, color="#8A8A8A", linewidth=4, alpha=0.45)
        plots.end_label(steps[-1], flow[-1], "closed form", ax, color="#6A6A6A")
        for (name, gap), (color, line) in zip(series.items(), ROLES, strict=False):
            ax.plot(steps, gap, color=color, linestyle=line)
            plots.end_label(steps[-1], gap[-1], name, ax, color=color)
        ax.set(xscale="log", xlabel="step", ylabel="reward of the winner − of the loser", xlim=(steps[0], steps[-1]))
        plots.panel(ax, "How sure a reward model becomes", about="two responses, gradient descent from equal rewards")
    ends = "; ".join(f"{name}: {gap[len(gap) // 2]:.2f}, then {gap[-1]:.2f}" for name, gap in series.items())
    middle = int(steps[len(steps) // 2])
    return figure, f"Difference of two rewards after {middle} and after {int(steps[-1])} steps. {ends}."


def too_sure(records: Mapping[str, xr.Dataset]) -> tuple[Figure, str]:
    """Draw how far the rewards of a model spread while it is trained, and how wrong its predictions are.

    Args:
        records: Records of reward models with a true reward, by their data; at most three.

    Returns:
        The figure, and what it shows in words.
    """
    said = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (name, record), (color, line) in zip(records.items(), ROLES, strict=False):
            rewards = metrics.implicit_rewards(record)
            spread = (rewards.max("response") - rewards.min("response")).mean("prompt")
            found = plots.over_seeds(spread.isel(step=slice(1, None)))
            off = plots.over_seeds(metrics.calibration_error(record, "compared").isel(step=slice(1, None)))
            role = plots.Role(name, color, line)
            plots.curve(found, left, role=role, seeds=False, label="")
            plots.curve(off, right, role=role, seeds=False)
            said.append(
                f"{name}: rewards spread over {found.median[0]:.1f}, at the end over {found.median[-1]:.1f}; error "
                f"{off.median[0]:.3f}, at the end {off.median[-1]:.3f}"
            )
        for ax in (left, right):
            ax.set(xscale="log", xlabel="step")
        left.set_ylabel("largest − smallest reward")
        right.set_ylabel("|predicted − true preference|")
        right.set_ylim(bottom=0)
        plots.panel(left, "The rewards spread", about="true rewards here: standard normal, 10 responses")
        plots.panel(right, "The predictions get no better", about="couples that were compared; median and 95 %")
    return figure, "Reward models over their training, medians over seeds. " + "; ".join(said) + "."


def _edges(ax: Axes, wins: np.ndarray) -> None:
    """Draw responses on a circle, and a line for each compared couple."""
    size = len(wins)
    angle = np.pi / 2 - 2 * np.pi * np.arange(size) / size
    x, y = np.cos(angle), np.sin(angle)
    most = (wins + wins.T).max()
    for first in range(size):
        for second in range(first + 1, size):
            together = wins[first, second] + wins[second, first]
            if not together:
                continue
            ax.plot(x[[first, second]], y[[first, second]], color="#B9A6C9", linewidth=0.6 + 4 * together / most,
                    zorder=1)  # fmt: skip
            ax.annotate(
                f"{wins[first, second]:.0f}:{wins[second, first]:.0f}",
                (0.66 * x[first] + 0.34 * x[second], 0.66 * y[first] + 0.34 * y[second]), ha="center", va="center",
                fontsize="x-small", color="#444444", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
    ax.scatter(x, y, s=340, color="white", edgecolors=FITTED, linewidths=1.4, zorder=2)
    for at in range(size):
        ax.annotate(f"y{at + 1}", (x[at], y[at]), ha="center", va="center", fontsize="small", zorder=3)
    ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    ax.set_axis_off()
