"""Wrong judges: what their labels cost DPO and PPO, and how well they rank finished policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    Shown = dict[tuple[str, str], plots.Summary]

MESSAGE = "Asked often enough, a judge that errs at random ranks policies rightly; one that always errs alike does not"
PLAIN = "Judges that are not always right: what their labels cost, and how they rank policies"
AGREEMENTS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
NOISES = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)  # of a judge's own reward; the truth's spread is 1
OFTEN, SELDOM = 10_000, 100
RANKED = ("dpo", "ppo", "ppo_gt", "sft")
BETA, AT = 0.1, 0.75
JUDGE_ROLES = {
    OFTEN: plots.Role("at random,\nasked 10 000 times", "#00695C", "solid", marker="o"),
    SELDOM: plots.Role("at random,\nasked 100 times", "#5FB3A8", "dashed", marker="s"),
}
ALIKE = plots.Role("always alike", "#8D3B00", "dashdot", marker="D")


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw win rates over the agreement of who labels, and rank correlations over that of who evaluates."""
    from lab.experiments.ranking import at_agreement, line_up, ranked_alike, ranked_at_random

    policies = line_up({name: data[name] for name in RANKED})
    at_random = {count: ranked_at_random(policies, AGREEMENTS, count) for count in (OFTEN, SELDOM)}
    alike = ranked_alike(policies, NOISES)
    same = at_agreement(alike, AT)
    gap = at_random[OFTEN].sel(agreement=AT) - same
    told = plots.over_seeds(gap.expand_dims(agreement=[AT]), x="agreement")
    apart = told.low[0] > 0 and float(at_random[OFTEN].sel(agreement=AT).median("seed")) > 0.95
    figure, (row,) = page.grid(1, 2, aspect=0.46, title=MESSAGE if apart else PLAIN)
    shown: Shown = {}
    _draw_labels(data, row[0], shown)
    for count, values in at_random.items():
        shown["rank correlation", f"at random, {count}"] = plots.over_seeds(values, x="agreement")
        plots.curve(shown["rank correlation", f"at random, {count}"], row[1], role=JUDGE_ROLES[count], markers=True)
    found = plots.over_seeds(alike["correlation"], x="noise")
    where = alike["agreement"].median("seed").values
    order = np.argsort(where)
    shown["rank correlation", "always alike"] = plots.Summary(
        where[order], found.median[order], found.low[order], found.high[order], found.seeds[:, order], found.seed,
        "agreement", found.y_name, found.units,
    )  # fmt: skip
    plots.curve(shown["rank correlation", "always alike"], row[1], role=ALIKE, markers=True)
    plots.panel(
        row[1], f"A judge ranks {policies.sizes['method']} policies",
        about="rank correlation with the true ranking;\nthe same 4 prompts each time",
    )  # fmt: skip
    row[1].set(xlim=(0.5, 1.01), ylim=(-0.05, 1.03), xlabel="how often the judge is right", ylabel="")
    often = at_random[OFTEN].sel(agreement=AT).median("seed")
    seldom = at_random[SELDOM].sel(agreement=AT).median("seed")
    ends = {
        (name, right): float(
            shown["labels", name].median[int(np.argmin(abs(shown["labels", name].x - right)))]
        )
        for name in ("dpo", "ppo")
        for right in (0.5, 0.8, 1.0)
    }  # fmt: skip
    return Drawing(
        figure=figure,
        alt=(
            f"Two panels, tables, medians of {policies.sizes['seed']} seeds. Left: win rate against the reference at "
            f"beta {BETA:g} when labels are right 50, 80 and 100 percent of the time: DPO {ends['dpo', 0.5]:.2f}, "
            f"{ends['dpo', 0.8]:.2f} and {ends['dpo', 1.0]:.2f}; PPO on the reward learned from them "
            f"{ends['ppo', 0.5]:.2f}, {ends['ppo', 0.8]:.2f} and {ends['ppo', 1.0]:.2f}. Right: rank correlation of a "
            f"judge's ranking of {policies.sizes['method']} policies with the true one. Of judges that are right "
            f"{AT:.0%} of the time, one that errs at random comes to {float(often):.3f} with {OFTEN} comparisons of "
            f"each policy and {float(seldom):.2f} with {SELDOM}; one whose errors are always the same to "
            f"{float(same.median('seed')):.2f}."
        ),
        data=plots.table(shown),
        numbers={
            f"rank correlation at {AT:g}, at random, {OFTEN}": (float(often), 0.02),
            f"rank correlation at {AT:g}, at random, {SELDOM}": (float(seldom), 0.05),
            f"rank correlation at {AT:g}, always alike": (float(same.median("seed")), 0.05),
            **{f"{name}: win rate with labels right {right:g}": (rate, 0.04) for (name, right), rate in ends.items()},
        },
    )


def _draw_labels(data: Mapping[str, xr.Dataset], ax: Axes, shown: Shown) -> None:
    """Draw the true win rate of policies over the agreement of the judge whose labels they were trained on."""
    for name in ("ppo", "dpo"):
        last = data[f"labels, {name}"].isel(step=-1, drop=True)
        rate = metrics.win_rate(last["log_prob"], last["reference_log_prob"], last["reward"])
        shown["labels", name] = plots.over_seeds(rate.mean("prompt"), x="agreement")
        plots.curve(shown["labels", name], ax, role=METHODS[name], markers=True)
    ax.axhline(0.5, color="#8A8A8A", linewidth=0.6, zorder=1)
    plots.panel(ax, "A judge labels", about=f"true win rate against the reference,\nβ = {BETA:g}, errors at random")
    ax.set(xlabel="how often the judge is right", ylabel="", ylim=(0.2, 1))


def _lines() -> dict[str, str]:
    betas = "beta=0.05,0.1,0.2,0.5,1,2"
    rest = "adam lr=0.05 steps=500 seeds=24 every=500 keep=none truth=normal data=sampled comparisons=32"
    ranked = {"dpo": f"dpo {betas}", "ppo": f"ppo {betas} reward_from=model", "ppo_gt": f"ppo {betas}", "sft": "sft"}
    labels = {"dpo": f"dpo beta={BETA:g}", "ppo": f"ppo beta={BETA:g} reward_from=model"}
    noisy = "judge=noisy agreement=0.5,0.6,0.7,0.8,0.9,1"
    return {
        **{name: f"tabular open {word} {rest}" for name, word in ranked.items()},
        **{f"labels, {name}": f"tabular open {word} {rest} {noisy}" for name, word in labels.items()},
    }


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, section 6.4: how far a proxy judge may be trusted",
    lines=_lines(),
    draw=draw,
)
