"""Drawings of notebook 01: what each β makes of a reference, and what β has to do with the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lab.optima import Optimum

# One hue from dark to light: β is ordered.
SHADES = ("#3B0A57", "#8E3A8C", "#D4709A", "#F0B8A8")
PACES = ("solid", "dashed")
CURVE = np.geomspace(0.02, 50, 300)


def tilts(reference_prob: np.ndarray, reward: np.ndarray, betas: Sequence[float]) -> tuple[Figure, str]:
    """Draw the optimum for each β beside its reference, and where it stands on the frontier of reward and KL.

    Args:
        reference_prob: π_ref of one prompt, [response].
        reward: r, [response].
        betas: At most four β.

    Returns:
        The figure, and what it shows in words.

    Raises:
        ValueError: There are more β than shades.
    """
    if not 1 <= len(betas) <= len(SHADES):
        raise ValueError(f"betas are {list(betas)}; {len(SHADES)} can be told apart. Give one to {len(SHADES)}.")
    shown, line = (_optimum(reference_prob, reward, values) for values in (betas, CURVE))
    prob = shown.log_prob.exp().numpy()[0, :, 0]
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
        _bars(left, reference_prob, reward, betas, prob)
        kl, earned = line.kl.numpy()[0, :, 0], line.reward.numpy()[0, :, 0]
        right.plot(kl, earned, color="#000000", linewidth=1.2, zorder=1)
        right.plot(0, reference_prob @ reward, ".", color=plots.REFERENCE.color, markersize=11)
        right.annotate("reference", (0, reference_prob @ reward), (8, -4), textcoords="offset points",
                       fontsize="small", color="#555555")  # fmt: skip
        for shade, beta, x, y in zip(SHADES, betas, shown.kl[0, :, 0], shown.reward[0, :, 0], strict=False):
            right.plot(float(x), float(y), "o", color=shade)
            right.annotate(f"β = {beta:g}", (float(x), float(y)), (8, -9), textcoords="offset points",
                           fontsize="small", color="#333333")  # fmt: skip
        plots.level(float(reward.max()), right)
        right.set(xlabel="KL from the reference (nats)", ylabel="expected reward", xlim=(-0.1, 1.08 * kl.max()))
        plots.panel(right, "The frontier", about="no policy stands above this line; grey: the best reward")
    best = int(reward.argmax())
    alt = (
        f"Bars: the reference gives the best of {len(reward)} answers probability {reference_prob[best]:.2g}; the "
        "optimum gives it "
        + ", ".join(f"{row[best]:.2g} at beta {beta:g}" for beta, row in zip(betas, prob, strict=True))
        + ". Beside it the frontier: expected reward rises with KL, ever more slowly, to the best reward "
        f"{reward.max():g}."
    )
    return figure, alt


def price_and_pace(record: xr.Dataset) -> tuple[Figure, str]:
    """Draw the way to the optimum for several β and learning rates: KL from the reference over steps.

    Args:
        record: A record of a policy gradient with axes beta and lr, at most four and two values.

    Returns:
        The figure, and what it shows in words.

    Raises:
        ValueError: There are more values than shades or line styles.
    """
    kl = metrics.kl_from_reference(record).mean("prompt", keep_attrs=True)
    betas, rates = record["beta"].values, record["lr"].values
    if len(betas) > len(SHADES) or len(rates) > len(PACES):
        raise ValueError(
            f"the record has {len(betas)} β and {len(rates)} learning rates; {len(SHADES)} and {len(PACES)} can be "
            "told apart. Take fewer, by ds.sel."
        )
    ends = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.5), layout="constrained")
        ax = figure.subplots()
        shades = SHADES[::2] if len(betas) <= 2 else SHADES
        for shade, beta in zip(shades, betas, strict=False):
            for pace, rate in zip(PACES, rates, strict=False):
                summary = plots.over_seeds(kl.sel(beta=beta, lr=rate))
                role = plots.Role(f"β = {beta:g}, lr = {rate:g}", shade, pace)
                plots.curve(summary, ax, role=role, seeds=False)
                ends.append(f"beta {beta:g} and learning rate {rate:g} at {summary.median[-1]:.3g} nats")
        ax.set(xlim=(0, float(record["step"].max())), ylabel="KL from the reference (nats)")
        plots.panel(ax, "β decides where, the learning rate when", about="median and 95 % interval over seeds")
    alt = f"KL from the reference over {int(record['step'].max())} steps, medians over seeds: " + "; ".join(ends) + "."
    return figure, alt


def _bars(ax: Axes, reference_prob: np.ndarray, reward: np.ndarray, betas: Sequence[float], prob: np.ndarray) -> None:
    rows = [("reference", plots.REFERENCE.color, reference_prob)]
    rows += [(f"β = {beta:g}", shade, row) for beta, shade, row in zip(betas, SHADES, prob, strict=False)]
    width = 0.82 / len(rows)
    place = np.arange(len(reward))
    for at, (label, color, values) in enumerate(rows):
        ax.bar(place + (at - (len(rows) - 1) / 2) * width, values, 0.92 * width, color=color, label=label)
    ax.set_xticks(place, [f"y{at + 1}\nr = {value:g}".replace("-", "−") for at, value in enumerate(reward)])
    ax.tick_params(axis="x", length=0)
    ax.set(ylabel="probability")
    ax.legend(frameon=False, fontsize="small", ncols=2)
    plots.panel(ax, "What each β makes of the reference")


def _optimum(reference_prob: np.ndarray, reward: np.ndarray, betas: Sequence[float] | np.ndarray) -> Optimum:
    """Compute the optimum of one prompt for every β."""
    import torch

    from lab.optima import optimum

    with np.errstate(divide="ignore"):
        reference = torch.from_numpy(np.log(np.asarray(reference_prob, np.float64)))[None, None]
    values = torch.from_numpy(np.asarray(betas, np.float64))
    return optimum(reference, torch.from_numpy(np.asarray(reward, np.float64))[None, None], values)
