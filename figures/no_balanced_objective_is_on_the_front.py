"""What each remedy gives up for what it reaches: chosen mass at equal margin, and Pareto fronts over all doses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.layouts.remedies import DPO, MAIN, PATIENCE, STOP, over_steps, read, stop_step
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = (
    "At equal margin, what pushes the chosen response more than the rejected one loses less of it; "
    "no balanced objective is on the front"
)
PLAIN = "Chosen mass, margin and KL of every remedy, and which of them no other one beats"
SCENARIOS = {"s1": "both on-policy", "s2": "chosen off-policy"}
SURPLUS = 1.1
LEVELS = np.arange(2.0, 62.0, 2.0)
READ_AT = 40.0
SURE, NEVER = 0.95, 0.05
STOP_WORD = f"stop after {PATIENCE}"
# The families' words and marks; a family without a surplus of push is drawn in grey.
LABELS = {
    "dpo": ("DPO, β", "o"), "rate": ("DPO, rate", "s"), "smoothing": ("smoothing", "^"), "ipo": ("IPO, β", "D"),
    "dpop": ("DPOP", "v"), "simpo": ("SimPO", "P"), "flex": ("Flex, β⁻", "s"), "shift": ("Shift", "p"),
    "sft": ("SFT", "v"), "both": ("β⁻ 0.04 + SFT", "X"), "chipo": ("χPO, β", "^"), "kto": ("KTO, β", "o"),
    "orpo": ("ORPO", "D"),
}  # fmt: skip
COLORS = {
    "flex": "#7A0000", "shift": "#7A0000", "sft": "#140027", "both": "#AA3377", "chipo": "#C8781E", "kto": "#2700EB",
    "orpo": "#2F9E9A",
}  # fmt: skip
BALANCED = "#8A8A8A"
CURVES = {
    "SFT 0.01": ("sft", 0.01, plots.Role("SFT 0.01", COLORS["sft"], "solid")),
    "Flex, β⁻ 0.01": ("flex", 0.01, plots.Role("Flex, β⁻ 0.01", COLORS["flex"], "dashed")),
    "KTO, β 0.1": ("kto", 0.1, plots.Role("KTO", COLORS["kto"], "dashdot")),
    "IPO, β 0.005": ("ipo", 0.005, plots.Role("IPO, β 0.005", "#7A7A7A", "dotted")),
    DPO: ("dpo", 0.1, plots.Role(DPO, "#7A7A7A", "solid")),
}
TOLD = (DPO, "SFT 0.01", "Flex, β⁻ 0.01")
PLANES = {"margin": ("margin", "unseen"), "kl": ("kl", "chosen")}
SIGN = {"margin": -1.0, "unseen": 1.0}
# Where the doses of points stand that would cover others: offset in points and side.
BESIDE = {("sft", "0.1"): (0, -11, "center"), ("kto", "0.1"): (6, -4, "left"), ("flex", "0.01"): (0, -12, "center")}
# The one that is named on the plane of the KL.
NAMED = (("dpo", "0.1"),)
Points = Mapping[tuple[str, str], Mapping[str, xr.DataArray]]


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen mass over the margin, and two Pareto planes, in two scenarios."""
    points = _points(data)
    surplus = {name: float(each["pushes"].median()) > SURPLUS for name, each in points.items()}
    curves = {(name, word): each for name in SCENARIOS for word, each in _curves(data, name).items()}
    fronts = {name: _front(points, PLANES["margin"], name) for name in SCENARIOS}
    planes = {(plane, name): _plane(points, PLANES[plane], name) for plane in PLANES for name in SCENARIOS}
    at_margin = {key: float(np.interp(READ_AT, each.x, each.median)) for key, each in curves.items()}
    bounds: dict[str, plots.Summary] = {}
    figure, axes = page.grid(
        3, 2, aspect=1.2, title=MESSAGE if _established(fronts, surplus, at_margin) else PLAIN,
        note="MLP, Adam; a point is a remedy at one dose, a number its dose (of β⁻ 0.04 + SFT, the weight); median of "
        f"24 seeds, 95 % bootstrap interval; full: on the front in {100 * SURE:.0f} % of resamples of the seeds, "
        "hollow: in more than half",
    )  # fmt: skip
    for column, (name, meaning) in enumerate(SCENARIOS.items()):
        for word, (_, _, role) in CURVES.items():
            plots.curve(curves[name, word], axes[0, column], role=role, seeds=False)
        axes[0, column].set_ylim(0, 1.03)
        axes[0, column].set_ylabel("probability of chosen" if column == 0 else "")
        axes[0, column].set_xlabel("log-ratio margin (nats)")
        plots.panel(
            axes[0, column], f"{name}: {meaning}",
            about=f"at a margin of {READ_AT:g}: " + ", ".join(
                f"{word.replace(',', ' ').split()[0]} {at_margin[name, word]:.2f}" for word in TOLD
            ),
        )  # fmt: skip
        front = fronts[name]
        _draw_plane(planes["margin", name], surplus, axes[1, column], front)
        _draw_plane(planes["kl", name], surplus, axes[2, column], {})
        sure = sum(often >= SURE for often in front.values())
        plots.panel(axes[1, column], "All doses, at the end", about=f"{sure} of {len(front)} surely on the front, "
                    f"{_beaten(front, surplus)} of {len(surplus) - sum(surplus.values())} grey ones ever")  # fmt: skip
        axes[1, column].set_xscale("log")
        axes[1, column].set_yscale("log")
        axes[1, column].set_ylim(1e-4, 1.5)
        axes[1, column].set_xlim(3, 900)
        axes[1, column].set_xlabel("log-ratio margin at the end (nats)  →  better")
        start = float(metrics.over_pairs(metrics.chosen_prob(data["orpo"]), data["orpo"]).sel(scenario=name)[0, 0])
        mass = np.linspace(start, 1, 200)
        bounds[name] = plots.Summary(metrics.least_kl(mass, start), mass, mass, mass, np.empty((0, 200)), np.array([]))
        axes[2, column].plot(bounds[name].x, mass, color="#555555", linewidth=0.9, zorder=1)
        axes[2, column].set_xlabel("better  ←  KL from the reference (nats)")
        axes[2, column].set_xlim(0, 4.1)
        axes[2, column].set_ylim(0, 1.05)
        plots.panel(
            axes[2, column], "What it costs in KL",
            about="line: the least KL that gives chosen this probability",
        )  # fmt: skip
    axes[1, 0].set_ylabel("better  ←  unseen mass")
    axes[2, 0].set_ylabel("probability of chosen  →  better")
    axes[1, 1].legend(
        handles=_legend(), loc="lower left", fontsize="x-small", ncols=2, handletextpad=0.2, columnspacing=0.6,
        borderaxespad=0.2, handlelength=1.2,
    )  # fmt: skip
    sft, dpo = (at_margin["s2", word] for word in ("SFT 0.01", DPO))
    best = {name: [_word(key) for key, often in front.items() if often >= SURE] for name, front in fronts.items()}
    shown = {(f"chosen over margin, {name}", word): each for (name, word), each in curves.items()}
    shown |= {(f"kl, {name}", "least"): each for name, each in bounds.items()}
    shown |= {
        (f"{plane}, {name}", _word(key)): each for (plane, name), cells in planes.items() for key, each in cells.items()
    }
    return Drawing(
        figure=figure,
        alt=(
            f"Six panels, MLP under Adam, medians of {data['dpo'].sizes['seed']} seeds. At a log-ratio margin of "
            f"{READ_AT:g} nats the chosen response of s2 has {dpo:.2f} under DPO, {sft:.2f} with an SFT term of 0.01. "
            f"On the front of unseen mass against margin in at least {SURE:.0%} of resamples: "
            + "; ".join(f"{name}: {', '.join(best[name]) or 'none'}" for name in SCENARIOS)
            + "; the largest frequency of one without a surplus of push is "
            + ", ".join(f"{_largest(fronts[name], surplus):.2f} in {name}" for name in SCENARIOS)
            + "."
        ),
        data=plots.table(shown),
        numbers={
            **{f"chosen at margin {READ_AT:g}, {word}, {name}": (at_margin[name, word], 0.07)
               for name in SCENARIOS for word in CURVES if np.isfinite(at_margin[name, word])},
            **{f"largest front frequency of a balanced one, {name}": (_largest(fronts[name], surplus), 0.05)
               for name in SCENARIOS},
        },
    )  # fmt: skip


def _points(data: Mapping[str, xr.Dataset]) -> Points:
    """Every remedy at every dose, [scenario, seed] each; stopping early is read off DPO's own runs."""
    found = {}
    for family in LABELS:
        readings = read(data[family])
        axis = [dim for dim in readings["chosen"].dims if dim not in ("scenario", "seed")]
        if not axis:
            found[family, ""] = readings
            continue
        for dose in data[family][axis[0]].values:
            found[family, f"{dose:g}"] = {word: each.sel({axis[0]: dose}, drop=True) for word, each in readings.items()}
    dpo = data["dpo"].sel(beta=0.1, drop=True)
    found["dpo", STOP_WORD] = read(dpo, stop=stop_step(dpo))
    return found


def _curves(data: Mapping[str, xr.Dataset], scenario: str) -> dict[str, plots.Summary]:
    """Chosen probability when a run first reaches each margin."""
    found = {}
    for word, (family, dose, _) in CURVES.items():
        ds = data[family]
        (axis,) = (dim for dim in ds["log_prob"].dims if dim in ("beta", "beta_rejected", "sft_weight"))
        read_off = over_steps(ds.sel({axis: dose, "scenario": scenario}, drop=True))
        found[word] = plots.over_seeds(metrics.when_reached(read_off["chosen"], read_off["margin"], LEVELS), x="level")
    return found


def _front(points: Points, words: tuple[str, str], scenario: str) -> dict[tuple[str, str], float]:
    """How often each setting is on the front of a resample of the seeds."""
    costs = [
        xr.concat([SIGN[word] * each[word].sel(scenario=scenario, drop=True) for word in words], "cost")
        for each in points.values()
    ]
    found = metrics.front_frequency(xr.concat(costs, "setting"))["frequency"].values
    return dict(zip(points, found.tolist(), strict=True))


def _plane(points: Points, words: tuple[str, str], scenario: str) -> dict[tuple[str, str], plots.Summary]:
    """Each setting as one point: the median of the first quantity, and the second with its interval."""
    found = {}
    for key, each in points.items():
        across, up = (each[word].sel(scenario=scenario, drop=True) for word in words)
        one = plots.over_seeds(up.expand_dims(point=[0]), x="point")
        found[key] = replace(one, x=np.array([float(across.median())]))
    return found


def _draw_plane(
    cells: Mapping[tuple[str, str], plots.Summary],
    surplus: Mapping[tuple[str, str], bool],
    ax: Axes,
    front: Mapping[tuple[str, str], float],
) -> None:
    """Draw every setting; those often on the front are large and named, or the well-known ones where there is none."""
    for key, each in cells.items():
        color = COLORS[key[0]] if surplus[key] else BALANCED
        often = front.get(key, 0.0)
        ax.errorbar(
            each.x, each.median, yerr=[each.median - each.low, each.high - each.median], fmt=LABELS[key[0]][1],
            color=color, markersize=6.5 if often > 0.5 else 3.5, elinewidth=0.6, zorder=3 if often > 0.5 else 2,
            alpha=1.0 if often > 0.5 or not front else 0.75,
            markerfacecolor="white" if 0.5 < often < SURE else color,
        )  # fmt: skip
        if often > 0.5 or (not front and key in NAMED):
            right, up, side = BESIDE.get(key, (5, 3, "left")) if front else (0, -12, "center")
            ax.annotate(
                key[1] if front else _word(key), (each.x[0], each.median[0]), xytext=(right, up),
                textcoords="offset points", fontsize="x-small", color=color, ha=side, va="bottom", zorder=5,
            )  # fmt: skip


def _beaten(front: Mapping[tuple[str, str], float], surplus: Mapping[tuple[str, str], bool]) -> int:
    """How many settings without a surplus are on the front of any resample."""
    return sum(often > 0 for key, often in front.items() if not surplus[key])


def _legend() -> list:
    from matplotlib.lines import Line2D

    families = [name for name in LABELS if name in COLORS and name != "shift"]
    return [
        *(Line2D([], [], color=COLORS[name], marker=LABELS[name][1], linestyle="", markersize=4.5,
                 label=LABELS[name][0].split(",")[0]) for name in families),
        Line2D([], [], color=BALANCED, marker="o", linestyle="", markersize=3.5, label="push ratio ≤ 1.1"),
    ]  # fmt: skip


def _word(key: tuple[str, str]) -> str:
    family, dose = key
    return STOP if dose == STOP_WORD else f"{LABELS[family][0]} {dose}".strip()


def _largest(front: Mapping[tuple[str, str], float], surplus: Mapping[tuple[str, str], bool]) -> float:
    """The largest frequency among settings without a surplus of push."""
    return max(often for key, often in front.items() if not surplus[key])


def _established(
    fronts: Mapping[str, Mapping[tuple[str, str], float]],
    surplus: Mapping[tuple[str, str], bool],
    at_margin: Mapping[tuple[str, str], float],
) -> bool:
    """Whether no balanced setting is on the front of margin and unseen mass, and DPO is below at equal margin."""
    alone = all(_largest(fronts[name], surplus) < NEVER for name in SCENARIOS)
    below = all(
        at_margin[name, DPO] < at_margin[name, word]
        for name in SCENARIOS
        for word in ("SFT 0.01", "Flex, β⁻ 0.01", "KTO, β 0.1")
    )
    return alone and below


FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines=MAIN,
    draw=draw,
)
