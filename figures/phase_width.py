"""Width against how far training has come: where the chosen response falls, for both activations and optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = (
    "At an equal margin width and activation decide the fall: ReLU layers fall, wide ones under Adam alone, tanh none"
)
PLAIN = "How far the chosen response falls, over the width of the layers and the margin reached"
LIMIT = properties.Thresholds().degradation
# Log-ratio margins in nats at which runs of every width and kind are compared.
MARGINS = np.geomspace(2, 60, 28)
WIDTHS = (8, 16, 32, 64, 128)
WIDE = 64
PANELS = {
    "relu adam": ("ReLU, Adam", "adam lr=1e-3 steps=600 every=5"),
    "relu sgd": ("ReLU, SGD", "sgd lr=0.5 steps=600 every=5"),
    "tanh adam": ("tanh, Adam", "adam lr=1e-2 steps=600 every=5"),
    "tanh sgd": ("tanh, SGD", "sgd lr=5 steps=600 every=5"),
}
NOTE = (
    "line: the fall is 0.01, median of 24 seeds, dotted where its 95 % interval leaves the side open; grey: less than "
    "all seeds reach the margin"
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the fall over width and margin, one panel for each activation and optimiser."""
    shown = {name: plots.map_over_seeds(_fall(ds), x="level", y="width") for name, ds in data.items()}
    last = {name: np.array([_last(row) for row in each.median]) for name, each in shown.items()}
    wide = np.array(WIDTHS) >= WIDE
    relu = bool((last["relu adam"] > LIMIT).all() and (last["relu sgd"][0] > LIMIT))
    holds = (
        relu
        and bool((last["relu sgd"][wide] < LIMIT).all())
        and all(bool((last[name] < LIMIT).all()) for name in ("tanh adam", "tanh sgd"))
    )
    figure, axes = page.grid(2, 2, aspect=0.74, sharex=True, sharey=True, title=MESSAGE if holds else PLAIN, note=NOTE)
    for ax, (name, (title, _)) in zip(axes.flat, PANELS.items(), strict=True):
        plots.phase_map(shown[name], ax, threshold=LIMIT, limits=(0.0, 0.4))
        fell = np.array(WIDTHS)[last[name] > LIMIT]
        about = f"it falls with {_listed(fell)} units" if fell.size else "no fall above 0.01 in the median"
        plots.panel(ax, title, about=about)
        ax.set_yticks(WIDTHS, [str(width) for width in WIDTHS])
        ax.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
        ax.set(xlabel="log-ratio margin (nats)", ylabel="width of the layers")
    bar = plots.phase_bar(list(axes.flat), label="fall of the chosen response", threshold=LIMIT)
    bar.set_ticks([0, 0.1, 0.2, 0.3, 0.4], labels=["0", "0.1", "0.2", "0.3", "0.4 or more"])
    plots.share_labels(axes)
    return Drawing(
        figure=figure,
        alt=(
            "Four maps of the fall of the chosen response over width and the log-ratio margin reached, 2 to "
            f"{MARGINS[-1]:g} nats. "
            + " ".join(
                f"{title}: " + ", ".join(f"{value:.2f}" for value in last[name]) + "."
                for name, (title, _) in PANELS.items()
            )
            + f" Each is the fall at the largest margin that all seeds reach, for widths {_listed(np.array(WIDTHS))}."
        ),
        data=plots.phase_table({("fall", title): shown[name] for name, (title, _) in PANELS.items()}),
        numbers={
            f"fall at the largest margin, {name}, {width} units": (value, 0.02 if "tanh" in name else 0.07)
            for name, values in last.items()
            for width, value in zip(WIDTHS, values, strict=True)
        },
    )


def _fall(ds: xr.Dataset) -> xr.DataArray:
    """Fall below the peak when the margin reaches each level: [width, seed, level]."""
    fall = metrics.below_peak(metrics.over_pairs(metrics.chosen_prob(ds), ds))
    margin = metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
    return metrics.when_reached(fall, margin, MARGINS)


def _last(row: np.ndarray) -> float:
    """Return the last number of a row that has one."""
    return float(row[np.flatnonzero(np.isfinite(row))[-1]])


def _listed(widths: np.ndarray) -> str:
    return ", ".join(str(width) for width in widths)


FIGURE = Figure(
    title=MESSAGE,
    paper="new: 3D-Properties names neither width nor activation",
    lines={
        name: f"mlp s1 dpo beta=0.1 {end} seeds=24 keep=none width={','.join(map(str, WIDTHS))} "
        f"activation={name.split()[0]}"
        for name, (_, end) in PANELS.items()
    },
    draw=draw,
)
