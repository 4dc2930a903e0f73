"""Drawings of notebook 06: how the push on the chosen response ends, losses as landscapes, and the price of fixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots
from lab.intervals import interval_over_seeds
from lab.plots.roles import Role

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lab.objectives import Objective, PairLogProbs

# The words that have no fixed role of their own, beside those that have.
ROLES = {
    **plots.OBJECTIVES,
    "cdpo": Role("cDPO", "#7A5CD6", "dashed", marker="v"),
    "simpo": Role("SimPO", "#5A6B7A", "dashdot", marker="<"),
    "kto": Role("KTO", "#B0307A", "solid", marker="P"),
    "orpo": Role("ORPO", "#4F7A1E", "dotted", marker="X"),
}
COLORS = ("#2700EB", "#D87614", "#2F9E9A", "#B0307A", "#7A0000")  # of the fixes
LEAST, MOST = 0.02, 0.9997  # chosen mass that is drawn
FALLS = np.linspace(0, 40, 161)
SHARES = (-0.6, 1.25)  # of the push at the start, that are drawn
U, V = np.linspace(-2.5, 1.5, 65), np.linspace(-84, 4, 89)  # log-ratios of a landscape, nats


def chosen_push(word: str, fall: float | Sequence[float] | np.ndarray, settings: str = "beta=0.1") -> np.ndarray:
    """Compute how hard a loss pushes the chosen response up, when the rejected one has fallen and it has not moved.

    -dl/dlog π(chosen) at u = 0, v = -fall: above 0 it pushes up, below 0 down. Both start at probability 0.45.

    Args:
        word: The loss, as on the experiment line.
        fall: How far log π(rejected) has fallen, in nats: one number or several.
        settings: Its settings, as on the line.

    Returns:
        The push, of the shape of `fall`.

    Raises:
        ValueError: There is no such loss, or it does not take the settings.

    Source: lab.objectives; tests/test_chapter_losses.py.
    """
    return _pushes(word, settings, np.zeros_like(np.asarray(fall, float)), -np.asarray(fall, float))[0]


def fading(words: Sequence[str], settings: str = "beta=0.1") -> tuple[Figure, str]:
    """Draw what is left of the push on the chosen response, while the rejected one falls.

    Args:
        words: Losses, as on the experiment line.
        settings: Their settings.

    Returns:
        The figure, and what it shows in words.
    """
    told = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        ax = figure.subplots()
        for word in words:
            role, share = ROLES[word], chosen_push(word, FALLS, settings) / chosen_push(word, 0.0, settings)
            ax.plot(FALLS, share, color=role.color, linestyle=role.line)
            inside = np.flatnonzero(share >= SHARES[0])
            plots.end_label(FALLS[inside[-1]], share[inside[-1]], role.label, ax, color=role.color)
            told.append(f"{role.label} {share[-1]:.2g}")
        ax.axhline(0, color="#555555", linewidth=0.8)
        ax.set(xlim=(0, FALLS[-1]), ylim=SHARES, xlabel="fall of log π⁻ (nats), π⁺ unmoved",
               ylabel="push on the chosen response\n(share of its start)")  # fmt: skip
        plots.panel(ax, "Who still holds the chosen response?", about="above 0: pushed up, below 0: pulled down")
    return figure, (
        f"The push on the chosen response as a share of its start, while the rejected one falls by {FALLS[-1]:g} nats. "
        f"Left at the end: {', '.join(told)}."
    )


def landscapes(record: xr.Dataset) -> tuple[Figure, str]:
    """Draw losses over the plane of both log-ratios, with the way that a training took through each.

    Args:
        record: A record with the axis objective, at most four words, and seeds.

    Returns:
        The figure, and what it shows in words.

    Raises:
        ValueError: There are more than four losses.
    """
    words = [str(word) for word in record["objective"].values]
    if len(words) > 4:
        raise ValueError(f"the record has {len(words)} losses, {', '.join(words)}; four fit. Select at most four.")
    settings = f"beta={float(np.ravel(record['beta_chosen'].values)[0]):g}"
    told = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.6, 2.7 * ((len(words) + 1) // 2)), layout="constrained")
        axes = figure.subplots((len(words) + 1) // 2, 2, sharex=True, sharey=True, squeeze=False)
        for word, ax in zip(words, axes.flat, strict=False):
            cell = record.sel(objective=word)
            u, v = np.meshgrid(U, V)
            loss = _objective(word, settings).loss(_pairs(u, v)).numpy().reshape(u.shape)
            low, high = np.nanquantile(loss, [0.02, 0.98])
            plots.surface(U, V, loss, ax, levels=np.linspace(low, high, 9).tolist(), text="")
            up, down = _pushes(word, settings, u[4::11, 4::8], v[4::11, 4::8])
            plots.arrows(U[4::8], V[4::11], up, down, ax)
            across, along = (
                metrics.over_pairs(part(cell), cell).median("seed").values
                for part in (metrics.chosen_log_ratio, metrics.rejected_log_ratio)
            )
            plots.path(across, along, ax, role=ROLES[word])
            end = f"u = {across[-1]:+.1f}, v = {along[-1]:+.0f} nats"
            told.append(f"{ROLES[word].label}: {end}")
            ax.set(xlim=(U[0], U[-1]), ylim=(V[0], V[-1]), xlabel="u: chosen log-ratio", ylabel="v: rejected log-ratio")
            plots.panel(ax, ROLES[word].label, about=f"training ends at {end}")
        plots.share_labels(axes)
    return figure, (
        "Landscapes of losses over the log-ratios of chosen and rejected, darker where the loss is larger, with arrows "
        f"along the pushes and the median way of {record.sizes['seed']} seeds. Ends: {'; '.join(told)}."
    )


def price(series: Mapping[str, xr.Dataset]) -> tuple[Figure, str]:
    """Draw what fixes keep against what they cost: chosen mass at the end against the margin reached.

    Args:
        series: Name of a fix to its record, with the axis scenario, and swept over one more axis (a line of dots) or
            over none (a dot). At most five.

    Returns:
        The figure, and what it shows in words.
    """
    told = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        scenarios = [str(name) for name in next(iter(series.values()))["scenario"].values]
        figure = Figure(figsize=(7.8, 3.6), layout="constrained")
        axes = figure.subplots(1, len(scenarios), sharey=True, squeeze=False)[0]
        for scenario, ax in zip(scenarios, axes, strict=True):
            for (name, record), color in zip(series.items(), COLORS, strict=False):
                cell = record.sel(scenario=scenario)
                _dots(ax, name, cell, color)
                middle = np.atleast_1d(ends(cell)[1].median("seed").values)
                told.append(f"{scenario}, {name}: chosen {middle.min():.2f} to {middle.max():.2f}")
            ax.set(xscale="log", yscale="logit", xlim=(20, 1600), ylim=(LEAST, MOST),
                   xlabel="log-ratio margin at the end (nats)")  # fmt: skip
            ax.set_xticks((30, 100, 300, 1000), ("30", "100", "300", "1000"))
            ax.set_yticks((0.1, 0.5, 0.9, 0.99, 0.999), ("0.1", "0.5", "0.9", "0.99", "0.999"))
            ax.minorticks_off()
            plots.panel(ax, scenario, about="dots: medians; the axis is stretched towards 1")
        axes[0].set_ylabel("chosen mass at the end")
    return figure, f"Chosen mass at the end against the margin reached, medians. {'; '.join(told)}."


def ends(record: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Compute log-ratio margin and chosen mass at the last step, averaged over pairs: each [..., seed]."""
    margin, chosen = (
        metrics.over_pairs(part(record), record).isel(step=-1, drop=True)
        for part in (metrics.log_ratio_margin, metrics.chosen_prob)
    )
    return margin, chosen


def _dots(ax: Axes, name: str, record: xr.Dataset, color: str) -> None:
    margin, chosen = ends(record)
    axis = [str(dim) for dim in chosen.dims if dim != "seed"]
    middle, low, high = (np.atleast_1d(values.values) for values in interval_over_seeds(chosen))
    across = np.atleast_1d(margin.median("seed").values)
    low, middle, high = (np.clip(values, LEAST, MOST) for values in (low, middle, high))
    bars = np.abs(np.stack([low, high]) - middle)
    ax.errorbar(across, middle, yerr=bars, color=color, marker="o", linewidth=1.2, elinewidth=1.0)
    names = [f"{value:g}" for value in record[axis[0]].values] if axis else [""]
    for x, y, text in zip(across, middle, names, strict=True):
        ax.annotate(text, (x, y), (-5, 1), textcoords="offset points", fontsize="x-small", ha="right", color=color)
    place = int(np.argmin(middle))
    ax.annotate(name, (across[place], middle[place]), (6, -9), textcoords="offset points", fontsize="small",
                fontweight="bold", color=color)  # fmt: skip


def _pushes(word: str, settings: str, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute -dl/dlog π of chosen and rejected at some log-ratios."""
    chosen, rejected = _objective(word, settings).response_weights(_pairs(u, v))
    return (-chosen).numpy().reshape(np.shape(u)), (-rejected).numpy().reshape(np.shape(u))


def _pairs(u: np.ndarray, v: np.ndarray) -> PairLogProbs:
    """Place one pair at some log-ratios; the reference point of KTO is left at 0."""
    import torch

    from lab.objectives import PairLogProbs
    from lab.theory.places import Places

    here = Places.at(*(torch.from_numpy(np.array(each, float).reshape(1, -1)) for each in (u, v)))
    starts = (here.chosen - here.chosen_log_ratio, here.rejected - here.rejected_log_ratio)
    return PairLogProbs(here.chosen, here.rejected, *starts, kl=torch.zeros(1, 1, dtype=torch.float64))


def _objective(word: str, settings: str) -> Objective:
    from lab.experiments.experiment import Experiment
    from lab.experiments.losses import build_objective

    line = Experiment.parse(f"tabular s1 {word} {settings} sgd lr=1 steps=1")
    return build_objective(line, line.value)
