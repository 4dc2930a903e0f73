"""Flex-DPO and the SFT term as a two by two, with their interaction, beside DPOP, SimPO, KTO and ORPO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.layouts.remedies import MAIN, read
from figures.machinery import Drawing, Figure, Page
from lab import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = "Flex-DPO and the SFT term do the same work: together they do less than their effects summed"
PLAIN = "Flex-DPO and the SFT term, apart and together, beside other objectives"
SCENARIOS = ("s1", "s2", "s3", "s4")
SHOWN = {"s1": "both on-policy", "s2": "chosen off-policy"}
WEIGHTS = (1e-3, 1e-2)
BETA = 0.04
NEITHER, FLEX = "neither (DPO)", "Flex"
ROLES = {
    NEITHER: plots.OBJECTIVES["dpo"],
    FLEX: plots.OBJECTIVES["flex"],
    "SFT": plots.OBJECTIVES["sft"],
    "both": plots.Role("both", "#AA3377"),
    "other": plots.Role("other", "#7A7A7A"),
}
# The bars, from above to below: family, dose and role.
BARS = {
    NEITHER: ("dpo", {"beta": 0.1}, NEITHER),
    f"Flex, β⁻ {BETA:g}": ("flex", {"beta_rejected": BETA}, FLEX),
    "SFT 0.001": ("sft", {"sft_weight": 1e-3}, "SFT"),
    "Flex + SFT 0.001": ("both", {"sft_weight": 1e-3}, "both"),
    "SFT 0.01": ("sft", {"sft_weight": 1e-2}, "SFT"),
    "Flex + SFT 0.01": ("both", {"sft_weight": 1e-2}, "both"),
    "DPOP, penalty 50": ("dpop", {"penalty": 50.0}, "other"),
    "SimPO, β 2, γ 1": ("simpo", {}, "other"),
    "KTO, β 0.1": ("kto", {"beta": 0.1}, "other"),
    "ORPO, β 0.1": ("orpo", {}, "other"),
}
EFFECTS = {FLEX: FLEX, "SFT": "SFT", "both": "both", "interaction": "other"}
Readings = Mapping[str, Mapping[str, xr.DataArray]]


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the bars of two scenarios, and the effects and interactions in all four, for two weights."""
    readings = {
        name: {word: each.sel(dose, drop=True) for word, each in read(data[family]).items()}
        for name, (family, dose, _) in BARS.items()
    }
    bars = {name: _bars(readings, "chosen", name) for name in SHOWN}
    fallen = {name: _bars(readings, "fallen", name) for name in SHOWN}
    effects = {(weight, name): _effects(readings, weight, name) for weight in WEIGHTS for name in SCENARIOS}
    interactions = {
        key: [float(end[-1]) for end in (each.median, each.low, each.high)] for key, each in effects.items()
    }
    less = sum(low > 0 for _, low, _ in interactions.values())
    figure, axes = page.mosaic(
        "AB;CD", aspect=1.0, height_ratios=[1.15, 1],
        title=MESSAGE if less > len(interactions) / 2 and min(i[2] for i in interactions.values()) > 0 else PLAIN,
        note="MLP, Adam; median and 95 % bootstrap interval of 24 seeds, every seed a faint dot; "
        f"β⁺ = 0.1 throughout, β⁻ = {BETA:g} under Flex-DPO and with both",
    )  # fmt: skip
    for letter, (name, meaning) in zip("AB", SHOWN.items(), strict=True):
        _draw_bars(bars[name], fallen[name], axes[letter])
        plots.panel(axes[letter], f"{name}: {meaning}", about="final probability of chosen")
        if letter == "B":
            axes[letter].set_yticklabels([])
    for letter, weight in zip("CD", WEIGHTS, strict=True):
        _draw_effects({name: effects[weight, name] for name in SCENARIOS}, axes[letter])
        found = sum(interactions[weight, name][1] > 0 for name in SCENARIOS)
        plots.panel(
            axes[letter], f"Change of log unseen mass, SFT {weight:g}",
            about=f"interaction: both − Flex − SFT; above 0 in {found} of 4:\nless than the sum, with no ceiling near",
        )  # fmt: skip
    axes["C"].legend(loc="lower left", ncols=4, handletextpad=0.1, columnspacing=0.8, borderaxespad=0.2)
    axes["C"].set_ylabel("change against DPO (nats)")
    plots.same_limits([axes["C"], axes["D"]])

    shown = {(f"final chosen, {name}", "bars"): each for name, each in bars.items()}
    shown |= {(f"final -log π⁻, {name}", "bars"): each for name, each in fallen.items()}
    shown |= {(f"effects, SFT {weight:g}", name): each for (weight, name), each in effects.items()}
    gain = {name: dict(zip(each.x, each.median, strict=True)) for name, each in bars.items()}
    return Drawing(
        figure=figure,
        alt=(
            f"Final probability of the chosen response, medians of {bars['s1'].count} seeds: "
            + "; ".join(
                f"{name}: " + ", ".join(f"{word} {value:.2f}" for word, value in cells.items())
                for name, cells in gain.items()
            )
            + ". Interaction of Flex-DPO and the SFT term on the log of the unseen mass: "
            + "; ".join(
                f"weight {weight:g}, {name}: {value:+.2f} [{low:+.2f}, {high:+.2f}]"
                for (weight, name), (value, low, high) in interactions.items()
            )
            + " nats."
        ).replace("-", "−"),
        data=plots.table(shown),
        numbers={
            **{f"chosen, {word}, {name}": (float(value), 0.08)
               for name, cells in gain.items() for word, value in cells.items()},
            **{f"interaction, SFT {weight:g}, {name}": (value, 0.5)
               for (weight, name), (value, _, _) in interactions.items()},
        },
    )  # fmt: skip


def _bars(readings: Readings, word: str, scenario: str) -> plots.Summary:
    parts = [each[word].sel(scenario=scenario, drop=True) for each in readings.values()]
    return plots.over_seeds(xr.concat(parts, "bar", coords="minimal").assign_coords(bar=list(readings)), x="bar")


def _effects(readings: Readings, weight: float, scenario: str) -> plots.Summary:
    """Changes of the log unseen mass against DPO, seed by seed: Flex, SFT, both, and both less the sum of the two."""
    names = (NEITHER, f"Flex, β⁻ {BETA:g}", f"SFT {weight:g}", f"Flex + SFT {weight:g}")
    dpo, flex, sft, both = (
        xr.apply_ufunc(np.log, readings[name]["unseen"].sel(scenario=scenario, drop=True)) for name in names
    )
    parts = [flex - dpo, sft - dpo, both - dpo, both - flex - sft + dpo]
    return plots.over_seeds(xr.concat(parts, "effect").assign_coords(effect=list(EFFECTS)), x="effect")


def _draw_bars(bars: plots.Summary, fallen: plots.Summary, ax: Axes) -> None:
    plots.bars(bars, ax, roles=[ROLES[role] for _, _, role in BARS.values()])
    ax.set_xlim(0, 1.02)
    ax.set_xlabel("")
    for row in (0.5, 3.5, 5.5):
        ax.axhline(row, color="#cccccc", linewidth=0.6, zorder=0)
    for row, value in enumerate(fallen.median):
        plots.end_label(1.02, row, f"−{value:.0f}", ax, color=plots.REJECTED.color)
    ax.annotate(
        "final log π⁻", (1, 1), xycoords="axes fraction", xytext=(5, 3), textcoords="offset points", fontsize="small",
        color=plots.REJECTED.color, va="bottom", ha="center",
    )  # fmt: skip


def _draw_effects(effects: Mapping[str, plots.Summary], ax: Axes) -> None:
    """Draw the four changes of each scenario side by side."""
    ax.axhline(0, color="#555555", linewidth=0.6, zorder=1)
    for place, each in enumerate(effects.values()):
        for offset, (effect, role) in enumerate(EFFECTS.items()):
            x = place + 0.19 * (offset - 1.5)
            color = ROLES[role].color
            ax.vlines(x, each.low[offset], each.high[offset], color=color, linewidth=2, zorder=3)
            word = effect if place == 0 else "_"
            ax.plot(
                x, each.median[offset], marker=ROLES[role].marker, color=color, markersize=5, zorder=4, linestyle="",
                label=word,
            )  # fmt: skip
            jitter = np.linspace(-0.06, 0.06, each.count)
            ax.scatter(x + jitter, each.seeds[:, offset], s=3, color=color, alpha=0.3, linewidths=0, zorder=2)
    ax.set_xlim(-0.5, len(effects) - 0.5)
    ax.set_xticks(range(len(effects)), list(effects))
    ax.tick_params(axis="x", length=0)


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, its two remedies: the ablation that its reviewers asked for",
    lines={name: MAIN[name] for name in dict.fromkeys(family for family, _, _ in BARS.values())},
    draw=draw,
)
