"""The four scenarios of one objective as a two by two: shared by the figures of DPO, IPO and SLiC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

# A curve that ends this close to its peak has not fallen: it is marked where it gets there.
FLAT = 0.005
COUNTS = {1: "one of the four", 2: "two of the four", 3: "three of the four"}


def draw_scenarios(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw chosen, rejected and unseen probability over the steps in each scenario."""
    ((name, ds),) = data.items()
    table = properties.verdicts(ds)
    fall, spread = table.sel(property="degradation"), table.sel(property="dispersion")
    figure, axes = page.grid(2, 2, aspect=0.74, sharex=True, sharey=True, title=_message(name, ds, table))
    shown: dict[tuple[str, str], plots.Summary] = {}
    said, numbers = [], {}
    for scenario, place in plots.SCENARIO_PLACES.items():
        ax, cell = axes[place], ds.sel(scenario=scenario)
        curves = _curves(cell)
        exponent = plots.over_seeds(metrics.over_pairs(metrics.rejected_log_prob(cell), cell) / np.log(10))
        ends = {word: f"{word} {curves[word].median[-1]:.2f}" for word in ("chosen", "unseen")}
        ends["rejected"] = f"rejected {_probability(exponent.median[-1])}"
        for word, summary in curves.items():
            plots.curve(summary, ax, role=plots.RESPONSES[word], label=ends[word])
            shown[scenario, word] = summary
        shown[scenario, "log10 of rejected"] = exponent
        top, at = _mark_peak(curves["chosen"], ax)
        about = _about(fall.sel(scenario=scenario), spread.sel(scenario=scenario))
        plots.panel(ax, f"{scenario}: {plots.SCENARIO_MEANINGS[scenario]}", about=about)
        chosen, unseen = curves["chosen"].median, curves["unseen"].median
        said.append(
            f"{scenario} ({plots.SCENARIO_MEANINGS[scenario]}): chosen from {chosen[0]:.2f} to a peak of "
            f"{top:.2f} at step {at} and {chosen[-1]:.2f} at the end, "
            f"unseen from {unseen[0]:.2f} to {unseen[-1]:.2f}, rejected to "
            f"10^{exponent.median[-1]:.1f}"
        )
        numbers |= {
            f"{scenario}: chosen at its peak": (top, 0.03),
            f"{scenario}: chosen at the end": (chosen[-1], 0.06),
            f"{scenario}: unseen at the end": (unseen[-1], 0.06),
            f"{scenario}: log10 of the rejected at the end": (exponent.median[-1], 0.1 - 0.06 * exponent.median[-1]),
        }
    for ax in axes.flat:
        ax.set_ylim(-0.03, 1.08)
        ax.set_yticks(np.linspace(0, 1, 6))
        ax.set_ylabel("probability")
    plots.share_labels(axes)
    return Drawing(
        figure=figure,
        alt=(
            f"Four panels, {plots.role(name).label} on an MLP over {ds.step.values[-1]} steps, medians of "
            f"{ds.sizes['seed']} seeds. {'. '.join(said)}."
        ),
        data=plots.table(shown),
        numbers=numbers,
    )


def _curves(cell: xr.Dataset) -> dict[str, plots.Summary]:
    """Summarise the probabilities of one scenario over seeds, in the order in which they are drawn."""
    values = {
        "rejected": metrics.over_pairs(metrics.rejected_prob(cell), cell),
        "unseen": metrics.over_prompts(metrics.unseen_mass(cell), cell),
        "chosen": metrics.over_pairs(metrics.chosen_prob(cell), cell),
    }
    return {word: plots.over_seeds(value) for word, value in values.items()}


def _mark_peak(summary: plots.Summary, ax: Axes) -> tuple[float, int]:
    """Put a dot on the peak of a curve, or where it gets as high as it will stay; return the peak and its step."""
    place = int(np.argmax(summary.median))
    height, step = float(summary.median[place]), int(summary.x[place])
    text = f"peak {height:.2f}, step {step}"
    if height - summary.median[-1] < FLAT:
        place = int(np.argmax(summary.median > height - FLAT))
        text = f"{summary.median[-1]:.2f} from step {int(summary.x[place])} on"
    dot = (float(summary.x[place]), float(summary.median[place]))
    ax.plot(*dot, plots.CHOSEN.marker, color=plots.CHOSEN.color, markeredgecolor="white", zorder=5)
    ax.annotate(
        text, dot, xytext=(0, 5), textcoords="offset points",
        ha="right" if place > len(summary.x) // 2 else "left", va="bottom",
        fontsize="small", color=plots.CHOSEN.color, zorder=6,
    )  # fmt: skip
    return height, step


def _probability(exponent: float) -> str:
    """Write a probability from its exponent: 0.45, 0.006, 10⁻³³."""
    return f"{10**exponent:.1g}" if exponent > -2.5 else plots.power(round(exponent))


def _about(fall: xr.Dataset, spread: xr.Dataset) -> str:
    """Say how far from its peak the chosen response ended, and how far from its start the unseen mass did."""
    value, low, high = (float(fall[name]) for name in ("value", "low", "high"))
    digits = 2 if value >= 0.01 else 3
    interval = f" ({low:.{digits}f} to {high:.{digits}f})" if np.isfinite(low) else ""
    gain = float(spread["above_start"])
    return (
        f"chosen ends {value:.{digits}f}{interval} below its peak,\n"
        f"unseen {abs(gain):.2f} {'above' if gain >= 0 else 'below'} its start"
    )


def _message(name: str, ds: xr.Dataset, table: xr.Dataset) -> str:
    """Say in one sentence what the verdicts of the four scenarios add up to."""
    fall, spread = table.sel(property="degradation"), table.sel(property="dispersion")
    objective = plots.role(name).label
    falls = int((fall["verdict"] == "present").sum())
    if falls:
        most = str(fall["scenario"].values[fall["value"].argmax("scenario")])
        last = metrics.over_pairs(metrics.chosen_prob(ds), ds).isel(step=-1).median("seed")
        best = str(last["scenario"].values[last.argmax("scenario")])
        where = COUNTS[falls] if falls < len(plots.SCENARIO_PLACES) else "all four"
        return (
            f"{objective}: the chosen response falls from its peak in {where} scenarios, most in {most}; "
            f"it ends highest in {best}"
        )
    if (fall["value"] >= fall["threshold"]).any():
        return f"{objective}: the four scenarios, with too few seeds for a verdict"
    gains = [str(each) for each in spread["scenario"].values[(spread["verdict"] == "present").values]]
    but = f"; unseen responses still gain mass in {' and '.join(gains)}" if gains else ""
    return f"{objective}: the chosen response stays at its peak in all four scenarios{but}"
