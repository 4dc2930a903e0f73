"""The flow of five objectives in three families, from the same states: where each still lowers the chosen response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.layouts.flows import Plane, draw_plane, draw_ways, table_of
from figures.machinery import Drawing, Figure, Page
from lab import plots

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = "SimPO takes DPO's way from every state, IPO and SLiC until their target; KTO's unequal pushes turn the flow"
PLAIN = "Where gradient flow lowers the chosen response, by objective and policy, from the states that DPO leaves"
FAMILIES = {"tabular": "table", "loglinear": "16 log-linear\nfeatures", "mlp": "network of\n16 units"}
# The log-ratio margin at which an objective rests, 1 / (2 β) for IPO, 1 / β for SLiC; in s1 it is log π⁺ - log π⁻.
TARGETS = {"ipo": 25.0, "slic": 50.0}
OBJECTIVES = {"dpo": "DPO", "simpo": "SimPO", "ipo": "IPO, β = 0.02", "slic": "SLiC, β = 0.02", "kto": "KTO"}
X = np.linspace(-3, -0.02, 8)
Y = np.linspace(-60, -0.5, 9)
# Degrees between two flows that count as one, and from which on they count as turned.
SAME, TURNED = 2.0, 10.0
PAIR = 0


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a row of fields for each family, with the real runs of each objective."""
    # Only where it is needed: naming a figure must not wait for torch.
    from lab.experiments.planes import flow_on_plane

    planes = {
        (family, name): Plane.of(
            flow_on_plane(
                data[f"{family} {name}"].attrs["experiment"], X, Y, around=data[f"{family} dpo"].isel(step=-1)
            )
        )
        for family in FAMILIES
        for name in OBJECTIVES
    }
    share = {key: plane.share for key, plane in planes.items()}
    angle = {key: _angle(plane, planes[key[0], "dpo"], TARGETS.get(key[1])) for key, plane in planes.items()}
    shared = [family for family in FAMILIES if family != "tabular"]
    one_flow = all(angle[family, name] < SAME for family in FAMILIES for name in ("simpo", "ipo", "slic"))
    turned = all(angle[family, "kto"] > TURNED for family in shared)

    figure, axes = page.grid(
        3, 5, aspect=0.92, sharex=True, sharey=True, title=MESSAGE if one_flow and turned else PLAIN,
        note="orange: share of pairs and seeds whose chosen response gradient flow lowers; arrows: median direction; "
        "dots: at rest; grey line: the target; coloured: real runs, one pair of each; unseen "
        "mass and network as DPO leaves them",
    )  # fmt: skip
    drawn = []
    for row, (family, words) in enumerate(FAMILIES.items()):
        for column, (name, title) in enumerate(OBJECTIVES.items()):
            ax, plane = axes[row, column], planes[family, name]
            draw_plane(plane, ax)
            if name in TARGETS:
                ax.plot(X, X - TARGETS[name], color="#555555", linewidth=0.9, zorder=2.2)
            ways = draw_ways(data[f"{family} {name}"], ax, plots.role(family), pair=PAIR)
            place = f"{title}, {words}".replace("\n", " ")
            drawn += [table_of(plane).assign(panel=place, series="flow"), ways.assign(panel=place, series="runs")]
            plots.panel(ax, title if row == 0 else "", about=f"falls in {share[family, name]:.0%}".replace("%", " %"))
            ax.set(xlim=(-3.2, 0.12), ylim=(-64, 3), xticks=(-3, -2, -1, 0))
    for ax, words in zip(axes[:, 0], FAMILIES.values(), strict=True):
        ax.set_ylabel(f"{words}\nlog π⁻ (nats)")
    for ax in axes[-1]:
        ax.set_xlabel("log π⁺ (nats)")
    return Drawing(
        figure=figure,
        alt=(
            "Fifteen panels over log chosen and log rejected probability: five objectives in three families of policy, "
            "at the same states. Share of states, pairs and seeds in which gradient flow lowers the chosen response: "
            + "; ".join(
                f"{title} " + ", ".join(f"{family} {share[family, name]:.0%}" for family in FAMILIES)
                for name, title in OBJECTIVES.items()
            )
            + ". Median angle to DPO's flow before the target: "
            + "; ".join(
                f"{title} {max(angle[family, name] for family in shared):.1f} degrees"
                for name, title in OBJECTIVES.items()
                if name != "dpo"
            )
            + " at most, where parameters are shared."
        ),
        data=pd.concat(drawn, ignore_index=True),
        numbers={
            **{
                f"share falling, {title}, {family}": (share[family, name], 1e-9 if _is_exact(family, name) else 0.06)
                for name, title in OBJECTIVES.items() for family in FAMILIES
            },
            **{
                f"median angle to DPO's flow before the target, {title}, {family}": (
                    angle[family, name], 0.5 + 0.2 * angle[family, name]
                )
                for name, title in OBJECTIVES.items() for family in FAMILIES if name != "dpo"
            },
        },
    )  # fmt: skip


def _is_exact(family: str, name: str) -> bool:
    """Whether the share rests on a theorem: no balanced push lowers the chosen response of a table."""
    return family == "tabular" and name in ("dpo", "simpo", "slic")


def _angle(plane: Plane, other: Plane, target: float | None) -> float:
    """Median angle in degrees between two flows, over pairs, seeds and the states whose margin is below a target."""
    before = np.full((len(plane.y), len(plane.x)), True)
    if target is not None:
        before = plane.x - plane.y[:, None] < target - 1
    ours, theirs = ((each.chosen[:, before], each.rejected[:, before]) for each in (plane, other))
    turn = np.arctan2(ours[1], ours[0]) - np.arctan2(theirs[1], theirs[0])
    return float(np.degrees(np.nanmedian(abs((turn + np.pi) % (2 * np.pi) - np.pi))))


RATES = {
    "dpo": ("dpo beta=0.1", {"tabular": "lr=4", "loglinear": "lr=4", "mlp": "lr=0.1"}),
    "simpo": ("simpo beta=1 gamma=0.5", {"tabular": "lr=4", "loglinear": "lr=4", "mlp": "lr=0.1"}),
    "ipo": ("ipo beta=0.02", {"tabular": "lr=0.01", "loglinear": "lr=0.01", "mlp": "lr=0.0005"}),
    "slic": ("slic beta=0.02", {"tabular": "lr=20", "loglinear": "lr=20", "mlp": "lr=0.5"}),
    "kto": ("kto beta=0.1", {"tabular": "lr=8", "loglinear": "lr=8", "mlp": "lr=0.2"}),
}
FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines={
        f"{family} {name}": f"{family} s1 {words} sgd {rates[family]} steps=1000 seeds=24 every=20 keep=parameters"
        + (" width=16" if family == "mlp" else "")
        for family in FAMILIES
        for name, (words, rates) in RATES.items()
    },
    draw=draw,
)
