"""Which losses let the chosen response fall, in the order that the limits of their pushes foretell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

import lab
from figures.machinery import Drawing, Figure, Page
from lab import plots, properties

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = "The chosen response keeps its peak where its push outlives the rejected response, however far that one drops"
PLAIN = "The fall of the chosen response from its peak and the drop of the rejected one, for thirty losses"
LOSSES = (
    "dpo,slic,ipo,sft,cdpo,robust,exo,discopop,nca,bco,sppo,apo_zero,apo_down,caldpo,dpop,dposhift,chipo,wpo,"
    "aot_unpaired,kto,apo_unpaired,cpo,slichf,ipo_free,simpo,alphapo,orpo,tpo_l,reward,unlikelihood"
)
FELL = 0.01  # of probability: the least that counts as a fall
# What is said of each group. The rows keep the groups apart, so that no colour has to: those have fixed meanings.
GROUPS = {
    "survives": "as π⁻ → 0, the chosen one\nis still pushed up, the\nrejected one not down",
    "target": "both pushes stop\nat a target",
    "neither": "no target; both pushes\nvanish, or both stay, or\nthe chosen one is\npushed down",
}
INK = "#26323D"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a row for each loss: its fall in two policies, and the drop."""
    network, features = data["mlp"].sel(scenario="s1"), data["loglinear"]
    sheets = {sheet.word: sheet.limits for sheet in lab.sheets(" ".join(network["objective"].values))}
    fall = {name: _of(ds, "degradation") for name, ds in (("MLP", network), ("log-linear", features))}
    drop = _of(network, "drop")
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for word, limits in sheets.items():
        stops = limits.target("rejected") is not None
        groups["survives" if limits.chosen_outlives else "target" if stops else "neither"].append(word)
    depth = fall["MLP"].median("seed")
    ordered = {name: sorted(words, key=lambda word: float(depth.sel(objective=word))) for name, words in groups.items()}
    rows = [word for words in ordered.values() for word in words]

    medians = {name: each.median("seed") for name, each in fall.items()}
    held = all(float(each.sel(objective=ordered["survives"]).max()) < FELL for each in medians.values())
    falls = all(float(each.sel(objective=ordered["neither"]).min()) > FELL for each in medians.values())
    deep = float(drop.median("seed").sel(objective=ordered["survives"]).max())
    figure, (axes,) = page.grid(
        1, 3, aspect=0.78, title=MESSAGE if held and falls and deep > 10 else PLAIN, sharey=True,
        note="s1; median and 95 % bootstrap interval, every seed faint behind; settings at their defaults",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    panels = (
        ("fall, MLP", fall["MLP"], axes[0]),
        ("fall, log-linear", fall["log-linear"], axes[1]),
        ("drop, MLP", drop, axes[2]),
    )
    for name, values, ax in panels:
        for group, words in ordered.items():
            summary = plots.over_seeds(values.sel(objective=words), x="objective")
            shown[name, group] = summary
            _points(summary, [rows.index(word) for word in words], ax)
        edges = np.cumsum([len(words) for words in ordered.values()])[:-1]
        for edge in edges:
            ax.axhline(edge - 0.5, color="#999999", linewidth=0.6)
        ax.set_ylim(len(rows) - 0.4, -0.6)
    axes[0].set_yticks(range(len(rows)), rows, fontsize="small")
    for ax in axes:
        ax.tick_params(axis="y", length=0)
    _name(axes, ordered)
    table = plots.table(shown)
    return Drawing(
        figure=figure,
        alt=(
            f"Three panels with a row for each of {len(rows)} losses. Of the {len(ordered['survives'])} whose push on "
            f"the chosen response outlives the rejected one, none lets the chosen response fall from its peak by more "
            f"than {_most(medians['MLP'], ordered['survives']):.3f} (MLP) or "
            f"{_most(medians['log-linear'], ordered['survives']):.3f} (log-linear), although the rejected one drops by "
            f"up to {deep:.0f} nats. The {len(ordered['target'])} with a target lose up to "
            f"{_most(medians['MLP'], ordered['target']):.2f}, the other {len(ordered['neither'])} between "
            f"{float(medians['MLP'].sel(objective=ordered['neither']).min()):.2f} and "
            f"{_most(medians['MLP'], ordered['neither']):.2f} in the MLP."
        ),
        data=table,
        numbers={
            **{f"losses, {name}": (len(words), 0.5) for name, words in ordered.items()},
            **{
                f"largest median fall, {policy}, {name}": (_most(median, words), 0.02 if name == "survives" else 0.1)
                for policy, median in medians.items()
                for name, words in ordered.items()
            },
            "largest median drop where the push survives": (deep, 5.0),
        },
    )


def _of(ds: xr.Dataset, name: str) -> xr.DataArray:
    """One number a loss and seed: the fall of the chosen response from its peak, or the drop."""
    return properties.by_seed(ds)["value"].sel(property=name, drop=True).transpose("objective", "seed")


def _most(medians: xr.DataArray, words: Sequence[str]) -> float:
    return float(medians.sel(objective=words).max())


def _points(summary: plots.Summary, rows: Sequence[int], ax: Axes) -> None:
    """Draw every seed faint, the interval as a bar and the median as a point, a row for each loss."""
    for values in summary.seeds:
        ax.plot(values, rows, linestyle="", marker="o", markersize=2, color=INK, alpha=0.13, markeredgewidth=0)
    ax.hlines(rows, summary.low, summary.high, colors=INK, linewidth=1.4, zorder=3)
    ax.plot(summary.median, rows, linestyle="", marker="o", markersize=4, color=INK, zorder=4)


def _name(axes: Sequence[Axes], ordered: Mapping[str, Sequence[str]]) -> None:
    plots.panel(axes[0], "Fall of π⁺, MLP", about="probability lost from its peak")
    plots.panel(axes[1], "Fall of π⁺, log-linear", about="16 features")
    plots.panel(axes[2], "Drop of π⁻, MLP", about="beyond the rise of π⁺, nats")
    for ax in axes[:2]:
        ax.set_xlim(-0.03, 0.8)
        ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8])
        ax.axvline(0, color="#999999", linewidth=0.5, zorder=1)
    axes[2].set_xscale("symlog", linthresh=1, linscale=0.5)
    axes[2].set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    axes[2].minorticks_off()
    axes[2].set_xlim(-1, 2e4)
    axes[2].axvline(0, color="#999999", linewidth=0.5, zorder=1)
    first = 0
    for name, words in ordered.items():
        if words:
            axes[0].text(0.33, first + 0.1, GROUPS[name], color="#555555", fontsize="small", va="top", linespacing=1.25)
        first += len(words)


FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines={
        "mlp": f"mlp s1,s2 {LOSSES} beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=10 keep=none",
        "loglinear": f"loglinear s1 {LOSSES} beta=0.1 adam lr=0.05 steps=1000 seeds=24 every=10 keep=none",
    },
    draw=draw,
)
