"""True and learned reward against KL, at three sizes of data: where the true one turns while the learned one rises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.layouts.over_optimisation import over_kl
from figures.machinery import Drawing, Figure, Page
from lab import plots
from lab.experiments.frontiers import BETAS
from lab.experiments.over_optimisation import both_rewards, learned_past_peak, share_lost

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = (
    "The learned reward rises to the end, the true one stops short: with a sharp reference every method loses "
    "some of its gain past the peak, DPO as PPO"
)
PLAIN = "True and learned reward against KL, at three sizes of data: how much true reward is lost past its peak"
SIZES = (8, 32, 128)
PLAIN_REFERENCE, SHARP = 1, 2  # scale of the reference's logits
SHOWN = ("best_of_n", "ppo", "dpo")
LEAST = 0.01  # of true reward: less is no fall
WORLD = "adam lr=0.05 steps=1000 seeds=24 every=50 keep=none truth=normal data=sampled comparisons=8,32,128"
LINES = {
    f"{name}, sharpness {sharp}": f"tabular open {words} beta={BETAS} {WORLD} sharpness={sharp}{tail}"
    for sharp in (PLAIN_REFERENCE, SHARP)
    for name, words, tail in (("dpo", "dpo", ""), ("ppo", "ppo", " reward_from=model"))
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw both rewards of three methods over their KL, and what is lost past the peak."""
    found = {sharp: {size: _methods(data, sharp, size) for size in SIZES} for sharp in (PLAIN_REFERENCE, SHARP)}
    fallen = {
        (sharp, size, name): plots.over_seeds(share_lost(each).expand_dims(point=[0]), x="point")
        for sharp, sizes in found.items() for size, methods in sizes.items() for name, each in methods.items()
    }  # fmt: skip
    figure, axes = page.grid(
        3, 3, aspect=1.12, title=MESSAGE if _established(found, fallen) else PLAIN, sharex="row",
        note="table; gains over the reference along all β, or all N; median over worlds and 95 % bootstrap interval; "
        "in brackets that of what is lost at the largest KL, in % of the largest gain",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    rows = (
        (PLAIN_REFERENCE, "true", "true reward,\nreference as drawn"),
        (SHARP, "true", "true reward,\nsharp reference"),
        (SHARP, "learned", "learned reward,\nsharp reference"),
    )
    for row, (sharp, kind, words) in enumerate(rows):
        for column, size in enumerate(SIZES):
            ax = axes[row, column]
            for name in SHOWN:
                role = METHODS[name]
                curve = over_kl(found[sharp][size][name], kind)
                shown[f"{kind} reward, sharpness {sharp}, {size} comparisons", role.label] = curve
                plots.curve(
                    curve, ax, role=replace(role, line="solid"), seeds=False,
                    label=role.label if column == 2 else "",
                )  # fmt: skip
            if kind == "true":
                told = "\n".join(
                    f"{METHODS[name].label} loses {100 * each.median[0]:.0f} % "
                    f"[{100 * each.low[0]:.0f}, {100 * each.high[0]:.0f}]"
                    for name, each in ((name, fallen[sharp, size, name]) for name in SHOWN)
                )
                plots.panel(ax, f"{size} comparisons" if row == 0 else "", about=told)
            ax.set_ylabel(words if column == 0 else "")
            ax.set_xlabel("KL from the reference (nats)" if row == 2 else "")
        if kind == "true":
            plots.same_limits(axes[row])
    told = "; ".join(
        f"sharpness {sharp}, {size} comparisons, {METHODS[name].label}: {each.median[0]:.2f} "
        f"[{each.low[0]:.2f}, {each.high[0]:.2f}]"
        for (sharp, size, name), each in fallen.items()
    )
    shown |= {
        ("share of its gain lost past the peak", f"sharpness {sharp}, {size} comparisons, {METHODS[name].label}"): each
        for (sharp, size, name), each in fallen.items()
    }
    return Drawing(
        figure=figure,
        alt=(
            f"Nine panels, tables, medians of {next(iter(data.values())).sizes['seed']} seeds: true reward over KL at "
            "three sizes of data with the reference as drawn and sharpened twofold, and the learned reward. Share of "
            f"the largest gain in true reward that is lost at the largest KL, with intervals: {told}."
        ),
        data=plots.table(shown),
        numbers={
            f"share lost past the peak, sharpness {sharp}, {size} comparisons, {name}": (each.median[0], 0.08)
            for (sharp, size, name), each in fallen.items() if np.isfinite(each.median[0])
        },
    )  # fmt: skip


def _methods(data: Mapping[str, xr.Dataset], sharp: int, size: int) -> dict[str, xr.Dataset]:
    """Both rewards of each method in one setting."""
    dpo, ppo = (data[f"{name}, sharpness {sharp}"].sel(comparisons=size, drop=True) for name in ("dpo", "ppo"))
    return both_rewards(dpo, ppo)


def _established(found: Mapping, fallen: Mapping[tuple[int, int, str], plots.Summary]) -> bool:
    """Whether at some size of data every method surely loses true reward, and the learned reward has risen."""
    for size in SIZES:
        falls = all(fallen[SHARP, size, name].low[0] > LEAST for name in SHOWN)
        rises = all(
            plots.over_seeds(learned_past_peak(found[SHARP][size][name]).expand_dims(point=[0]), x="point").low[0] > 0
            for name in ("ppo", "best_of_n")
        )
        if falls and rises:
            return True
    return False


FIGURE = Figure(
    title=MESSAGE,
    paper="Gao et al. 2023, figure 1, and the open question of Rafailov et al. 2023, section 7",
    lines=LINES,
    draw=draw,
)
