"""Why a smaller β⁻ helps: the paper's reason, a slower fall of the rejected response, against what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = (
    "Flex-DPO helps because it pushes the chosen response harder than the rejected one, "
    "not because the rejected one falls more slowly"
)
PLAIN = "Why Flex-DPO helps: no explanation is established"
TRAINING = "adam lr=1e-3 steps=500 seeds=24 every=5"
DPO, SMALL = 0.1, 0.01
# The runs that are drawn over steps.
SHOWN = {
    DPO: plots.Role("β⁻ = 0.1\n(DPO)", "#2700EB", "solid"),
    0.04: plots.Role("β⁻ = 0.04", "#7A0000", "dashed"),
    SMALL: plots.Role("β⁻ = 0.01", "#CC6677", "dashdot"),
}
# Runs that differ from DPO in one way, by more and more: the axis they differ along, and how they are drawn.
FAMILIES = {
    "flex": ("beta_rejected", replace(plots.OBJECTIVES["flex"], label="β⁻ alone")),
    "chosen": ("beta_chosen", plots.Role("β⁺ alone", "#AA8909", "dashdot", marker="D")),
    "dpo": ("beta", replace(plots.OBJECTIVES["dpo"], label="β⁺ = β⁻")),
    "sft": ("sft_weight", replace(plots.OBJECTIVES["sft"], label="SFT term")),
}
# A smaller β⁻ weakens the pull on the rejected response, and leaves a surplus of push on the chosen one: apart, too.
CASES = {
    "both β 0.1": ("flex", DPO),
    "β⁻ 0.04": ("flex", 0.04),
    "both 0.04": ("dpo", 0.04),
    "β⁺ 0.25": ("chosen", 0.25),
}
# Push that is left, as a share of its start, at which the training is taken as nearly at rest.
TENTH = 0.1
Final = Mapping[str, Mapping[str, xr.DataArray]]


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the fall of the rejected response, the other candidates, and the two changes of Flex-DPO taken apart."""
    scenarios = data["flex"].scenario.values.tolist()
    final = {name: _final(data[name]) for name in FAMILIES}
    cases = {name: _cases(final, "chosen", name) for name in scenarios}
    fallen = {name: _cases(final, "rejected", name) for name in scenarios}
    gains = {name: _gains(final, name) for name in scenarios}
    lines = _lines(data["flex"].sel(scenario="s1", drop=True), data["gradients"])
    points = {
        ("final chosen over total push, s1", name): _points(data[name], final[name], "s1", _total) for name in FAMILIES
    }
    for scenario in scenarios:
        for name in FAMILIES:
            panel = f"final chosen over push ratio, {scenario}"
            points[panel, name] = _points(data[name], final[name], scenario, _ratio)

    established = all(_established(each) for each in gains.values())
    figure, axes = page.grid(
        3, 2, aspect=1.2, title=MESSAGE if established else PLAIN, height_ratios=[1, 1.1, 1.1],
        note="s1 where no scenario is named; median and 95 % bootstrap interval, every seed faint behind",
    )  # fmt: skip
    said = _say(lines, data["flex"].sel(scenario="s1", drop=True))
    places = (axes[0, 0], axes[0, 1], axes[1, 0])
    for ax, panel in zip(places, dict.fromkeys(panel for panel, _ in lines), strict=True):
        for beta, role in SHOWN.items():
            plots.curve(lines[panel, f"{beta:g}"], ax, role=role)
        ax.set_ylabel("")
    for ax in axes[0]:
        _logarithmic(ax)
    plots.panel(axes[0, 0], "The paper's reason: a slower fall of log π⁻", about=said["steps"])
    plots.panel(axes[0, 1], "log π⁻ at equal margin", about=said["margin"])
    plots.panel(axes[1, 0], "Do the two terms pull apart?", about=said["cosine"])
    _draw_cases(cases, fallen, axes[1, 1])
    plots.panel(
        axes[1, 1], "Weaker pull, or stronger push?",
        about="final probability of chosen: " + (
            "it gains by β⁻ or β⁺ alone,\nnot by lowering both, however far log π⁻ falls" if established
            else "DPO, β⁻ alone,\nboth lowered, β⁺ alone"
        ),
    )  # fmt: skip
    for (panel, name), summary in points.items():
        hollow = panel == f"final chosen over push ratio, {scenarios[1]}"
        _draw_points(summary, FAMILIES[name][1], axes[2, int("ratio" in panel)], hollow=hollow)
    for ax, word in zip(
        axes[2], ("push on chosen, summed over the steps", "push on chosen / push on rejected"), strict=True
    ):
        ax.set_xscale("log")
        ax.margins(x=0.04)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel(word)
    axes[2, 0].set_ylabel("final probability of chosen")
    axes[2, 0].legend(loc="lower right", handletextpad=0.2, borderaxespad=0.2)
    plots.panel(axes[2, 0], "Longer push?", about=said["push"])
    plots.panel(
        axes[2, 1], "Harder push on chosen than on rejected?",
        about="filled s1, hollow s2; at 1 the two balance, and a surplus\non the chosen is an SFT term by another name",
    )  # fmt: skip

    counted = {(f"final chosen, {name}", "cases"): each for name, each in cases.items()}
    counted |= {(f"final log π⁻, {name}", "cases"): each for name, each in fallen.items()}
    s1, s2 = (gains[name] for name in scenarios)
    chosen, extreme = data["chosen"], points[f"final chosen over push ratio, {scenarios[1]}", "chosen"]
    return Drawing(
        figure=figure,
        alt=(
            f"Seven panels on why a smaller β⁻ keeps the chosen response, {s1.count} seeds. log π⁻ {said['steps']}; "
            f"{said['margin']}. Compared with DPO the final probability of the chosen response changes by "
            f"{s1.median[0]:+.2f} in s1 and {s2.median[0]:+.2f} in s2 when β⁻ alone is lowered to 0.04, by "
            f"{s1.median[1]:+.2f} and {s2.median[1]:+.2f} when both β are, and by {s1.median[2]:+.2f} and "
            f"{s2.median[2]:+.2f} when β⁺ alone is raised to 0.25. The final probability rises with the ratio of the "
            "push on the chosen to that on the rejected response, whether β⁻, β⁺ or an SFT term makes it; the SFT term "
            "raises it at the same total push. Exceptions: in s1 it rises again where β⁻ is far above β⁺; in s2 it is "
            f"{extreme.median[-1]:.2f} at β⁺ = {chosen.beta_chosen.values[-1]:g}."
        )
        .replace("\n", " ")
        .replace("-0", "−0"),
        data=plots.table({**lines, **counted, **points}),
        numbers=_numbers(gains, fallen, lines),
    )


def _final(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    last = ds.isel(step=[-1])
    values = {"chosen": metrics.chosen_prob(last), "rejected": metrics.rejected_log_prob(last)}
    return {word: metrics.over_pairs(each, last).isel(step=0, drop=True) for word, each in values.items()}


def _case(final: Final, word: str, name: str, scenario: str) -> xr.DataArray:
    family, value = CASES[name]
    return final[family][word].sel({"scenario": scenario, FAMILIES[family][0]: value}, drop=True)


def _cases(final: Final, word: str, scenario: str) -> plots.Summary:
    """One final quantity of the four cases, in one scenario."""
    parts = [_case(final, word, name, scenario) for name in CASES]
    return plots.over_seeds(xr.concat(parts, "case").assign_coords(case=list(CASES)), x="case")


def _gains(final: Final, scenario: str) -> plots.Summary:
    """Final chosen probability of each case less that of DPO, seed by seed."""
    first, *others = CASES
    parts = [_case(final, "chosen", name, scenario) - _case(final, "chosen", first, scenario) for name in others]
    return plots.over_seeds(xr.concat(parts, "case").assign_coords(case=others), x="case")


def _established(gains: plots.Summary) -> bool:
    """Whether the surplus helps with either β, and the weaker pull without a surplus by less than half as much."""
    return bool(gains.low[0] > 0 and gains.low[2] > 0 and gains.high[1] < 0.5 * gains.low[0])


def _lines(flex: xr.Dataset, gradients: xr.Dataset) -> dict[tuple[str, str], plots.Summary]:
    """What is drawn over steps or over the margin, for each β⁻."""
    fall = metrics.over_pairs(metrics.rejected_log_prob(flex), flex)
    margin = metrics.over_pairs(metrics.margin(flex), flex)
    # As far as every seed of every shown run comes.
    farthest = float(margin.sel(beta_rejected=list(SHOWN)).max("step").min())
    at_margin = metrics.when_reached(fall, margin, np.linspace(0, np.floor(10 * farthest) / 10, 40))
    cosine = metrics.gradient_cosine(gradients).sel(space="parameter", drop=True)
    quantities = {
        "log π⁻ over steps": (fall, "step"),
        "log π⁻ over margin": (at_margin, "level"),
        "cosine over steps": (cosine, "step"),
    }
    return {
        (panel, f"{beta:g}"): plots.over_seeds(values.sel(beta_rejected=beta, drop=True), x=x)
        for panel, (values, x) in quantities.items() for beta in SHOWN
    }  # fmt: skip


def _say(lines: Mapping[tuple[str, str], plots.Summary], flex: xr.Dataset) -> dict[str, str]:
    """Put the numbers of the line panels into words."""
    fall = {beta: lines["log π⁻ over steps", f"{beta:g}"] for beta in SHOWN}
    passed = {beta: _passes(each, fall[DPO]) for beta, each in fall.items() if beta != DPO}
    at_margin = {beta: lines["log π⁻ over margin", f"{beta:g}"] for beta in SHOWN}
    cosine = {beta: lines["cosine over steps", f"{beta:g}"].median[-1] for beta in SHOWN}
    push = metrics.over_pairs(metrics.remaining_push(flex).sel(term="chosen", drop=True), flex)
    steps = xr.zeros_like(push) + push["step"]
    tenth = metrics.when_reached(steps, push, [TENTH], falling=True).isel(level=0).median("seed")
    said = {
        "steps": "slower at first, then faster: below DPO's from step\n"
        + " and ".join(f"{step:.0f} (β⁻ = {beta:g})" for beta, step in passed.items())
        + " on",
        "margin": f"at a margin of {at_margin[DPO].x[-1]:.1f}: {at_margin[DPO].median[-1]:.0f} for DPO,\n"
        + " and ".join(f"{each.median[-1]:.0f} for β⁻ = {beta:g}" for beta, each in at_margin.items() if beta != DPO),
        "cosine": "cosine of their parameter gradients, at the end\n"
        + ", ".join(f"{value:.2f} (β⁻ = {beta:g})" for beta, value in cosine.items()),
        "push": f"a tenth is left at step {tenth.sel(beta_rejected=DPO):.0f} for DPO, "
        f"{tenth.sel(beta_rejected=SMALL):.0f} for β⁻ = {SMALL:g};\nbut a little SFT helps as much at DPO's own sum",
    }
    return {word: text.replace("-", "−") for word, text in said.items()}


def _passes(one: plots.Summary, other: plots.Summary) -> float:
    """The first step from which on the median of one stays below that of the other."""
    below = np.logical_and.accumulate((one.median < other.median)[::-1])[::-1]
    return float(one.x[np.argmax(below)]) if below.any() else np.inf


def _total(ds: xr.Dataset) -> xr.DataArray:
    return metrics.over_pairs(metrics.total_push(ds).sel(term="chosen", drop=True), ds)


def _ratio(ds: xr.Dataset) -> xr.DataArray:
    """The ratio of the two pushes, its geometric mean over the training."""
    return np.exp(metrics.over_pairs(metrics.log_push_ratio(ds), ds).mean("step"))


def _points(ds: xr.Dataset, final: Mapping[str, xr.DataArray], scenario: str, measure) -> plots.Summary:  # noqa: ANN001
    """Final chosen probability of a family's runs over a quantity of theirs."""
    (axis,) = (axis for axis, _ in FAMILIES.values() if axis in ds.dims)
    across = measure(ds.sel(scenario=scenario, drop=True))
    chosen = plots.over_seeds(final["chosen"].sel(scenario=scenario, drop=True), x=axis)
    if "seed" in across.dims:
        across = across.median("seed")
    return replace(chosen, x=across.values.astype(float))


def _draw_points(summary: plots.Summary, role: plots.Role, ax: Axes, *, hollow: bool) -> None:
    ax.errorbar(
        summary.x, summary.median, yerr=[summary.median - summary.low, summary.high - summary.median],
        fmt=role.marker, color=role.color, markersize=4.5, elinewidth=1, label=role.label,
        markerfacecolor="white" if hollow else role.color,
    )  # fmt: skip
    ax.plot(summary.x, summary.median, color=role.color, linewidth=0.7, alpha=0.5)


def _draw_cases(cases: Mapping[str, plots.Summary], fallen: Mapping[str, plots.Summary], ax: Axes) -> None:
    """Draw the four cases of each scenario as bars, with how far the rejected response fell beside them."""
    parts = list(cases.values())
    joined = plots.Summary(
        x=np.concatenate([each.x for each in parts]),
        median=np.concatenate([each.median for each in parts]),
        low=np.concatenate([each.low for each in parts]),
        high=np.concatenate([each.high for each in parts]),
        seeds=np.concatenate([each.seeds for each in parts], axis=1),
        seed=parts[0].seed,
    )
    roles = [FAMILIES["dpo"][1] if value == DPO else FAMILIES[family][1] for family, value in CASES.values()]
    plots.bars(joined, ax, roles=roles * len(parts))
    ax.axhline(len(CASES) - 0.5, color="#bbbbbb", linewidth=0.6)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8])
    words = [f"{name}: {word}" if first == 0 else word for name in cases for first, word in enumerate(CASES)]
    ax.set_yticks(ax.get_yticks(), words)
    for row, value in enumerate(np.concatenate([each.median for each in fallen.values()])):
        plots.end_label(1, row, f"{value:.0f}".replace("-", "−"), ax, color=plots.REJECTED.color)
    ax.annotate(
        "final\nlog π⁻", (1, 0), xycoords="axes fraction", xytext=(5, 0), textcoords="offset points",
        fontsize="small", color=plots.REJECTED.color, va="top",
    )  # fmt: skip


def _logarithmic(ax: Axes) -> None:
    ax.set_yscale("symlog", linthresh=1)
    ax.set_yticks([-1, -10, -100], ["−1", "−10", "−100"])
    ax.minorticks_off()


def _numbers(
    gains: Mapping[str, plots.Summary],
    fallen: Mapping[str, plots.Summary],
    lines: Mapping[tuple[str, str], plots.Summary],
) -> dict[str, tuple[float, float]]:
    numbers = {}
    for name, each in gains.items():
        for case, value in zip(each.x, each.median, strict=True):
            numbers[f"change of chosen against DPO, {case}, {name}"] = (float(value), 0.08)
        for case, value in zip(fallen[name].x, fallen[name].median, strict=True):
            numbers[f"final log π⁻, {case}, {name}"] = (float(value), 0.08 * abs(float(value)))
    for beta in SHOWN:
        numbers[f"final cosine, β⁻ = {beta:g}"] = (float(lines["cosine over steps", f"{beta:g}"].median[-1]), 0.12)
    return numbers


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, section on Flex-DPO: its reason, tested",
    lines={
        "flex": "mlp s1,s2 flex beta=0.1 beta_rejected=0.005,0.01,0.02,0.04,0.08,0.1,0.16,0.32,0.64,1.28 "
        f"{TRAINING} keep=none",
        "sft": f"mlp s1,s2 dpo beta=0.1 sft_weight=0,1e-5,3e-5,1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,0.1 {TRAINING} keep=none",
        "dpo": f"mlp s1,s2 dpo beta=0.005,0.01,0.02,0.04,0.08,0.32,1.28 {TRAINING} keep=none",
        "chosen": f"mlp s1,s2 flex beta=0.1 beta_chosen=0.02,0.05,0.125,0.25,0.5,1,2 {TRAINING} keep=none",
        "gradients": f"mlp s1 flex beta=0.1 beta_rejected=0.01,0.04,0.1 {TRAINING}",
    },
    draw=draw,
)
