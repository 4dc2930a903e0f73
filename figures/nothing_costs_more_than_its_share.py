"""How the time and the memory of a training grow with everything that can grow in it, one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.machinery import Drawing, Figure, Page
from figures.machinery.measured import measured
from lab import plots
from lab.plots import Role, Summary

if TYPE_CHECKING:
    import xarray as xr

NAME = "nothing_costs_more_than_its_share"
MESSAGE = "Nothing costs more than its share: time and memory grow at most in proportion to what is trained"
PLAIN = "How time and memory of a training grow with what is trained"
ROLES = {
    "runs": Role("runs", "#0072B2", "solid", marker="o"),
    "steps": Role("steps", "#000000", "dashed", marker="s"),
    "prompts": Role("prompts", "#D55E00", "solid", marker="^"),
    "responses": Role("responses", "#7A0000", "dotted", marker="D"),
    "pairs": Role("pairs", "#2F9E9A", "dashdot", marker="v"),
    "parameters": Role("parameters", "#8A4FBF", "dashed", marker="P"),
}
SHARE = Role("in proportion", "#8A8A8A", "solid", width=0.6, marker="")
PANELS = {"table": "Table, DPO", "whole table": "Table, KTO", "network": "Network, DPO, Adam"}
ABOUT = {
    "table": "only what pairs name is advanced",
    "whole table": "every response moves",
    "network": "two hidden layers",
}
ROWS = {"seconds": "time", "peak": "peak of memory"}
SEEN = 2e6  # bytes: a smaller peak drowns in the pages that the system gives at once
MOST = 1.15  # an exponent of 1, measured


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw what was measured; the experiment line only says what kind of training it is of."""
    found = measured(NAME)
    fitted = {(name, of): _exponent(sweep, name, of) for name, sweep in found["sweeps"].items() for of in ROWS}
    holds = max(fitted.values()) <= MOST
    machine = found["machine"]
    figure, axes = page.grid(
        2, 3, aspect=0.86, title=MESSAGE if holds else PLAIN,
        note="every state recorded; one thing is varied at a time and all else stays. At each word the exponent: the "
        "slope in logs over the upper half, where fixed costs weigh least. Time is the fastest of "
        f"several trainings, a peak below {SEEN / 1e6:.0f} MB counts as {SEEN / 1e6:.0f} MB. Measured on "
        f"{machine['cores']} cores of {machine['processor']}, torch {machine['torch']}",
    )  # fmt: skip
    drawn: dict[tuple[str, str], Summary] = {}
    for row, (of, quantity) in zip(axes, ROWS.items(), strict=True):
        for ax, (kind, title) in zip(row, PANELS.items(), strict=True):
            mine = {name: sweep for name, sweep in found["sweeps"].items() if name.split(", ")[0] == kind}
            widest = max(_varied(sweep, name)[-1] for name, sweep in mine.items())
            plots.curve(_summary(np.array([1.0, widest]), np.array([1.0, widest])), ax, role=SHARE)
            for name, sweep in mine.items():
                role = ROLES[_thing(name)]
                summary = _summary(_varied(sweep, name), _measured(sweep, of))
                drawn[f"{title}: {quantity}", role.label] = summary
                label = f"{role.label} {fitted[name, of]:.2f}".replace("-", "−")
                plots.curve(summary, ax, role=role, label=label, markers=True)
            ax.set(xscale="log", yscale="log", xlabel="times the smallest", ylabel=f"{quantity}, times the smallest")
            plots.panel(ax, title, about=ABOUT[kind])
    return Drawing(
        figure=figure,
        alt=_alt(fitted, machine),
        data=plots.table(drawn),
        # Measured again, an exponent is another; drawn again from the same file, it is the same.
        numbers={f"{name}: exponent of {of}": (value, 1e-6) for (name, of), value in fitted.items()},
    )


def _thing(name: str) -> str:
    """What a sweep varies: of a network's width, the parameters."""
    return name.split(", ")[1].replace("width", "parameters")


def _varied(sweep: Mapping[str, Any], name: str) -> np.ndarray:
    values = np.array(sweep["parameters" if _thing(name) == "parameters" else "values"], float)
    return values / values[0]


def _measured(sweep: Mapping[str, Any], of: str) -> np.ndarray:
    values = np.maximum(np.array(sweep[of], float), SEEN if of == "peak" else 0.0)
    return values / values[0]


def _exponent(sweep: Mapping[str, Any], name: str, of: str) -> float:
    x, y = np.log(_varied(sweep, name)), np.log(_measured(sweep, of))
    half = slice(len(x) // 2 if len(x) > 3 else 0, None)
    return float(np.polyfit(x[half], y[half], 1)[0])


def _summary(x: np.ndarray, y: np.ndarray) -> Summary:
    return Summary(x, y, y, y, np.empty((0, len(x))), np.empty(0))


def _alt(fitted: Mapping[tuple[str, str], float], machine: Mapping[str, Any]) -> str:
    told = "; ".join(
        f"{title}: "
        + ", ".join(
            f"{_thing(name)} {fitted[name, 'seconds']:.2f} and {fitted[name, 'peak']:.2f}"
            for name, of in fitted
            if of == "seconds" and name.split(", ")[0] == kind
        )
        for kind, title in PANELS.items()
    )
    return (
        f"Six log-log panels: time (above) and peak of memory (below) of a training against what is varied in it, for "
        f"two kinds of tables and a network, on {machine['cores']} cores of {machine['processor']}. Exponents of time "
        f"and memory: {told}."
    )


FIGURE = Figure(
    title=PLAIN,
    paper="",
    lines={"kind": "tabular s1 dpo beta=0.1 sgd lr=1 steps=200 seeds=24 every=200"},
    draw=draw,
)
