"""Flex-DPO over β⁻ and over the weight of an added SFT term, apart and together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = "A smaller β⁻, or a little SFT, keeps the chosen response; nothing is special about the paper's β⁻ = 0.08"
PLAIN = "The chosen response against β⁻ and against the weight of an added SFT term"
PAPER, DPO = 0.08, 0.1
TRAINING = "adam lr=1e-3 steps=500 seeds=24"
BETAS = "0.005,0.01,0.02,0.04,0.08,0.1,0.16,0.32,0.64,1.28"
WEIGHTS = "0,1e-5,3e-5,1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,0.1"
MAP_BETAS = (0.01, 0.02, 0.04, 0.08, 0.1, 0.16, 0.32)
MAP_WEIGHTS = (0.0, 1e-4, 1e-3, 1e-2)
KEY_BETAS = (0.01, 0.08, 0.1, 0.16, 1.28)
KEY_WEIGHTS = (1e-4, 1e-3, 1e-2)
# What is read off each record at its last step, from above to below.
ROWS = {"chosen": "final probability of chosen", "rejected": "final log π⁻ (nats)", "margin": "final margin (nats)"}
AXES = {"beta_rejected": "β⁻, with β⁺ = 0.1", "sft_weight": "weight of the SFT term, with β⁻ = β⁺ = 0.1"}
NOTE = (
    "s1: both responses on-policy, s2: chosen off-policy; median and 95 % bootstrap interval, every seed faint behind; "
    "cells: median, interval below"
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw three final quantities over each of the two axes, and a map of both together for two scenarios."""
    final = {axis: _final(data[axis]) for axis in (*AXES, "both")}
    scenarios = data["beta_rejected"].scenario.values.tolist()
    lines = {
        (f"{row} over {axis}", name): plots.over_seeds(final[axis][row].sel(scenario=name), x=axis)
        for axis in AXES for row in ROWS for name in scenarios
    }  # fmt: skip
    maps = {name: _map(final, name) for name in scenarios}
    over_beta = {name: lines["chosen over beta_rejected", name] for name in scenarios}
    over_weight = {name: lines["chosen over sft_weight", name] for name in scenarios}
    best = {name: int(np.argmax(summary.median)) for name, summary in over_beta.items()}
    paper = int(np.argmin(np.abs(over_beta[scenarios[0]].x - PAPER)))
    smaller = all(over_beta[name].low[best[name]] > over_beta[name].high[paper] and best[name] < paper for name in best)
    rest = _rest(max(float(each["rejected mass"].max()) for each in final.values()))
    figure, axes = page.mosaic(
        "AB;CD;EF;GH", aspect=1.2, height_ratios=[1.25, 0.8, 0.8, 1.8],
        title=MESSAGE if smaller else PLAIN, note=f"{NOTE}; {rest}",
    )  # fmt: skip
    panels = np.array([[axes[letter] for letter in pair] for pair in ("AB", "CD", "EF")])
    for (row, column), ax in np.ndenumerate(panels):
        word, axis = list(ROWS)[row], list(AXES)[column]
        _draw_lines({name: lines[f"{word} over {axis}", name] for name in scenarios}, axis, ax)
        ax.set_ylabel(ROWS[word])
    _finish(panels)
    plots.panel(
        axes["A"], "β⁻ alone",
        about="; ".join(
            f"{name}: {_at(over_beta[name], DPO):.2f} for DPO, {over_beta[name].median[paper]:.2f} at β⁻ = {PAPER:g}, "
            f"{over_beta[name].median[best[name]]:.2f} at {over_beta[name].x[best[name]]:g}" for name in scenarios
        ).replace("; ", "\n"),
    )  # fmt: skip
    enough = {name: _first_above(over_weight[name], 0.9) for name in scenarios}
    plots.panel(
        axes["B"], "SFT alone",
        about="above 0.9 from weight " + ", ".join(f"{value:g} ({name})" for name, value in enough.items())
        + "\nthin lines: without it",
    )  # fmt: skip
    for letter, name in zip("GH", scenarios, strict=True):
        plots.cell_map(maps[name], axes[letter])
        axes[letter].set_ylabel("β⁻")
        axes[letter].set_xlabel("weight of the SFT term")
        plots.panel(axes[letter], f"Both together, {name}", about="final probability of chosen")

    shown = {(panel, series): summary for (panel, series), summary in lines.items()}
    shown |= {(f"both, {name}", f"beta_rejected={row}"): each for name in scenarios for row, each in maps[name].items()}
    s1, fallen = over_beta["s1"], lines["rejected over beta_rejected", "s1"]
    top, least = best["s1"], int(np.argmin(s1.median))
    return Drawing(
        figure=figure,
        alt=(
            "Final probability of the chosen response, log-probability of the rejected one and margin after training "
            f"an MLP, {s1.count} seeds, scenarios s1 and s2. With β⁺ at 0.1, lowering β⁻ from 0.1 to {s1.x[top]:g} "
            f"raises the chosen response in s1 from {_at(s1, DPO):.2f} to {s1.median[top]:.2f}, while log π⁻ goes from "
            f"{_at(fallen, DPO):.0f} to {fallen.median[top]:.0f}; at the paper's 0.08 it is {s1.median[paper]:.2f}; "
            f"the lowest value, {s1.median[least]:.2f}, is at β⁻ = {s1.x[least]:g}. An SFT weight of {enough['s1']:g} "
            f"in s1 and {enough['s2']:g} in s2 brings it above 0.9. A map shows both together; {rest}."
        ),
        data=plots.table(shown),
        numbers=_numbers(lines, maps),
    )


def _final(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    last = ds.isel(step=[-1])
    values = {
        "chosen": metrics.chosen_prob(last), "rejected": metrics.rejected_log_prob(last),
        "margin": metrics.margin(last), "rejected mass": metrics.rejected_prob(last),
    }  # fmt: skip
    return {word: metrics.over_pairs(each, last).isel(step=0, drop=True) for word, each in values.items()}


def _map(final: Mapping[str, Mapping[str, xr.DataArray]], scenario: str) -> dict[str, plots.Summary]:
    """One summary over the SFT weights for each β⁻; the cells of one change alone are those of the lines above."""
    alone = {axis: final[axis]["chosen"].sel(scenario=scenario, drop=True) for axis in (*AXES, "both")}
    words = {DPO: f"{DPO:g}\nDPO", PAPER: f"{PAPER:g}\npaper"}
    rows = {}
    for beta in MAP_BETAS:
        cells = []
        for weight in MAP_WEIGHTS:
            if weight == 0:
                cells.append(alone["beta_rejected"].sel(beta_rejected=beta, drop=True))
            elif beta == DPO:
                cells.append(alone["sft_weight"].sel(sft_weight=weight, drop=True))
            else:
                cells.append(alone["both"].sel(beta_rejected=beta, sft_weight=weight, drop=True))
        row = xr.concat(cells, "sft_weight").assign_coords(sft_weight=list(MAP_WEIGHTS))
        rows[words.get(beta, f"{beta:g}")] = plots.over_seeds(row, x="sft_weight")
    return rows


def _draw_lines(lines: Mapping[str, plots.Summary], axis: str, ax: Axes) -> None:
    """Draw the scenarios over one axis; a weight of 0 has no place on a logarithm and becomes a level."""
    for name, summary in lines.items():
        role = plots.role(name)
        if axis == "sft_weight":
            ax.axhline(summary.median[0], color=role.color, linewidth=0.7, zorder=1)
            kept = slice(1, None)
            parts = {field: getattr(summary, field)[kept] for field in ("x", "median", "low", "high")}
            summary = replace(summary, seeds=summary.seeds[:, kept], **parts)
        plots.curve(summary, ax, role=role, markers=True)
    ax.set_xscale("log")
    ax.set_xlabel(AXES[axis])


def _finish(panels: np.ndarray) -> None:
    """Give a row one scale, mark the paper's β⁻ and DPO's, and label only the outer axes."""
    for row in panels:
        plots.same_limits(row)
    for ax in panels[1]:
        ax.set_yscale("symlog", linthresh=5)
        ax.set_yticks([-10, -100, -1000], ["−10", "−100", "−1000"])
        ax.set_ylim(-1500, -5)
        ax.minorticks_off()
    for row, ax in enumerate(panels[:, 0]):
        for x, text, side in ((PAPER, "paper ", "right"), (DPO, " DPO", "left")):
            ax.axvline(x, color=plots.REFERENCE.color, linewidth=0.7, linestyle="dashed", zorder=1)
            if row == 0:
                ax.annotate(
                    text, (x, 0.01), xycoords=("data", "axes fraction"), ha=side, va="bottom", fontsize="small",
                    color="#555555",
                )  # fmt: skip
    for ax in panels[:-1].flat:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    for ax in panels[:, 1]:
        ax.set_ylabel("")


def _rest(left: float) -> str:
    return f"the rest of the mass is unseen, to within {np.ceil(100 * left) / 100:g}"


def _at(summary: plots.Summary, x: float) -> float:
    return float(summary.median[np.argmin(np.abs(summary.x - x))])


def _first_above(summary: plots.Summary, value: float) -> float:
    """The first weight from which on the median stays above a value; infinite if it never does."""
    above = np.logical_and.accumulate((summary.median > value)[::-1])[::-1]
    return float(summary.x[np.argmax(above)]) if above.any() else np.inf


def _numbers(
    lines: Mapping[tuple[str, str], plots.Summary], maps: Mapping[str, Mapping[str, plots.Summary]]
) -> dict[str, tuple[float, float]]:
    numbers = {}
    for name, rows in maps.items():
        for axis, places in {"beta_rejected": KEY_BETAS, "sft_weight": KEY_WEIGHTS}.items():
            for x in places:
                numbers[f"chosen at {axis} = {x:g}, {name}"] = (_at(lines[f"chosen over {axis}", name], x), 0.07)
        for x in KEY_BETAS:
            fallen = _at(lines["rejected over beta_rejected", name], x)
            numbers[f"log π⁻ at beta_rejected = {x:g}, {name}"] = (fallen, 0.08 * abs(fallen))
        together = _at(list(rows.values())[MAP_BETAS.index(0.04)], 1e-3)
        numbers[f"chosen at beta_rejected = 0.04 and sft_weight = 0.001, {name}"] = (together, 0.05)
    return numbers


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, figure of performance against β⁻; extended by the SFT weight, alone and with it",
    lines={
        "beta_rejected": f"mlp s1,s2 flex beta=0.1 beta_rejected={BETAS} {TRAINING} every=5 keep=none",
        "sft_weight": f"mlp s1,s2 dpo beta=0.1 sft_weight={WEIGHTS} {TRAINING} every=5 keep=none",
        "both": (
            "mlp s1,s2 flex beta=0.1 beta_rejected=0.01,0.02,0.04,0.08,0.16,0.32 sft_weight=1e-4,1e-3,1e-2 "
            f"{TRAINING} every=500 keep=none"
        ),
    },
    draw=draw,
)
