"""Which β is ahead at which time: the map of log-ratio margins over β and time, and the exact envelope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.metrics.beta import LEADING_MARGIN

if TYPE_CHECKING:
    import xarray as xr

TIMES = 64
RATES = {"table": 0.1, "sgd": 0.05}  # of the lines below; a time is this times the steps
PANELS = {
    "table": ("One pair in a table, SGD", "the ridge (white) follows √((1 + e²)/2t)"),
    "sgd": ("MLP, SGD", "the ridge falls faster, at the end like t^−{slope:.2f}"),
    "adam": ("MLP, Adam", "no ridge: the smallest β is ahead"),
}
NEAR, TIE = 0.05, 0.95
MESSAGE = (
    "At any time the β that is ahead is the one whose margin has come to 2 nats: exactly in a table, "
    "roughly in a network under SGD; under Adam the smallest β is ahead"
)
PLAIN = "Which β has the largest log-ratio margin at which time"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw each β's share of the largest log-ratio margin over time, the ridge, and the margin of the β on it."""
    moved = {name: _moved(ds, RATES.get(name, 1.0)) for name, ds in data.items()}
    shares = {name: _share(values) for name, values in moved.items()}
    ridges = {name: metrics.leader(moved[name]) for name in RATES}
    margins = {name: _summary(ridge, "margin") for name, ridge in ridges.items()}
    smallest = float(shares["adam"].median[0].min())
    slope = -_slope(_summary(ridges["sgd"], "beta"))
    exact = float(np.abs(margins["table"].median / LEADING_MARGIN - 1).max())
    near = float(margins["sgd"].median.max())
    holds = exact < NEAR and smallest > TIE and 0.5 * LEADING_MARGIN < near < 2 * LEADING_MARGIN
    figure, axes = page.grid(
        2, 2, aspect=0.84, title=MESSAGE if holds else PLAIN,
        note=f"medians of {data['table'].sizes['seed']} (table) and {data['sgd'].sizes['seed']} seeds (MLP); bands are "
        "95 % bootstrap intervals",
    )  # fmt: skip
    for (name, (title, about)), ax in zip(PANELS.items(), axes.flat, strict=False):
        plots.phase_map(shares[name], ax, limits=(0, 1))
        if name in RATES:
            ridge = _summary(ridges[name], "beta")
            ax.plot(ridge.x, ridge.median, color="white", linewidth=2.6, zorder=3)
            time = np.geomspace(ridge.x[0] / 2, 2 * ridge.x[-1], 50)
            plots.exact_curve(
                time, metrics.leading_beta(time), ax, label="exact in a table", at=0.62 if name == "sgd" else 0.3
            )
        ax.set(xlabel="learning rate · steps" if name in RATES else "step", ylabel="β")
        plots.panel(ax, title, about=about.format(slope=slope))
    plots.phase_bar(
        axes.flat[:3], label="log-ratio margin, as a share of the largest at that time", location="bottom", length=0.45
    )
    roles = {"table": plots.role("tabular"), "sgd": plots.role("mlp")}
    last = axes[1, 1]
    for name, summary in margins.items():
        plots.curve(summary, last, role=roles[name], label="", seeds=False)
        last.annotate(
            {"table": "table", "sgd": "MLP"}[name], (summary.x[-1], summary.median[-1]), xytext=(-4, 6),
            textcoords="offset points", ha="right", color=roles[name].color,
        )  # fmt: skip
    plots.level(LEADING_MARGIN, last)
    last.set(xscale="log", ylim=(1, 4), ylabel="", xlabel="learning rate · steps")
    last.xaxis.set_major_formatter(lambda value, _: plots.power(np.log10(value)))
    plots.panel(last, "Margin of the β that is ahead", about="nats, with its β: the law says 2 (thin line)")
    betas = {name: _summary(ridge, "beta") for name, ridge in ridges.items()}
    drawn = {(PANELS[name][0], "share of the largest log-ratio margin"): share for name, share in shares.items()}
    curves = {("margin of the leader", name): each for name, each in margins.items()}
    curves |= {("leading beta", name): each for name, each in betas.items()}
    import pandas as pd

    return Drawing(
        figure=figure,
        alt=(
            "Three maps of the log-ratio margin over beta and time, as a share of the largest at each time, and the "
            "margin of the leading beta over time. In a table the leading beta follows the exact curve; its own "
            f"margin is 2 nats within {100 * exact:.1f} per cent at all times. In an MLP under SGD the leading beta "
            f"falls from {betas['sgd'].median[0]:.2g} to {betas['sgd'].median[-1]:.2g} and its margin goes up to "
            f"{near:.1f} nats. Under Adam the smallest beta, 0.01, has at least {100 * smallest:.0f} per cent "
            "of the largest at all times."
        ),
        data=pd.concat([plots.phase_table(drawn), plots.table(curves)], ignore_index=True),
        numbers={
            "largest relative distance of the leader's margin from 2 nats, table": (exact, 0.02),
            "leading β at the end, table": (float(betas["table"].median[-1]), 0.05 * float(betas["table"].median[-1])),
            "leading β at the end, MLP, SGD": (float(betas["sgd"].median[-1]), 0.3 * float(betas["sgd"].median[-1])),
            "late slope of the leading β, MLP, SGD": (-slope, 0.15),
            "margin of the leader at the end, MLP, SGD": (float(margins["sgd"].median[-1]), 0.5),
            "least share of the smallest β, Adam": (smallest, 0.03),
        },
    )


def _moved(ds: xr.Dataset, rate: float) -> xr.DataArray:
    """Log-ratio margin [seed, beta, time] at log-spaced times, linearly between recorded states."""
    values = metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
    values = values.drop_vars([name for name in values.coords if name not in ("seed", "beta", "step")])
    steps = np.geomspace(ds["step"].values[1], ds["step"].values[-1], TIMES)
    return values.interp(step=steps).assign_coords(step=rate * steps).rename(step="time").sortby("beta")


def _share(moved: xr.DataArray) -> plots.Phases:
    return plots.map_over_seeds(moved / moved.max("beta"), x="time", y="beta")


def _summary(ridge: xr.Dataset, name: str) -> plots.Summary:
    """Summarise over seeds the times at which every seed's leader lies inside the map."""
    return plots.over_seeds(ridge[name].dropna("time"), x="time")


def _slope(curve: plots.Summary) -> float:
    """Measure d log y / d log x over the last factor of 4 in x."""
    late = curve.x >= curve.x[-1] / 4
    return float(np.polyfit(np.log(curve.x[late]), np.log(curve.median[late]), 1)[0])


def _betas(low: float, high: float, count: int) -> str:
    return ",".join(f"{beta:.3g}" for beta in np.geomspace(low, high, count))


FIGURE = Figure(
    title=PLAIN,
    paper="",
    lines={
        "table": f"tabular s1 dpo beta={_betas(0.02, 2, 64)} sgd lr={RATES['table']} steps=10000 seeds=24 prompts=1 "
        "every=20 keep=none",
        "sgd": f"mlp s1 dpo beta={_betas(0.02, 2, 32)} sgd lr={RATES['sgd']} steps=2000 seeds=8 every=10 keep=none "
        "dtype=float32",
        "adam": f"mlp s1 dpo beta={_betas(0.01, 10, 64)} adam lr=1e-3 steps=2000 seeds=8 every=10 keep=none "
        "dtype=float32",
    },
    draw=draw,
)
