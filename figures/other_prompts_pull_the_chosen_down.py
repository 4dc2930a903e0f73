"""Who moves the chosen response: its own prompt's two terms and those of the other prompts, added up step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = "Other prompts pull the chosen response down: its own pair still pushes it up while it falls"
PLAIN = "How far each prompt's terms move the chosen response"
ROLES = {
    "own chosen": replace(plots.CHOSEN, label="own chosen"),
    "own rejected": replace(plots.REJECTED, label="own rejected"),
    "others' chosen": plots.Role("others' chosen", "#4FA3D9", "dashdot", marker="D"),
    "others' rejected": plots.Role("others' rejected", "#7A0F2B", "dotted", marker="^"),
}
OWN, OTHERS = ("own chosen", "own rejected"), ("others' chosen", "others' rejected")
NET = {
    "own pair": plots.Role("own pair", "#0072B2", "solid"),
    "other prompts": plots.Role("other prompts", "#7A0F2B", "dotted"),
}
SUM = plots.Role("sum (grey:\nrealised)", "#000000", "solid", width=0.8)
REALISED = plots.Role("realised", "#9A9A9A", "solid", width=3.2)
INTO = {"chosen": plots.CHOSEN, "chosen elsewhere": plots.KINDS["chosen elsewhere"]}
CASES = {
    "s1": "SGD, 16 units, s1",
    "s2": "SGD, 16 units, s2",
    "adam": "Adam, 64 units, s1",
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the cumulated changes of log π⁺ by who made them, and where the mass went."""
    # Only where it is needed: naming a figure must not wait for torch.
    from lab.experiments.attribution import attribute

    sgd, adam = data["sgd"], data["adam"]
    changes = {name: attribute(ds.attrs["experiment"]) for name, ds in data.items()}
    cells = {
        "s1": (sgd.sel(scenario="s1"), changes["sgd"].sel(scenario="s1")),
        "s2": (sgd.sel(scenario="s2"), changes["sgd"].sel(scenario="s2")),
        "adam": (adam, changes["adam"]),
    }
    moved = {case: metrics.over_pairs(metrics.moved_by(ds, change), ds) for case, (ds, change) in cells.items()}
    since = {case: _since_the_peak(ds, moved[case]) for case, (ds, _) in cells.items()}
    nets = {
        case: {who: plots.over_seeds(values.sel(mover=list(movers)).sum("mover", skipna=False).expand_dims(case=[case]),
                                     x="case") for who, movers in zip(NET, (OWN, OTHERS), strict=True)}
        for case, values in since.items()
    }  # fmt: skip
    pulled = all(net["own pair"].low[0] > 0 and net["other prompts"].high[0] < 0 for net in nets.values())

    figure, axes = page.grid(2, 2, aspect=0.86, title=MESSAGE if pulled else PLAIN)
    shown: dict[tuple[str, str], plots.Summary] = {}
    for ax, case in zip(axes.flat, ("s1", "s2"), strict=False):
        curves = {name: moved[case].sel(mover=name, drop=True) for name in ROLES}
        _cumulated(curves, cells[case][0], ax, ROLES, CASES[case], shown)
        plots.panel(ax, CASES[case], about=_about(nets[case]))
    curves = {who: moved["adam"].sel(mover=list(movers)).sum("mover", skipna=False)
              for who, movers in zip(NET, (OWN, OTHERS), strict=True)}  # fmt: skip
    _cumulated(curves, adam, axes[1, 0], NET, CASES["adam"], shown)
    plots.panel(axes[1, 0], CASES["adam"], about=_about(nets["adam"]))
    flows = _mass(*cells["s1"])
    shown["mass moved since the peak", "mover, kind"] = flows
    names = [name for name in ROLES for _ in INTO]
    labels = [name if row % len(INTO) == 0 else "" for row, name in enumerate(names)]
    plots.bars(flows, axes[1, 1], roles=[*INTO.values()] * len(ROLES), labels=labels)
    furthest = 1.05 * float(abs(flows.seeds).max())
    axes[1, 1].set_xlim(-furthest, furthest)
    for height, (words, role) in enumerate(
        zip(("into its\nown chosen", "into others'\nchosen"), INTO.values(), strict=True)
    ):
        plots.end_label(furthest, height, words, axes[1, 1], color=role.color)
    axes[1, 1].set_xlabel("probability moved since the peak")
    out, taken = (flows.median[6 + place] for place in range(2))
    plots.panel(
        axes[1, 1], "Where they move the mass, s1",
        about=f"others' rejected terms move {abs(out):.2f} out of the chosen\n"
        f"response and {taken:.2f} into those that other prompts choose",
    )  # fmt: skip
    for ax in axes[:, 0]:
        ax.set_ylabel("change of log π⁺ since the start (nats)")
    axes[0, 1].set_ylabel("")
    gap = {case: _gap(cells[case][0], moved[case]) for case in CASES}
    return Drawing(
        figure=figure,
        alt=(
            "Four panels, MLP under DPO. Change of the chosen log-probability since its peak, by who made it, medians "
            f"of {sgd.sizes['seed']} seeds: "
            + "; ".join(
                f"{title}, own pair {nets[case]['own pair'].median[0]:+.2f} and other prompts "
                f"{nets[case]['other prompts'].median[0]:+.2f} nats"
                for case, title in CASES.items()
            )
            + f". The sum of all terms misses the realised change by at most {max(gap.values()):.2f} nats (median). In "
            f"s1 the rejected terms of other prompts moved {abs(out):.2f} of probability out of the chosen response "
            f"and {taken:.2f} into responses that other prompts choose."
        ),
        data=plots.table(shown),
        numbers={
            **{
                f"{title}: {who} since the peak": (net.median[0], 0.25 + 0.15 * abs(net.median[0]))
                for case, title in CASES.items() for who, net in nets[case].items()
            },
            **{f"{title}: sum minus realised since the start": (gap[case], 0.1) for case, title in CASES.items()},
            "s1: mass moved out of chosen by others' rejected": (out, 0.3),
            "s1: mass moved into others' chosen by others' rejected": (taken, 0.3),
        },
    )  # fmt: skip


def _since_the_peak(ds: xr.Dataset, moved: xr.DataArray) -> xr.DataArray:
    """Sum changes from the step at which log π⁺ was highest, [seed, mover]."""
    chosen = metrics.over_pairs(metrics.chosen_log_prob(ds), ds)
    return moved.where(moved["step"] >= chosen.idxmax("step"), 0).sum("step", skipna=False)


def _cumulated(
    curves: Mapping[str, xr.DataArray], ds: xr.Dataset, ax: Axes, roles: Mapping[str, plots.Role], title: str,
    shown: dict[tuple[str, str], plots.Summary],
) -> None:  # fmt: skip
    """Draw what each mover did since the start, their sum, and what happened."""
    chosen = metrics.over_pairs(metrics.chosen_log_prob(ds), ds)
    realised = (chosen - chosen.isel(step=0, drop=True)).assign_attrs(long_name="change of log π⁺", units="nats")
    everything = {"realised": realised, **{name: _since_the_start(each, ds) for name, each in curves.items()},
                  "sum": _since_the_start(sum(curves.values()), ds)}  # fmt: skip
    for name, values in everything.items():
        role = {**roles, "sum": SUM, "realised": REALISED}[name]
        summary = plots.over_seeds(values)
        shown[title, name] = summary
        plots.curve(summary, ax, role=role, label="" if name == "realised" else role.label, seeds=name in roles)
    ax.axhline(0, color=plots.REFERENCE.color, linewidth=0.6, zorder=1)


def _since_the_start(change: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Add changes up to each recorded step, from 0 at the start."""
    total = change.cumsum("step").assign_coords(step=ds["step"].values[1:])
    start = xr.zeros_like(total.isel(step=[0])).assign_coords(step=ds["step"].values[:1])
    joined = xr.concat([start, total], "step")
    return joined.assign_attrs(long_name="change of log π⁺", units="nats")


def _mass(ds: xr.Dataset, change: xr.DataArray) -> plots.Summary:
    """Mass that each mover moved into the chosen responses and into those chosen elsewhere, since the peak."""
    moved = metrics.over_prompts(metrics.mass_moved(ds, change), ds)
    since = _since_the_peak(ds, moved).sel(kind=list(INTO)).transpose("seed", "mover", "kind")
    rows = [f"{mover}, into {kind}" for mover in ROLES for kind in INTO]
    flat = xr.DataArray(
        since.sel(mover=list(ROLES)).values.reshape(since.sizes["seed"], -1),
        {"seed": since["seed"].values, "row": rows}, ("seed", "row"), attrs={"long_name": "moved mass", "units": "1"},
    )  # fmt: skip
    return plots.over_seeds(flat, x="row")


def _gap(ds: xr.Dataset, moved: xr.DataArray) -> float:
    """How far the sum of all terms lies from the change that happened, from start to end, median of seeds."""
    chosen = metrics.over_pairs(metrics.chosen_log_prob(ds), ds)
    return float(abs(moved.sum(["mover", "step"]) - (chosen.isel(step=-1) - chosen.isel(step=0))).median())


def _about(net: Mapping[str, plots.Summary]) -> str:
    own, others = (net[who].median[0] for who in NET)
    return f"since its peak: own pair {own:+.1f} nats,\nother prompts {others:+.1f} nats".replace("-", "−")


FIGURE = Figure(
    title=MESSAGE,
    paper="extends Ren & Sutherland 2025 (arXiv 2407.10490): its decomposition by prompt and term, along a training",
    lines={
        "sgd": "mlp s1,s2 dpo beta=0.1 sgd lr=0.5 steps=1000 seeds=24 every=20 width=16 keep=none",
        "adam": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=5 keep=none",
    },
    draw=draw,
)
