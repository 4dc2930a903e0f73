"""What each method spends to gain nine tenths of the optimum's gain: updates, passes, draws, seconds, models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from figures.machinery.measured import measured
from lab import intervals, metrics, plots
from lab.experiments.costs import Cost, spent
from lab.experiments.frontiers import (
    best_of_n_policies,
    mean_over_prompts,
    optimal_policies,
    share_over_steps,
    updates_until,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "DPO draws nothing and every run arrives; who learns from its own draws needs hundreds of responses a prompt, and "
    "in a network some of those runs stay stuck"
)
PLAIN = "Updates, drawn responses and models that each method needs for nine tenths of the optimum's gain"
POLICIES = {"tabular": ("table", "adam lr=0.05 steps=1000"), "mlp": ("network", "adam lr=1e-3 steps=500")}
FIGURE_NAME = "frontier_is_reached_without_drawing"
BETA, GOAL = 0.2, 0.9
DRAWN, EPOCHS, MODEL_STEPS = 8, 4, 500
DRAWS = tuple(np.unique(np.round(np.geomspace(1, 1e4, 400))).tolist())


class Method(NamedTuple):
    """The words of a method's line, and the models that it holds in memory."""

    words: str
    tail: str
    models: str


COMPARED = {
    "dpo": Method("dpo", "", "2: policy, reference"),
    "online": Method("dpo", f" data=sampled comparisons={DRAWN // 2} sampler=policy", "2, and a judge of pairs"),
    "ppo": Method(
        "ppo", f" samples={DRAWN} epochs={EPOCHS} reward_from=model model_steps={MODEL_STEPS}",
        "4: + reward model, critic",
    ),
    "ppo_gt": Method("ppo", f" samples={DRAWN} epochs={EPOCHS}", "3: + critic, and the truth"),
}  # fmt: skip
LINES = {
    f"{policy} {name}": (
        f"{policy} open {method.words} beta={BETA} {optimizer} seeds=24 every=5 keep=none truth=normal{method.tail}"
    )
    for policy, (_, optimizer) in POLICIES.items()
    for name, method in COMPARED.items()
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the share of the gain over updates, and the table of what it took."""
    share = {key: share_over_steps(ds, BETA) for key, ds in data.items()}
    updates = {key: updates_until(each, GOAL).values for key, each in share.items()}
    arrived = {key: int(np.isfinite(each).sum()) for key, each in updates.items()}
    seeds = next(iter(data.values())).sizes["seed"]
    median = {key: float(np.median(each)) for key, each in updates.items()}
    cost = {key: spent(LINES[key], int(np.ceil(each))) for key, each in median.items() if np.isfinite(each)}
    clock = measured(FIGURE_NAME)
    seconds = {key: _seconds(clock, key, each) for key, each in median.items()}
    times = {key: _times(each, seconds[f"{key.split()[0]} dpo"]) for key, each in seconds.items()}
    spared = all(arrived[f"{policy} dpo"] == seeds for policy in POLICIES)
    stuck = all(arrived[f"mlp {name}"] < seeds for name in COMPARED if name != "dpo")
    hundreds = all(
        f"{policy} {name}" not in cost or cost[f"{policy} {name}"].drawn >= 100
        for policy in POLICIES for name in COMPARED if name != "dpo"
    )  # fmt: skip
    figure, axes = page.mosaic(
        "AB;CC", aspect=0.75, title=MESSAGE if spared and stuck and hundreds else PLAIN, height_ratios=[1, 0.7],
        note=f"β = {BETA:g}, every comparison known; median and 95 % bootstrap interval, every seed faint behind; a "
        "median counts a run that never arrives as the longest; a pass, forward or reverse, goes over all responses of "
        "all prompts, and one more goes through the reference; seconds, a reward model's included: median of "
        f"{clock['rounds']} rounds in turns, 24 runs at once, and 95 % interval, on {_machine(clock)}",
    )  # fmt: skip
    curves = {key: plots.over_seeds(each) for key, each in share.items()}
    for letter, (policy, (word, _)) in zip("AB", POLICIES.items(), strict=True):
        ax = axes[letter]
        for name in COMPARED:
            if name != "ppo":  # the learned reward of a whole population is the true one
                plots.curve(curves[f"{policy} {name}"], ax, role=METHODS[name], label=METHODS[name].label)
        plots.level(GOAL, ax)
        ax.set_ylim(0, 1.1)
        ax.set_ylabel("share of the optimum's gain" if letter == "A" else "")
        ax.set_xlabel("updates")
        late = ", ".join(
            f"{METHODS[name].label} {seeds - arrived[f'{policy} {name}']}" for name in COMPARED if name != "ppo"
        )
        plots.panel(ax, word.capitalize(), about=f"runs of {seeds} that never arrive: {late}")
    best_of = {policy: _best_of(data[f"{policy} ppo"]) for policy in POLICIES}
    rows = [_row(name, median, cost, _elapsed(name, times, seconds)) for name in COMPARED]
    # Its reward model is PPO's, and no policy is trained.
    model = next((each for key, each in cost.items() if key.endswith(" ppo")), None)
    of_model = "never" if model is None else f"{model.reward_model + MODEL_STEPS}"
    before = [
        _span(_times(np.array(clock["seconds"][f"{policy} ppo"]["before"]), seconds[f"{policy} dpo"]))
        for policy in POLICIES
    ]
    rows.append(("Best-of-N", "0", "0", of_model, f"{_word(best_of['tabular'])} an answer", _both(before),
                 "2: reference, reward model"))  # fmt: skip
    _table(axes["C"], rows)
    shown = {
        (f"share of the gain, {POLICIES[key.split()[0]][0]}", METHODS[key.split()[1]].label): each
        for key, each in curves.items()
    }
    told = "; ".join(
        f"{POLICIES[key.split()[0]][0]}, {METHODS[key.split()[1]].label}: {_word(each)} updates, {arrived[key]} runs"
        + (
            f", {cost[key].passes} passes, {_word(cost[key].drawn)} responses drawn, "
            f"{times[key][0]:.1f} times the seconds of DPO"
            if key in cost
            else ""
        )
        for key, each in median.items()
    )
    return Drawing(
        figure=figure,
        alt=(
            f"Two panels and a table, {seeds} seeds, beta {BETA:g}. Median number of updates to {GOAL:.0%} of the "
            f"exact optimum's gain, the runs that get there, and what it takes: {told}. "
            f"Best-of-N needs N = {_word(best_of['tabular'])}."
        ),
        data=_with_clock(plots.table(shown), clock, seconds),
        numbers={
            **{
                f"updates to {GOAL:g}, {key}": (each, 0.25 * each) for key, each in median.items() if np.isfinite(each)
            },
            **{f"passes, {key}": (float(each.passes), 0.25 * each.passes) for key, each in cost.items()},
            **{f"runs that arrive, {key}": (float(each), 3.5) for key, each in arrived.items()},
            **({"N of Best-of-N": (best_of["tabular"], 0.15 * best_of["tabular"])}
               if np.isfinite(best_of["tabular"]) else {}),
        },
    )  # fmt: skip


def _seconds(clock: Mapping, key: str, updates: float) -> np.ndarray:
    """Seconds to so many updates, in each round of the clock; what comes before the first is part of it."""
    if clock["lines"].get(key) != str(FIGURE.experiments()[key]):
        raise ValueError(
            f"the seconds of {key} were measured on another line; measure again: python -m benchmarks --methods"
        )
    before, training = (np.array(clock["seconds"][key][part]) for part in ("before", "training"))
    return before + training * updates / FIGURE.experiments()[key].value("steps")


def _times(seconds: np.ndarray, of: np.ndarray) -> tuple[float, float, float]:
    """How many times as long as another it takes, round by round: median and interval."""
    ratio = seconds / of
    if not np.isfinite(ratio).all():
        return np.inf, np.inf, np.inf
    median, low, high = intervals.median_interval(ratio, 0)
    return float(median), float(low), float(high)


def _machine(clock: Mapping) -> str:
    machine = clock["machine"]
    return (
        f"{machine['cores']} cores ({machine['processor']}, {machine['system']}, torch {machine['torch']}), one thread"
    )


def _with_clock(drawn: pd.DataFrame, clock: Mapping, seconds: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Add the seconds of every round to the table of what is drawn."""
    import pandas as pd

    rows = [
        {"panel": f"seconds to {GOAL:g} of the gain, {_machine(clock)}", "series": key, "x": float(round_ + 1), "y": y}
        for key, each in seconds.items() for round_, y in enumerate(each)
    ]  # fmt: skip
    return pd.concat([drawn, pd.DataFrame(rows)], ignore_index=True)


def _best_of(ds: xr.Dataset) -> float:
    """The median over worlds of the smallest N whose best has the share, by the learned reward."""
    policies = best_of_n_policies(ds, DRAWS, by="learned_reward")
    best = mean_over_prompts(optimal_policies(ds, [BETA]))["reward"].isel(beta=0, drop=True)
    reward = mean_over_prompts(policies)["reward"]
    share = metrics.share_of_gain(reward, best, reward.sel(draws=1, drop=True)).transpose("seed", "draws").values
    first = np.where((share >= GOAL).any(1), np.array(DRAWS)[(share >= GOAL).argmax(1)], np.inf)
    return float(np.median(first))


def _elapsed(name: str, times: Mapping[str, tuple[float, float, float]], seconds: Mapping[str, np.ndarray]) -> str:
    """Say how long a method takes: DPO in seconds, the others in those of DPO."""
    if name != "dpo":
        return _both([_span(times[f"{policy} {name}"]) for policy in POLICIES])
    return _both([f"{np.median(seconds[f'{policy} dpo']):.2f} s" for policy in POLICIES]) + " = 1"


def _both(words: list[str]) -> str:
    """Write the table's word and the network's, once if they are the same."""
    return words[0] if words[0] == words[1] else " / ".join(words)


def _row(name: str, median: Mapping[str, float], cost: Mapping[str, Cost], elapsed: str) -> tuple[str, ...]:
    """One row: in each cell the table's number and the network's."""
    keys = [f"{policy} {name}" for policy in POLICIES]

    def of(read: Callable[[Cost], float]) -> str:
        return _both([_word(read(cost[key])) if key in cost else "never" for key in keys])

    return (
        METHODS[name].label,
        _both([_word(median[key]) for key in keys]),
        of(lambda each: each.policy + each.reverse - _of_model(each)),
        of(lambda each: each.reward_model + _of_model(each)),
        of(lambda each: each.drawn),
        elapsed,
        COMPARED[name].models,
    )


def _of_model(cost: Cost) -> int:
    """Reverse passes of the reward model: one less than it was asked for scores."""
    return max(0, cost.reward_model - 1)


def _span(times: tuple[float, float, float]) -> str:
    return f"{times[0]:.1f} [{times[1]:.1f}, {times[2]:.1f}]" if np.isfinite(times[0]) else "never"


def _word(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "never"


def _table(ax: Axes, rows: list[tuple[str, ...]]) -> None:
    """Write the rows as plain text under a head, in columns."""
    heads = ("table / network:", "updates", "passes of\nthe policy", "passes of a\nreward model",
             "responses drawn\nfor a prompt", "seconds,\ntimes DPO's", "models in memory")  # fmt: skip
    places = (0.0, 0.23, 0.36, 0.475, 0.62, 0.865, 0.89)
    ax.set_axis_off()
    ax.set_xlim(0, 1.12)
    ax.set_ylim(-len(rows) + 0.3, 1.6)
    for column, (head, x) in enumerate(zip(heads, places, strict=True)):
        ax.text(x, 1.5, head, fontsize="x-small", color="#555555", va="top", ha=_side(column))
    for line, row in enumerate(rows):
        ax.axhline(0.42 - line, color="#DDDDDD", linewidth=0.6)
        for column, (word, x) in enumerate(zip(row, places, strict=True)):
            size = "small" if column == 0 else "x-small"
            ax.text(x, -line, word, fontsize=size, va="center", ha=_side(column))


def _side(column: int) -> Literal["left", "right"]:
    return "left" if column in (0, 6) else "right"


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, sections 1 and 6: no sampling in the loop",
    lines=LINES,
    draw=draw,
)
