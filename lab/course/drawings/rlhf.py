"""Drawings of notebook 07: methods at equal KL, three ways to train on one pair a prompt, and two rewards over KL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

METHODS = {
    "dpo": plots.role("dpo"),
    "ppo": plots.Role("PPO, learned reward", "#C2185B", "dashed", marker="s"),
    "ppo_gt": plots.Role("PPO, true reward", "#7B1FA2", "dashdot", marker="^"),
    "best_of_n": plots.Role("Best-of-N", "#B8860B", "dotted", marker="X"),
}


def at_equal_kl(shares: Mapping[str, xr.DataArray]) -> tuple[Figure, str]:
    """Draw the share of the possible gain that each method makes, over the KL that it may spend.

    Args:
        shares: `lab.experiments.frontiers.at_equal_kl`, [seed, level], by method.

    Returns:
        The figure, and what it shows in words.
    """
    said = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.4, 3.6), layout="constrained")
        ax = figure.subplots()
        for name, share in shares.items():
            found = plots.over_seeds(share, x="level")
            plots.curve(found, ax, role=METHODS[name], seeds=False, markers=True)
            said.append(f"{METHODS[name].label} {found.median[0]:.2f} and {found.median[-1]:.2f}")
        levels = next(iter(shares.values()))["level"].values
        ax.set(xlabel="KL from the reference (nats)", ylabel="share of the possible gain", ylim=(0, 1.05))
        ax.set_xlim(0.8 * levels[0], 1.02 * levels[-1])
        plots.panel(ax, "At equal KL", about="1 is the exact optimum at that KL; median and 95 % interval over seeds")
    alt = f"Share of the exact optimum's gain at KL {levels[0]:g} and at KL {levels[-1]:g}: " + "; ".join(said) + "."
    return figure, alt


def three_ways(records: Mapping[str, xr.Dataset]) -> tuple[Figure, str]:
    """Draw what becomes of the chosen, the rejected and the unseen responses under several methods.

    Args:
        records: Records of one scenario with fixed pairs, by method.

    Returns:
        The figure, and what it shows in words.
    """
    said = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        axes = figure.subplots(1, 3)
        for name, record in records.items():
            chosen = plots.over_seeds(metrics.over_pairs(metrics.chosen_prob(record), record))
            rejected = plots.over_seeds(metrics.over_pairs(metrics.rejected_log_prob(record), record))
            unseen = plots.over_seeds(metrics.over_prompts(metrics.unseen_mass(record), record))
            for ax, found in zip(axes, (chosen, rejected, unseen), strict=True):
                plots.curve(found, ax, role=METHODS[name], seeds=False, label=None if ax is axes[-1] else "")
                ax.set(xlabel="step", ylabel="", xlim=(0, float(record["step"].max())))
            said.append(
                f"{METHODS[name].label}: chosen {chosen.median[0]:.2f}, at most {max(chosen.median):.2f}, at the end "
                f"{chosen.median[-1]:.2f}; log-probability of the rejected {rejected.median[-1]:.1f} nats; unseen mass "
                f"{unseen.median[-1]:.2f}"
            )
        for ax, title, about in zip(
            axes, ("Chosen", "Rejected", "Unseen"), ("probability", "log-probability (nats)", "mass"), strict=True
        ):
            plots.panel(ax, title, about=about)
        axes[0].set_ylim(0, 1.02)
        axes[2].set_ylim(bottom=0)
    return figure, "Medians over seeds. " + ". ".join(said) + "."


def two_rewards(rewards: Mapping[str, xr.Dataset], levels: Sequence[float]) -> tuple[Figure, str]:
    """Draw the gain in learned and in true reward over the KL that is spent.

    Args:
        rewards: `lab.experiments.over_optimisation.both_rewards`.
        levels: KL at which the sweeps are read, nats; no sweep is read beyond its own end.

    Returns:
        The figure, and what it shows in words.
    """
    said = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for ax, kind, title in ((left, "learned", "What the model says"), (right, "true", "What is true")):
            for name, sweep in rewards.items():
                start = 0 * sweep["kl"].isel(point=0, drop=True)
                read = metrics.along_kl(sweep["kl"], sweep[kind], levels, over="point", start=start)
                read = read.where(read["level"] <= sweep["kl"].max("point").median("seed"), drop=True)
                found = plots.over_seeds(read, x="level")
                plots.curve(found, ax, role=METHODS[name], seeds=False, label=None if ax is right else "")
                top = int(found.median.argmax())
                said.append(
                    f"{kind} reward by {METHODS[name].label}: largest gain {found.median[top]:.2f} at KL "
                    f"{found.x[top]:.1f}, {found.median[-1]:.2f} at KL {found.x[-1]:.1f}"
                )
            ax.set(xlabel="KL from the reference (nats)", ylabel="gain in reward", xlim=(0, max(levels)))
            plots.panel(ax, title, about="median and 95 % interval over seeds")
    return figure, "Gain over the reference. " + "; ".join(said) + "."
