"""Why the chosen response is lowest at a middle β⁻: both β over a grid, and the two things that a β⁻ does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "The valley in β⁻ has two arms: below β⁺ a surplus of push keeps the chosen response, "
    "above it a larger β⁻ ends the push early"
)
PLAIN = "The chosen and the rejected response over both β of Flex-DPO"
BETAS = "0.01,0.02,0.05,0.1,0.2,0.5,1"
SCENARIOS = {"s1": "both on-policy", "s2": "chosen off-policy"}
LEAST = 0.01
# The rows that are drawn as curves.
ROWS = {
    LEAST: plots.Role("β⁺ 0.01", "#7A7A7A", "dotted", marker="D"),
    0.1: plots.Role("β⁺ 0.1", "#7A0000", "solid", marker="s"),
    0.5: plots.Role("β⁺ 0.5", "#C8781E", "dashed", marker="^"),
}
INTERVAL = 6.2  # points: both ends inside a cell of seven
NEAR, KEPT = 0.12, 0.85


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw three rows of the grid as curves, chosen and rejected, and the whole grid of two scenarios."""
    ds = data["grid"].isel(step=[-1])
    final = {
        "chosen": metrics.over_pairs(metrics.chosen_prob(ds), ds).isel(step=0, drop=True),
        "fallen": -metrics.over_pairs(metrics.rejected_log_prob(ds), ds).isel(step=0, drop=True),
    }
    betas = ds["beta_chosen"].values.tolist()
    rows = {
        (word, name, beta): plots.over_seeds(
            values.sel(scenario=name, beta_chosen=beta, drop=True), x="beta_rejected"
        )
        for word, values in final.items() for name in SCENARIOS for beta in betas
    }  # fmt: skip
    chosen = {beta: rows["chosen", "s1", beta] for beta in betas}
    kept, apart = _surplus(chosen), _deficit(chosen)
    rises = bool(chosen[LEAST].low[-1] > chosen[LEAST].high[betas.index(0.1)])
    title = MESSAGE if kept > KEPT and apart < NEAR and rises else PLAIN
    figure, axes = page.mosaic(
        "AB;CD", aspect=1.0, height_ratios=[0.8, 1.2], title=title,
        note="MLP, Adam; median and 95 % bootstrap interval of 24 seeds; cells: median, interval below; framed: "
        "β⁺ = β⁻, which is DPO",
    )  # fmt: skip
    for letter, word in zip("AB", final, strict=True):
        for beta, role in ROWS.items():
            summary = rows[word, "s1", beta]
            plots.curve(summary, axes[letter], role=role, markers=True, seeds=beta != LEAST)
            if beta > LEAST:
                at = betas.index(beta)
                axes[letter].plot(
                    beta, summary.median[at], marker="o", markersize=11, markerfacecolor="none", color="black",
                    markeredgewidth=1, zorder=5,
                )  # fmt: skip
        axes[letter].set_xscale("log")
        axes[letter].set_xlabel("β⁻")
        axes[letter].set_ylabel("")
    axes["A"].set_ylim(0, 1.03)
    axes["B"].set_yscale("log")
    plots.panel(
        axes["A"], "s1: final probability of chosen",
        about=f"circled: β⁺ = β⁻; right of it a row stays within {apart:.2f} of\n"
        "the dotted one, left of it the row leaves it",
    )  # fmt: skip
    products = _products(rows)
    plots.panel(
        axes["B"], "s1: final −log π⁻ (nats)",
        about=f"set by β⁻ whatever β⁺ is: β⁻ times the fall is\n{products.min():.1f} to {products.max():.1f} for all "
        "β⁻ from 0.05 on",
    )  # fmt: skip
    for letter, (name, meaning) in zip("CD", SCENARIOS.items(), strict=True):
        plots.cell_map({f"{beta:g}": rows["chosen", name, beta] for beta in reversed(betas)}, axes[letter])
        for text in axes[letter].texts:
            if " to " in text.get_text():
                text.set(text=text.get_text().replace(" to ", "–"), fontsize=INTERVAL)
        for at in range(len(betas)):
            _frame(axes[letter], at, len(betas) - 1 - at)
        axes[letter].set_xlabel("β⁻")
        axes[letter].set_ylabel("β⁺" if letter == "C" else "")
        plots.panel(axes[letter], f"{name}: {meaning}", about="final probability of chosen")
    valley, s2 = chosen[0.1], rows["chosen", "s2", 0.1]
    return Drawing(
        figure=figure,
        alt=(
            f"Final probability of the chosen response over both β, {valley.count} seeds. With β⁺ = 0.1 in s1: "
            + ", ".join(f"{value:.2f} at β⁻ = {beta:g}" for beta, value in zip(betas, valley.median, strict=True))
            + f"; in s2 from {s2.median[0]:.2f} at {betas[0]:g} to {s2.median[-1]:.2f} at {betas[-1]:g}, without a "
            f"second arm. Where β⁻ is above β⁺, s1 ends within {apart:.2f} of the row of β⁺ = {LEAST:g}; "
            f"where β⁺ is at least twice β⁻ no median of s1 is below {kept:.2f}. "
            f"β⁻ times the final −log π⁻ lies from {products.min():.1f} to {products.max():.1f} nats in s1 "
            "for β⁻ of 0.05 and more."
        ),
        data=plots.table(
            {(f"{word}, {name}", f"beta_chosen={beta:g}"): each for (word, name, beta), each in rows.items()}
        ),
        numbers={
            "least chosen with a surplus of two, s1": (kept, 0.06),
            "largest distance between rows in deficit, s1": (apart, 0.08),
            **{f"chosen at β⁺ = 0.1, β⁻ = {beta:g}, s1": (float(value), 0.08)
               for beta, value in zip(betas, valley.median, strict=True)},
        },
    )  # fmt: skip


def _surplus(chosen: Mapping[float, plots.Summary]) -> float:
    """The least median where β⁺ is at least twice β⁻."""
    return min(
        float(value) for beta, each in chosen.items() for x, value in zip(each.x, each.median, strict=True)
        if beta >= 2 * x * (1 - 1e-9)
    )  # fmt: skip


def _deficit(chosen: Mapping[float, plots.Summary]) -> float:
    """The largest distance between a median and that of the least β⁺, where β⁻ is above β⁺."""
    return max(
        abs(float(value - least))
        for beta, each in chosen.items()
        for x, value, least in zip(each.x, each.median, chosen[LEAST].median, strict=True)
        if x > beta
    )


def _products(rows: Mapping[tuple[str, str, float], plots.Summary]) -> np.ndarray:
    """β⁻ times the median fall of log π⁻ in s1, for the drawn rows and β⁻ of 0.05 and more."""
    parts = [rows["fallen", "s1", beta] for beta in ROWS]
    return np.concatenate([(each.x * each.median)[each.x >= 0.05] for each in parts])


def _frame(ax: Axes, column: int, row: int) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=1.2, zorder=4))


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, figure of performance against β⁻: the reason for its shape, over both β",
    lines={
        "grid": f"mlp s1,s2 flex beta_chosen={BETAS} beta_rejected={BETAS} adam lr=1e-3 steps=500 seeds=24 every=500 "
        "keep=none dtype=float32"
    },
    draw=draw,
)
