"""Drawings of notebook 04: a table beside a network, one optimiser beside another, and steps foreseen and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

LEVELS = 40  # losses at which runs are read off
DOTS = 500  # most dots of a panel


def side_by_side(records: Mapping[str, xr.Dataset]) -> tuple[Figure, str]:
    """Draw probabilities and their logarithms over the steps, a column for each record.

    Args:
        records: A record with seeds and no other axis for each name, such as "a table" and "a network".

    Returns:
        The figure, and what it shows in words.
    """
    words = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.8, 4.1), layout="constrained")
        axes = figure.subplots(2, len(records), sharey="row", sharex="col", squeeze=False)
        for (top, bottom), (name, ds) in zip(axes.T, records.items(), strict=True):
            shown = {
                "chosen": (metrics.over_pairs(metrics.chosen_prob(ds), ds), _log(metrics.chosen_log_prob(ds), ds)),
                "rejected": (
                    metrics.over_pairs(metrics.rejected_prob(ds), ds),
                    _log(metrics.rejected_log_prob(ds), ds),
                ),
                "unseen": (
                    metrics.over_prompts(metrics.unseen_mass(ds), ds),
                    metrics.over_prompts(metrics.log_unseen_mass(ds), ds),
                ),
            }
            ends = []
            for which, curves in shown.items():
                for ax, curve in zip((top, bottom), curves, strict=True):
                    plots.curve(plots.over_seeds(curve), ax, role=plots.role(which))
                level, in_nats = (curve.median("seed") for curve in curves)
                ends.append(
                    f"{which} from {float(level[0]):.2f} to {float(level[-1]):.2f} ({float(in_nats[-1]):.1f} nats)"
                )
            highest = shown["chosen"][0].median("seed")
            peak = f", with its peak {float(highest.max()):.2f} at step {int(highest['step'][highest.argmax('step')])}"
            top.set(xlim=(0, float(ds["step"].max())), ylim=(-0.03, 1.03))
            plots.panel(top, name[0].upper() + name[1:])
            words.append(f"{name}: " + "; ".join([ends[0] + peak, *ends[1:]]))
        for row, label in zip(axes, ("probability", "log-probability (nats)"), strict=True):
            for ax in row:
                ax.set_ylabel(label)
        plots.share_labels(axes)
    return figure, "Probability of chosen, rejected and unseen over training, medians over seeds. " + ". ".join(
        words
    ) + "."


def against_loss(records: Mapping[str, xr.Dataset], level: float) -> tuple[Figure, str]:
    """Draw how likely the chosen response is at each loss, so that runs of unlike speed can be compared.

    Args:
        records: A record with seeds and no other axis for each word of a role, such as "adam" and "sgd".
        level: A loss to read off, in nats.

    Returns:
        The figure, and what it shows in words.
    """
    words = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.2, 3.3), layout="constrained")
        ax = figure.subplots()
        for name, ds in records.items():
            loss, chosen = metrics.total_loss(ds), metrics.over_pairs(metrics.chosen_prob(ds), ds)
            # Levels that every seed reaches, just inside the ends, where rounding could hide one.
            last = max(1.001 * float(loss.min("step").max()), level / 10)
            levels = np.geomspace(0.999 * float(loss.max("step").min()), last, LEVELS)
            at = metrics.when_reached(chosen, loss, levels, falling=True).assign_coords(level=-np.log10(levels))
            summary = plots.over_seeds(at, x="level")
            plots.curve(summary, ax, role=plots.role(name))
            here = metrics.when_reached(chosen, loss, [level], falling=True).isel(level=0)
            words.append(f"{plots.role(name).label} {float(here.median()):.2f}")
        ax.axvline(-np.log10(level), color=plots.REFERENCE.color, linewidth=0.8, linestyle="dashed", zorder=1)
        ax.annotate(f"loss {level:g}", (-np.log10(level), 0.03), (4, 0), textcoords="offset points", fontsize="small",
                    color="#555555", xycoords=("data", "axes fraction"))  # fmt: skip
        ax.set(
            ylim=(-0.03, 1.03), ylabel="probability of the chosen response", xlabel="loss (nats), falling to the right"
        )
        ticks = np.arange(0, np.floor(ax.get_xlim()[1]) + 1)
        ax.set_xticks(ticks, [f"{10.0**-tick:g}" for tick in ticks])
        plots.panel(ax, "At equal loss", about="median, 95 % interval, faint: every seed")
    return figure, (
        "Probability of the chosen response against the loss, medians over seeds. "
        f"At loss {level:g}: " + ", ".join(words) + "."
    )


def foreseen(predicted: Sequence[np.ndarray], made: Sequence[np.ndarray], rates: Sequence[float]) -> tuple[Figure, str]:
    """Draw changes of log π as they were foreseen to first order and as one step made them, a panel for each rate.

    Args:
        predicted: Changes in nats, any shape, one array a rate.
        made: The realised changes, of the same shapes.
        rates: The learning rates.

    Returns:
        The figure, and what it shows in words, with R² of each panel.
    """
    words = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.8, 2.8), layout="constrained")
        for ax, x, y, rate in zip(figure.subplots(1, len(rates)), predicted, made, rates, strict=True):
            share = explained(x, y)
            every = max(1, x.size // DOTS)
            ends = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
            ax.plot(ends, ends, color=plots.REFERENCE.color, linewidth=0.8, zorder=1)
            ax.plot(x.ravel()[::every], y.ravel()[::every], ".", color="#3B0A57", markersize=4, alpha=0.35,
                    markeredgewidth=0)  # fmt: skip
            ax.set(xlabel="foreseen (nats)")
            ax.locator_params(nbins=4)
            plots.panel(ax, f"lr = {rate:g}", about=f"R² = {share:.4f}")
            words.append(f"R squared is {share:.4f} at learning rate {rate:g}")
        figure.axes[0].set_ylabel("made by one step (nats)")
    return figure, "Changes of log pi by one step of a network, foreseen and made: " + "; ".join(words) + "."


def explained(predicted: np.ndarray, made: np.ndarray) -> float:
    """Return R² = 1 − Σ (made − predicted)² / Σ (made − mean)², over all entries."""
    return float(1 - ((made - predicted) ** 2).sum() / ((made - made.mean()) ** 2).sum())


def _log(values: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    return metrics.over_pairs(values, ds)
