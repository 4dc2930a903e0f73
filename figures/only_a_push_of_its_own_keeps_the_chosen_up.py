"""Which remedy keeps the chosen response, on three grounds and in four scenarios, and what it costs: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.layouts.remedies import (
    DPO,
    ELSEWHERE,
    GROUNDS,
    MAIN,
    PATIENCE,
    REMEDIES,
    STOP,
    main_cell,
    read,
    stop_step,
)
from figures.machinery import Drawing, Figure, Page
from lab import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = (
    "A likely chosen response is kept by whatever ends the push early; "
    "an unlikely one needs a push of its own, such as an SFT term"
)
INTERVAL = 5.9  # points: the ends of "1.00 to 1.00" inside a cell
PLAIN = "Remedies for the fall of the chosen response, on three grounds"
SCENARIOS = ("s1", "s2", "s3", "s4")
COLUMNS = tuple((GROUNDS[0], name) for name in SCENARIOS) + tuple(
    (ground, name) for ground in GROUNDS[1:] for name in SCENARIOS[:2]
)
WIDTHS = (len(SCENARIOS), 2, 2)
# What it costs and what it is for, in these columns.
COSTS = {"margin": COLUMNS[:2], "reward": COLUMNS[1:2]}
# A surplus of push on the chosen response, over the whole run, counts from here on.
SURPLUS = 1.1
# A remedy is safe if no setting ends below the first, and fails where one ends below the second.
SAFE, FAILS = 0.75, 0.5
# What ends the push early, without a surplus.
EARLY = (STOP, "larger β, 1", "IPO, β = 0.1", "label smoothing 0.1")
WEIGHT = "SFT term, 0.01"
Readings = Mapping[str, Mapping[tuple[str, str], Mapping[str, xr.DataArray]]]


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen probability at the end of every remedy, the best on top, with its margin and its true reward."""
    readings = _readings(data)
    final = {name: _row(cells, "chosen", COLUMNS) for name, cells in readings.items()}
    worst = {name: float(np.min(each.median)) for name, each in final.items()}
    order = sorted(final, key=lambda name: -worst[name])
    pushes = {name: _pushes(cells) for name, cells in readings.items()}
    own = {name for name, ratio in pushes.items() if ratio > SURPLUS}
    costs = {word: {name: _row(readings[name], word, seen) for name in order} for word, seen in COSTS.items()}

    figure, axes = page.mosaic(
        "ABC", aspect=0.98, width_ratios=[8, 2, 1], title=MESSAGE if _established(final, worst, own) else PLAIN,
        note="cells: median of 24 seeds, 95 % bootstrap interval below; rows sorted by their lowest cell; "
        "s1 both responses on-policy (start likely), s2 chosen off-policy, s3 rejected off-policy, s4 both off-policy",
    )  # fmt: skip
    marked = {f"{name}   ×{_ratio(pushes[name])}": final[name] for name in order}
    plots.cell_map(marked, axes["A"], columns=[name for _, name in COLUMNS])
    _grounds(axes["A"], GROUNDS, WIDTHS)
    plots.panel(
        axes["A"], "Probability of the chosen response at the end",
        about="at each name: the push on the chosen response over that on the rejected one,\n"
        "both summed over the run; ×1 is balanced, as under DPO",
    )  # fmt: skip
    for letter, (word, title, about, limits, cmap) in zip(
        "BC",
        (
            ("margin", "Margin", "log-ratio, nats\n ", (0.0, 100.0), "Greys"),
            ("reward", "Reward", "true, unseen\nin training", (-0.2, 0.8), "Greens"),
        ),
        strict=True,
    ):
        plots.cell_map(
            {str(place): costs[word][name] for place, name in enumerate(order)}, axes[letter],
            columns=[name for _, name in COSTS[word]], limits=limits, digits=0 if word == "margin" else 2, cmap=cmap,
        )  # fmt: skip
        axes[letter].set_yticks([])
        _grounds(axes[letter], GROUNDS[:1], (len(COSTS[word]),))
        plots.panel(axes[letter], title, about=about)
    for ax in axes.values():
        for text in ax.texts:
            if " to " in text.get_text():
                text.set_fontsize(INTERVAL)

    best, first = order[0], final[DPO]
    shown = {("chosen at the end", name): final[name] for name in order}
    shown |= {(word, name): costs[word][name] for word in costs for name in order}
    return Drawing(
        figure=figure,
        alt=(
            f"A table of {len(order)} remedies by {len(COLUMNS)} settings, {first.count} seeds: the probability of the "
            f"chosen response at the end. DPO: {_listed(first)}. Lowest cell of each remedy, best first: "
            + ", ".join(f"{name} {worst[name]:.2f}" for name in order)
            + f". {WEIGHT} ends with a margin of {costs['margin'][WEIGHT].median[0]:.0f} nats in s1, DPO with "
            f"{costs['margin'][DPO].median[0]:.0f}; the true reward in s2 is {costs['reward'][best].median[0]:.2f} "
            f"for {best} and {costs['reward'][DPO].median[0]:.2f} for DPO. Training stops early when log π⁺ has not "
            f"risen for {PATIENCE} of 50 records."
        ).replace("-", "−"),
        data=plots.table(shown),
        numbers={
            **{f"lowest cell, {name}": (value, 0.08) for name, value in worst.items()},
            **{f"margin in s1, {name}": (float(row.median[0]), 1 + 0.1 * float(row.median[0]))
               for name, row in costs["margin"].items()},
        },
    )  # fmt: skip


def _readings(data: Mapping[str, xr.Dataset]) -> Readings:
    """What every remedy is judged by in every column; stopping early is read off DPO's own runs."""
    found: dict[str, dict[tuple[str, str], dict[str, xr.DataArray]]] = {}
    for remedy in REMEDIES:
        cells = {GROUNDS[0]: main_cell(data, remedy)}
        cells |= {ground: data[f"{remedy.label}, {ground}"] for ground in GROUNDS[1:]}
        names = (remedy.label, STOP) if remedy.label == DPO else (remedy.label,)
        for name in names:
            read_off = {ground: read(ds, stop=stop_step(ds) if name == STOP else None) for ground, ds in cells.items()}
            found[name] = {
                (ground, scenario): {
                    word: each.sel(scenario=scenario, drop=True) for word, each in read_off[ground].items()
                }
                for ground, scenario in COLUMNS
            }
    return found


def _row(
    cells: Mapping[tuple[str, str], Mapping[str, xr.DataArray]], word: str, columns: tuple[tuple[str, str], ...]
) -> plots.Summary:
    """One quantity of a remedy in several columns."""
    parts = [cells[column][word] for column in columns]
    names = [f"{scenario}, {ground}" for ground, scenario in columns]
    return plots.over_seeds(xr.concat(parts, "column", coords="minimal").assign_coords(column=names), x="column")


def _pushes(cells: Mapping[tuple[str, str], Mapping[str, xr.DataArray]]) -> float:
    """The median ratio of the two pushes on the main ground, over scenarios and seeds."""
    return float(np.median([cells[column]["pushes"].values for column in COLUMNS[: len(SCENARIOS)]]))


def _established(final: Mapping[str, plots.Summary], worst: Mapping[str, float], own: set[str]) -> bool:
    """Whether all safe remedies have a surplus, the SFT term is safe, and the early ones help in s1 and fail in s2."""
    s1, s2 = (np.array([name == scenario for _, name in COLUMNS]) for scenario in SCENARIOS[:2])
    safe = {name for name, value in worst.items() if value > SAFE}
    main = np.array([ground == GROUNDS[0] for ground, _ in COLUMNS])
    likely = all(bool((final[name].low > final[DPO].high)[s1 & main].all()) for name in EARLY)
    unlikely = all(bool((final[name].high < FAILS)[s2].all()) for name in EARLY)
    return bool(WEIGHT in safe and safe <= own and likely and unlikely)


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _grounds(ax: Axes, grounds: tuple[str, ...], widths: tuple[int, ...]) -> None:
    """Name the grounds under their columns, and part them."""
    ends = np.cumsum(widths)
    for ground, end, width in zip(grounds, ends, widths, strict=True):
        ax.text(
            end - 0.5 - width / 2, -0.034, ground.replace(", ", ",\n"), transform=ax.get_xaxis_transform(), ha="center",
            va="top", fontsize="small", linespacing=1.1,
        )  # fmt: skip
        if end < ends[-1]:
            ax.axvline(end - 0.5, color="white", linewidth=4)
    ax.set_xlabel("\n\n")


def _listed(summary: plots.Summary) -> str:
    return ", ".join(f"{value:.2f} in {column}" for column, value in zip(summary.x, summary.median, strict=True))


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, section on Flex-DPO and the SFT loss: beside other remedies",
    lines={**MAIN, **ELSEWHERE},
    draw=draw,
)
