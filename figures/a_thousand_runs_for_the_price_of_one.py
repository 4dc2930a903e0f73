"""What a run and step costs: the lab, JAX and the plain loop, timed in turns, against the number of runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.machinery import Drawing, Figure, Page
from figures.machinery.measured import measured
from lab import plots
from lab.plots import Role, Summary

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

NAME = "a_thousand_runs_for_the_price_of_one"
MESSAGE = "A thousand runs for the price of one: what the plain loop pays for a run, the lab pays for {times} and more"
PLAIN_TITLE = "What a run and step costs with everything recorded: the lab, JAX and the plain loop"
PLAIN, DERIVED, RECORD = "plain loop", "lab, recordings computed", "lab"
ROLES = {
    PLAIN: Role("plain loop", "#6B6B6B", "solid", marker="v"),
    "JAX": Role("JAX", "#D87614", "solid", marker="s"),
    "JAX, best layout": Role("JAX, tuned", "#D87614", "dashed", marker="s"),
    "JAX, the lab's reduction": Role("JAX, reduced", "#D87614", "dotted", marker="s"),
    DERIVED: Role("lab", "#3B0A57", "solid", marker="o"),
    RECORD: Role("record only", "#3B0A57", "dotted", marker="o"),
}
LIMIT = Role("limit", "#000000", "solid", width=0.6, marker="")
PANELS = {
    ("A", "sgd"): "Table 4 × 10, gradient descent",
    ("A", "adam"): "Table 4 × 10, Adam",
    ("B", "adam"): "Network 4–64–64–10, Adam",
    ("C", "sgd"): "Table 64 × 1000, gradient descent",
}
SHOWN = {"A": 1024, "B": 256, "C": 16}  # runs at which ratios are told
JUDGED, TIMES = ("A sgd 1024", "A adam 1024"), 1000


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the measured costs; the experiment line only says what kind of run they are of."""
    race = measured(NAME)
    cases = race["cases"]
    holds = all(_ratio(cases[name], PLAIN) >= TIMES for name in JUDGED)
    machine = race["machine"]
    jax = f", JAX {machine['jax']}" if "jax" in machine else ""
    figure, axes = page.grid(
        2, 2, aspect=1.0, title=MESSAGE.format(times=TIMES) if holds else PLAIN_TITLE,
        note="start, beta and rate are each run's own; every peer records log-probabilities of chosen, rejected and "
        "unseen responses, both gradients in probability space and their norms in logit space at every step, networks "
        "also norms and cosine in parameter space. JAX: jit(vmap(scan)); tuned: closed form in the best layout found; "
        "reduced: only what moves, as the lab does. Record only: what lab.train returns, before these are computed "
        "from it. The loop trains one run after the other. Median of rounds in turns, band from fastest to slowest, "
        "compilation not counted. Limit: the exponentials, products and written numbers at this machine's best: "
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}{jax}",
    )  # fmt: skip
    drawn: dict[tuple[str, str], Summary] = {}
    for ax, ((workload, optimizer), title) in zip(axes.flat, PANELS.items(), strict=True):
        mine = [case for case in cases.values() if (case["workload"], case["optimizer"]) == (workload, optimizer)]
        mine.sort(key=lambda case: case["runs"])
        for peer, role in ROLES.items():
            found = [case for case in mine if peer in case["peers"]]
            if found:
                drawn[title, role.label] = _draw_peer(found, peer, role, ax)
        limits = np.array([1e6 * race["limits"][name] for name, case in cases.items() if case in mine])
        runs = np.array([case["runs"] for case in mine], float)
        empty = np.empty((0, len(runs)))
        drawn[title, LIMIT.label] = Summary(runs, limits, limits, limits, empty, np.empty(0))
        plots.curve(drawn[title, LIMIT.label], ax, role=LIMIT)
        ax.set(xscale="log", yscale="log", xlabel="runs at once", ylabel="µs a run and step")
        ax.margins(x=0.04)
        at = next(case for case in mine if case["runs"] == SHOWN[workload])
        plots.panel(ax, title, about=f"{at['runs']} runs, times the lab:\n{_told(at)}")
    return Drawing(
        figure=figure,
        alt=_alt(cases, machine),
        data=plots.table(drawn),
        numbers={
            f"{name}: {peer}, times the lab": (_ratio(case, peer), 0.01 * _ratio(case, peer))
            for name, case in cases.items()
            if case["workload"] in SHOWN and case["runs"] == SHOWN[case["workload"]]
            for peer in case["peers"]
            if peer != DERIVED
        },
    )


def _costs(case: Mapping[str, Any], peer: str) -> list[float]:
    """Microseconds a run and step, of every round."""
    given = case["peers"][peer]
    return [1e6 * each / given["runs"] / case["steps"] for each in given["seconds"]]


def _ratio(case: Mapping[str, Any], peer: str) -> float:
    return statistics.median(_costs(case, peer)) / statistics.median(_costs(case, DERIVED))


def _draw_peer(cases: list[Mapping[str, Any]], peer: str, role: Role, ax: Axes) -> Summary:
    costs = [_costs(case, peer) for case in cases]
    summary = Summary(
        x=np.array([case["runs"] for case in cases], float),
        median=np.array([statistics.median(each) for each in costs]),
        low=np.array([min(each) for each in costs]),
        high=np.array([max(each) for each in costs]),
        seeds=np.empty((0, len(cases))),
        seed=np.empty(0),
    )
    plots.curve(summary, ax, role=role, markers=True)
    return summary


def _told(case: Mapping[str, Any]) -> str:
    words = {PLAIN: "loop", "JAX": "JAX", "JAX, best layout": "tuned", "JAX, the lab's reduction": "reduced"}
    return ", ".join(f"{word} {_shown(_ratio(case, peer))}" for peer, word in words.items() if peer in case["peers"])


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _alt(cases: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    told = "; ".join(
        f"{PANELS[case['workload'], case['optimizer']]}, {case['runs']} runs: "
        f"{statistics.median(_costs(case, DERIVED)):.2g} microseconds, and times as much for {_told(case)}"
        for case in cases.values()
        if case["workload"] in SHOWN and case["runs"] == SHOWN[case["workload"]]
    )
    return (
        f"Four log-log panels of the cost of a run and step over the number of runs that are trained at once, on "
        f"{machine['cores']} cores of {machine['processor']}. The lab with all recordings computed: {told}."
    )


FIGURE = Figure(
    title=PLAIN_TITLE,
    paper="",
    lines={"kind": "tabular s1 dpo beta=0.1 sgd lr=1 steps=500 seeds=24 every=500"},
    draw=draw,
)
