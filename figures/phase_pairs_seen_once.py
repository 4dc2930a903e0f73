"""Number of pairs against updates: whether the fall needs hundreds of epochs, or only updates that agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = (
    "No artefact of 500 epochs: with each pair seen once the chosen response falls under Adam, if prompts agree on "
    "what is chosen"
)
PLAIN = "How far the chosen response falls, over the number of pairs and of updates"
LIMIT = properties.Thresholds().degradation
# Recorded states that are averaged: 16 updates of one pair each.
AVERAGED = 4
# Every run of four prompts or more reaches this log-ratio margin, in nats.
MARGIN = 15.0
WORLD = "keep=none batch=1 spread=even"
FEW, MANY, OWN = (4, 8, 16, 32, 64), (4, 8, 16, 32, 64, 128, 256), (4, 8, 16, 32)
# Panel to its title, its optimiser, what it says of the world, and the numbers of pairs.
SETTINGS = {
    "kept adam": ("Adam, roles kept", "adam lr=1e-3 steps=512", "roles=kept", MANY),
    "kept sgd": ("SGD, roles kept", "sgd lr=0.1 steps=512", "roles=kept", MANY),
    "mixed adam": ("Adam, roles mixed", "adam lr=1e-3 steps=2048", "roles=mixed", FEW),
    "own adam": ("Adam, own responses", "adam lr=1e-3 steps=512", "roles=kept", OWN),
}


def _line(name: str, count: int) -> str:
    _, end, world, _ = SETTINGS[name]
    responses = 2 * count + 2 if name == "own adam" else 10
    return f"mlp s1 dpo beta=0.1 {end} seeds=20 every=4 {WORLD} prompts={count} responses={responses} {world}"


NOTE = (
    "fall: the chosen probability below its peak so far, both averaged over 16 updates; line: the fall is 0.01, median "
    "of 20 seeds, dotted where its 95 % interval leaves the side open"
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the fall over pairs and updates for each layout of the pairs, and say what it is at an equal margin."""
    falls = {name: _falls(data, name) for name in SETTINGS}
    maps = {name: plots.map_over_seeds(_thinned(fall), x="step", y="pairs") for name, fall in falls.items()}
    equal = {name: plots.over_seeds(_at_margin(data, name), x="pairs") for name in SETTINGS}
    once = plots.over_seeds(_seen_once(falls["kept adam"]), x="pairs")
    last = {name: each.median[:, -1] for name, each in maps.items()}
    # Where the layouts differ most: from 32 prompts on every response is chosen as often as it is rejected.
    kept, mixed = ((equal[name], equal[name].x >= 32) for name in ("kept adam", "mixed adam"))
    apart = kept[0].low[kept[1]][: mixed[1].sum()] > mixed[0].high[mixed[1]]
    holds = once.low[-1] > LIMIT and bool(apart.all())
    onset = _onset(falls["own adam"]) / maps["own adam"].y
    about = {
        "kept adam": f"five kinds of pair: prompts agree on ten responses;\n{MANY[-1]} pairs, each seen once: "
        f"a fall of {once.median[-1]:.2f}",
        "kept sgd": f"the same pairs; after 512 updates,\nfalls of {last['kept sgd'].min():.2f} to "
        f"{last['kept sgd'].max():.2f}",
        "mixed adam": f"ten responses, chosen here and rejected there; {FEW[-1]} pairs\nat {MARGIN:g} nats of margin: "
        f"{equal['mixed adam'].median[-1]:.3f} (roles kept: {equal['kept adam'].median[len(FEW) - 1]:.3f})",
        "own adam": f"two responses of its own for each pair;\n{OWN[-1]} pairs begin to fall after "
        f"{onset[-1]:.0f} epochs",
    }
    figure, axes = page.grid(2, 2, aspect=0.92, title=MESSAGE if holds else PLAIN, note=NOTE)
    for ax, (name, (title, _, _, counts)) in zip(axes.flat, SETTINGS.items(), strict=True):
        plots.phase_map(maps[name], ax, threshold=LIMIT, limits=(0.0, 0.4))
        _epochs(ax, counts, label=ax is axes[0, 0])
        ax.set_yticks(counts, [str(count) for count in counts])
        plots.panel(ax, title, about=about[name])
    bar = plots.phase_bar(list(axes.flat), label="fall of the chosen response", threshold=LIMIT)
    bar.set_ticks([0, 0.1, 0.2, 0.3, 0.4], labels=["0", "0.1", "0.2", "0.3", "0.4 or more"])

    return Drawing(
        figure=figure,
        alt=(
            f"Four maps of the fall of the chosen response over pairs and updates of one pair each. Adam with roles "
            f"kept: with {MANY[-1]} pairs, each seen once, it has fallen by {once.median[-1]:.3f} (95 % interval "
            f"{once.low[-1]:.3f} to {once.high[-1]:.3f}); after 512 updates by {last['kept adam'][0]:.2f} with 4 pairs "
            f"and {last['kept adam'][-1]:.2f} with {MANY[-1]}. SGD, roles kept: at most {last['kept sgd'].max():.3f}. "
            f"Adam with roles mixed, after 2048 updates: {last['mixed adam'][0]:.2f} with 4 pairs and "
            f"{last['mixed adam'][-1]:.3f} with {FEW[-1]}. At a margin of {MARGIN:g} nats the fall with {FEW[-1]} "
            f"pairs is {equal['kept adam'].median[len(FEW) - 1]:.3f} with roles kept and "
            f"{equal['mixed adam'].median[-1]:.3f} with roles mixed. With two responses of its own for each of "
            f"{OWN[-1]} pairs it begins after {onset[-1]:.0f} epochs and is {last['own adam'][-1]:.2f} after 512 "
            "updates."
        ),
        data=pd.concat(
            [
                plots.phase_table({("fall", SETTINGS[name][0]): each for name, each in maps.items()}),
                plots.table({("at equal margin", SETTINGS[name][0]): each for name, each in equal.items()}),
                plots.table({("each pair seen once", SETTINGS["kept adam"][0]): once}),
            ],
            ignore_index=True,
        ),
        numbers={
            f"fall with {MANY[-1]} pairs seen once, Adam, kept": (once.median[-1], 0.05),
            **{
                f"fall at the end, {word} pairs, {name}": (value, 0.06)
                for name, values in last.items()
                for word, value in (("least", values[0]), ("most", values[-1]))
            },
            **{
                f"fall at the margin, {count:g} pairs, {name}": (value, 0.04)
                for name, each in equal.items()
                for count, value in zip(each.x, each.median, strict=True)
            },
        },
    )


def _onset(fall: xr.DataArray) -> np.ndarray:
    """First recorded number of updates at which the median fall is past the limit: [pairs], inf for never."""
    return properties.crossing(fall.median("seed"), LIMIT).values


def _falls(data: Mapping[str, xr.Dataset], name: str) -> xr.DataArray:
    """Fall of the chosen response below its peak so far: [pairs, seed, step]."""
    counts = SETTINGS[name][3]
    curves = [_fall(data[f"{name}, {count} pairs"]) for count in counts]
    joined = xr.concat(curves, "pairs").assign_coords(pairs=list(counts))
    joined["step"].attrs["long_name"] = "updates of one pair each"
    return joined


def _fall(ds: xr.Dataset) -> xr.DataArray:
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    return metrics.below_peak(metrics.running_mean(chosen, AVERAGED))


def _at_margin(data: Mapping[str, xr.Dataset], name: str) -> xr.DataArray:
    """Fall at the moment when the margin reaches MARGIN: [pairs, seed]."""
    counts = SETTINGS[name][3]
    columns = []
    for count in counts:
        ds = data[f"{name}, {count} pairs"]
        margin = metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
        columns.append(metrics.when_reached(_fall(ds), margin, [MARGIN]).isel(level=0, drop=True))
    return xr.concat(columns, "pairs").assign_coords(pairs=list(counts))


def _seen_once(fall: xr.DataArray) -> xr.DataArray:
    """Fall after as many updates as there are pairs: [pairs, seed]."""
    columns = [fall.sel(pairs=count, step=count, drop=True) for count in fall["pairs"].values]
    return xr.concat(columns, "pairs").assign_coords(pairs=fall["pairs"].values)


def _thinned(fall: xr.DataArray) -> xr.DataArray:
    """Keep about four states an octave: on a log axis the others would be hairlines."""
    steps = fall["step"].values
    wanted = np.unique(4 * np.rint(2 ** np.arange(3, np.log2(steps[-1]) + 0.01, 0.25) / 4).astype(int))
    return fall.sel(step=wanted)


def _epochs(ax: Axes, counts: tuple[int, ...], *, label: bool) -> None:
    """Draw where each pair has been seen once, and ten times."""
    sizes = np.geomspace(counts[0] / 2, counts[-1] * 2, 60)
    plots.exact_curve(sizes, sizes, ax, label="each pair once" if label else "", at=0.3)
    plots.exact_curve(10 * sizes, sizes, ax, label="ten times" if label else "", at=0.2, line="dotted")


FIGURE = Figure(
    title=MESSAGE,
    paper="new: extends 3D-Properties, whose toy repeats the same pairs for about 500 epochs",
    lines={f"{name}, {count} pairs": _line(name, count) for name, (*_, counts) in SETTINGS.items() for count in counts},
    draw=draw,
)
