"""The frontier with 32 comparisons when every method may stop at the best of six moments, chosen on other seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import plots
from lab.experiments.frontiers import COMPARISONS
from lab.experiments.tuning import SETTINGS, tune, tuned_shares, tuning_lines

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "Stopping PPO's reward model in time lifts PPO, stopping DPO in time lifts DPO as much: tuned alike, PPO is not "
    "ahead"
)
PLAIN = "The frontier of every method, each tuned over six moments to stop at"
POLICIES = {"tabular": "Table", "mlp": "Network"}
LEVELS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
READ_AT = 1.0
LIFT, BEHIND = 0.03, 0.05  # shares of the optimum's gain: what counts as a lift, and as PPO being ahead
SHOWN = ("dpo", "ipo", "online", "ppo", "ppo_gt", "best_of_n")
PAIR = ("dpo", "ppo")


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw what each setting gives on the seeds for tuning, and the tuned frontiers on the others."""
    share = {
        policy: tuned_shares(
            {key.split(" ")[1]: ds for key, ds in data.items() if key.startswith(f"{policy} ")}, LEVELS
        )
        for policy in POLICIES
    }
    found = {policy: {name: tune(each) for name, each in by.items()} for policy, by in share.items()}
    over = {
        (policy, name): plots.over_seeds(_named(each["tuned"]), x="level")
        for policy, by in found.items() for name, each in by.items()
    }  # fmt: skip
    plain = {
        (policy, name): plots.over_seeds(_named(found[policy][name]["plain"]), x="level")
        for policy in POLICIES for name in PAIR
    }  # fmt: skip
    ahead = {
        (policy, kind): plots.over_seeds(_named(by["ppo"][kind] - by["dpo"][kind]), x="level")
        for policy, by in found.items() for kind in ("tuned", "plain")
    }  # fmt: skip
    lift = {
        (policy, name): _at(by[name]["tuned"] - by[name]["plain"])
        for policy, by in found.items() for name in by
    }  # fmt: skip
    figure, axes = page.grid(
        2, 3, aspect=0.86, title=MESSAGE if _established(found, lift) else PLAIN, width_ratios=[1, 1.05, 1],
        note=f"{COMPARISONS} comparisons a prompt; left: {_half(share, 'first')} seeds, on which each method's setting "
        f"is chosen at every KL (ringed at KL {READ_AT:g}); the rest: {_half(share, 'second')} other seeds; at a "
        "setting, the most that policies of all β, or N, or mixtures of two give; median and 95 % bootstrap interval",
    )  # fmt: skip
    tuning = {}
    for row, (policy, word) in enumerate(POLICIES.items()):
        left, middle, right = axes[row]
        for name in SHOWN:
            tuning[policy, name] = _tuning(share[policy][name], found[policy][name], name, left)
        _frontiers(policy, over, plain, middle)
        _ahead(policy, ahead, right)
        plots.panel(left, word, about=f"tuning: share of the gain at KL {READ_AT:g}")
        told = "\n".join(
            f"{METHODS[name].label} {_told(plain[policy, name])} → {_told(over[policy, name])}" for name in PAIR
        )
        plots.panel(middle, "", about=f"tuned (dotted: to the end); at KL {READ_AT:g}\n{told}")
        plots.panel(right, "", about="PPO less DPO; solid: tuned,\ndotted: both to the end")
        left.set(xlabel="stopped after so many updates" if row else "", ylabel="share of the optimum's gain")
        for ax in (middle, right):
            ax.set(xlabel="KL from the reference (nats)" if row else "", ylabel="")
    plots.same_limits(axes[:, :2].ravel())
    plots.same_limits(axes[:, 2])
    shown = {(f"{POLICIES[policy]}, tuning", METHODS[name].label): each for (policy, name), each in tuning.items()}
    shown |= {(f"{POLICIES[policy]}, tuned", METHODS[name].label): each for (policy, name), each in over.items()}
    shown |= {(f"{POLICIES[policy]}, to the end", METHODS[name].label): each for (policy, name), each in plain.items()}
    shown |= {(f"{POLICIES[policy]}, PPO less DPO", kind): each for (policy, kind), each in ahead.items()}
    told = "; ".join(
        f"{POLICIES[policy].lower()}, {METHODS[name].label}: "
        f"{_told(plots.over_seeds(_named(by[name]['plain']), x='level'))} to the end, "
        f"{_told(over[policy, name])} stopped at {_setting(by[name])}"
        for policy, by in found.items() for name in SHOWN
    )  # fmt: skip
    return Drawing(
        figure=figure,
        alt=(
            f"Six panels. Share of the exact optimum's gain at a KL of {READ_AT:g} nat, medians of "
            f"{_half(share, 'second')} seeds that were not tuned on: {told}."
        ),
        data=plots.table(shown),
        numbers={
            **{
                f"tuned share at KL {READ_AT:g}, {policy} {name}": (_median(over[policy, name]), 0.06)
                for policy, name in over if np.isfinite(_median(over[policy, name]))
            },
            **{
                f"tuned less to the end at KL {READ_AT:g}, {policy} {name}": (float(each.median[0]), 0.06)
                for (policy, name), each in lift.items() if np.isfinite(each.median[0])
            },
        },
    )  # fmt: skip


def _tuning(share: xr.DataArray, tuned: xr.Dataset, name: str, ax: Axes) -> plots.Summary:
    """Draw a method's settings at one KL, and ring the one that is chosen there."""
    first = share.isel(seed=slice(0, share.sizes["seed"] // 2)).sel(level=READ_AT, drop=True)
    summary = plots.over_seeds(_named(first), x="setting")
    role = METHODS[name]
    _line(summary, name, ax, label=False)
    chosen = list(SETTINGS).index(_setting(tuned))
    ax.plot(
        summary.x[chosen], summary.median[chosen], marker="o", markersize=7, markerfacecolor="none",
        markeredgecolor=role.color, markeredgewidth=1.4, zorder=5,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks(SETTINGS, [str(each) for each in SETTINGS])
    ax.minorticks_off()
    return summary


def _frontiers(
    policy: str,
    over: Mapping[tuple[str, str], plots.Summary],
    plain: Mapping[tuple[str, str], plots.Summary],
    ax: Axes,
) -> None:
    for name in SHOWN:
        _line(over[policy, name], name, ax, label=True)
    for name in PAIR:
        each = plain[policy, name]
        ax.plot(each.x, each.median, color=METHODS[name].color, linestyle=(0, (1, 2)), linewidth=1.2, zorder=2.5)


def _line(summary: plots.Summary, name: str, ax: Axes, *, label: bool) -> None:
    """Draw a method's median, and its interval if it is one of the two that are compared."""
    role = METHODS[name]
    if name in PAIR:
        plots.curve(summary, ax, role=role, label=None if label else "", seeds=False)
        return
    ax.plot(summary.x, summary.median, color=role.color, linestyle=role.line, linewidth=1.2, zorder=2.8)
    if label and np.isfinite(summary.median[-1]):
        plots.end_label(summary.x[-1], summary.median[-1], role.label, ax, color=role.color)


def _ahead(policy: str, ahead: Mapping[tuple[str, str], plots.Summary], ax: Axes) -> None:
    ax.axhline(0, color="#555555", linewidth=0.6, zorder=1)
    for kind, line in (("tuned", "solid"), ("plain", "dotted")):
        role = plots.Role(kind, METHODS["ppo"].color, line)
        plots.curve(ahead[policy, kind], ax, role=role, label="", seeds=kind == "tuned", markers=False)


def _named(values: xr.DataArray) -> xr.DataArray:
    return values.assign_attrs(long_name="share of the optimum's gain", units="1")


def _at(values: xr.DataArray) -> plots.Summary:
    return plots.over_seeds(_named(values.sel(level=[READ_AT])), x="level")


def _setting(tuned: xr.Dataset) -> int:
    return int(tuned["setting"].sel(level=READ_AT))


def _median(summary: plots.Summary) -> float:
    return float(summary.median[LEVELS.index(READ_AT)])


def _told(summary: plots.Summary) -> str:
    return f"{100 * _median(summary):.0f} %"


def _half(share: Mapping[str, Mapping[str, xr.DataArray]], which: str) -> int:
    seeds = share["tabular"]["dpo"].sizes["seed"]
    return seeds // 2 if which == "first" else seeds - seeds // 2


def _established(found: Mapping[str, Mapping[str, xr.Dataset]], lift: Mapping[tuple[str, str], plots.Summary]) -> bool:
    """Whether tuning lifts both, and PPO is then surely not ahead of DPO by what counts, in table and network."""
    lifted = all(lift[policy, name].low[0] > LIFT for policy in POLICIES for name in PAIR)
    level = all(_at(by["ppo"]["tuned"] - by["dpo"]["tuned"]).high[0] < BEHIND for by in found.values())
    return lifted and level


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, figure 2, left, with every method tuned over the same budget",
    lines={f"{policy} {name}": line for policy in POLICIES for name, line in tuning_lines(policy).items()},
    draw=draw,
)
