"""How many objectives have each property: three policies, two optimisers, four horizons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import plots
from lab.plots.cell_maps import ink
from lab.properties import NOT_REACHED
from lab.scoreboard.entries import ENTRIES
from lab.scoreboard.measuring import END, scores
from lab.scoreboard.settings import PROGRESS, SETTINGS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

PLAIN = "How many objectives have each of the three properties, by policy, optimiser and horizon"
MESSAGE = "One horizon is not enough: dispersion comes early and recedes, degradation comes late"
HORIZONS = {str(PROGRESS[2]): "KL\n0.5", str(PROGRESS[0]): "margin\n4", str(PROGRESS[1]): "margin\n30", END: "the\nend"}
PANELS = {
    "degradation": ("Degradation", "Blues"),
    "dispersion": ("Dispersion", "Greys"),
    "drop": ("Drastic drop", "Oranges"),
}
NAMES = {"mlp": "MLP", "loglinear": "log-linear", "tabular": "table", "adam": "Adam", "sgd": "plain GD"}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a table of counts for each property."""
    labels = {setting.line(entry): f"{entry.name}, {setting.name}" for setting in SETTINGS for entry in ENTRIES}
    table = scores(lambda line: data[labels[line]])
    counts = {name: _counts(table, name) for name in PANELS}
    early, end = (
        {name: counts[name][counts[name]["x"] == horizon]["share"] for name in PANELS}
        for horizon in (str(PROGRESS[2]), END)
    )
    holds = (
        (early["dispersion"].to_numpy() > end["dispersion"].to_numpy()).all()
        and early["degradation"].max() < 0.1
        and (early["degradation"].to_numpy() < end["degradation"].to_numpy()).all()
    )
    figure, (row,) = page.grid(
        1, 3, aspect=0.42, title=MESSAGE if holds else PLAIN,
        note=f"of {len(ENTRIES)} objectives those with the property in at least one of the scenarios s1 to s4 (median "
        "of the seeds and its 95 % interval above the threshold, loss still going down), over those that reach the "
        "horizon in one of them; shade: their share",
    )  # fmt: skip
    for ax, (name, (title, cmap)) in zip(row, PANELS.items(), strict=True):
        _cells(counts[name], ax, cmap)
        plots.panel(ax, title)
    for ax in row[1:]:
        ax.set_yticklabels([])
    drawn = [rows.assign(panel=PANELS[name][0], y=rows["have"]) for name, rows in counts.items()]
    return Drawing(figure=figure, alt=_alt(counts), data=_joined(drawn), numbers=_numbers(counts))


def _counts(table: pd.DataFrame, name: str) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for setting in SETTINGS:
        for horizon in HORIZONS:
            mine = table[(table["setting"] == setting.name) & (table["horizon"] == horizon)]
            there = mine.loc[mine[f"{name}_verdict"] != NOT_REACHED, "entry"].nunique()
            have = mine.loc[mine[f"{name}_verdict"] == "present", "entry"].nunique()
            share = have / there if there else np.nan
            rows.append({"series": setting.name, "x": horizon, "have": have, "there": there, "share": share})
    return pd.DataFrame(rows)


def _cells(counts: pd.DataFrame, ax: Axes, cmap: str) -> None:
    names, horizons = [setting.name for setting in SETTINGS], list(HORIZONS)
    share = counts.pivot(index="series", columns="x", values="share").loc[names, horizons].to_numpy()
    image = ax.imshow(0.9 * np.nan_to_num(share), cmap=cmap, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    colors = image.to_rgba(0.9 * np.nan_to_num(share))
    for row, column in np.ndindex(*share.shape):
        cell = counts[(counts["series"] == names[row]) & (counts["x"] == horizons[column])].iloc[0]
        ax.text(
            column, row, f"{cell['have']}/{cell['there']}", ha="center", va="center", fontsize="small",
            color=ink(colors[row, column]),
        )  # fmt: skip
    ax.set_xticks(range(len(horizons)), list(HORIZONS.values()))
    ax.set_yticks(range(len(names)), [", ".join(NAMES[word] for word in name.split()) for name in names])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _alt(counts: Mapping[str, pd.DataFrame]) -> str:
    told = []
    for name, rows in counts.items():
        by = rows.set_index(["series", "x"])
        cells = "; ".join(
            f"{setting.name} "
            + ", ".join(
                f"{by.loc[(setting.name, horizon), 'have']} of {by.loc[(setting.name, horizon), 'there']} at {horizon}"
                for horizon in HORIZONS
            )
            for setting in SETTINGS
        )
        told.append(f"{PANELS[name][0]}: {cells}.")
    return f"Three tables of counts, {len(SETTINGS)} settings by {len(HORIZONS)} horizons. {' '.join(told)}"


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(parts, ignore_index=True)[["panel", "series", "x", "y", "there", "share"]]


def _numbers(counts: Mapping[str, pd.DataFrame]) -> dict[str, tuple[float, float]]:
    # A median near the threshold may fall on its other side on another machine.
    return {
        f"{name}, {row.series}, {row.x}": (float(row.have), 2.0)
        for name, rows in counts.items()
        for row in rows.itertuples()
    }


FIGURE = Figure(
    title=PLAIN,
    paper="",
    lines={f"{entry.name}, {setting.name}": setting.line(entry) for setting in SETTINGS for entry in ENTRIES},
    draw=draw,
)
