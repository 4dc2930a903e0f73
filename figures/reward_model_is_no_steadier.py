"""Accuracy and calibration of a reward model and of DPO's implicit reward on couples that the data do not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

JUDGES = {
    "right": ("labels always right", "judge=noisy agreement=1"),
    "wrong": ("30 % of the labels wrong", "judge=noisy agreement=0.7"),
    "drawn": ("Bradley-Terry labels", "judge=bradley_terry"),
}
POLICIES = {
    "mlp": ("MLP: couples never compared", "not compared"),
    "loglinear": ("Log-linear: new prompts", "new prompts"),
}
SLOWED = plots.Role("reward model, β × the rate", "#111111", "dotted", width=1.3)
STEADY = 0.01  # a difference in accuracy that counts
PLAIN = "Held-out accuracy and calibration of a reward model and of DPO's implicit reward, over the steps"
MESSAGE = "On couples held out a reward model is no steadier than DPO; where rewards are linear, both are one curve"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw accuracy for two kinds of labels and the error of the predicted preference, a column for each policy."""
    shown: dict[tuple[str, str], plots.Summary] = {}
    lost: dict[tuple[str, str, str], xr.DataArray] = {}
    curves = {}
    for (judge, (words, _)), (policy, (title, which)) in _cells():
        for name, role in _roles(policy).items():
            ds = data[f"{policy}, {name}, {judge}"]
            values = metrics.calibration_error(ds, which) if judge == "drawn" else metrics.couple_accuracy(ds, which)
            curves[judge, policy, name] = values
            shown[f"{title}, {words}", role.label] = plots.over_seeds(_thinned(values))
            lost[judge, policy, name] = metrics.below_peak(values).isel(step=-1, drop=True)
    gaps = {
        (judge, policy): _one(lost[judge, policy, "dpo"] - lost[judge, policy, "rm"])
        for judge in ("right", "wrong")
        for policy in POLICIES
    }
    same = max(
        float(abs(curves[judge, "loglinear", "dpo"] - curves[judge, "loglinear", "slowed"]).max()) for judge in JUDGES
    )
    holds = all(not gap.low[0] > STEADY for gap in gaps.values()) and same < STEADY
    figure, axes = page.grid(
        len(JUDGES), len(POLICIES), aspect=0.86, title=MESSAGE if holds else PLAIN, sharex=True,
        note="the same pairs and the same network for both; over each panel, how far accuracy ends below its peak"
        "; median and 95 % bootstrap interval, every seed faint behind",
    )  # fmt: skip
    for (judge, (words, _)), (policy, (title, _)) in _cells():
        ax = axes[list(JUDGES).index(judge), list(POLICIES).index(policy)]
        for role in _roles(policy).values():
            summary = shown[f"{title}, {words}", role.label]
            if role is SLOWED:  # its band is DPO's
                nothing = np.full_like(summary.low, np.nan)
                summary = replace(summary, low=nothing, high=nothing)
            plots.curve(summary, ax, role=role, label=None if policy == "loglinear" else "", seeds=role is not SLOWED)
        if judge == "drawn":
            about = "error of the predicted preference"
            ax.set_ylabel(f"{words}:\nerror")
        else:
            falls = [
                plots.over_seeds(lost[judge, policy, name].expand_dims(x=[0]), x="x").median[0]
                for name in ("dpo", "rm")
            ]
            about = f"below the peak at the end: DPO {falls[0]:.3f}, model {falls[1]:.3f}"
            ax.set_ylabel(f"{words}:\naccuracy")
        plots.panel(ax, title if judge == "right" else "", about=about)
        ax.set_xscale("log")
        ax.set_xlim(*curves[judge, policy, "dpo"]["step"].values[[1, -1]])
        ax.set_xlabel("step")
    for row in axes:
        plots.same_limits(row)
    plots.share_labels(axes)
    ends = {key: plots.over_seeds(value.isel(step=[0, -1])).median[-1] for key, value in curves.items()}
    return Drawing(
        figure=figure,
        alt=_alt(data, ends, gaps, same),
        data=plots.table(shown),
        numbers={
            **{f"at the end, {', '.join(key)}": (float(end), 0.04) for key, end in ends.items()},
            **{f"DPO's loss from the peak minus the model's, {', '.join(key)}": (float(gap.median[0]), 0.02)
               for key, gap in gaps.items()},
            "largest difference of DPO and the slowed model": (same, 0.02),
        },
    )  # fmt: skip


def _thinned(values: xr.DataArray) -> xr.DataArray:
    """Keep about as many states for every factor in the steps, as a logarithmic axis shows them."""
    last = values.sizes["step"] - 1
    return values.isel(step=np.unique(np.geomspace(1, last, 40).round().astype(int)))


def _one(values: xr.DataArray) -> plots.Summary:
    """Summarise one number a seed."""
    return plots.over_seeds(values.expand_dims(x=[0]), x="x")


def _cells() -> list:
    return [(judge, policy) for judge in JUDGES.items() for policy in POLICIES.items()]


def _roles(policy: str) -> dict[str, plots.Role]:
    roles = {name: METHODS[name] for name in ("dpo", "rm")}
    return roles | {"slowed": SLOWED} if policy == "loglinear" else roles


def _alt(
    data: Mapping[str, xr.Dataset], ends: Mapping[tuple, float], gaps: Mapping[tuple, plots.Summary], same: float
) -> str:
    ds = data["mlp, dpo, right"]
    listed = "; ".join(f"{', '.join(key)} {end:.3f}" for key, end in ends.items())
    lost = "; ".join(
        f"{', '.join(key)} {gap.median[0]:.3f} [{gap.low[0]:.3f}, {gap.high[0]:.3f}]" for key, gap in gaps.items()
    )
    return (
        f"Accuracy of the ordering of couples that the data do not hold, for labels that are always right and for 30 % "
        f"wrong ones, and the error of the predicted preference, over up to {ds.step.values[-1]} steps; DPO's implicit "
        f"reward and a reward model on the same pairs, {ds.sizes['seed']} seeds. Medians at the end: {listed}. What "
        f"DPO loses from its peak more than the reward model: {lost}. In the log-linear policy a reward model with "
        f"beta times the rate differs from DPO by at most {same:.2g}."
    )


def _lines() -> dict[str, str]:
    lines = {}
    for judge, (_, words) in JUDGES.items():
        mlp = f"truth=normal data=sampled comparisons=16 {words}"
        features = f"truth=linear data=sampled comparisons=16 prompts=8 held=4 {words}"
        for name, method in (("dpo", "dpo beta=0.1"), ("rm", "rm")):
            lines[f"mlp, {name}, {judge}"] = (
                f"mlp open {method} adam lr=1e-3 steps=1000 seeds=24 every=10 keep=none {mlp}"
            )
        for name, method, rate in (("dpo", "dpo beta=0.1", 0.05), ("rm", "rm", 0.05), ("slowed", "rm", 0.005)):
            lines[f"loglinear, {name}, {judge}"] = (
                f"loglinear open {method} adam lr={rate:g} steps=1000 seeds=24 every=10 keep=none {features}"
            )
    return lines


FIGURE = Figure(
    title=PLAIN,
    paper="3D-Properties, section 4.4: accuracy over epochs, DPO's against a reward model's",
    lines=_lines(),
    draw=draw,
)
