"""SGD, momentum and Adam at equal loss: which of them lowers the chosen response of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.properties import Thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Shown = dict[tuple[str, str], plots.Summary]

MESSAGE = "The optimiser decides: at equal loss Adam lowers this network's chosen response, SGD and momentum do not"
PLAIN = "The optimiser decides how far the chosen response has fallen at equal loss"
# For each optimiser: the rate whose runs are drawn with their spread, and all rates.
RATES = {
    "sgd": (1.0, "1,3,10,30,100"),
    "momentum": (0.1, "0.1,0.3,1,3,10"),
    "adam": (1e-3, "1e-3,3e-3,1e-2,3e-2,0.1"),
}
SCENARIOS = ("s1", "s2", "s3", "s4")
# Every run reaches this loss; runs are compared there.
REACHED = 2e-3
LOSSES = np.geomspace(0.69, REACHED, 100)
STEPS = {
    "gradient": plots.Role("SGD's step", plots.OPTIMIZERS["sgd"].color, "solid"),
    "optimizer": plots.Role("Adam's step", plots.OPTIMIZERS["adam"].color, "dashdot"),
}
ZOOM = (-0.06, 0.03)
LAST = 500
# Which point of its curve an optimiser's name stands at, and how many points away.
LABELS = {"sgd": (-1, (7, 0)), "momentum": (0, (-3, 10)), "adam": (-1, (7, 0))}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen probability over the loss, over the rate, over the scenarios, and one step of each kind."""
    falls = {name: _fall(data[f"{name}, scenarios"]) for name in RATES}
    typical = {name: fall.median("seed") for name, fall in falls.items()}
    clear = Thresholds().degradation
    alone = (typical["adam"] > clear).all() and all((typical[name] <= clear).all() for name in ("sgd", "momentum"))
    figure, axes = page.grid(2, 2, aspect=0.88, title=MESSAGE if alone else PLAIN)
    over_loss, over_rate, over_scenario, one_step = axes.flat
    shown: Shown = {}
    for name, (main, _) in RATES.items():
        _draw_rates(name, main, data[f"{name}, rates"], over_loss, over_rate, shown)
    over_loss.set(
        xscale="log", xlim=(LOSSES[0], REACHED), ylim=(0, 1.1),
        xlabel="training loss, falling", ylabel="probability of the chosen response",
    )  # fmt: skip
    over_rate.set(xscale="log", xlim=(6e-4, 900), ylim=(0, 1.1), xlabel="learning rate", ylabel="")
    for ax, axis in ((over_loss, "x"), (over_rate, "x")):
        getattr(ax, f"{axis}axis").set_major_formatter(lambda value, _: plots.power(np.log10(value)))

    rows = [(scenario, name) for scenario in SCENARIOS for name in RATES]
    bars = xr.concat([falls[name].sel(scenario=scenario, drop=True) for scenario, name in rows], "bar")
    bars = bars.assign_coords(bar=[f"{scenario} {name}" for scenario, name in rows])
    shown["fall at equal loss", "chosen"] = plots.over_seeds(bars, x="bar")
    words = [f"{scenario if name == 'sgd' else ''}   {plots.OPTIMIZERS[name].label}" for scenario, name in rows]
    plots.bars(
        shown["fall at equal loss", "chosen"], over_scenario,
        roles=[plots.OPTIMIZERS[name] for _, name in rows], labels=words,
    )  # fmt: skip
    over_scenario.set(xlim=(-0.01, 1.04 * float(bars.max())), xlabel="fall of the chosen response")

    per_nat = metrics.chosen_per_rejected_nat(data["one step"])
    for update, role in STEPS.items():
        shown["one step", role.label] = plots.over_seeds(per_nat.sel(update=update, drop=True).isel(step=slice(-1)))
        plots.curve(shown["one step", role.label], one_step, role=role)
    plots.level(0, one_step)
    one_step.set(ylim=ZOOM, ylabel="change of log π⁺ per nat")

    largest = shown["chosen over loss", f"sgd lr={data['sgd, rates']['lr'].values[-1]:g}"]
    over_loss.annotate(
        f"SGD, rate {data['sgd, rates']['lr'].values[-1]:g}", (largest.x[-1], largest.median[-1]), xytext=(0, -9),
        textcoords="offset points", ha="right", va="center", fontsize="small", color=plots.OPTIMIZERS["sgd"].color,
    )  # fmt: skip
    plots.panel(over_loss, "At equal loss", about="bold: one rate with its spread;\nthin: other rates, medians")
    plots.panel(
        over_rate,
        f"Rate by rate at loss {REACHED:g}",
        about=f"filled: at loss {REACHED:g};\nhollow: after {LAST} steps",
    )
    plots.panel(
        over_scenario,
        "In every scenario",
        about=f"fall from the peak until loss {REACHED:g}:\nmedian, its interval, every seed",
    )
    plots.panel(
        one_step, "Two steps from the same states",
        about="along Adam's runs: what taking one nat\nfrom log π⁻ does to log π⁺",
    )  # fmt: skip

    peak = shown["chosen over loss", f"adam lr={RATES['adam'][0]:g}"].median
    equal = {name: shown["chosen at equal loss", name] for name in RATES}
    late = {name: shown["chosen after the last step", name] for name in RATES}
    last = {update: float(shown["one step", role.label].median[-1]) for update, role in STEPS.items()}
    cell = {name: typical[name].sel(scenario="s1").item() for name in RATES}
    worst = {name: float(typical[name].max()) for name in RATES}
    stable = equal["sgd"].median[:-1].min()
    return Drawing(
        figure=figure,
        alt=(
            f"An MLP under DPO, {equal['adam'].count} seeds, medians. Under Adam the chosen response peaks at "
            f"{peak.max():.2f} and is down to {peak[-1]:.2f} at loss {REACHED:g}; at five learning rates it stands "
            f"there between {equal['adam'].median.min():.2f} and {equal['adam'].median.max():.2f}. SGD at the same "
            f"loss holds at least {_floor(stable)} at rates {equal['sgd'].x[0]:g} to {equal['sgd'].x[-2]:g} and "
            f"{equal['sgd'].median[-1]:.2f} at rate {equal['sgd'].x[-1]:g}, where its first steps are too large; "
            f"momentum holds at least {_floor(equal['momentum'].median.min())} at every rate, but at rate "
            f"{late['momentum'].x[-1]:g} it has come down to {late['momentum'].median[-1]:.2f} after {LAST} steps. "
            f"Over four scenarios the fall at equal loss is at most {worst['sgd']:.3f} for SGD, "
            f"{worst['momentum']:.3f} for momentum and {typical['adam'].min():.2f} to {worst['adam']:.2f} for Adam. "
            f"From the last states of Adam's runs a plain gradient step changes log π⁺ by {last['gradient']:+.3f} for "
            f"each nat taken from log π⁻, Adam's own step by {last['optimizer']:+.3f}."
        ),
        data=plots.table(shown),
        numbers={
            "fall in s1 at equal loss, SGD": (cell["sgd"], 0.005),
            "fall in s1 at equal loss, momentum": (cell["momentum"], 0.005),
            "fall in s1 at equal loss, Adam": (cell["adam"], 0.06),
            "largest fall over the scenarios at equal loss, SGD": (worst["sgd"], 0.01),
            "largest fall over the scenarios at equal loss, momentum": (worst["momentum"], 0.01),
            "smallest fall over the scenarios at equal loss, Adam": (float(typical["adam"].min()), 0.03),
            "chosen at equal loss, SGD, smallest over stable rates": (stable, 0.005),
            "chosen at equal loss, SGD, largest rate": (equal["sgd"].median[-1], 0.15),
            "chosen after the last step, momentum, largest rate": (late["momentum"].median[-1], 0.2),
            "change of log π⁺ per nat, Adam's step": (last["optimizer"], 0.012),
            "change of log π⁺ per nat, plain gradient": (last["gradient"], 0.012),
        },
    )


def _draw_rates(name: str, main: float, ds: xr.Dataset, over_loss: Axes, over_rate: Axes, shown: Shown) -> None:
    """Draw one optimiser's runs at all its rates: over the loss, and by rate at equal loss and at the end."""
    role = plots.OPTIMIZERS[name]
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    read = metrics.when_reached(chosen, metrics.total_loss(ds), LOSSES, falling=True)
    for rate in ds["lr"].values:
        summary = plots.over_seeds(read.sel(lr=rate, drop=True), x="level")
        shown["chosen over loss", f"{name} lr={rate:g}"] = summary
        if rate == main:
            plots.curve(summary, over_loss, role=role)
        else:
            over_loss.plot(
                summary.x, summary.median, color=role.color, linestyle=role.line, linewidth=0.9, alpha=0.8, zorder=2.6
            )
    late = plots.over_seeds(chosen.isel(step=-1, drop=True), x="lr")
    equal = plots.over_seeds(read.isel(level=-1, drop=True), x="lr")
    shown["chosen at equal loss", name], shown["chosen after the last step", name] = equal, late
    plots.curve(equal, over_rate, role=role, markers=True, label="", seeds=False)
    over_rate.plot(
        late.x, late.median, color=role.color, linestyle="dotted", linewidth=0.9, marker=role.marker,
        markerfacecolor="white", zorder=2.6,
    )  # fmt: skip
    at, offset = LABELS[name]
    over_rate.annotate(
        role.label, (equal.x[at], equal.median[at]), xytext=offset, textcoords="offset points",
        fontsize="small", color=role.color, va="center",
    )  # fmt: skip


def _fall(ds: xr.Dataset) -> xr.DataArray:
    """How far the chosen probability is below its peak when the loss is reached, [scenario, seed]."""
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    read = metrics.when_reached(chosen, metrics.total_loss(ds), LOSSES, falling=True)
    return read.max("level") - read.isel(level=-1, drop=True)


def _floor(value: float) -> str:
    """Write a probability rounded down, so that "at least" stays true."""
    return f"{np.floor(1000 * value) / 1000:.3f}"


FIGURE = Figure(
    title=MESSAGE,
    paper="new: 3D-Properties does not vary the optimiser",
    lines={
        **{
            f"{name}, rates": f"mlp s1 dpo beta=0.1 {name} lr={rates} steps={LAST} seeds=24 keep=none"
            for name, (_, rates) in RATES.items()
        },
        **{
            f"{name}, scenarios": f"mlp {','.join(SCENARIOS)} dpo beta=0.1 {name} lr={RATES[name][0]:g} {rest}"
            for name, rest in (
                ("sgd", "steps=250 seeds=24 keep=none"),
                ("momentum", "steps=250 seeds=24 keep=none"),
                ("adam", f"steps={LAST} seeds=24"),
            )
        },
        "one step": f"mlp s1 dpo beta=0.1 adam lr=1e-3 steps={LAST} seeds=24 keep=predictions",
    },
    draw=draw,
)
