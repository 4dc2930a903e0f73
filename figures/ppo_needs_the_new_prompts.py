"""Transfer to prompts without comparisons through shared features: DPO, PPO on a learned reward, SFT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.intervals import median_interval

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = (
    "With many features DPO holds on new prompts better than PPO, unless PPO may draw for them too, without labels"
)
PLAIN = "Win rate on prompts with comparisons and on new ones that share their features"
HELD = 8
BETA = 0.1
CLEAR = 0.02  # of win rate
WORLDS = {16: "data=sampled comparisons=16", 64: "data=sampled comparisons=32"}
BETAS = "beta=0.05,0.1,0.2,0.5,1"
WORDS = {
    "dpo": f"dpo {BETAS}",
    "ppo": f"ppo {BETAS} reward_from=model rollouts=data",
    "ppo_all": f"ppo {BETAS} reward_from=model",
    "sft": "sft",
    "rm": "rm",
}
ROLES = {
    "dpo": METHODS["dpo"],
    "ppo_all": replace(METHODS["ppo"], label="PPO, new\nprompts too", color="#E58BB0", line="dashdot", marker="D"),
    "ppo": replace(METHODS["ppo"], label="PPO"),
    "sft": METHODS["sft"],
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw win rates against the reference over beta, on prompts with data and on new ones, for two feature counts."""
    rates = {key: _rate(ds) for key, ds in data.items() if not key.endswith("rm")}
    new = {count: {name: _on(rates[f"{count}, {name}"], "new") for name in ROLES} for count in WORLDS}
    ahead = {count: (each["dpo"] - each["ppo"]).sel(beta=BETA) for count, each in new.items()}
    helped = {count: (each["ppo_all"] - each["ppo"]).sel(beta=BETA) for count, each in new.items()}
    both = all(median_interval(gap[64].values, 0)[1] > least for gap, least in ((ahead, CLEAR), (helped, 0)))
    right = {
        (count, which): metrics.couple_accuracy(data[f"{count}, rm"], words).isel(step=-1)
        for count in WORLDS
        for which, words in (("seen", "compared"), ("new", "new prompts"))
    }
    accuracy = {key: float(values.median("seed")) for key, values in right.items()}
    figure, axes = page.grid(2, 2, aspect=0.85, title=MESSAGE if both else PLAIN, sharey=True)
    shown: dict[tuple[str, str], plots.Summary] = {}
    for row, which in enumerate(("seen", "new")):
        for column, count in enumerate(WORLDS):
            ax = axes[row, column]
            for name, role in ROLES.items():
                rate = _on(rates[f"{count}, {name}"], which)
                if "beta" not in rate.dims:
                    rate = rate.expand_dims(beta=rates[f"{count}, dpo"]["beta"])
                shown[f"{count} features, {which} prompts", name] = plots.over_seeds(rate, x="beta")
                plots.curve(
                    shown[f"{count} features, {which} prompts", name], ax, role=role, markers=name != "sft",
                    seeds=name in ("dpo", "ppo"),
                )  # fmt: skip
            plots.panel(
                ax, f"{count} features, {'prompts with data' if which == 'seen' else 'new prompts'}",
                about=f"reward model right on {accuracy[count, which]:.0%} of couples".replace("%", " %"),
            )  # fmt: skip
            ax.set(xscale="log", xlabel="β", ylabel="win rate against the reference" if column == 0 else "")
            ax.set(ylim=(0.48, 0.98))
            ax.set_xticks(rates[f"{count}, dpo"]["beta"].values, BETAS.removeprefix("beta=").split(","))
            ax.minorticks_off()
    typical = {count: {name: rate.median("seed") for name, rate in each.items()} for count, each in new.items()}
    told = " ".join(
        f"With {count} features and beta {BETA:g} DPO wins {float(each['dpo'].sel(beta=BETA)):.2f} on new prompts, PPO "
        f"{float(each['ppo'].sel(beta=BETA)):.2f}, PPO that also draws for new prompts "
        f"{float(each['ppo_all'].sel(beta=BETA)):.2f}, SFT {float(each['sft']):.2f}; the reward model is right on "
        f"{accuracy[count, 'seen']:.2f} of the compared couples and {accuracy[count, 'new']:.2f} of those of new "
        "prompts."
        for count, each in typical.items()
    )
    return Drawing(
        figure=figure,
        alt=(
            f"Four panels, log-linear policies, {HELD} prompts with comparisons and {HELD} new ones, win rate against "
            f"the reference by the true reward, medians of {data['16, dpo'].sizes['seed']} seeds. {told}"
        ),
        data=plots.table(shown),
        numbers={
            **{
                f"{count} features, new prompts: {name}": (
                    float(each[name].sel(beta=BETA) if "beta" in each[name].dims else each[name]), 0.04,
                )
                for count, each in typical.items() for name in ROLES
            },
            **{f"{count} features, {which}: accuracy": (value, 0.03) for (count, which), value in accuracy.items()},
            **{f"{count} features: DPO less PPO": (float(gap.median("seed")), 0.04) for count, gap in ahead.items()},
        },
    )  # fmt: skip


def _rate(ds: xr.Dataset) -> xr.DataArray:
    last = ds.isel(step=-1, drop=True)
    return metrics.win_rate(last["log_prob"], last["reference_log_prob"], last["reward"])


def _on(rate: xr.DataArray, which: str) -> xr.DataArray:
    """Average over the prompts with data, or over the new ones, which are the last."""
    kept = slice(-HELD, None) if which == "new" else slice(-HELD)
    return rate.isel(prompt=kept).mean("prompt", keep_attrs=True)


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, section 6.3: generalisation to a new distribution of prompts",
    lines={
        f"{count}, {name}": f"loglinear open {word} adam lr=0.03 steps=300 seeds=24 every=300 keep=none "
        f"prompts={2 * HELD} truth=linear {given} held={HELD} features={count}"
        for count, given in WORLDS.items()
        for name, word in WORDS.items()
    },
    draw=draw,
)
