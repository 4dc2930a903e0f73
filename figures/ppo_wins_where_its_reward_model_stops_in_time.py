"""Where DPO and where PPO earns more of the true reward: label noise, the reward model's training, KL, data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

PLAIN = "Expected true reward of DPO minus that of PPO on a learned reward"
MESSAGE = "A reward model that stops early lets PPO beat DPO on wrong labels and lose to it on right ones"
LEVELS = tuple(np.round(np.arange(0.2, 1.61, 0.2), 2))
HALF = 0.5  # of the seeds have to get to a KL for a cell there
CLEAR = 0.5  # shades end here
MANY = "comparisons=64 sharpness=3"
NOISY, RIGHT = "judge=noisy agreement=0.7", "judge=noisy agreement=1"
# name: words, data, updates of the reward model
CASES = {
    "wrong, early": ("30 % of labels wrong,\nmodel stopped at 10", f"{MANY} {NOISY}", 10),
    "wrong, late": ("the same, model trained long", f"{MANY} {NOISY}", 300),
    "right, early": ("labels right,\nmodel stopped at 10", f"{MANY} {RIGHT}", 10),
    "right, late": ("the same, model trained long", f"{MANY} {RIGHT}", 300),
    "few, wrong": ("16 comparisons, 30 % wrong,\nmodel stopped at 10", f"comparisons=16 {NOISY}", 10),
    "covered": ("3 of 10 responses covered,\nmodel trained long", f"comparisons=64 coverage=3 {RIGHT}", 300),
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a map of noise and training, a map of noise and KL, and six cases with their intervals."""
    trained = plots.map_over_seeds(_at_best(data["dpo"], data["ppo"]), x="agreement", y="model_steps")
    budget = plots.map_over_seeds(_at_kl(data["dpo, path"], data["ppo, path"]), x="agreement", y="level")
    cases = {name: _summary(_at_best(data[f"dpo, {name}"], data[f"ppo, {name}"])) for name in CASES}
    holds = cases["wrong, early"].high[0] < 0 < cases["right, early"].low[0]
    figure, axes = page.mosaic(
        "AB;CC", aspect=0.98, title=MESSAGE if holds else PLAIN, height_ratios=(1.1, 1),
        note="tables; maps: 8 prompts, 16 comparisons of each, 300 updates of the policy; dots: the 95 % interval "
        "holds 0; grey: fewer than half of the seeds get to that KL; below: 16 prompts, a sharp reference and 64 "
        "comparisons of each unless said, 2000 updates; each method at the best of its β = 0.1, 0.3, 1 by the "
        "median, on the right both at 0.3; median and 95 % bootstrap interval, every seed faint",
    )  # fmt: skip
    _map(trained, axes["A"], scale="log")
    _map(budget, axes["B"], scale="linear")
    plots.panel(axes["A"], "Each at its best β", about="by the updates of PPO's reward model")
    plots.panel(axes["B"], "At equal KL", about="reward model of 300 updates")
    axes["A"].set(xlabel="share of right labels", ylabel="updates of the reward model")
    axes["B"].set(xlabel="share of right labels", ylabel="KL from the reference (nats)")
    bar = figure.colorbar(axes["A"].collections[0], ax=[axes["A"], axes["B"]], location="right", shrink=0.9, pad=0.02)
    bar.set_label("DPO minus PPO")
    bar.outline.set_visible(False)
    _cases(cases, axes["C"])
    return Drawing(
        figure=figure, alt=_alt(trained, budget, cases), data=_table(trained, budget, cases),
        numbers={f"DPO minus PPO, {name}": (float(each.median[0]), 0.05) for name, each in cases.items()},
    )  # fmt: skip


def _at_best(dpo: xr.Dataset, ppo: xr.Dataset) -> xr.DataArray:
    """Subtract the reward at the end, each at the beta with the largest median: [axes..., seed]."""
    best = [_best(metrics.expected_reward(ds).mean("prompt").isel(step=-1, drop=True)) for ds in (dpo, ppo)]
    gap = best[0] - best[1]
    gap.attrs = {"long_name": "DPO minus PPO", "units": "1"}
    return gap


def _best(reward: xr.DataArray) -> xr.DataArray:
    return reward.isel(beta=reward.median("seed").argmax("beta")).drop_vars("beta")


def _at_kl(dpo: xr.Dataset, ppo: xr.Dataset) -> xr.DataArray:
    """Subtract the rewards when each first gets to a KL, over the seeds where both do, else NaN: [..., seed, level]."""
    read = []
    for ds in (dpo, ppo):
        way = metrics.kl_from_reference(ds).mean("prompt")
        read.append(metrics.when_reached(metrics.expected_reward(ds).mean("prompt"), way, LEVELS))
    gap = read[0] - read[1]
    gap.attrs = {"long_name": "DPO minus PPO", "units": "1"}
    return gap


def _summary(gap: xr.DataArray) -> plots.Summary:
    return plots.over_seeds(gap.expand_dims(x=[0]), x="x")


def _map(drawn: plots.Phases, ax: Axes, *, scale: str) -> None:
    """Shade the cells from blue, where DPO earns more, to vermilion, where PPO does, with a line between them."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("dpo or ppo", ["#A8480A", "#F7F7F7", "#2700EB"]).with_extremes(
        bad="#CCCCCC"
    )
    ax.set_yscale(scale)
    ax.pcolormesh(
        drawn.x, drawn.y, np.clip(drawn.median, -CLEAR, CLEAR), cmap=shades, vmin=-CLEAR, vmax=CLEAR, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    rows, columns = np.nonzero(drawn.straddles(0))
    ax.plot(drawn.x[columns], drawn.y[rows], linestyle="none", marker=".", markersize=4, color="#333333")
    ax.set_yticks(drawn.y, [f"{value:g}" for value in drawn.y])
    ax.set_xticks(drawn.x, [f"{value:g}" for value in drawn.x])
    ax.minorticks_off()


def _cases(cases: Mapping[str, plots.Summary], ax: Axes) -> None:
    for place, each in enumerate(cases.values()):
        ax.plot(each.seeds[:, 0], np.full(each.count, place), linestyle="none", marker=".", color="#8A8A8A", alpha=0.5)
        color = "#2700EB" if each.low[0] > 0 else "#A8480A" if each.high[0] < 0 else "#333333"
        ax.plot([each.low[0], each.high[0]], [place, place], color=color, linewidth=3)
        ax.plot(each.median[0], place, marker="o", color=color)
        words = f"{each.median[0]:+.2f}".replace("-", "−")
        beside = ax.get_yaxis_transform()
        ax.text(1.01, place, words, transform=beside, va="center", color=color, fontsize="small")
    ax.axvline(0, color="#555555", linewidth=0.6)
    ax.margins(x=0.03)
    ax.set_yticks(range(len(cases)), [CASES[name][0] for name in cases], fontsize="small")
    ax.set_ylim(len(cases) - 0.5, -0.5)
    ax.set_xlabel("DPO minus PPO, expected true reward (right of 0: DPO earns more)")


def _table(trained: plots.Phases, budget: plots.Phases, cases: Mapping[str, plots.Summary]) -> pd.DataFrame:
    import pandas as pd

    maps = plots.phase_table({("best beta", "DPO minus PPO"): trained, ("equal KL", "DPO minus PPO"): budget})
    return pd.concat([maps, plots.table({("cases", name): each for name, each in cases.items()})], ignore_index=True)


def _alt(trained: plots.Phases, budget: plots.Phases, cases: Mapping[str, plots.Summary]) -> str:
    parts = []
    for words, each in (("each at its best beta", trained), ("at equal KL", budget)):
        parts.append(
            f"{words}, DPO's interval lies above PPO's in {int((each.low > 0).sum())} and below in "
            f"{int((each.high < 0).sum())} of {int(np.isfinite(each.median).sum())} cells, from "
            f"{np.nanmin(each.median):.2f} to {np.nanmax(each.median):.2f}"
        )
    listed = "; ".join(
        f"{CASES[name][0]}: {each.median[0]:.3f} [{each.low[0]:.3f}, {each.high[0]:.3f}]".replace("\n", " ")
        for name, each in cases.items()
    )
    return (
        f"Expected true reward of DPO minus that of PPO on a learned reward, in tables: {'; '.join(parts)}. {listed}."
    )


AGREEMENT = "0.5,0.6,0.7,0.8,0.9,1"
TAIL = "adam lr=0.1 steps=300 seeds=24 keep=none prompts=8 truth=normal data=sampled"
MAP = f"{TAIL} comparisons=16 judge=noisy agreement={AGREEMENT}"
# Other seeds than those on which the cases were chosen.
LONG = "adam lr=0.1 steps=2000 seeds=24 seed=100 every=2000 keep=none prompts=16 truth=normal data=sampled"
TRAINED = "ppo beta=0.1,0.3,1 reward_from=model model_steps={}"


def _lines() -> dict[str, str]:
    lines = {
        "dpo": f"tabular open dpo beta=0.1,0.3,1 {MAP} every=300",
        "ppo": f"tabular open {TRAINED.format('3,5,10,20,40,80,160,320')} {MAP} every=300",
        "dpo, path": f"tabular open dpo beta=0.3 {MAP} every=10",
        "ppo, path": f"tabular open ppo beta=0.3 reward_from=model model_steps=300 {MAP} every=10",
    }
    for name, (_, words, steps) in CASES.items():
        lines[f"dpo, {name}"] = f"tabular open dpo beta=0.1,0.3,1 {LONG} {words}"
        lines[f"ppo, {name}"] = f"tabular open {TRAINED.format(steps)} {LONG} {words}"
    return lines


FIGURE = Figure(
    title=PLAIN,
    paper="3D-Properties, section 4: PPO against DPO, with the true reward as the judge",
    lines=_lines(),
    draw=draw,
)
