"""The gradient surface of DPO over (π⁺, π⁻), the flow of a table, and the ways that tables and networks take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import lab
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.properties import Thresholds

if TYPE_CHECKING:
    import xarray as xr

# The pair whose states are drawn: a surface belongs to one pair and its reference.
PAIR = 0
TERMS = ("chosen", "rejected")
MESSAGE = (
    "A table moves towards the chosen response from every state; a network under the same optimiser often turns back"
)
NONE_TURNS = "A table moves towards the chosen response from every state; so does this network"
# π⁺ is drawn as it is, from the edge on; π⁻ as log10, for it falls by thirty powers of ten.
EDGE = 0.004
GRID = 90
ARROWS = (6, 9)
SHAPE = 2.0  # height over width of a panel
LABELS_AT = {"rejected": 0.13, "chosen": 0.22}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw both gradients as surfaces and the flow of a table as arrows, each with the ways of real runs."""
    ways = {name: _ways(ds) for name, ds in data.items()}
    fall = {name: way["chosen"].max(1) - way["chosen"][:, -1] for name, way in ways.items()}
    back = {name: int((each > Thresholds().degradation).sum()) for name, each in fall.items()}
    bottom = 5 * np.floor(min(float(way["rejected"].min()) for way in ways.values()) / 5)
    x, y = np.linspace(EDGE, 1 - EDGE, GRID), np.linspace(bottom, 0, GRID)
    size, _ = _plane(data["tabular"], x, y)
    levels = {"rejected": np.arange(0, -bottom - 5, 5), "chosen": np.arange(-4, 2)}

    figure, axes = page.grid(
        1, 3, aspect=0.66, sharey=True, title=MESSAGE if back["mlp"] else NONE_TURNS,
        note=f"the pair of prompt {PAIR}; every seed, with a dot at its end; s1: both responses start at 0.45",
    )  # fmt: skip
    surfaces = dict(zip(("rejected", "chosen"), axes[0], strict=False))
    for term, ax in surfaces.items():
        column = int(np.argmin(np.abs(x - LABELS_AT[term])))
        at = _heights(size[term][:, column], y, levels[term])
        plots.surface(
            x, y, size[term], ax, levels=levels[term], text=plots.power, at=[(x[column], each) for each in at]
        )
    flow = axes[0, 2]
    spots = [
        low + (high - low) * (np.arange(n) + 0.5) / n for low, high, n in zip((0, bottom), (1, 0), ARROWS, strict=True)
    ]
    _, (right, up) = _plane(data["tabular"], *spots)
    plots.arrows(*spots, right, SHAPE * up / -bottom, flow, color="#9A9A9A", width=0.009)
    for ax in axes[0]:
        for name, way in ways.items():
            for chosen, rejected in zip(way["chosen"], way["rejected"], strict=True):
                plots.path(chosen, rejected, ax, role=plots.role(name), faint=True)
        plots.path(*(ways["tabular"][term][0] for term in TERMS), ax, role=plots.role("tabular"))
        ax.set(xlim=(0, 1), ylim=(bottom, 0.6), xlabel="π⁺ of the chosen response", xticks=(0, 0.5, 1))
        plots.powers_of_ten(ax, most=9)
    axes[0, 0].set_ylabel("π⁻ of the rejected response")
    for name, word in (("tabular", "table"), ("mlp", "network")):
        plots.end_label(1, np.median(ways[name]["rejected"][:, -1]), word, flow, color=plots.role(name).color)

    total = len(fall["mlp"])
    low = {name: float(np.median(way["rejected"][:, -1])) for name, way in ways.items()}
    largest, smallest = (float(np.nanmax(size["rejected"])), float(np.nanmin(size["chosen"])))
    plots.panel(
        axes[0, 0], "|∂ℓ/∂π⁻|",
        about="the push on the rejected one\ngrows without end as π⁻ falls",
    )  # fmt: skip
    plots.panel(axes[0, 1], "|∂ℓ/∂π⁺|", about="the push on the chosen one\nvanishes as π⁻ falls")
    plots.panel(
        flow, "Gradient flow of a table",
        about=f"no arrow points left; the network\nturns back in {back['mlp']} of {total} seeds",
    )  # fmt: skip
    if not (right[np.isfinite(right)] > 0).all():
        raise ArithmeticError("an arrow of the table's flow points to a smaller π⁺; the theorem says that none does.")
    return Drawing(
        figure=figure,
        alt=(
            f"Three panels over the plane of chosen probability, 0 to 1, and rejected one, 1 to 10^{bottom:.0f}. The "
            f"gradient of DPO on the rejected probability grows to 10^{largest:.0f} as it falls; that on the chosen "
            f"one shrinks to 10^{smallest:.0f}. Arrows of a table's gradient flow all point to a larger chosen "
            f"probability, and the {total} table runs slide down the edge at 1 to 10^{low['tabular']:.0f}. Of {total} "
            f"network runs under the same optimiser {back['mlp']} turn back, the furthest to a chosen probability of "
            f"{ways['mlp']['chosen'][:, -1].min():.2f}."
        ),
        data=_table(ways, size, x, y, (*spots, right, up)),
        numbers={
            "table runs that turn back": (back["tabular"], 0.5),
            "largest fall of the chosen probability in a table": (float(fall["tabular"].max()), 1e-3),
            "share of network runs that turn back": (back["mlp"] / total, 0.17),
            "log10 of the rejected probability at the end, network": (low["mlp"], 2.0),
            "log10 of the rejected probability at the end, table": (low["tabular"], 0.2),
        },
    )


def _ways(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """π⁺ and log10 π⁻ of the pair, each [seed, step]."""
    chosen, rejected = (
        metric(ds).isel(pair=PAIR).transpose("seed", "step").values
        for metric in (metrics.chosen_prob, metrics.rejected_log_prob)
    )
    return {"chosen": chosen, "rejected": rejected / np.log(10)}


def _plane(ds: xr.Dataset, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Put a table into every state (π⁺, log10 π⁻) of a plane, its unseen responses in the reference's proportions.

    Returns log10 |∂ℓ/∂π| of each term, [y, x], and how a plain gradient step moves π⁺ and log10 π⁻ there; NaN where
    the two probabilities exceed 1.
    """
    # Only where it is needed: naming a figure must not wait for torch.
    import torch

    from lab import gradients

    start = ds.isel(seed=0, prompt=int(ds["pair_prompt"][PAIR]))
    reference = torch.from_numpy(start["reference_log_prob"].values)
    own = [int(ds[term][PAIR]) for term in TERMS]
    chosen, log_rejected = (each.ravel() for each in np.meshgrid(x, np.log(10) * y))
    left = 1 - chosen - np.exp(log_rejected)
    others = reference.clone()
    others[own] = -torch.inf
    states = others.log_softmax(0) + torch.from_numpy(np.log(np.where(left > 0, left, np.nan)))[:, None]
    states[:, own] = torch.from_numpy(np.stack([np.log(chosen), log_rejected], 1))
    found = gradients.decompose(
        lab.Tabular(1, len(reference)), states, lab.DPO(float(ds["beta_chosen"])),
        lab.Preferences([0], own[:1], own[1:]), reference.expand(len(states), 1, -1),
    )  # fmt: skip
    shape = (len(y), len(x))
    magnitude = found.probability_log_magnitude[:, :, 0] / np.log(10)
    size = {term: magnitude[:, row, own[row]].reshape(shape).numpy() for row, term in enumerate(TERMS)}
    change = gradients.log_prob_change(found.log_prob, -found.logit.sum(1))[:, 0, own].numpy()
    return size, ((chosen * change[:, 0]).reshape(shape), (change[:, 1] / np.log(10)).reshape(shape))


def _heights(column: np.ndarray, y: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Where a column of the surface crosses each level."""
    known = np.isfinite(column)
    order = np.argsort(column[known])
    heights, values = y[known][order], column[known][order]
    return np.array([np.interp(level, values, heights) for level in levels if values[0] < level < values[-1]])


def _table(ways: Mapping[str, Mapping[str, np.ndarray]], size, x, y, arrows) -> pd.DataFrame:  # noqa: ANN001
    """Everything drawn: ways (x = π⁺, y = log10 π⁻), surfaces (z = log10 of the gradient), arrows (dx, dy)."""
    parts = []
    for name, way in ways.items():
        for seed, (chosen, rejected) in enumerate(zip(way["chosen"], way["rejected"], strict=True)):
            parts.append(pd.DataFrame({"panel": "all", "series": f"{name}, run {seed}", "x": chosen, "y": rejected}))
    plane_x, plane_y = (each.ravel() for each in np.meshgrid(x, y))
    for term, z in size.items():
        name = f"log10 gradient on the {term}"
        parts.append(pd.DataFrame({"panel": name, "series": "surface", "x": plane_x, "y": plane_y, "z": z.ravel()}))
    at_x, at_y, right, up = arrows
    feet_x, feet_y = (each.ravel() for each in np.meshgrid(at_x, at_y))
    ends = {"dx": right.ravel(), "dy": up.ravel()}
    parts.append(pd.DataFrame({"panel": "flow of a table", "series": "arrows", "x": feet_x, "y": feet_y, **ends}))
    return pd.concat(parts, ignore_index=True)


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, figure of the gradient surface",
    lines={
        "tabular": "tabular s1 dpo beta=0.1 adam lr=0.3 steps=500 seeds=24",
        "mlp": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24",
    },
    draw=draw,
)
