"""PPO on a learned reward beside DPO in the four scenarios, over the steps and at equal distance from the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    import xarray as xr

SCENARIOS = {"s1": "s1: both on-policy", "s2": "s2: chosen off", "s3": "s3: rejected off", "s4": "s4: both off"}
KL = (0.05, *np.round(np.arange(0.1, 3.01, 0.1), 2))
HALF = 0.5  # of the seeds have to get to a KL for a point there
PLAIN = "DPO and PPO on a learned reward in the four scenarios, over the steps and at equal KL"
MESSAGE = "PPO on a learned reward is spared DPO's drastic drop, not the fall of the chosen response"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen response over the steps and over KL, and the rejected one over the steps."""
    tables = {name: properties.verdicts(data[name]) for name in ("dpo", "ppo")}
    verdict = {name: table["verdict"].to_pandas() for name, table in tables.items()}
    value = {name: table["value"].to_pandas() for name, table in tables.items()}
    holds = (
        (verdict["dpo"].loc["drop"] == "present").all()
        and (verdict["ppo"].loc["drop"] == "absent").all()
        and (verdict["ppo"].loc["degradation"] == "present").sum() > len(SCENARIOS) / 2
    )
    figure, axes = page.grid(
        3, len(SCENARIOS), aspect=0.85, title=MESSAGE if holds else PLAIN, sharex="row", sharey="row",
        note="PPO: 8 draws a prompt, 4 updates on each, clip 0.2, KL in the reward; its reward model is the same "
        "network on the same pairs; lost: from its peak; drop: of the rejected in nats beyond the chosen one's rise, "
        "each with its verdict; second row: seeds that get to a KL, if at least half do; median and 95 % bootstrap "
        "interval",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    for column, (scenario, title) in enumerate(SCENARIOS.items()):
        for name, role in _roles().items():
            ds = data[name].sel(scenario=scenario)
            chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
            rejected = metrics.over_pairs(metrics.rejected_log_prob(ds), ds)
            rows = (plots.over_seeds(chosen), _over_kl(chosen, ds), plots.over_seeds(rejected))
            for row, (what, each) in enumerate(
                zip(("chosen", "chosen at equal KL", "log rejected"), rows, strict=True)
            ):
                shown[f"{what}, {scenario}", role.label] = each
                label = None if column == len(SCENARIOS) - 1 else ""
                plots.curve(each, axes[row, column], role=role, label=label, seeds=row != 1)
        plots.panel(axes[0, column], title, about=_told(verdict, value, scenario, "degradation", "lost"))
        plots.panel(axes[1, column], "", about="")
        plots.panel(axes[2, column], "", about=_told(verdict, value, scenario, "drop", "drop"))
    for row, word in enumerate(
        ("probability of\nthe chosen response", "the same\nat equal KL", "log-probability of\nthe rejected")
    ):
        axes[row, 0].set_ylabel(word)
        for ax in axes[row, 1:]:
            ax.set_ylabel("")
        for ax in axes[row]:
            ax.set_xlabel("KL (nats)" if row == 1 else "step")
            ax.locator_params(axis="x", nbins=3)
    return Drawing(
        figure=figure,
        alt=_alt(data, verdict, value),
        data=plots.table(shown),
        numbers={
            f"{prop}, {name}, {scenario}": (float(value[name].loc[prop, scenario]), 4.0 if prop == "drop" else 0.08)
            for name in value
            for prop in value[name].index
            for scenario in SCENARIOS
        },
    )


def _roles() -> dict[str, plots.Role]:
    return {name: METHODS[name] for name in ("dpo", "ppo")}


def _over_kl(values: xr.DataArray, ds: xr.Dataset) -> plots.Summary:
    """Read a curve when its run first gets to each KL; no point where fewer than half of the seeds do."""
    way = properties.progress(ds, "kl_from_reference")
    read = metrics.when_reached(values, way, KL)
    enough = read.notnull().mean("seed") >= HALF
    median, low, high = (each.where(enough).values for each in properties.interval_of_those_there(read))
    return plots.Summary(
        np.asarray(KL), median, low, high, read.transpose("seed", "level").values, read["seed"].values,
        "KL from the reference (nats)", "chosen response",
    )  # fmt: skip


def _told(verdict: Mapping, value: Mapping, scenario: str, prop: str, words: str) -> str:
    lines = [
        f"{role.label} {words} {value[name].loc[prop, scenario]:.{0 if prop == 'drop' else 2}f}: "
        f"{verdict[name].loc[prop, scenario]}"
        for name, role in _roles().items()
    ]
    return "\n".join(lines)


def _alt(data: Mapping[str, xr.Dataset], verdict: Mapping, value: Mapping) -> str:
    listed = "; ".join(
        f"{scenario}, {role.label}: "
        + ", ".join(
            f"{prop} {value[name].loc[prop, scenario]:.2f} ({verdict[name].loc[prop, scenario]})"
            for prop in value[name].index
        )
        for scenario in SCENARIOS
        for name, role in _roles().items()
    )
    ds = data["dpo"]
    return (
        f"Probability of the chosen response over {ds.step.values[-1]} steps and at equal KL, and log-probability of "
        f"the rejected one, for DPO and for PPO on a learned reward in four scenarios; medians of {ds.sizes['seed']} "
        f"seeds. The drop of the rejected response in nats, what the chosen one loses from its peak, what the unseen "
        f"ones gain from their minimum: {listed}."
    )


TAIL = "adam lr=0.001 steps=500 seeds=24 every=10 keep=none"
FIGURE = Figure(
    title=PLAIN,
    paper="3D-Properties, sections 3.4 and 4: the three properties, for PPO too",
    lines={
        "dpo": f"mlp s1,s2,s3,s4 dpo beta=0.1 {TAIL}",
        "ppo": f"mlp s1,s2,s3,s4 ppo beta=0.1 reward_from=model {TAIL}",
    },
    draw=draw,
)
