"""Overlap of the features of chosen and rejected: when the chosen response falls, and where a plain step says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

MESSAGE = (
    "Under SGD the chosen response falls where ⟨g⁺, g⁻⟩ > ‖g⁺‖²: one prompt alone needs alike features, four prompts "
    "do not"
)
PLAIN = "When the chosen response falls, over the overlap of its features with the rejected ones'"
if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = properties.Thresholds().degradation
# The share of steps in which the sign of the change must be the predicted one.
AGREES = 0.99
OVERLAPS = ",".join(f"{value:g}" for value in np.linspace(-1, 1, 17))
ENDS = {"sgd": "sgd lr=5 steps=1000", "adam": "adam lr=0.05 steps=500"}
PANELS = {
    f"{optimizer}, {count} {'prompt' if count == 1 else 'prompts'}": (optimizer, count)
    for count in (1, 4)
    for optimizer in ENDS
}
NOTE = (
    "solid: a fall of 0.01, median of 20 seeds, dotted where its 95 % interval leaves the side open; dashed: from here "
    "on ⟨G⁺, G⁻⟩ says that a plain step lowers the chosen response (its median)"
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the fall over overlap and updates, and on it where the rule for a plain gradient step turns."""
    falls = {name: _fall(ds) for name, ds in data.items()}
    shown = {name: plots.map_over_seeds(_thinned(fall), x="step", y="overlap") for name, fall in falls.items()}
    agree = {name: _agreement(ds) for name, ds in data.items()}
    from_ = {name: _least_overlap(each) for name, each in shown.items()}
    by_rule = all(agree[name] > AGREES for name in PANELS if name.startswith("sgd"))
    holds = by_rule and from_["sgd, 1 prompt"] > 0.5 and from_["sgd, 4 prompts"] == -1

    figure, axes = page.grid(
        2, 2, aspect=0.8, sharey=True, title=MESSAGE if holds else PLAIN, note=NOTE,
    )  # fmt: skip
    for ax, (name, (optimizer, count)) in zip(axes.flat, PANELS.items(), strict=True):
        plots.phase_map(shown[name], ax, threshold=LIMIT, limits=(0.0, 0.4), scales=("log", "linear"))
        _turn(data[name], ax)
        title = f"{plots.OPTIMIZERS[optimizer].label}, {'one prompt' if count == 1 else 'four prompts'}"
        plots.panel(ax, title, about=f"the rule names the direction of {agree[name]:.2%} of steps".replace("%", " %"))
        ax.set(xlabel="updates", ylabel="overlap (cosine)")
    bar = plots.phase_bar(list(axes.flat), label="fall of the chosen response", threshold=LIMIT)
    bar.set_ticks([0, 0.1, 0.2, 0.3, 0.4], labels=["0", "0.1", "0.2", "0.3", "0.4 or more"])
    plots.share_labels(axes)

    last = {name: each.median[:, -1] for name, each in shown.items()}
    return Drawing(
        figure=figure,
        alt=(
            "Four maps of the fall of the chosen response over updates and the cosine of the features of chosen and "
            "rejected, log-linear policy with 16 features. Under SGD with one prompt a fall of 0.01 begins at a cosine "
            f"of {from_['sgd, 1 prompt']:g}, with four prompts at {from_['sgd, 4 prompts']:g}, where it ends at "
            f"{last['sgd, 4 prompts'][0]:.2f}; under Adam at {from_['adam, 1 prompt']:g} and "
            f"{from_['adam, 4 prompts']:g}. Whether a step lowers the chosen response is what the inner product of the "
            f"two gradients says in {agree['sgd, 1 prompt']:.1%} and {agree['sgd, 4 prompts']:.1%} of SGD's steps, "
            f"and in {agree['adam, 1 prompt']:.1%} and {agree['adam, 4 prompts']:.1%} of Adam's."
        ),
        data=plots.phase_table({("fall", name): each for name, each in shown.items()}),
        numbers={
            **{
                f"share of steps as the rule says, {name}": (value, 0.005 if name.startswith("sgd") else 0.03)
                for name, value in agree.items()
            },
            **{f"least cosine with a fall, {name}": (value, 0.13) for name, value in from_.items()},
            **{f"fall at cosine 0, {name}": (values[len(values) // 2], 0.04) for name, values in last.items()},
        },
    )


def _fall(ds: xr.Dataset) -> xr.DataArray:
    return metrics.below_peak(metrics.over_pairs(metrics.chosen_prob(ds), ds))


def _thinned(fall: xr.DataArray) -> xr.DataArray:
    """Keep about eight states an octave, and not step 0, which a log axis cannot hold."""
    wanted = np.unique(np.rint(np.geomspace(1, fall.sizes["step"] - 1, 48)).astype(int))
    thin = fall.isel(step=wanted)
    thin["overlap"].attrs["long_name"] = "overlap (cosine)"
    return thin


def _agreement(ds: xr.Dataset) -> float:
    """Share of recorded steps in which log π⁺ moves as the inner product of the two gradients says.

    What is compared is the change until the next recorded state: a sign that turns in between counts against the rule.
    """
    change = metrics.step_change(metrics.over_pairs(metrics.chosen_log_prob(ds), ds))
    said = metrics.interference(ds).sel(step=change["step"]) > 1
    return float(((change < 0) == said).mean())


def _turn(ds: xr.Dataset, ax: Axes) -> None:
    """Draw the first update at which the median interference is above 1, at the left edge where it always is."""
    median = metrics.interference(ds).median("seed")
    steps = properties.crossing(median, 1.0)
    first = float(ds["step"].values[1])
    at = np.where(np.isfinite(steps), np.maximum(steps, 0.75 * first), np.nan)
    plots.exact_curve(at, steps["overlap"].values, ax)


def _least_overlap(drawn: plots.Phases) -> float:
    """Least overlap whose median fall is past the limit at the end; 2 where there is none."""
    past = drawn.median[:, -1] > LIMIT
    return float(drawn.y[past.argmax()]) if past.any() else 2.0


FIGURE = Figure(
    title=MESSAGE,
    paper="new: 3D-Properties reasons in probability space, where features do not appear",
    lines={
        name: f"loglinear s1 dpo beta=0.1 {ENDS[optimizer]} seeds=20 every=5 prompts={count} overlap={OVERLAPS}"
        for name, (optimizer, count) in PANELS.items()
    },
    draw=draw,
)
