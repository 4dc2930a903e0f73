"""The fall of the chosen response over β at an equal log-ratio margin, under plain SGD and under Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties
from lab.properties import Thresholds

if TYPE_CHECKING:
    import xarray as xr

BETAS = ",".join(f"{beta:.3g}" for beta in np.geomspace(0.01, 10, 64))
LEVELS = np.geomspace(2, 300, 64)
PANELS = {"sgd": "MLP, SGD", "adam": "MLP, Adam"}
# Where the two are compared: a margin that both β reach, and the smaller and the larger of them.
COMPARED = {"sgd": (100.0, 0.01, 0.0645), "adam": (30.0, 0.0299, 0.299)}
MESSAGE = (
    "Equal margins do not make β equal: under Adam a larger β has cost the chosen response more by the same "
    "log-ratio margin, under SGD less"
)
PLAIN = "The fall of the chosen response over β and the log-ratio margin"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the fall over log-ratio margin and β, with the line where it begins."""
    maps = {name: _map(data[name]) for name in PANELS}
    found = {name: [_at(maps[name], level, beta) for beta in betas] for name, (level, *betas) in COMPARED.items()}
    holds = found["adam"][1] > found["adam"][0] + 0.05 and found["sgd"][1] < found["sgd"][0] - 0.05
    figure, (row,) = page.grid(
        1, 2, aspect=0.52, sharey=True, title=MESSAGE if holds else PLAIN,
        note=f"median of {data['adam'].sizes['seed']} seeds; grey: not reached by every seed; black line: the fall "
        "begins; dots: the 95 % bootstrap interval leaves that open",
    )  # fmt: skip
    for ax, (name, title) in zip(row, PANELS.items(), strict=True):
        plots.phase_map(maps[name], ax, threshold=Thresholds().degradation, limits=(0, 0.6))
        for margin, at in ((2, 0.01), (10, 0.66)):
            words = f"β · margin = {margin}"
            plots.exact_curve(LEVELS, margin / LEVELS, ax, label=words, at=at, line="dotted", color="#444444")
        level, small, large = COMPARED[name]
        plots.panel(
            ax, title,
            about=f"at {level:g} nats π⁺ has lost {found[name][0]:.2f} for β = {small:.2g},\n"
            f"{found[name][1]:.2f} for β = {large:.2g}",
        )  # fmt: skip
        ax.set_xlabel("log-ratio margin (nats)")
    row[0].set_ylabel("β")
    row[1].set_ylabel("")
    plots.phase_bar(row, label="fall of π⁺ from its peak", threshold=Thresholds().degradation)
    begins = {name: _begins(each) for name, each in maps.items()}
    return Drawing(
        figure=figure,
        alt=(
            "Two maps of the fall of the chosen response over the log-ratio margin, 2 to 300 nats, and beta, 0.01 to "
            "10. "
            + " ".join(
                f"{PANELS[name]}: the fall begins at a margin of {begins[name][0]:.0f} to {begins[name][1]:.0f} nats, "
                f"depending on beta; at {level:g} nats it is {found[name][0]:.2f} for beta {small:.2g} and "
                f"{found[name][1]:.2f} for beta {large:.2g}."
                for name, (level, small, large) in COMPARED.items()
            )
        ),
        data=plots.phase_table({(title, "fall of the chosen response"): maps[name] for name, title in PANELS.items()}),
        numbers={
            f"{title}: fall at {level:g} nats, β = {beta:.2g}": (fall, 0.05 + 0.15 * fall)
            for name, title in PANELS.items()
            for (level, *betas) in [COMPARED[name]]
            for beta, fall in zip(betas, found[name], strict=True)
            if np.isfinite(fall)
        }
        | {f"{title}: least margin at which the fall begins": (begins[name][0], 0.3 * begins[name][0] + 0.5)
           for name, title in PANELS.items() if np.isfinite(begins[name][0])},
    )  # fmt: skip


def _map(ds: xr.Dataset) -> plots.Phases:
    curves = properties.by_step(ds, threshold=Thresholds().drop).sel(property="degradation", drop=True)
    fall = curves["value"].where(~(curves["loss_change"] > 0), 0)
    way = properties.progress(ds, "log_ratio_margin")
    read = metrics.when_reached(fall, way.transpose(*fall.dims), LEVELS)
    kept = read.drop_vars([name for name in read.coords if name not in ("seed", "beta", "level")])
    return plots.map_over_seeds(kept.squeeze(drop=True), x="level", y="beta")


def _at(fall: plots.Phases, level: float, beta: float) -> float:
    row, column = (int(np.argmin(np.abs(np.log(axis / at)))) for axis, at in ((fall.y, beta), (fall.x, level)))
    return float(fall.median[row, column])


def _begins(fall: plots.Phases) -> tuple[float, float]:
    """Return the least and the largest margin, over the β that fall, at which the median fall has begun."""
    reached = fall.median > Thresholds().degradation
    first = fall.x[np.argmax(reached, 1)][reached.any(1)]
    return (float(first.min()), float(first.max())) if len(first) else (np.nan, np.nan)


FIGURE = Figure(
    title=PLAIN,
    paper="",
    lines={
        "sgd": f"mlp s1 dpo beta={BETAS} sgd lr=0.5 steps=2000 seeds=8 every=10 keep=none dtype=float32",
        "adam": f"mlp s1 dpo beta={BETAS} adam lr=1e-3 steps=2000 seeds=8 every=10 keep=none dtype=float32",
    },
    draw=draw,
)
