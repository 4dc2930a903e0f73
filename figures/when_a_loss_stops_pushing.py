"""Both pushes of every objective against the log-ratio margin, by family: the formula, and what a training applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_letters
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import lab
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

PLAIN = "How hard each loss pushes the chosen response up and the rejected one down, against the log-ratio margin"
OBJECTIVES = (
    "dpo,flex,robust,discopop,dpo_avg,dpop,dposhift,wpo,aot,aot_unpaired,ipo,slic,cdpo,exo,ipo_avg,chipo,nca,bco,sppo,"
    "apo_zero,caldpo,kto,apo_unpaired,sft,sft_token,unlikelihood,cpo,slichf,ipo_free,simpo,alphapo,orpo,tpo,tpo_l,"
    "reward,apo_down"
)
TITLES = {
    "never stops": "never stops: at any margin some push towards a larger one is left",
    "stops at a target": "stops at a target: both pushes end or turn round",
    "anchored": "anchored: each response against its own reference; the chosen push outlives the rejected response",
    "reference-free": "reference-free: the reference does not enter",
    "pushes both down": "pushes both down",
}
COLUMNS = 7
LOW, HIGH = -4.0, 12.0  # log-ratio margins that are drawn, nats
TALL = (-1.15, 2.1)  # pushes that are drawn, in units of the larger one at the start
MARKS = 9
AGREES = 1e-9  # relative


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a panel for each objective, its formula as lines and the realised pushes as marks."""
    from lab.experiments.pushes import written_pushes

    ds = data["all"]
    settings = ds.attrs["experiment"]
    beta = settings.split("beta=")[1].split()[0]
    limits = {sheet.word: sheet.limits for sheet in lab.sheets(f"{' '.join(ds.objective.values)} beta={beta}")}
    families = {name: [word for word in limits if limits[word].family == name] for name in TITLES}
    realised, written = ds["response_weight"], written_pushes(ds)
    scale = np.abs(realised.isel(step=0, drop=True)).max(["term", "pair"])
    error = float((np.abs(written - realised) / np.maximum(np.abs(realised), 1e-3 * scale)).max())

    rows = _rows(families)
    sizes = {name: len(words) for name, words in families.items()}
    message = (
        f"Of {len(limits)} losses {sizes['never stops']} never stop pushing, {sizes['stops at a target']} stop at a "
        f"target, {sizes['anchored']} hold each response to its reference; training does as the formulas say"
    )
    places, layout, heights = _layout(rows)
    figure, axes = page.mosaic(
        layout, aspect=0.15 * sum(heights), height_ratios=heights, title=message if error < AGREES else PLAIN,
        note="lines: the formula; marks: what training applied, every seed; in units of the larger push at the start",
    )  # fmt: skip
    parts = []
    for name, words in families.items():
        if not words:
            continue
        head = axes[places[f"{name}, title"]]
        head.axis("off")
        right = len(words) == 1  # one panel is narrower than its title
        head.text(float(right), -0.6, TITLES[name], transform=head.transAxes, va="bottom", in_layout=False,
                  ha="right" if right else "left", fontweight="bold", color="#333333")  # fmt: skip
        for word in words:
            parts.append(_panel(word, ds.sel(objective=word), axes[places[word]], scale.sel(objective=word)))
    _label([[axes[places[word]] for _, words in row for word in words] for row in rows])
    if "key" in places:
        _key(axes[places["key"]])
    stopped = families["stops at a target"]
    dead = ", ".join(f"{word} at {limits[word].target('chosen').margin:.3g}" for word in stopped)
    back = [word for word, found in limits.items() if found.start[0] > 0]
    return Drawing(
        figure=figure,
        alt=(
            f"A small panel for each of {len(limits)} losses: the push that raises the chosen response and the one "
            f"that lowers the rejected one against the log-ratio margin, from {LOW:g} to {HIGH:g} nats, as formula and "
            f"as realised in training, beta {beta}. "
            + "; ".join(f"{name}: {', '.join(words)}" for name, words in families.items())
            + f". Targets along u = -v: {dead}. Pushing the chosen response down at the start: "
            f"{', '.join(back) or 'none'}. Formula and training differ by at most {error:.0e} of the push."
        ),
        data=pd.concat(parts, ignore_index=True),
        numbers={
            **{f"losses, {name}": (len(words), 0.5) for name, words in families.items()},
            **{f"{word}: target": (limits[word].target("chosen").margin, 1e-4) for word in stopped},
            "largest relative difference of formula and training": (error, AGREES),
        },
    )


def _rows(families: Mapping[str, Sequence[str]]) -> list[list[tuple[str, Sequence[str]]]]:
    """Break families into rows of panels; a family that fits beside the one row of another stands there."""
    rows: list[list[tuple[str, Sequence[str]]]] = []
    for name, words in families.items():
        if not words:
            continue
        beside = next(
            (row for row in rows if len(row) == 1 and len(row[0][1]) == len(families[row[0][0]])
             and len(row[0][1]) + len(words) <= COLUMNS), None,
        )  # fmt: skip
        if beside is not None:
            beside.append((name, words))
            continue
        rows += [[(name, words[first : first + COLUMNS])] for first in range(0, len(words), COLUMNS)]
    return rows


def _layout(rows: Sequence[Sequence[tuple[str, Sequence[str]]]]) -> tuple[dict[str, str], str, list[float]]:
    """Give each panel, each family's title and the key a letter; return them, the mosaic, and its rows' heights."""
    letters = iter(ascii_letters)
    places: dict[str, str] = {}
    lines, heights = [], []
    for row in rows:
        new = [name for name, _ in row if f"{name}, title" not in places]
        places |= {f"{name}, title": next(letters) for name in new}
        places |= {word: next(letters) for _, words in row for word in words}
        body = "".join(places[word] for _, words in row for word in words)
        if new:
            lines.append("".join(places[f"{name}, title"] * len(words) for name, words in row).ljust(COLUMNS, "."))
            heights.append(0.13)
        if "key" not in places and COLUMNS - len(body) > 2:
            places["key"] = next(letters)
            body = body.ljust(COLUMNS, places["key"])
        lines.append(body.ljust(COLUMNS, "."))
        heights.append(1.0)
    return places, ";".join(lines), heights


def _panel(word: str, ds: xr.Dataset, ax: Axes, scale: xr.DataArray) -> pd.DataFrame:
    from lab.experiments.pushes import pushes_at

    ratios = [metric(ds).transpose("seed", "pair", "step") for metric in
              (metrics.chosen_log_ratio, metrics.rejected_log_ratio)]  # fmt: skip
    u, v = (ratio.median(["seed", "pair"]).values for ratio in ratios)
    margin = np.linspace(LOW, HIGH, 161)
    path = _chosen_along(u, u - v, margin)
    experiment = lab.Experiment.parse(ds.attrs["experiment"])
    cell = next(cell for cell, at in experiment.cells() if at["objective"] == word)
    lines = pushes_at(cell, path, path - margin)
    every = (ratios[0] - ratios[1]).values
    steps = _spread(u - v)
    parts = []
    for term, line, sign in zip(("chosen", "rejected"), lines, (-1, 1), strict=True):
        role = plots.role(term)
        drawn = sign * line / float(scale[0])  # the line is that of the first seed
        ax.plot(margin, drawn, color=role.color, linestyle=role.line, linewidth=1.2, zorder=3)
        marks = (sign * ds["response_weight"].sel(term=term) / scale).transpose("seed", "pair", "step").values
        x, y = every[..., steps].ravel(), marks[..., steps].ravel()
        _mark(ax, x, y, term)
        parts.append(pd.DataFrame({"panel": word, "series": f"{term}, formula", "x": margin, "y": drawn}))
        parts.append(pd.DataFrame({"panel": word, "series": f"{term}, training", "x": x, "y": y}))
    ax.axhline(0, color="#555555", linewidth=0.5, zorder=1)
    ax.axvline(0, color="#BBBBBB", linewidth=0.5, zorder=1)
    ax.set(xlim=(LOW, HIGH), ylim=TALL, xticks=(0, 5, 10), yticks=(-1, 0, 1, 2))
    ax.set_title(word, fontsize="small", pad=2.5)
    ax.tick_params(labelsize="x-small", length=2, pad=1.5)
    return pd.concat(parts, ignore_index=True)


def _chosen_along(u: np.ndarray, margin: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Read the chosen log-ratio off a training's way at some margins.

    Where the training did not come, u stays at its last value on that side and v alone moves; on the side that it never
    visited, u = -v below 0 and v alone above.
    """
    far = margin == np.maximum.accumulate(margin)
    if margin[-1] < 0:
        far = margin == np.minimum.accumulate(margin)
    order = np.argsort(margin[far])
    along = np.interp(wanted, margin[far][order], u[far][order])
    return np.where(wanted * margin[-1] >= 0, along, np.minimum(wanted / 2, 0))


def _spread(margin: np.ndarray) -> np.ndarray:
    """Choose steps whose margins are evenly apart in what is drawn."""
    wanted = np.linspace(margin[0], np.clip(margin[-1], LOW, HIGH), MARKS)
    return np.unique([np.argmin(np.abs(margin - each)) for each in wanted])


def _label(panels: Sequence[Sequence[Axes]]) -> None:
    """Name the axes of the first column."""
    for row in panels:
        for ax in row[1:]:
            ax.set_yticklabels([])
    panels[-1][0].set_xlabel("log-ratio margin (nats)", fontsize="x-small", loc="left")
    panels[0][0].set_ylabel("push", fontsize="x-small")


def _key(ax: Axes) -> None:
    """Say what the lines are, where there is room for it."""
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    entries = (
        ("chosen", "push on the chosen response: above 0 it goes up"),
        ("rejected", "push on the rejected response: above 0 it goes down"),
    )
    for y, (name, text) in zip((0.85, 0.67), entries, strict=True):
        role = plots.role(name)
        ax.plot((0.06, 0.13), (y, y), color=role.color, linestyle=role.line, linewidth=1.2)
        _mark(ax, np.array([0.095]), np.array([y]), name)
        ax.text(0.155, y, text, color=role.color, va="center", fontsize="small")
    rest = (
        "Below 0 the loss takes the margin back.\n"
        "One line on the other: equal and opposite pushes.\n"
        "Beyond where the training came, log π⁻ alone falls on."
    )
    ax.text(0.06, 0.54, rest, va="top", fontsize="small", color="#555555", linespacing=1.3)


def _mark(ax: Axes, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """Draw realised pushes: a ring for the chosen response, which shows around the dot of the rejected one."""
    role, ring = plots.role(name), name == "chosen"
    ax.plot(
        x, y, linestyle="", marker=role.marker, markersize=4.6 if ring else 2.2, zorder=4,
        markerfacecolor="none" if ring else role.color, markeredgecolor=role.color, markeredgewidth=0.6,
    )  # fmt: skip


FIGURE = Figure(
    title=PLAIN,
    paper="",
    # A rate at which no run lands on a hinge: there rounding alone would decide between push and no push.
    lines={"all": f"tabular s4 {OBJECTIVES} beta=0.5 sgd lr=0.21 steps=2000 seeds=20 every=10 keep=none prompts=1"},
    draw=draw,
)
