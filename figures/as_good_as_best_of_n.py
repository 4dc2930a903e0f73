"""Win rate against the preferred completions: DPO and PPO beside Best-of-N, over KL and over beta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.intervals import median_interval

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = "Against the preferred completions DPO with β = 0.1 keeps up with Best-of-128 by a learned reward"
PLAIN = "Win rate against the preferred completions: DPO and PPO beside Best-of-N"
DRAWS = (1, 2, 4, 8, 16, 32, 64, 128)
BETAS = "0.05,0.1,0.2,0.5,1,2"
BETA = 0.1
NEAR = 0.05  # of win rate: what counts as keeping up
WORLDS = {
    "few": ("32 comparisons a prompt", "data=sampled comparisons=32"),
    "many": ("256 comparisons a prompt", "data=sampled comparisons=256"),
    "all": ("infinitely many", "data=population"),
}
ROLES = {
    "dpo": METHODS["dpo"],
    "ppo": METHODS["ppo"],
    "best": METHODS["best_of_n"],
    "true": replace(METHODS["best_of_n"], color="#8A8A8A", marker=""),
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw win rates against the chosen over KL in three worlds, and what is between them and Best-of-128 by beta."""
    ends = {name: ds.isel(step=-1, drop=True) for name, ds in data.items()}
    policies = {world: _policies(ends[f"{world}, dpo"], ends[f"{world}, ppo"]) for world in WORLDS}
    rates = {world: {name: _rate(ds) for name, ds in each.items()} for world, each in policies.items()}
    ahead = {
        world: {name: each[name] - each["best"].sel(draws=DRAWS[-1], drop=True) for name in ("dpo", "ppo")}
        for world, each in rates.items()
    }
    keeps_up = all(median_interval(each["dpo"].sel(beta=BETA).values, 0)[1] > -NEAR for each in ahead.values())
    figure, axes = page.grid(2, 3, aspect=0.72, title=MESSAGE if keeps_up else PLAIN, sharey="row")
    shown: dict[tuple[str, str], plots.Summary] = {}
    for column, (world, (words, _)) in enumerate(WORLDS.items()):
        over_kl, over_beta = axes[:, column]
        for name, ds in policies[world].items():
            if name == "true" and world == "all":
                continue  # the reward that is learned from all comparisons ranks as the true one
            summary = shown[f"{world}: win rate over KL", name] = _over_kl(ds, rates[world][name])
            plots.curve(
                summary, over_kl, role=ROLES[name], markers=name != "true", seeds=False,
                label=None if world == "all" else "",
            )  # fmt: skip
        for name, each in ahead[world].items():
            shown[f"{world}: ahead of Best-of-128 over beta", name] = plots.over_seeds(each, x="beta")
            plots.curve(
                shown[f"{world}: ahead of Best-of-128 over beta", name], over_beta, role=ROLES[name], markers=True,
                label=None if world == "all" else "",
            )  # fmt: skip
        plots.panel(over_kl, words, about="win rate against the chosen")
        plots.panel(over_beta, "", about=f"ahead of Best-of-{DRAWS[-1]}")
        over_kl.set(xlabel="KL from the reference (nats)", ylabel="", ylim=(0.35, 0.97), xlim=(0, 2.95))
        over_kl.axhline(0.5, color="#8A8A8A", linewidth=0.6, zorder=1)
        over_beta.axhline(0, color="#8A8A8A", linewidth=0.6, zorder=1)
        over_beta.set(xscale="log", xlabel="β", ylabel="", ylim=(-0.45, 0.3))
        over_beta.set_xticks([0.05, 0.2, 0.5, 2], ["0.05", "0.2", "0.5", "2"])
        over_beta.minorticks_off()
    true = shown["few: win rate over KL", "true"]
    axes[0, 0].annotate(
        "Best-of-N by\nthe true reward", (true.x[4], true.median[4]), xytext=(-6, 4), textcoords="offset points",
        ha="right", fontsize="small", color=ROLES["true"].color,
    )  # fmt: skip
    return Drawing(
        figure=figure,
        alt=_alt(rates, ahead, data["few, dpo"].sizes["seed"]),
        data=plots.table(shown),
        numbers={
            **{
                f"{world}: {name} ahead of Best-of-128 at beta {beta:g}": (
                    float(each.sel(beta=beta).median("seed")), 0.04,
                )
                for world, of_method in ahead.items() for name, each in of_method.items() for beta in (0.1, 0.5)
            },
            **{
                f"{world}: Best-of-{n}": (float(each["best"].sel(draws=n).median("seed")), 0.03)
                for world, each in rates.items() for n in (1, 16, 128)
            },
        },
    )  # fmt: skip


def _policies(dpo: xr.Dataset, ppo: xr.Dataset) -> dict[str, xr.Dataset]:
    """Take the trained policies, and Best-of-N by PPO's learned reward and by the true one."""
    from lab.experiments.frontiers import best_of_n_policies

    world = ppo.isel(beta=0, drop=True)
    pairs = world[["pair_weight", "pair_prompt", "chosen", "rejected"]]
    best = {
        name: best_of_n_policies(world, DRAWS, by=by).merge(pairs, compat="override")
        for name, by in (("best", "learned_reward"), ("true", "reward"))
    }
    return {"true": best["true"], "best": best["best"], "ppo": ppo, "dpo": dpo}


def _rate(ds: xr.Dataset) -> xr.DataArray:
    return metrics.win_rate_against_chosen(ds["log_prob"], ds)


def _over_kl(ds: xr.Dataset, rate: xr.DataArray) -> plots.Summary:
    """Summarise the win rate along growing KL, which is the median over seeds."""
    over = "draws" if "draws" in ds.dims else "beta"
    kl = metrics.kl_from_reference(ds.expand_dims("step")).isel(step=0).mean("prompt").median("seed")
    order = np.argsort(kl.values)
    ordered = rate.isel({over: order})
    return replace(plots.over_seeds(ordered, x=over), x=kl.values[order], x_name="KL from the reference")


def _alt(
    rates: Mapping[str, Mapping[str, xr.DataArray]], ahead: Mapping[str, Mapping[str, xr.DataArray]], seeds: int
) -> str:
    told = []
    for world, (words, _) in WORLDS.items():
        best = rates[world]["best"].median("seed")
        numbers = ", ".join(f"{float(best.sel(draws=n)):.2f} for N = {n}" for n in (1, 16, 128))
        methods = "; ".join(
            f"{ROLES[name].label} at beta "
            + ", ".join(f"{b:g}: {float(rates[world][name].sel(beta=b).median('seed')):.2f}" for b in (0.1, 0.5, 2))
            for name in ("dpo", "ppo")
        )
        told.append(f"With {words} Best-of-N by the learned reward wins {numbers}; {methods}.")
    gap = ahead["few"]["dpo"].sel(beta=0.1).median("seed")
    return (
        f"Six panels, tables, win rate against the preferred completions, medians of {seeds} seeds. "
        + " ".join(told)
        + f" With the fewest comparisons DPO at beta 0.1 is {float(gap):+.2f} ahead of Best-of-128."
    )


def _lines() -> dict[str, str]:
    rest = "adam lr=0.05 steps=500 seeds=24 every=500 keep=none truth=normal"
    words = {"dpo": f"dpo beta={BETAS}", "ppo": f"ppo beta={BETAS} reward_from=model"}
    return {
        f"{world}, {name}": f"tabular open {word} {rest} {data}"
        for world, (_, data) in WORLDS.items()
        for name, word in words.items()
    }


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, figure 3 (left): win rate against the preferred completions",
    lines=_lines(),
    draw=draw,
)
