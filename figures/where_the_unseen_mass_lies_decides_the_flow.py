"""The flow of DPO over (log π⁺, log π⁻), around the reference and around the end of training, in three families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.layouts.flows import Plane, draw_plane, draw_ways, table_of
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = (
    "The same π⁺ and π⁻, opposite flows: where the rest of the mass lies decides whether the chosen response falls"
)
PLAIN = "Where gradient flow lowers the chosen response, around the reference and around the end of training"
FAMILIES = {"tabular": "Table", "loglinear": "16 log-linear features", "mlp": "Network of 16 units"}
ROWS = {"reference": "around the reference", "end": "around the end of training"}
X = np.linspace(-3, -0.02, 8)
Y = np.linspace(-60, -0.5, 9)
# Around the end of training the chosen response falls in so much more of the plane, or the flows are not opposite.
MORE = 0.25
PAIR = 0  # whose ways are drawn
ELSEWHERE = "chosen elsewhere"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the field of each family in two rows of panels, with its real runs."""
    # Only where it is needed: naming a figure must not wait for torch.
    from lab.experiments.planes import flow_on_plane

    planes = {}
    for name, ds in data.items():
        for row in ROWS:
            around = ds.isel(step=-1) if row == "end" else None
            planes[row, name] = Plane.of(flow_on_plane(ds.attrs["experiment"], X, Y, around=around))
    held = {name: _elsewhere(ds) for name, ds in data.items()}
    share = {key: plane.share for key, plane in planes.items()}
    opposite = share["end", "tabular"] == 0 and all(
        share["end", name] - share["reference", name] > MORE for name in ("loglinear", "mlp")
    )
    figure, axes = page.grid(
        2, 3, aspect=0.82, sharex=True, sharey=True, title=MESSAGE if opposite else PLAIN,
        note="orange: share of pairs and seeds whose chosen response gradient flow lowers; arrows: median direction; "
        "lines: real runs, one pair of each; around the end: unseen mass in the proportions, and a network with "
        "the parameters, that training left",
    )  # fmt: skip
    drawn = []
    for place, (row, where) in enumerate(ROWS.items()):
        for column, (name, title) in enumerate(FAMILIES.items()):
            ax = axes[place, column]
            draw_plane(planes[row, name], ax)
            ways = draw_ways(data[name], ax, plots.role(name), pair=PAIR)
            drawn += [
                table_of(planes[row, name]).assign(panel=f"{title}, {where}", series="flow"),
                ways.assign(panel=f"{title}, {where}", series="runs"),
            ]
            plots.panel(
                ax, title if place == 0 else "",
                about=f"chosen falls in {share[row, name]:.0%} of states;\n".replace("%", " %")
                + f"{held[name][place]:.0%} of unseen on others' chosen".replace("%", " %"),
            )  # fmt: skip
            ax.set(xlim=(-3.15, 0.08), ylim=(-63, 2))
    for ax, where in zip(axes[:, 0], ROWS.values(), strict=True):
        ax.set_ylabel(f"{where}\nlog π⁻ (nats)")
    for ax in axes[1]:
        ax.set_xlabel("log π⁺ (nats)")
    ends = {name: metrics.over_pairs(metrics.chosen_log_prob(ds), ds) for name, ds in data.items()}
    return Drawing(
        figure=figure,
        alt=(
            "Six panels over log chosen and log rejected probability: a table, 16 log-linear features, a network of 16 "
            "units, around the reference and around the end of training. Share of states, pairs and seeds in which "
            "gradient flow lowers the chosen response: "
            + "; ".join(
                f"{title}, {share['reference', name]:.0%} around the reference and {share['end', name]:.0%} around the "
                f"end, where {held[name][1]:.0%} of the unseen mass is on responses that other prompts choose"
                for name, title in FAMILIES.items()
            )
            + "."
        ),
        data=pd.concat(drawn, ignore_index=True),
        numbers={
            **{
                f"share of states where the chosen falls, {FAMILIES[name]}, {ROWS[row]}": (
                    value, 1e-9 if name == "tabular" else 0.06
                )
                for (row, name), value in share.items()
            },
            **{
                f"chosen log-probability, end minus peak, {FAMILIES[name]}": (
                    float((each.isel(step=-1) - each.max("step")).median()), 0.1
                )
                for name, each in ends.items()
            },
            **{
                f"unseen mass chosen elsewhere at the end, {FAMILIES[name]}": (each[1], 0.05)
                for name, each in held.items()
            },
        },
    )  # fmt: skip


def _elsewhere(ds: xr.Dataset) -> tuple[float, float]:
    """Share of the unseen mass on responses that other prompts choose, at the start and at the end; median of seeds."""
    held = metrics.over_prompts(metrics.mass_by_kind(ds).sel(kind=ELSEWHERE, drop=True), ds)
    share = (held / metrics.over_prompts(metrics.unseen_mass(ds), ds)).median("seed")
    return float(share.isel(step=0)), float(share.isel(step=-1))


S1 = "s1 dpo beta=0.1 sgd seeds=24 keep=parameters"
FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines={
        "tabular": f"tabular {S1} lr=4 steps=1000 every=20",
        "loglinear": f"loglinear {S1} lr=4 steps=1000 every=20",
        "mlp": f"mlp {S1} lr=0.1 steps=1000 every=20 width=16",
    },
    draw=draw,
)
