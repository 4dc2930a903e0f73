"""Drawings of notebook 03: the plane that a pair moves in, and single steps taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# One hue from light to dark: β is ordered.
SHADES = ("#D4709A", "#8E3A8C", "#3B0A57")
STARTS = {"s1": (-19, -4), "s2": (-17, 4), "s3": (-19, -4), "s4": (-17, -12)}  # where a path's name stands, in points
LOWEST = -9.0  # nats of log π⁻
LEFT = -4.6  # nats of log π⁺
GRID = (8, 8)


def phase_plane(record: xr.Dataset) -> tuple[Figure, str]:
    """Draw where DPO moves one pair in a table, and how soon for each β.

    Args:
        record: A record of DPO in a table under plain gradient descent, one prompt, with axes scenario and beta (at
            most three). Paths are drawn for the first β; the clock for all, in the first scenario.

    Returns:
        The figure, and what it shows in words.

    Raises:
        ValueError: There are more β than shades.
    """
    betas = record["beta"].values
    if len(betas) > len(SHADES):
        raise ValueError(f"the record has {len(betas)} β; {len(SHADES)} can be told apart. Take fewer, by ds.sel.")
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8.4, 3.7), layout="constrained")
        plane, clock = figure.subplots(1, 2, width_ratios=(1, 1.05))
        right = _field(plane)
        ends = _paths(plane, record.isel(beta=0))
        late = _clock(clock, record.isel(scenario=0))
    alt = (
        f"Left, the plane of log-probability of the chosen response, {LEFT:g} to 0 nats, and of the rejected one, "
        f"{LOWEST:g} to 0: {right:.0%} of the arrows point to a larger chosen and a smaller rejected one. Paths of "
        f"{len(ends)} scenarios follow them and end at "
        f"chosen probability {min(ends.values()):.2f} to {max(ends.values()):.2f}. Right, the log-ratio margin over "
        "steps, with circles of the closed form on the lines: at the end "
        + ", ".join(f"{margin:.1f} nats for beta {beta:g}" for beta, margin in late.items())
        + "."
    )
    return figure, alt


def slow_motion(record: xr.Dataset, changes: xr.DataArray, steps: Sequence[int]) -> tuple[Figure, str]:
    """Draw what single steps do to every log-probability, by the term of the pair that does it.

    Args:
        record: A record of one seed and one prompt with one pair, recorded at every step.
        changes: Its changes by term [..., step, term, pair, prompt, response], by
            `lab.experiments.attribution.attribute`.
        steps: The steps to draw.

    Returns:
        The figure, and what it shows in words.
    """
    ds, parts = record.isel(seed=0), changes.isel(seed=0, pair=0, prompt=0)
    chosen, rejected = int(ds["chosen"][0]), int(ds["rejected"][0])
    names = {chosen: "y⁺", rejected: "y⁻"}
    order = [chosen, rejected, *(y for y in range(ds.sizes["response"]) if y not in names)]
    push = -ds["response_weight"].sel(term="chosen").isel(pair=0)
    words = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.2, 3.3), layout="constrained")
        axes = figure.subplots(1, len(steps), sharey=True)
        for ax, step in zip(axes, steps, strict=True):
            here = parts.sel(step=step)
            prob = np.exp(ds["log_prob"].sel(step=step).isel(prompt=0).values)
            for shift, role in ((-0.2, plots.CHOSEN), (0.2, plots.REJECTED)):
                by_term = here.sel(term=role.label).values[order]
                ax.bar(np.arange(len(order)) + shift, by_term, 0.38, color=role.color)
            total = here.sum("term").values[order]
            ax.plot(np.arange(len(order)), total, "_", color="#000000", markersize=15, markeredgewidth=2)
            ax.axhline(0, color="#000000", linewidth=0.6)
            ax.set_xticks(np.arange(len(order)), [names.get(y, "u") for y in order])
            ax.tick_params(axis="x", length=0)
            weight = float(push.sel(step=step)) / float(ds["beta_chosen"])
            about = f"π⁺ = {prob[chosen]:.2g}, π⁻ = {prob[rejected]:.2g}\nweight σ(−m) = {weight:.2f}"
            plots.panel(ax, f"Step {step}", about=about)
            words.append(
                f"at step {step} the weight is {weight:.2f}; log pi of the chosen response changes by {total[0]:+.3f}, "
                f"of the rejected one by {total[1]:+.3f}, of the unseen ones by {total[2]:+.3f} nats"
            )
        axes[0].set_ylabel("change of log π in a step (nats)")
        axes[-1].plot([], [], "s", color=plots.CHOSEN.color, label="by the chosen term")
        axes[-1].plot([], [], "s", color=plots.REJECTED.color, label="by the rejected term")
        axes[-1].plot([], [], "_", color="#000000", markersize=12, markeredgewidth=2, label="both")
        axes[-1].legend(frameon=False, fontsize="small", loc="lower right")
    return figure, "Bars of what each term of the pair does in one step: " + "; ".join(words) + "."


def _field(ax: Axes) -> float:
    """Draw the flow of a table; return the share of arrows that raise the chosen and lower the rejected response."""
    from lab.experiments.planes import flow_on_plane

    x = np.linspace(LEFT, 0, GRID[0] + 1)[:-1] + 0.5 * -LEFT / GRID[0]
    y = np.linspace(LOWEST, 0, GRID[1] + 1)[:-1] + 0.5 * -LOWEST / GRID[1]
    flow = flow_on_plane("tabular s1 dpo beta=0.1 sgd lr=1 steps=1 seeds=1 prompts=1", x, y).isel(seed=0, pair=0)
    right, up = (flow[name].transpose("log_rejected", "log_chosen").values for name in ("chosen", "rejected"))
    # The axes have other scales: an arrow shows the direction as it is seen.
    plots.arrows(x, y, right / -LEFT, up / -LOWEST, ax, color="#9A9A9A", width=0.006)
    edge = np.linspace(LEFT, -1e-3, 200)
    ax.fill_between(edge, np.log(-np.expm1(edge)), 0, color="#DDDDDD", linewidth=0, zorder=0)
    ax.annotate("π⁺ + π⁻ > 1", (-0.08, -0.12), ha="right", va="top", fontsize="x-small", color="#555555")
    ax.set(xlim=(LEFT, 0.02), ylim=(LOWEST, 0), xlabel="log π⁺ of the chosen response (nats)")
    ax.set_ylabel("log π⁻ of the rejected response (nats)")
    plots.panel(ax, "Where", about="arrows: gradient flow of a table, the same for every β")
    drawn = np.isfinite(right)
    return float(((right > 0) & (up < 0))[drawn].mean())


def _paths(ax: Axes, record: xr.Dataset) -> dict[str, float]:
    chosen = metrics.over_pairs(metrics.chosen_log_prob(record), record).isel(seed=0)
    rejected = metrics.over_pairs(metrics.rejected_log_prob(record), record).isel(seed=0)
    for name in record["scenario"].values:
        role = plots.role(str(name))
        x, y = (each.sel(scenario=name).values for each in (chosen, rejected))
        plots.path(x[y > LOWEST], y[y > LOWEST], ax, role=role)
        ax.plot(x[0], y[0], "o", color=role.color, markersize=6, zorder=5)
        ax.annotate(str(name), (x[0], y[0]), STARTS[str(name)], textcoords="offset points", color=role.color)
    return {str(name): float(np.exp(chosen.sel(scenario=name)[-1])) for name in record["scenario"].values}


def _clock(ax: Axes, record: xr.Dataset) -> dict[float, float]:
    """Draw the log-ratio margin over the steps for each β, and the closed form as circles."""
    margin = metrics.over_pairs(metrics.log_ratio_margin(record), record).isel(seed=0)
    time = metrics.over_pairs(metrics.flow_time(record), record).isel(seed=0)
    rate = _rate(record)
    for shade, beta in zip(SHADES, record["beta"].values, strict=False):
        curve = margin.sel(beta=beta)
        ax.plot(curve["step"], curve, color=shade)
        at = np.linspace(0.12, 0.95, 5) * float(curve["step"].max())
        ax.plot(at, np.interp(at * rate, time.sel(beta=beta).values, curve.values), "o", color="none",
                markeredgecolor=shade, markersize=7)  # fmt: skip
        plots.end_label(float(curve["step"][-1]), float(curve[-1]), f"β = {beta:g}", ax, color=shade)
    ax.set(xlim=(0, float(margin["step"].max())), ylim=(0, None), xlabel="step", ylabel="Δ⁺ − Δ⁻ (nats)")
    plots.panel(ax, "When", about="lines: training; circles: m + eᵐ = 1 + 2β²t, with t = lr · steps")
    return {float(beta): float(margin.sel(beta=beta)[-1]) for beta in record["beta"].values}


def _rate(record: xr.Dataset) -> float:
    from lab.experiments.experiment import Experiment

    return float(Experiment.parse(record.attrs["experiment"]).value("lr"))
