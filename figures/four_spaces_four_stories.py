"""The two gradients of DPO in four spaces: which one dominates depends on where it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

SPACES = {
    "log_probability": ("Log-probability", "∂ℓ/∂ log π"),
    "probability": ("Probability", "∂ℓ/∂π"),
    "logit": ("Logits", "∂ℓ/∂ logits"),
    "parameter": ("Parameters", "∂ℓ/∂θ"),
}
COSINE = plots.Role("cosine", "#5B2A86", "solid")
# The terms count as aligned or as opposed from this cosine on.
CLEAR = 0.1
HEADROOM = 0.08


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw norm and cosine of the two terms over the steps, a column for each space."""
    ds = data["dpo"]
    norm = metrics.gradient_log_norm(ds) / np.log(10)
    norm.attrs = {"long_name": "norm of the gradient", "units": "log10"}
    cosine = metrics.gradient_cosine(ds)
    excess = norm.sel(term="rejected", drop=True) - norm.sel(term="chosen", drop=True)

    figure, axes = page.grid(2, len(SPACES), aspect=0.62, sharex=True, height_ratios=(1.25, 1))
    shown, larger, turns = {}, {}, {}
    for column, (space, (name, symbol)) in enumerate(SPACES.items()):
        above, below = axes[:, column]
        for term in ("chosen", "rejected"):  # the dashes lie on top, so that equal lines show both
            summary = plots.over_seeds(norm.sel(space=space, term=term, drop=True))
            shown[f"{name}: log10 norm", term] = summary
            word = term if column == len(SPACES) - 1 else ""
            plots.curve(summary, above, role=plots.RESPONSES[term], label=word)
        larger[space] = plots.over_seeds(excess.sel(space=space, drop=True))
        turns[space] = plots.over_seeds(cosine.sel(space=space, drop=True))
        shown[f"{name}: log10 of rejected over chosen", "ratio"] = larger[space]
        shown[f"{name}: cosine", "cosine"] = turns[space]
        plots.curve(turns[space], below, role=COSINE, label="")
        plots.level(0, below)
        plots.panel(above, name, about=_dominance(larger[space].median))
        plots.panel(below, "", about=_direction(turns[space].median))
        plots.powers_of_ten(above, most=5)
        above.text(1, 1.0, symbol, transform=above.transAxes, ha="right", va="top", fontsize="small", color="#555555")
        below.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1))
        for ax in (above, below):
            ax.set_ylabel("")
            ax.locator_params(axis="x", nbins=2)
    plots.same_limits(axes[0, [0, 2, 3]])
    for ax in axes[0]:  # room for the symbols above the lines
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + HEADROOM * (high - low))
    axes[0, 0].set_ylabel("norm of each term")
    axes[1, 0].set_ylabel("cosine of the two terms")
    plots.share_labels(axes)

    ends = {space: float(summary.median[-1]) for space, summary in larger.items()}
    peaks = {space: float(summary.median.max()) for space, summary in larger.items()}
    first, last = ({space: float(summary.median[at]) for space, summary in turns.items()} for at in (0, -1))
    return Drawing(
        figure=figure,
        alt=(
            f"Norm of the chosen and of the rejected term of DPO's gradient, and their cosine, in four spaces over "
            f"{ds.step.values[-1]} steps; medians of {ds.sizes['seed']} seeds. In log-probability space the two norms "
            f"are equal at every step. In probability space the rejected term ends 10^{ends['probability']:.0f} times "
            f"larger. In logit space it is at most {10 ** peaks['logit']:.0f} times larger and ends "
            f"{10 ** ends['logit']:.1f} times larger; in parameter space at most {10 ** peaks['parameter']:.0f} and "
            f"{10 ** ends['parameter']:.1f} at the end. The cosine is 0 throughout in the first two spaces; it goes "
            f"from {first['logit']:.2f} to {last['logit']:.2f} in logits and from {first['parameter']:.2f} to "
            f"{last['parameter']:.2f} in parameters."
        ),
        data=plots.table(shown),
        numbers={
            "log10 of rejected over chosen at the end, log-probability": (ends["log_probability"], 1e-9),
            "log10 of rejected over chosen at the end, probability": (ends["probability"], 2.0),
            "log10 of rejected over chosen at its peak, logits": (peaks["logit"], 0.15),
            "log10 of rejected over chosen at the end, logits": (ends["logit"], 0.15),
            "log10 of rejected over chosen at its peak, parameters": (peaks["parameter"], 0.15),
            "log10 of rejected over chosen at the end, parameters": (ends["parameter"], 0.15),
            "cosine at the start, parameters": (first["parameter"], 0.02),
            "cosine at the end, parameters": (last["parameter"], 0.1),
            "cosine at the end, logits": (last["logit"], 0.1),
        },
    )


def _dominance(excess: np.ndarray) -> str:
    """Say by how much the rejected term exceeds the chosen one: equal, or at most and at the end."""
    if np.abs(excess).max() < 1e-6:
        return "both terms equally\nlarge at every step"
    top, end = excess.max(), excess[-1]
    if top - end < 0.1:
        return f"rejected up to\n{_times(end)} larger"
    return f"rejected up to {_times(top)},\nat the end {_times(end)} larger"


def _times(exponent: float) -> str:
    if exponent >= 3:
        return f"{plots.power(round(exponent))}×"
    return f"{10**exponent:.0f}×" if exponent >= 1 else f"{10**exponent:.1f}×"


def _direction(cosine: np.ndarray) -> str:
    """Say how the terms lie to each other at the start and at the end."""
    if np.abs(cosine).max() < 1e-6:
        return "always orthogonal:\nno conflict to see"
    words = ["aligned" if at > CLEAR else "opposed" if at < -CLEAR else "orthogonal" for at in (cosine[0], cosine[-1])]
    return f"first {words[0]} ({cosine[0]:.2f}),\nlater {words[1]} ({cosine[-1]:.2f})".replace("-", "−")


FIGURE = Figure(
    title="Four spaces, four stories: the space decides which gradient of DPO dominates",
    paper="3D-Properties, section on gradients; extends it from probabilities to logits and parameters",
    lines={"dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"},
    draw=draw,
)
