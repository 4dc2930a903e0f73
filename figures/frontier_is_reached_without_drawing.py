"""What each method spends to gain nine tenths of what the exact optimum gains: updates, drawn responses, models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.experiments.frontiers import (
    best_of_n_policies,
    mean_over_prompts,
    optimal_policies,
    share_over_steps,
    updates_until,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "DPO draws nothing and every run arrives; who learns from its own draws needs hundreds of responses a prompt, and "
    "in a network some of those runs stay stuck"
)
PLAIN = "Updates, drawn responses and models that each method needs for nine tenths of the optimum's gain"
POLICIES = {"tabular": ("table", "adam lr=0.05 steps=1000"), "mlp": ("network", "adam lr=1e-3 steps=500")}
BETA, GOAL = 0.2, 0.9
DRAWN, EPOCHS, MODEL_STEPS = 8, 4, 500
DRAWS = tuple(np.unique(np.round(np.geomspace(1, 1e4, 400))).tolist())


class Cost(NamedTuple):
    """What a method needs by its definition: the words of its line, and what it holds and draws."""

    words: str
    tail: str
    models: str
    drawn: int  # responses of a prompt for each batch
    epochs: int  # updates on a batch
    before: int  # updates of a reward model before it begins


COSTS = {
    "dpo": Cost("dpo", "", "2: policy, reference", 0, 1, 0),
    "online": Cost(
        "dpo", f" data=sampled comparisons={DRAWN // 2} sampler=policy", "2, and a judge of pairs", DRAWN, 1, 0
    ),
    "ppo": Cost(
        "ppo", f" samples={DRAWN} epochs={EPOCHS} reward_from=model model_steps={MODEL_STEPS}",
        "4: + reward model, critic", DRAWN, EPOCHS, MODEL_STEPS,
    ),
    "ppo_gt": Cost("ppo", f" samples={DRAWN} epochs={EPOCHS}", "3: + critic, and the truth", DRAWN, EPOCHS, 0),
}  # fmt: skip


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the share of the gain over updates, and the table of what it took."""
    share = {key: share_over_steps(ds, BETA) for key, ds in data.items()}
    updates = {key: updates_until(each, GOAL).values for key, each in share.items()}
    arrived = {key: int(np.isfinite(each).sum()) for key, each in updates.items()}
    seeds = next(iter(data.values())).sizes["seed"]
    median = {key: float(np.median(each)) for key, each in updates.items()}
    spared = all(arrived[f"{policy} dpo"] == seeds for policy in POLICIES)
    drawing = [name for name, cost in COSTS.items() if cost.drawn]
    stuck = all(arrived[f"mlp {name}"] < seeds for name in drawing)
    hundreds = all(_drawn(COSTS[name], median[f"{policy} {name}"]) >= 100 for policy in POLICIES for name in drawing)
    figure, axes = page.mosaic(
        "AB;CC", aspect=0.72, title=MESSAGE if spared and stuck and hundreds else PLAIN, height_ratios=[1, 0.62],
        note=f"β = {BETA:g}, every comparison known; median and 95 % bootstrap interval, every seed faint behind; a "
        "median counts a run that never arrives as the longest",
    )  # fmt: skip
    curves = {key: plots.over_seeds(each) for key, each in share.items()}
    for letter, (policy, (word, _)) in zip("AB", POLICIES.items(), strict=True):
        ax = axes[letter]
        for name in COSTS:
            if name != "ppo":  # the learned reward of a whole population is the true one
                plots.curve(curves[f"{policy} {name}"], ax, role=METHODS[name], label=METHODS[name].label)
        plots.level(GOAL, ax)
        ax.set_ylim(0, 1.1)
        ax.set_ylabel("share of the optimum's gain" if letter == "A" else "")
        ax.set_xlabel("updates")
        late = ", ".join(
            f"{METHODS[name].label} {seeds - arrived[f'{policy} {name}']}" for name in COSTS if name != "ppo"
        )
        plots.panel(ax, word.capitalize(), about=f"runs of {seeds} that never arrive: {late}")
    best_of = {policy: _best_of(data[f"{policy} ppo"]) for policy in POLICIES}
    rows = [_row(name, cost, median) for name, cost in COSTS.items()]
    rows.append(("Best-of-N", *("0" for _ in POLICIES), f"{_word(best_of['tabular'])} an answer", "0",
                 "2: reference, reward model"))  # fmt: skip
    _table(axes["C"], rows)
    shown = {
        (f"share of the gain, {POLICIES[key.split()[0]][0]}", METHODS[key.split()[1]].label): each
        for key, each in curves.items()
    }
    return Drawing(
        figure=figure,
        alt=(
            f"Two panels and a table, {seeds} seeds, beta {BETA:g}. Median number of updates to {GOAL:.0%} of the "
            "exact optimum's gain, and the runs that get there: "
            + "; ".join(
                f"{POLICIES[key.split()[0]][0]}, {METHODS[key.split()[1]].label}: {_word(each)}, {arrived[key]} runs"
                for key, each in median.items()
            )
            + f". Best-of-N needs N = {_word(best_of['tabular'])}."
        ),
        data=plots.table(shown),
        numbers={
            **{
                f"updates to {GOAL:g}, {key}": (each, 0.25 * each) for key, each in median.items() if np.isfinite(each)
            },
            **{f"runs that arrive, {key}": (float(each), 3.5) for key, each in arrived.items()},
            **({"N of Best-of-N": (best_of["tabular"], 0.15 * best_of["tabular"])}
               if np.isfinite(best_of["tabular"]) else {}),
        },
    )  # fmt: skip


def _best_of(ds: xr.Dataset) -> float:
    """The median over worlds of the smallest N whose best has the share, by the learned reward."""
    policies = best_of_n_policies(ds, DRAWS, by="learned_reward")
    best = mean_over_prompts(optimal_policies(ds, [BETA]))["reward"].isel(beta=0, drop=True)
    reward = mean_over_prompts(policies)["reward"]
    share = metrics.share_of_gain(reward, best, reward.sel(draws=1, drop=True)).transpose("seed", "draws").values
    first = np.where((share >= GOAL).any(1), np.array(DRAWS)[(share >= GOAL).argmax(1)], np.inf)
    return float(np.median(first))


def _row(name: str, cost: Cost, median: Mapping[str, float]) -> tuple[str, ...]:
    updates = [median[f"{policy} {name}"] for policy in POLICIES]
    drawn = " / ".join(_word(_drawn(cost, each)) for each in updates)
    return (METHODS[name].label, *(_word(each) for each in updates), drawn, str(cost.before), cost.models)


def _drawn(cost: Cost, updates: float) -> float:
    """Responses of a prompt that so many updates draw."""
    return cost.drawn * float(np.ceil(updates / cost.epochs)) if cost.drawn else 0.0


def _word(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "never"


def _table(ax: Axes, rows: list[tuple[str, ...]]) -> None:
    """Write the rows as plain text under a head, in columns."""
    heads = ("", "updates,\ntable", "updates,\nnetwork", "responses drawn\nfor a prompt, t. / n.",
             "updates of a\nreward model before", "models in memory")  # fmt: skip
    places = (0.0, 0.2, 0.32, 0.53, 0.75, 0.8)
    ax.set_axis_off()
    ax.set_xlim(0, 1.12)
    ax.set_ylim(-len(rows) + 0.3, 1.6)
    for head, x in zip(heads, places, strict=True):
        last = x == places[-1]
        ax.text(x, 1.5, head, fontsize="x-small", color="#555555", va="top", ha="left" if last or not x else "right")
    for line, row in enumerate(rows):
        ax.axhline(0.42 - line, color="#DDDDDD", linewidth=0.6)
        for column, (word, x) in enumerate(zip(row, places, strict=True)):
            ax.text(
                x, -line, word, fontsize="small" if column < 5 else "x-small", va="center",
                ha="left" if column in (0, 5) else "right",
            )  # fmt: skip


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, sections 1 and 6: no sampling in the loop",
    lines={
        f"{policy} {name}": (
            f"{policy} open {cost.words} beta={BETA} {optimizer} seeds=24 every=5 keep=none truth=normal{cost.tail}"
        )
        for policy, (_, optimizer) in POLICIES.items()
        for name, cost in COSTS.items()
    },
    draw=draw,
)
