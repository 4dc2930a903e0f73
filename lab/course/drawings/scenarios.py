"""Drawings of notebook 05: the four scenarios side by side, the law of the table, intervals, and starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots
from lab.plots.roles import SCENARIO_MEANINGS, SCENARIO_PLACES, Role

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

ANSWERS = {"yes": "#2F9E9A", "no": "#7A0000", "undecided": "#8A8A8A"}
LOST, GAINED = Role("lost", "#7A0000", "dashed", marker="s"), Role("gained", "#2F9E9A", "dashdot", marker="^")
MARGINS = np.linspace(0, 24, 241)
# Where the name of a scenario stands at its curve: a margin in nats, and an offset in points.
LABELS = {
    "chosen": {"s1": (4.5, (0, 4)), "s2": (7.5, (-17, 4)), "s3": (4.0, (4, -12)), "s4": (7.5, (6, -9))},
    "unseen": {"s1": (2.0, (3, 3)), "s2": (3.1, (-4, 6)), "s3": (2.0, (6, 2)), "s4": (5.0, (6, 3))},
}


def four(record: xr.Dataset) -> tuple[Figure, str]:
    """Draw chosen, rejected and unseen probability over the steps, a panel for each scenario.

    Args:
        record: A record with the axis scenario, all four of them, and seeds.

    Returns:
        The figure, and what it shows in words.

    Raises:
        ValueError: The record lacks one of the scenarios.
    """
    there = [str(name) for name in np.atleast_1d(record["scenario"].values)] if "scenario" in record.dims else []
    if set(there) != set(SCENARIO_PLACES):
        raise ValueError(
            f"the record has the scenarios {there}; this picture needs s1, s2, s3 and s4. Sweep over them."
        )
    said = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.6, 4.6), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True, sharey=True)
        for scenario, place in SCENARIO_PLACES.items():
            cell, ax = record.sel(scenario=scenario), axes[place]
            curves = masses(cell)
            for word, values in curves.items():
                summary = plots.over_seeds(values)
                plots.curve(summary, ax, role=plots.role(word), label=f"{word} {summary.median[-1]:.2f}", seeds=False)
            ax.set(ylim=(-0.03, 1.05), ylabel="probability")
            top = float(plots.over_seeds(curves["chosen"]).median.max())
            plots.panel(
                ax, f"{scenario}: {SCENARIO_MEANINGS[scenario]}", about=f"the chosen response peaks at {top:.2f}"
            )
            ends = {word: plots.over_seeds(values).median for word, values in curves.items()}
            said.append(
                f"{scenario} ({SCENARIO_MEANINGS[scenario]}): chosen from {ends['chosen'][0]:.2f} to a peak of "
                f"{top:.2f} and {ends['chosen'][-1]:.2f} at the end, "
                f"unseen from {ends['unseen'][0]:.2f} to {ends['unseen'][-1]:.2f}"
            )
        plots.share_labels(axes)
    return figure, f"Four panels, medians of {record.sizes['seed']} seeds. {'. '.join(said)}."


def masses(record: xr.Dataset) -> dict[str, xr.DataArray]:
    """Compute the probability of chosen, rejected and unseen, averaged over pairs and prompts: [..., step]."""
    return {
        "rejected": metrics.over_pairs(metrics.rejected_prob(record), record),
        "unseen": metrics.over_prompts(metrics.unseen_mass(record), record),
        "chosen": metrics.over_pairs(metrics.chosen_prob(record), record),
    }


def law(starts: Mapping[str, tuple[float, float]], record: xr.Dataset) -> tuple[Figure, str]:
    """Draw the masses of a table against the log-ratio margin: the law as a line, a trained table as dots.

    Args:
        starts: Scenario: probability of chosen and rejected under the reference.
        record: A table trained in these scenarios, one prompt, axis scenario.

    Returns:
        The figure, and what it shows in words.
    """
    said = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        axes = dict(zip(("chosen", "unseen"), figure.subplots(1, 2, sharey=True), strict=True))
        for scenario, (chosen, rejected) in starts.items():
            role, cell = plots.role(scenario), record.sel(scenario=scenario).isel(seed=0)
            line = table_masses(chosen, rejected, MARGINS)
            margin = metrics.log_ratio_margin(cell).squeeze("pair").values
            dots = {
                "chosen": metrics.chosen_prob(cell).squeeze("pair").values,
                "unseen": metrics.unseen_mass(cell).squeeze("prompt").values,
            }
            at = np.unique(np.searchsorted(margin, np.linspace(0, MARGINS[-1], 9)[1:]).clip(max=len(margin) - 1))
            at = at[margin[at] <= MARGINS[-1]]
            for word, ax in axes.items():
                ax.plot(MARGINS, line[word], color=role.color, linestyle=role.line)
                ax.plot(margin[at], dots[word][at], role.marker, color=role.color)
            if (rise := line["unseen"].max()) > line["unseen"][0] + 1e-9:
                said.append(f"in {scenario} the unseen mass first rises from {line['unseen'][0]:.2f} to {rise:.2f}")
            for word, ax in axes.items():
                margin_there, offset = LABELS[word][scenario]
                height = line[word][np.searchsorted(MARGINS, margin_there)]
                ax.annotate(scenario, (margin_there, height), offset, textcoords="offset points",
                            fontsize="small", color=role.color)  # fmt: skip
        for word, ax in axes.items():
            ax.set(xlabel="log-ratio margin D (nats)", ylim=(-0.03, 1.05))
            plots.panel(ax, f"{word} mass of a table", about="line: the law, dots: a trained table")
        axes["chosen"].set_ylabel("probability")
    return figure, (
        "Two panels over the log-ratio margin. The chosen mass rises in all four scenarios, first in s1, then s3, "
        f"s2, s4. The unseen mass falls, but {' and '.join(said)}. Dots of a trained table lie on the lines."
    )


def table_masses(chosen: float, rejected: float, margin: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the masses of a softmax table with one pair at a log-ratio margin.

    chosen exp(D/2) : rejected exp(-D/2) : 1 - chosen - rejected, divided by their sum

    Args:
        chosen: π_ref of the chosen response.
        rejected: π_ref of the rejected response.
        margin: The log-ratio margin D in nats, any shape.

    Returns:
        chosen, rejected and unseen mass, each of the shape of the margin.

    Source: own derivation, the gradient in the logits being opposite on the two; tests/test_chapter_scenarios.py.
    """
    weights = {
        "chosen": np.log(chosen) + margin / 2,
        "rejected": np.log(rejected) - margin / 2,
        "unseen": np.log(1 - chosen - rejected) + 0 * margin,
    }
    total = np.logaddexp.reduce(list(weights.values()))
    return {word: np.exp(weight - total) for word, weight in weights.items()}


def intervals(
    names: Sequence[str], measures: Sequence[str], value: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[Figure, str]:
    """Draw intervals of differences, a row for each comparison of each measure, coloured by what they answer.

    Args:
        names: Of the comparisons.
        measures: Of the measures.
        value: Medians [measure, comparison]; above 0 speaks for the claim.
        low: The intervals' lower ends, of the same shape.
        high: Their upper ends.

    Returns:
        The figure, and what it shows in words.
    """
    counts = dict.fromkeys(ANSWERS, 0)
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.8, 0.5 + 0.25 * len(measures) * (len(names) + 1)), layout="constrained")
        ax = figure.subplots()
        ticks, labels, row = [], [], 0.0
        for measure, values, lows, highs in zip(measures, value, low, high, strict=True):
            ax.annotate(measure, (0, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
                        textcoords="offset points", va="center", fontsize="small", fontweight="bold")  # fmt: skip
            for name, middle, lower, upper in zip(names, values, lows, highs, strict=True):
                row += 1
                answer = "yes" if lower > 0 else "no" if upper < 0 else "undecided"
                counts[answer] += 1
                ax.plot([lower, upper], [row, row], color=ANSWERS[answer], linewidth=3)
                ax.plot(middle, row, "o", color=ANSWERS[answer])
                ax.annotate(answer, (upper, row), (6, 0), textcoords="offset points", va="center",
                            fontsize="small", color=ANSWERS[answer])  # fmt: skip
                ticks.append(row)
                labels.append(name)
            row += 1
        ax.axvline(0, color="#555555", linewidth=0.8)
        ax.set_yticks(ticks, labels)
        ax.set(ylim=(row - 0.3, -0.7), xlabel="by how much s1 is better (probability)")
        ax.margins(x=0.16)
    told = ", ".join(f"{count} {answer}" for answer, count in counts.items())
    return figure, f"Intervals of {value.size} differences, {len(names)} for each of {len(measures)} measures: {told}."


def by_start(record: xr.Dataset) -> tuple[Figure, str]:
    """Draw where the chosen response ends, and what it gained and lost, against where it started.

    Args:
        record: A record of scenario s2, swept over `off`, which is then where the chosen response starts.

    Returns:
        The figure, and what it shows in words.
    """
    chosen = masses(record)["chosen"]
    start, end = chosen.isel(step=0), chosen.isel(step=-1)
    series = {
        "at the end": (end, plots.CHOSEN),
        "lost from its peak": (chosen.max("step") - end, LOST),
        "gained since its start": (end - start, GAINED),
    }
    told = []
    with plots.style("notebook"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.2, 3.0), layout="constrained")
        ax = figure.subplots()
        for name, (values, role) in series.items():
            values.attrs = {"long_name": "chosen mass", "units": "1"}
            summary = plots.over_seeds(values, x="off")
            plots.curve(summary, ax, role=role, label=name, markers=True, seeds=False)
            told.append(f"{name} {summary.median[0]:.2f} to {summary.median[-1]:.2f}")
        ax.set(xscale="log", xlabel="probability of the chosen response at the start", ylabel="probability")
        places = record["off"].values
        ax.set_xticks(places, [f"{place:g}" for place in places])
        ax.xaxis.minorticks_off()
        ax.axhline(0, color="#555555", linewidth=0.6)
    return figure, (
        f"Curves over the start of the chosen response, from {places[0]:g} to {places[-1]:g}, medians of "
        f"{record.sizes['seed']} seeds: chosen mass {', '.join(told)}."
    )
