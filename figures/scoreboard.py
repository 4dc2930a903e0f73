"""Every objective, two optimisers, four scenarios: which of the three properties each has at the end of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from figures.layouts.score_grid import Block, board
from figures.machinery import Drawing, Figure, Page
from lab.scoreboard.entries import ENTRIES, FAMILIES, Entry
from lab.scoreboard.measuring import END, scores
from lab.scoreboard.settings import PROGRESS, SCENARIOS, SETTINGS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

SHOWN = {"mlp adam": "Adam", "mlp sgd": "plain gradient descent"}
MAIN = "mlp adam"
PLAIN = "Which objectives have the three properties, in a network, at the end of training"
MESSAGE = (
    "In a network a push of its own keeps the chosen response: {kept} of {lifted} objectives that have one keep it, "
    "and {others} of the {rest} that have none"
)
FAR = str(PROGRESS[1])
BLOCKS = (
    Block("chosen lost,\nat the end", END, "degradation", "Blues", (0.01, 0.5), 2),
    Block(f"chosen lost,\n{FAR}", FAR, "degradation", "Blues", (0.01, 0.5), 2),
    Block("unseen gained,\nat the end", END, "dispersion", "Greys", (0.01, 0.5), 2),
    Block("drop, nats,\nat the end", END, "drop", "Oranges", (10, 100), 0),
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a board for each optimiser."""
    settings = [each for each in SETTINGS if each.name in SHOWN]
    records = {setting.line(entry): data[label(setting.name, entry)] for setting in settings for entry in ENTRIES}
    table = scores(records.__getitem__, settings=settings)
    ends = table[table["horizon"] == END]
    worst = ends.groupby(["setting", "entry"])["degradation"].max()
    loses = ends[ends["degradation_verdict"] == "present"].groupby("entry").size()
    keeps = {each.name: each.name not in loses for each in ENTRIES}
    count = {lifts: [keeps[each.name] for each in ENTRIES if each.lifts == lifts] for lifts in (True, False)}
    kept, others = sum(count[True]), sum(count[False])
    holds = kept / len(count[True]) > 0.9 > 0.5 > others / len(count[False])
    message = MESSAGE.format(kept=kept, lifted=len(count[True]), others=others, rest=len(count[False]))
    groups = {
        family: [
            (each.name, each.label)
            for each in sorted(ENTRIES, key=lambda each: worst[MAIN, each.name])
            if each.family == family
        ]
        for family in FAMILIES
    }
    figure, (row,) = page.grid(
        1, 2, aspect=1.1, title=message if holds else PLAIN,
        note="a number, the median of the seeds, stands where the property is present: its 95 % interval lies above "
        "0.01 (10 nats for the drop), and the loss still went down; ? where the interval straddles it; empty: absent; "
        f"– where fewer than half of the seeds get to that margin. {_slower()}"
        "Objectives by what their loss looks at, the least loss of chosen mass under Adam on top. SCOREBOARD.md has "
        "all numbers.",
    )  # fmt: skip
    for ax, setting in zip(row, settings, strict=True):
        mine = table[table["setting"] == setting.name]
        board(mine, ax, groups=groups, blocks=BLOCKS, columns=SCENARIOS, label_rows=setting.name == MAIN)
        ax.set_title(f"{SHOWN[setting.name]}, {setting.steps} steps")
    return Drawing(
        figure=figure,
        alt=_alt(ends, kept, others, count, settings[0].steps),
        data=_long(table),
        numbers=_numbers(ends, kept, others),
    )


def label(setting: str, entry: Entry) -> str:
    """Name the record of an objective in a setting."""
    return f"{entry.name}, {setting}"


def _slower() -> str:
    slow = [f"{each.label}, {each.slower:g} times smaller" for each in ENTRIES if each.slower > 1]
    return f"Plain gradient descent: first steps are equally large, but for {' and '.join(slow)}. " if slow else ""


def _alt(ends: pd.DataFrame, kept: int, others: int, count: Mapping[bool, list[bool]], steps: int) -> str:
    adam = ends[(ends["setting"] == MAIN) & (ends["scenario"] == "s1")].set_index("entry")
    deepest = ", ".join(
        f"{each.label} {adam['degradation'][each.name]:.2f}"
        for each in sorted(ENTRIES, key=lambda each: -adam["degradation"][each.name])[:6]
    )
    return (
        f"A board of {len(ENTRIES)} objectives by four scenarios, for an MLP under Adam and under plain gradient "
        f"descent: mass that the chosen response lost from its peak, unseen mass gained, and drop of the rejected "
        f"response. Of {len(count[True])} objectives with a push of its own for the chosen response {kept} show no "
        f"degradation anywhere, of the {len(count[False])} others {others}. Deepest falls in s1 under Adam after "
        f"{steps} steps: {deepest}."
    )


def _long(table: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for block in BLOCKS:
        rows = table[table["horizon"] == block.horizon]
        part = rows[["entry", "scenario", "n"]].rename(columns={"entry": "series", "scenario": "x"})
        part = part.assign(panel=rows["setting"] + ", " + block.title.replace("\n", " "), y=rows[block.name])
        for end in ("low", "high", "verdict"):
            part[end] = rows[f"{block.name}_{end}"]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)[["panel", "series", "x", "y", "low", "high", "verdict", "n"]]


def _numbers(ends: pd.DataFrame, kept: int, others: int) -> dict[str, tuple[float, float]]:
    found = {
        "objectives with a push of their own that keep the chosen response": (float(kept), 1.0),
        "others that do": (float(others), 2.0),
    }
    for setting in SHOWN:
        mine = ends[(ends["setting"] == setting) & (ends["scenario"] == "s1")].set_index("entry")
        for name in ("dpo", "flex", "ipo", "kto", "simpo", "dpo_sft"):
            fall = mine["degradation"][name]
            found[f"{setting}: fall of {name} in s1"] = (fall, 0.02 + 0.2 * fall)
    return found


FIGURE = Figure(
    title=PLAIN,
    paper="",
    lines={
        label(setting.name, entry): setting.line(entry)
        for setting in SETTINGS
        if setting.name in SHOWN
        for entry in ENTRIES
    },
    draw=draw,
)
