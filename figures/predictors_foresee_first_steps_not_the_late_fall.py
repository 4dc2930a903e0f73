"""Which predictor of step 0 foresees the fall of the chosen response, where, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import plots
from lab.experiments.predicting import EARLY, MARGIN, PROBLEMS, foresee

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "Step 0 foresees a network's first steps, but not which chosen responses it will have lowered in the end; "
    "with fixed features it foresees both"
)
PLAIN = "How well predictors of step 0 rank the falls of chosen responses that then come"
# From what looks at the pair alone to what looks at all pairs and at the optimiser; the start's own last.
ROWS = (
    "ches", "feature_overlap", "gradient_cosine", "interference", "own_fall", "unembedding_fall", "others_fall",
    "flow_fall", "step_fall", "start_margin", "chosen_start", "rejected_start",
)  # fmt: skip
OUTCOMES = {
    "first_steps": f"after {EARLY} steps",
    "equal_margin": "at margin",
    "end": "at the end",
    "from_peak": "from its peak",
}
POLICIES = {"loglinear": "Log-linear policy", "mlp": "MLP policy"}
# Above the row's middle within settings, below it pooled; the optimisers beside each other.
HEIGHT = {("within", "sgd"): -0.3, ("within", "adam"): -0.1, ("pooled", "sgd"): 0.12, ("pooled", "adam"): 0.3}
FORESEEN, NOT_FORESEEN = 0.6, 0.4


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw a panel of rank correlations for each policy and each way to read the fall."""
    found = {}
    for policy, optimizer in PROBLEMS:
        records = [ds for name, ds in data.items() if name.startswith(f"{policy} {optimizer} ")]
        found[policy, optimizer] = foresee(records, early=EARLY, margin=MARGIN[policy])
    holds = _holds(found)
    figure, axes = page.grid(
        2, len(OUTCOMES), aspect=1.08, title=MESSAGE if holds else PLAIN, sharex="all", sharey="all",
        note="Spearman's ρ of a predictor with the fall of log π⁺, and 95 % bootstrap interval over seeds. Filled: "
        "within settings, mean of their ρ; hollow: all settings pooled, whose differences then count too. At margin: "
        "when a pair's log-ratio margin gets there. A start is set by its setting and is only pooled. No order: the "
        "same for every pair, or not defined. Lengths are 1: both forms of CHES agree.",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    for row, policy in zip(axes, POLICIES, strict=True):
        for ax, outcome in zip(row, OUTCOMES, strict=True):
            for optimizer in ("sgd", "adam"):
                _points(found[policy, optimizer].sel(outcome=outcome), ax, optimizer)
                for comparison in ("within", "pooled"):
                    cell = found[policy, optimizer].sel(outcome=outcome, comparison=comparison, predictor=list(ROWS))
                    series = f"{plots.role(optimizer).label}, {comparison}"
                    shown[f"{POLICIES[policy]}, {OUTCOMES[outcome]}", series] = _summary(cell)
            _rows(ax, found[policy, "adam"].sel(outcome=outcome))
            at = f" {MARGIN[policy]:g}" if outcome == "equal_margin" else ""
            plots.panel(ax, OUTCOMES[outcome] + at)
        row[0].annotate(
            POLICIES[policy], (0, 1), xycoords="axes fraction", xytext=(-16, 7), textcoords="offset points",
            ha="right", va="bottom", fontweight="bold",
        )  # fmt: skip
    for ax in axes[-1]:
        ax.set_xlabel("rank correlation ρ", fontsize="small")
    for optimizer, height in (("sgd", 0.955), ("adam", 0.865)):
        axes[0, 3].annotate(
            plots.role(optimizer).label, (0.04, height), xycoords="axes fraction", ha="left", va="center",
            color=plots.role(optimizer).color, fontweight="bold",
        )  # fmt: skip
    table = plots.table(shown)
    table["n"] = next(iter(data.values())).sizes["seed"]
    return Drawing(figure=figure, alt=_alt(found, data), data=table, numbers=_numbers(found))


def _points(cell: xr.Dataset, ax: Axes, optimizer: str) -> None:
    """Draw the correlations of one optimiser, filled within settings and hollow pooled."""
    role = plots.role(optimizer)
    for place, name in enumerate(ROWS):
        for comparison in ("within", "pooled"):
            value, low, high = (cell[key].sel(predictor=name, comparison=comparison).item() for key in
                                ("value", "low", "high"))  # fmt: skip
            y = place + HEIGHT[comparison, optimizer]
            inside = comparison == "within"
            ax.plot([low, high], [y, y], color=role.color, linewidth=1.6 if inside else 0.8, zorder=3)
            ax.plot(
                value, y, marker=role.marker, markersize=4.2 if inside else 3.4, zorder=4, color=role.color,
                markerfacecolor=role.color if inside else "white", markeredgewidth=0.8,
            )  # fmt: skip


def _rows(ax: Axes, cell: xr.Dataset) -> None:
    """Name the rows, and say where a predictor has no order to offer."""
    for place, name in enumerate(ROWS):
        if place % 2 == 0:
            ax.axhspan(place - 0.5, place + 0.5, color="#f2f2f2", zorder=0, linewidth=0)
        if cell["value"].sel(predictor=name).isnull().all():
            ax.text(
                0.2, place, "no order", color="#6a6a6a", fontsize="x-small", style="italic", va="center", ha="center"
            )
    ax.axvline(0, color="#555555", linewidth=0.6, zorder=1)
    ax.set_yticks(range(len(ROWS)), cell["long_name"].sel(predictor=list(ROWS)).values, fontsize="small")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(ROWS) - 0.45, -0.55)
    ax.set_xlim(-0.7, 1.08)
    ax.set_xticks([-0.5, 0, 0.5, 1], ["−0.5", "0", "0.5", "1"], fontsize="small")


def _summary(cell: xr.Dataset) -> plots.Summary:
    empty = np.empty((0, len(ROWS)))
    value, low, high = (cell[name].values for name in ("value", "low", "high"))
    return plots.Summary(np.array(ROWS), value, low, high, empty, np.empty(0), "predictor", "rank correlation", "1")


def _holds(found: Mapping[tuple[str, str], xr.Dataset]) -> bool:
    """Whether, within settings, the optimiser's step foresees all but a network's end, which nothing foresees."""
    within = {key: table.sel(comparison="within") for key, table in found.items()}
    first = all(each["low"].sel(predictor="step_fall", outcome="first_steps") > 0.9 for each in within.values())
    fixed = all(
        within["loglinear", name]["low"].sel(predictor="step_fall", outcome="end") > FORESEEN
        for name in ("sgd", "adam")
    )
    late = [within["mlp", name].sel(outcome=["end", "from_peak"]) for name in ("sgd", "adam")]
    unforeseen = all(
        float(each["high"].max()) < NOT_FORESEEN and float(each["low"].min()) > -NOT_FORESEEN for each in late
    )
    return bool(first and fixed and unforeseen)


def _alt(found: Mapping[tuple[str, str], xr.Dataset], data: Mapping[str, xr.Dataset]) -> str:
    said = []
    for (policy, optimizer), table in found.items():
        within = table["value"].sel(comparison="within")
        step = within.sel(predictor="step_fall")
        pair = within.sel(predictor="ches" if policy == "loglinear" else "own_fall", outcome="end").item()
        named = "CHES" if policy == "loglinear" else "the pair's own gradients"
        said.append(
            f"{plots.role(policy).label} under {plots.role(optimizer).label}: the optimiser's first step has "
            + ", ".join(f"{step.sel(outcome=name).item():.2f} {words}" for name, words in OUTCOMES.items())
            + f"; {named} {pair:.2f} at the end"
        )
    seeds = next(iter(data.values())).sizes["seed"]
    return (
        f"Eight panels of rank correlations between predictors of step 0 and falls of the chosen response, "
        f"{seeds} seeds a setting; within settings: {'. '.join(said)}. In the MLP CHES is the same for every pair."
    )


def _numbers(found: Mapping[tuple[str, str], xr.Dataset]) -> dict[str, tuple[float, float]]:
    numbers = {}
    for (policy, optimizer), table in found.items():
        for comparison in ("within", "pooled"):
            for outcome in OUTCOMES:
                for name in ("ches", "own_fall", "interference", "flow_fall", "step_fall"):
                    value = table["value"].sel(comparison=comparison, outcome=outcome, predictor=name).item()
                    if np.isfinite(value):
                        numbers[f"{policy} {optimizer} {comparison}: {name} {outcome}"] = (value, 0.06)
    return numbers


FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines={
        f"{policy} {optimizer} {place}": line
        for (policy, optimizer), lines in PROBLEMS.items()
        for place, line in enumerate(lines)
    },
    draw=draw,
)
