"""The two gradients of a reward model and of DPO in four spaces, from the same data and the same network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

SPACES = {
    "log_probability": "Rewards and log π",
    "probability": "Probability",
    "logit": "Outputs of the network",
    "parameter": "Parameters",
}
WORLDS = {"s1": "labels that agree", "open": "labels that conflict"}
BALANCED, APART = 0.1, 1.0  # powers of ten
PLAIN = "The rejected over the chosen term's gradient, of DPO and of a reward model, in four spaces"
MESSAGE = "In the network a reward model's two gradients balance and DPO's do not, unless labels conflict"
THIRD = float(np.log10(3))


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the ratio of the two norms over the steps: a column for each space, a row for each kind of data."""
    shown = {}
    for world in WORLDS:
        for word, role in _roles().items():
            norm = metrics.gradient_log_norm(data[f"{word}, {world}"]) / np.log(10)
            ratio = norm.sel(term="rejected", drop=True) - norm.sel(term="chosen", drop=True)
            ratio.attrs = {"long_name": "rejected over chosen", "units": "log10"}
            for space in SPACES:
                shown[world, space, role.label] = plots.over_seeds(ratio.sel(space=space, drop=True))
    largest = {key: float(np.abs(summary.median).max()) for key, summary in shown.items()}
    last = {key: float(np.abs(summary.median[-1])) for key, summary in shown.items()}
    model, dpo = METHODS["rm"].label, METHODS["dpo"].label
    holds = (
        all(largest["s1", space, model] < BALANCED for space in ("log_probability", "logit", "parameter"))
        and largest["s1", "log_probability", dpo] < BALANCED
        and all(largest["s1", space, dpo] > APART for space in ("logit", "parameter"))
        and all(last["open", space, dpo] < BALANCED for space in ("log_probability", "logit", "parameter"))
    )
    figure, axes = page.grid(
        2, len(SPACES), aspect=0.62, title=MESSAGE if holds else PLAIN, sharex=True,
        note="norm of the rejected term's gradient over the chosen term's; above: s1, below: 16 noisy comparisons a "
        "prompt in the open world; a reward model's probability is the softmax of its rewards; median and 95 % "
        "bootstrap interval, every seed faint behind",
    )  # fmt: skip
    for row, (world, about) in enumerate(WORLDS.items()):
        for column, (space, name) in enumerate(SPACES.items()):
            ax = axes[row, column]
            plots.level(0, ax)
            for role in _roles().values():
                label = None if column == len(SPACES) - 1 else ""
                plots.curve(shown[world, space, role.label], ax, role=role, label=label)
            found = [largest[world, space, label] for label in (dpo, model)]
            ends = [last[world, space, label] for label in (dpo, model)]
            plots.panel(ax, name if row == 0 else "", about=_told(found, ends))
            low, high = ax.get_ylim()
            if high - low < 1:  # a ratio of 1 is not to look like a wild one
                ax.set_ylim(-1.6 * THIRD, 1.6 * THIRD)
                ax.set_yticks([-THIRD, 0, THIRD], ["1/3", "1", "3"])
            else:
                plots.powers_of_ten(ax, most=4)
            ax.set_xlabel("step")
            ax.set_ylabel(f"{about}:\nrejected over chosen")
            ax.locator_params(axis="x", nbins=2)
    plots.share_labels(axes)
    return Drawing(
        figure=figure,
        alt=_alt(data, largest, last),
        data=plots.table({(f"{world}, {SPACES[space]}", name): each for (world, space, name), each in shown.items()}),
        numbers={
            f"{word} of log10 ratio, {', '.join(key)}": (value, 1e-6 if value < 1e-9 else 0.03 + 0.1 * value)
            for word, values in (("largest", largest), ("last", last))
            for key, value in values.items()
        },
    )


def _roles() -> dict[str, plots.Role]:
    return {name: METHODS[name] for name in ("dpo", "rm")}


def _told(largest: list[float], last: list[float]) -> str:
    """Say how many times one term exceeds the other, at most and at the end: DPO, then the reward model."""
    words = []
    for name, top, end in zip(("DPO", "model"), largest, last, strict=True):
        at_end = "" if abs(top - end) < 0.05 else f", ends {_times(end)}"
        words.append(f"{name}: up to {_times(top)}{at_end}")
    return "\n".join(words)


def _times(exponent: float) -> str:
    return f"{plots.power(round(exponent))}×" if exponent >= 3 else f"{10**exponent:.{0 if exponent >= 1 else 1}f}×"


def _alt(data: Mapping[str, xr.Dataset], largest: Mapping[tuple, float], last: Mapping[tuple, float]) -> str:
    ds = data["dpo, s1"]
    parts = [
        f"{world}, {SPACES[space]}, {name}: {_times(largest[world, space, name])} at most and "
        f"{_times(last[world, space, name])} at the end"
        for world, space, name in largest
    ]
    return (
        f"How many times the rejected term's gradient exceeds the chosen term's, or the reverse, over "
        f"{ds.step.values[-1]} steps of Adam; medians of {ds.sizes['seed']} seeds, DPO and a reward model on the same "
        f"pairs. {'; '.join(parts)}."
    )


OPEN = "truth=normal data=sampled comparisons=16"
FIGURE = Figure(
    title=PLAIN,
    paper="3D-Properties, section 3.4: the gradients of reward models",
    lines={
        "dpo, s1": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24",
        "rm, s1": "mlp s1 rm adam lr=1e-3 steps=500 seeds=24 every=5",
        "dpo, open": f"mlp open dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=20 {OPEN}",
        "rm, open": f"mlp open rm adam lr=1e-3 steps=500 seeds=24 every=20 {OPEN}",
    },
    draw=draw,
)
