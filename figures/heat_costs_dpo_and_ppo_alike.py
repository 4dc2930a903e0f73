"""Win rate against the reference over the sampling temperature: DPO, PPO, SFT on the chosen, Best-of-N."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import xarray as xr

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    Shown = dict[tuple[str, str], plots.Summary]

MESSAGE = "Heat costs DPO and PPO alike at equal β: how much the win rate falls with the temperature is a matter of β"
PLAIN = "Win rate against the reference over the sampling temperature, by method and β"
TEMPERATURES = (0, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2)
DRAWS = (16, 64, 128)
NO_BAND = ("best of 16", "best of 64")  # theirs would lie over that of 128
BETA = 0.1
# of win rate: how much the costs of DPO and PPO may differ, seed by seed, and how much both are to grow with beta
ALIKE, GROWS = 0.03, 0.02
POLICIES = {"tabular": ("table", "adam lr=0.05"), "mlp": ("network", "adam lr=1e-3")}
ROLES = {
    "dpo": METHODS["dpo"],
    "ppo": METHODS["ppo"],
    "ppo_gt": METHODS["ppo_gt"],
    "sft": METHODS["sft"],
    "reference": replace(plots.REFERENCE, width=0.8),
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the win rate over the temperature at one beta, and what temperature 1 costs against 0 for every beta."""
    rates = {policy: _rates(data, policy) for policy in POLICIES}
    costs = {
        policy: {name: _cost(data[f"{policy}, {name}"]) for name in ("dpo", "ppo", "ppo_gt")} for policy in POLICIES
    }
    typical = {
        policy: {name: cost.median("seed") for name, cost in of_method.items()} for policy, of_method in costs.items()
    }
    apart = {policy: (each["dpo"] - each["ppo"]).median("seed") for policy, each in costs.items()}
    alike = all(float(abs(each).max()) < ALIKE for each in apart.values())
    grows = all(float(each[name][-1] - each[name][0]) > GROWS for each in typical.values() for name in ("dpo", "ppo"))
    figure, axes = page.grid(2, 2, aspect=0.92, title=MESSAGE if alike and grows else PLAIN)
    shown: Shown = {}
    for column, (policy, (word, _)) in enumerate(POLICIES.items()):
        over_heat, over_beta = axes[:, column]
        for name, rate in rates[policy].items():
            summary = shown[f"{word}: win rate over temperature", name] = plots.over_seeds(rate, x="temperature")
            role = METHODS["best_of_n"] if name.startswith("best") else ROLES[name]
            if name in NO_BAND:
                summary = replace(summary, low=summary.median, high=summary.median)
            label = name if name.startswith("best") else role.label
            plots.curve(summary, over_heat, role=role, label=label, seeds=name in ("dpo", "ppo"))
        for name, cost in costs[policy].items():
            shown[f"{word}: cost of heat over beta", name] = plots.over_seeds(cost, x="beta")
            plots.curve(
                shown[f"{word}: cost of heat over beta", name], over_beta, role=ROLES[name], markers=True,
                seeds=name != "ppo_gt",
            )  # fmt: skip
        plots.panel(over_heat, f"A {word} at β = {BETA:g}", about="win rate against the reference at temperature 1")
        plots.panel(over_beta, f"A {word}, every β", about="win rate at temperature 0 less that at 1")
        over_heat.set(xlabel="sampling temperature", ylabel="", ylim=(0.42, 0.95))
        over_heat.axhline(0.5, color="#8A8A8A", linewidth=0.6, zorder=1)
        over_beta.set(xscale="log", xlabel="β", ylabel="", ylim=(-0.08, 0.2))
        over_beta.set_xticks(
            costs[policy]["dpo"]["beta"].values, [f"{b:g}" for b in costs[policy]["dpo"]["beta"].values]
        )
        over_beta.minorticks_off()
        over_beta.axhline(0, color="#8A8A8A", linewidth=0.6, zorder=1)
    return Drawing(
        figure=figure,
        alt=_alt(rates, typical, data["tabular, dpo"].sizes["seed"]),
        data=plots.table(shown),
        numbers={
            **{
                f"{POLICIES[policy][0]}: cost of heat, DPO less PPO, at beta {float(b):g}": (
                    float(each.sel(beta=b)), 0.03,
                )
                for policy, each in apart.items()
                for b in each["beta"]
            },
            **{
                f"{POLICIES[policy][0]}, {name}: win rate at temperature {t:g}": (
                    float(rate.sel(temperature=t).median("seed")), 0.03,
                )
                for policy, of_method in rates.items() for name, rate in of_method.items() for t in (0, 1)
            },
            **{
                f"{POLICIES[policy][0]}, {name}: cost of heat at beta {float(b):g}": (
                    float(typical[policy][name].sel(beta=b)), 0.03,
                )
                for policy in POLICIES for name in ("dpo", "ppo") for b in typical[policy][name]["beta"][[0, -1]]
            },
        },
    )  # fmt: skip


def _rates(data: Mapping[str, xr.Dataset], policy: str) -> dict[str, xr.DataArray]:
    """Take the win rate of every method over the temperature, averaged over prompts, at BETA."""
    from lab.experiments.frontiers import best_of_n_policies

    ppo = data[f"{policy}, ppo"].sel(beta=BETA, drop=True).isel(step=-1, drop=True)
    policies = {
        "dpo": data[f"{policy}, dpo"].sel(beta=BETA, drop=True).isel(step=-1)["log_prob"],
        "ppo": ppo["log_prob"],
        "sft": data[f"{policy}, sft"].isel(step=-1)["log_prob"],
        "reference": ppo["reference_log_prob"],
    }
    found = {name: metrics.tempered(log_prob, TEMPERATURES) for name, log_prob in policies.items()}
    drawn = [
        best_of_n_policies(
            ppo.assign(reference_log_prob=found["reference"].sel(temperature=t, drop=True)), DRAWS, by="learned_reward"
        )["log_prob"]
        for t in TEMPERATURES
    ]
    best = xr.concat(drawn, found["reference"]["temperature"])
    found |= {f"best of {n}": best.sel(draws=n, drop=True) for n in DRAWS}
    reference = ppo["reference_log_prob"]
    return {
        name: metrics.win_rate(each, reference, ppo["reward"]).mean("prompt", keep_attrs=True)
        for name, each in found.items()
    }


def _cost(ds: xr.Dataset) -> xr.DataArray:
    """Take the win rate at temperature 0 less that at 1, averaged over prompts: [seed, beta]."""
    last = ds.isel(step=-1, drop=True)
    rate = metrics.win_rate(metrics.tempered(last["log_prob"], (0, 1)), last["reference_log_prob"], last["reward"])
    return (rate.sel(temperature=0, drop=True) - rate.sel(temperature=1, drop=True)).mean("prompt").sortby("beta")


def _alt(
    rates: Mapping[str, Mapping[str, xr.DataArray]], typical: Mapping[str, Mapping[str, xr.DataArray]], seeds: int
) -> str:
    sentences = []
    for policy, (word, _) in POLICIES.items():
        at = {
            name: [float(rate.sel(temperature=t).median("seed")) for t in (0, 1, 2)]
            for name, rate in rates[policy].items()
        }
        told = "; ".join(f"{name} {a:.2f}, {b:.2f} and {c:.2f}" for name, (a, b, c) in at.items())
        costs = typical[policy]
        betas = costs["dpo"]["beta"].values
        sentences.append(
            f"In a {word} at beta {BETA:g}, at temperatures 0, 1 and 2: {told}. From beta {betas[0]:g} to "
            f"{betas[-1]:g} temperature 1 instead of 0 costs DPO {float(costs['dpo'][0]):.3f} to "
            f"{float(costs['dpo'][-1]):.3f} and "
            f"PPO {float(costs['ppo'][0]):.3f} to {float(costs['ppo'][-1]):.3f}."
        )
    return f"Four panels, win rates against the reference, medians of {seeds} seeds. " + " ".join(sentences)


def _lines() -> dict[str, str]:
    betas = "beta=0.05,0.1,0.2,0.5,1,2"
    words = {
        "dpo": f"dpo {betas}",
        "ppo": f"ppo {betas} reward_from=model",
        "ppo_gt": f"ppo {betas}",
        "sft": "sft",
    }
    rest = "steps=500 seeds=24 every=500 keep=none truth=normal data=sampled comparisons=32"
    return {
        f"{policy}, {name}": f"{policy} open {word} {rule} {rest}"
        for policy, (_, rule) in POLICIES.items()
        for name, word in words.items()
    }


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, figure 2 (right): win rate over the sampling temperature",
    lines=_lines(),
    draw=draw,
)
