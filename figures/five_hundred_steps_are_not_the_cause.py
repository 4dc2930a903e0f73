"""The three properties over β and the steps: where each begins, in a table, under plain SGD and under Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import plots, properties
from lab.properties import Thresholds

if TYPE_CHECKING:
    import xarray as xr

BETAS = ",".join(f"{beta:.3g}" for beta in np.geomspace(0.01, 10, 64))
TIMES = 64
PAPER = 500  # steps of the published toy
PROPERTIES = {
    "drop": ("Drastic drop", "fall of log π⁻ beyond\nthe rise of log π⁺", "nats, 100 and more alike", (0.0, 100.0)),
    "degradation": ("Degradation", "fall of π⁺ from its peak,\nwhile the loss goes down", "", (0.0, 0.6)),
    "dispersion": ("Dispersion", "rise of unseen mass from its\nminimum, once above its start", "", (0.0, 0.6)),
}
ROWS = {"table": "table, SGD", "sgd": "MLP, SGD", "adam": "MLP, Adam"}
PLAIN = "The three properties over β and the steps"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw each property's number over steps and β, with the line where it begins."""
    maps = {name: _maps(ds) for name, ds in data.items()}
    onset = {name: _onset(maps[name]["degradation"]) for name in maps}
    before = {name: each < PAPER for name, each in onset.items()}
    betas = maps["adam"]["degradation"].y
    falls = {name: betas[np.isfinite(each)] for name, each in onset.items()}
    holds = bool(before["adam"][betas < 1].all()) and 0 < len(falls["sgd"]) and not len(falls["table"])
    message = _message(betas, onset["adam"], falls["sgd"]) if holds else PLAIN
    figure, axes = page.grid(
        3, 3, aspect=0.98, sharex=True, sharey=True, title=message,
        note="median of "
        f"{data['adam'].sizes['seed']} seeds in 64 × 64 cells; black line: the property begins; dots: cells whose "
        "95 % bootstrap interval leaves that open; dashed: step 500",
    )  # fmt: skip
    from matplotlib.patheffects import withStroke

    drawn: dict[tuple[str, str], plots.Phases] = {}
    for row, (name, words) in zip(axes, ROWS.items(), strict=True):
        for ax, (which, (title, about, _, limits)) in zip(row, PROPERTIES.items(), strict=True):
            found = drawn[which, words] = maps[name][which]
            plots.phase_map(found, ax, threshold=getattr(Thresholds(), which), limits=limits)
            ax.axvline(PAPER, color="black", linewidth=0.8, linestyle="dashed", zorder=2)
            if name == "table":
                plots.panel(ax, title, about=about)
            if not np.nanmax(found.median) > getattr(Thresholds(), which):
                ax.annotate("nowhere", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color="#555555")
        row[0].set_ylabel(f"{words}\nβ")
    leap = _leaps(maps["sgd"]["drop"])
    if np.isfinite(leap):
        axes[1, 0].annotate(
            f"above β = {leap:.2g} a step of SGD\nat this rate is a leap", (0.96, 0.94), xycoords="axes fraction",
            ha="right", va="top", fontsize="small", path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    plots.share_labels(axes)
    for column, (which, (_, _, units, _)) in zip(axes.T, PROPERTIES.items(), strict=True):
        plots.phase_bar(column, label=units or "probability", threshold=getattr(Thresholds(), which), location="bottom")
    return Drawing(
        figure=figure,
        alt=_alt(maps, onset, falls, int(data["adam"].sizes["seed"])),
        data=plots.phase_table(drawn),
        numbers={
            "smallest β at which SGD leaps": (min(leap, 99.0), 0.4),
            "share of β whose chosen response falls by step 500, Adam": (float(before["adam"].mean()), 0.06),
            "share of β whose chosen response falls, Adam": (len(falls["adam"]) / len(betas), 0.06),
            "share of β whose chosen response falls, SGD": (len(falls["sgd"]) / len(betas), 0.08),
            "share of β whose chosen response falls, table": (len(falls["table"]) / len(betas), 0.01),
            "fall at step 500, β = 0.1, Adam": (_at(maps["adam"]["degradation"], 0.1, PAPER), 0.1),
            "fall at the end, β = 0.1, Adam": (_at(maps["adam"]["degradation"], 0.1), 0.1),
            "fall at the end, β = 0.01, SGD": (_at(maps["sgd"]["degradation"], 0.01), 0.15),
        },
    )


def _maps(ds: xr.Dataset) -> dict[str, plots.Phases]:
    """Summarise each property's number, 0 where its conditions do not hold, at log-spaced steps."""
    curves = properties.by_step(ds, threshold=Thresholds().drop)
    holds = ~(curves["loss_change"] > 0) & ~(curves["above_start"] <= 0)
    value = curves["value"].where(holds, 0)
    steps = np.geomspace(ds["step"].values[1], ds["step"].values[-1], TIMES)
    found = {}
    for name in PROPERTIES:
        # Linearly between recorded states.
        read = value.sel(property=name, drop=True).interp(step=steps, assume_sorted=True)
        found[name] = plots.map_over_seeds(read.squeeze(drop=True), x="step", y="beta")
    return found


def _onset(fall: plots.Phases) -> np.ndarray:
    """Find the step at which the median fall reaches its threshold, for each β; inf where it never does."""
    reached = fall.median > Thresholds().degradation
    return np.where(reached.any(1), fall.x[np.argmax(reached, 1)], np.inf)


def _leaps(drop: plots.Phases) -> float:
    """Find the smallest β that has dropped at the first recorded state already: its steps are too long; inf if none."""
    leaps = drop.y[drop.median[:, 0] > Thresholds().drop]
    return float(leaps.min()) if len(leaps) else np.inf


def _at(fall: plots.Phases, beta: float, step: float = np.inf) -> float:
    row = int(np.argmin(np.abs(np.log(fall.y / beta))))
    return float(fall.median[row, int(np.argmin(np.abs(fall.x - min(step, fall.x[-1]))))])


def _message(betas: np.ndarray, onset: np.ndarray, slow: np.ndarray) -> str:
    usual = onset[int(np.argmin(np.abs(np.log(betas / 0.1))))]
    return (
        f"No artefact of 500 steps: under Adam the chosen response falls from step {usual:.0f} on at β = 0.1, and "
        f"before step 500 up to β = {betas[onset < PAPER].max():.2g}; under SGD it takes β below {slow.max():.2g}; "
        "in a table it never falls"
    )


def _alt(
    maps: Mapping[str, Mapping[str, plots.Phases]],
    onset: Mapping[str, np.ndarray],
    falls: Mapping[str, np.ndarray],
    seeds: int,
) -> str:
    adam = maps["adam"]["degradation"]
    least = ", ".join(
        f"{onset['adam'][int(np.argmin(np.abs(np.log(adam.y / beta))))]:.0f} for beta {beta:g}"
        for beta in (0.01, 0.1, 1)
    )
    slow = f"beta up to {falls['sgd'].max():.2g}" if len(falls["sgd"]) else "no beta"
    return (
        f"Nine maps of the three properties over steps 10 to {adam.x[-1]:.0f} and beta 0.01 to 10, medians of {seeds} "
        f"seeds. Under Adam the chosen response begins to fall at step {least}; at beta 0.1 it has lost "
        f"{_at(adam, 0.1, PAPER):.2f} by step 500 and {_at(adam, 0.1):.2f} at the end. It falls for beta up to "
        f"{falls['adam'].max() if len(falls['adam']) else 0:.2g} under Adam, for {slow} under SGD, and in a table for "
        f"{len(falls['table'])} of {len(adam.y)} betas. Log pi of the rejected one drops in all three."
    )


FIGURE = Figure(
    title=PLAIN,
    paper="3D-Properties, its toy of 500 epochs",
    lines={
        "table": f"tabular s1 dpo beta={BETAS} sgd lr=0.5 steps=2000 seeds=8 every=10 keep=none",
        "sgd": f"mlp s1 dpo beta={BETAS} sgd lr=0.5 steps=2000 seeds=8 every=10 keep=none dtype=float32",
        "adam": f"mlp s1 dpo beta={BETAS} adam lr=1e-3 steps=2000 seeds=8 every=10 keep=none dtype=float32",
    },
    draw=draw,
)
