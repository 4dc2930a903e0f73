"""IPO and SLiC with their target farther and farther away: the chosen response falls again, as under DPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = "IPO and SLiC keep the chosen response up only while their target is near; a small β brings the fall back"
PLAIN = "How far the chosen response falls from its peak, against how far training drives the margin"
TICKS = (5, 10, 20, 50, 100, 200)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen response of IPO for each beta, and every objective's fall against its final margin."""
    tables = {name: properties.verdicts(ds).sel(property="degradation") for name, ds in data.items()}
    verdict = {name: table["verdict"].sortby("beta").values for name, table in tables.items()}
    back = all(verdict[name][0] == "present" and verdict[name][-1] == "absent" for name in ("ipo", "slic"))
    figure, (row,) = page.grid(
        1, 2, aspect=0.46, title=MESSAGE if back else PLAIN,
        note="median and 95 % bootstrap interval; the small number at a point is its β",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}

    ipo, role = data["ipo"], replace(plots.role("ipo"), line="solid")
    chosen = metrics.over_pairs(metrics.chosen_prob(ipo), ipo)
    for beta in np.sort(ipo["beta"].values)[::2]:
        summary = plots.over_seeds(chosen.sel(beta=beta))
        shown["IPO, chosen probability", f"beta {beta:g}"] = summary
        plots.curve(summary, row[0], role=role, label=f"β = {beta:g}", seeds=False)
    falls = {name: _fall(ds, tables[name]) for name, ds in data.items()}
    for name, (summary, betas) in falls.items():
        shown["fall over margin", plots.role(name).label] = summary
        _points(summary, betas, row[1], plots.role(name))

    deepest = _deepest(falls)
    far, near = (falls["ipo"][0].median[place] for place in (-1, 0))
    plots.panel(
        row[0], "IPO: probability of the chosen response",
        about=f"ends {near:.3f} below its peak for β = {falls['ipo'][1][0]:g},\n"
        f"{far:.2f} for β = {falls['ipo'][1][-1]:g}",
    )  # fmt: skip
    plots.panel(
        row[1], "Fall from the peak, after 500 steps",
        about="against the margin it reached" + (";\nat equal margin DPO's is the deepest" if deepest else ""),
    )  # fmt: skip
    row[0].set_ylabel("")
    row[1].set_ylabel("")
    row[1].set_xscale("log")
    row[1].set_xlim(0.7 * TICKS[0], 1.4 * TICKS[-1])
    row[1].set_xticks(TICKS, [str(tick) for tick in TICKS])
    row[1].minorticks_off()
    row[1].set_xlabel("log-ratio margin at the end (nats)")
    row[1].axhline(0, color="#555555", linewidth=0.6, zorder=1)
    listed = "; ".join(
        f"{plots.role(name).label}: "
        + ", ".join(
            f"{fall:.3f} at {margin:.0f} nats (beta {beta:g})"
            for beta, margin, fall in zip(betas, summary.x, summary.median, strict=True)
        )
        for name, (summary, betas) in falls.items()
    )
    table = plots.table(shown)
    # The falls come summarised: their number of seeds is not in the summary.
    table.loc[table["panel"] == "fall over margin", "n"] = ipo.sizes["seed"]
    return Drawing(
        figure=figure,
        alt=(
            f"Two panels, MLP, {ipo.step.values[-1]} steps, medians of {ipo.sizes['seed']} seeds. How far the chosen "
            f"response ends below its peak, against the final log-ratio margin. {listed}."
        ),
        data=table,
        numbers={
            f"{plots.role(name).label}: fall at beta {beta:g}": (fall, 0.03 + 0.15 * fall)
            for name, (summary, betas) in falls.items()
            for beta, fall in zip(betas, summary.median, strict=True)
        },
    )


def _fall(ds: xr.Dataset, table: xr.Dataset) -> tuple[plots.Summary, np.ndarray]:
    """Take the fall from its verdicts, over the median margin at the end; return it with its betas, nearest first."""
    margin = metrics.over_pairs(metrics.log_ratio_margin(ds.isel(step=[-1])), ds).isel(step=0).median("seed")
    order = np.argsort(margin.values)
    value, low, high = (table[name].values[order] for name in ("value", "low", "high"))
    none = np.empty((0, len(order)))
    summary = plots.Summary(
        margin.values[order], value, low, high, none, none[:, 0], "log-ratio margin at the end", "fall", "1"
    )
    return summary, ds["beta"].values[order]


def _points(summary: plots.Summary, betas: np.ndarray, ax: Axes, role: plots.Role) -> None:
    """Draw the fall with an interval and its beta at every point."""
    from matplotlib.patheffects import withStroke

    plots.curve(summary, ax, role=role, label="", markers=True)
    ax.vlines(summary.x, summary.low, summary.high, colors=role.color, linewidth=0.9, zorder=2)
    # SLiC's words stand below its points, the others' above theirs: the lines of IPO and SLiC run close together.
    below = role == plots.role("slic")
    for x, y, beta in zip(summary.x, summary.median, betas, strict=True):
        last = x == summary.x[-1]
        ax.annotate(
            f"{role.label}\n{beta:g}" if last else f"{beta:g}", (x, y),
            xytext=(6, -1) if below else (-6, 1), textcoords="offset points",
            ha="left" if below else "right", va="top" if below else "bottom",
            fontsize="small" if last else "x-small", color=role.color, zorder=5,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip


def _deepest(falls: Mapping[str, tuple[plots.Summary, np.ndarray]]) -> bool:
    """Whether every fall of IPO and SLiC lies below DPO's at the same margin, where DPO's can be read off."""
    dpo = falls["dpo"][0]
    for name in ("ipo", "slic"):
        mine = falls[name][0]
        inside = (mine.x >= dpo.x[0]) & (mine.x <= dpo.x[-1])
        if (mine.median[inside] >= np.interp(np.log(mine.x[inside]), np.log(dpo.x), dpo.median)).any():
            return False
    return True


FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines={
        "ipo": "mlp s1 ipo beta=0.005,0.01,0.02,0.05,0.1 adam lr=1e-3 steps=500 seeds=24",
        "slic": "mlp s1 slic beta=0.005,0.01,0.02,0.05,0.1 adam lr=1e-3 steps=500 seeds=24",
        "dpo": "mlp s1 dpo beta=0.05,0.1,0.2,0.5,1 adam lr=1e-3 steps=500 seeds=24",
    },
    draw=draw,
)
