"""Expected reward against KL of every method, with all the comparisons there are and with 32 of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.machinery import Drawing, Figure, Page
from lab import plots
from lab.experiments.frontiers import (
    COMPARISONS,
    DRAWS,
    EXACT_BETAS,
    ROUNDS,
    at_equal_kl,
    best_of_n_policies,
    lines,
    mean_over_prompts,
    optimal_policies,
    read_off,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    f"DPO is on the frontier only with all the data: with {COMPARISONS} comparisons a prompt it is level with PPO, and "
    "PPO on the true reward leaves both behind"
)
PLAIN = "Expected reward against KL from the reference, of every method, with all the data and with a sample"
POLICIES = {"tabular": "table", "mlp": "network"}
DATA = {"population": "every comparison", "sampled": f"{COMPARISONS} comparisons a prompt"}
LEVELS = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25])
READ_AT = 1.0
# Shares of the optimum's gain: what counts as all of it, as alike, and as left behind.
ALL, EVEN, FAR = 0.98, 0.1, 0.1
BANDS = ("dpo", "ppo_gt")
RIVALS = ("ppo", "ppo_gt", "online")
BESIDE = {"sft": (1.0, 0.08), "unlikelihood": (1.0, 0.22)}  # where their words stand: their lines are short


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the frontiers in four settings, and what DPO is ahead of its rivals at equal KL."""
    settings = {
        (policy, kind): {name: data[f"{policy} {kind} {name}"] for name in lines(policy, kind)}
        for policy in POLICIES
        for kind in DATA
    }
    reward = {key: _rewards(records) for key, records in settings.items()}
    share = {key: at_equal_kl(records, LEVELS.tolist()) for key, records in settings.items()}
    ahead = {
        (key, rival): plots.over_seeds(_named(each["dpo"] - each[rival]), x="level")
        for key, each in share.items() for rival in RIVALS
    }  # fmt: skip
    middle = {
        (key, name): float(each.sel(level=READ_AT).median()) for key, by in share.items() for name, each in by.items()
    }
    figure, axes = page.grid(
        3, 2, aspect=1.28, title=MESSAGE if _established(share) else PLAIN, sharex=True,
        note="reward at a KL: the most that a method's policies of all β, or mixtures of two, give for it; median and "
        "95 % bootstrap interval over worlds, in the last row seed by seed; faint: on the way of DPO's and PPO's "
        f"training; online DPO has as many labels, in {ROUNDS} rounds",
    )  # fmt: skip
    for row, (policy, word) in enumerate(POLICIES.items()):
        for column, (kind, meaning) in enumerate(DATA.items()):
            key = policy, kind
            _frontiers(reward[key], settings[key], axes[row, column])
            dpo, *others = (f"{METHODS[name].label} {100 * middle[key, name]:.0f} %" for name in ("dpo", *RIVALS))
            plots.panel(
                axes[row, column], f"{word.capitalize()}, {meaning}",
                about=f"of the optimum's gain at KL {READ_AT:g}: {dpo},\n{', '.join(others)}",
            )  # fmt: skip
            axes[row, column].set_xlabel("")
            axes[row, column].set_ylabel("gain in expected reward" if column == 0 else "")
    for column, kind in enumerate(DATA):
        ax = axes[2, column]
        ax.axhline(0, color="#555555", linewidth=0.6, zorder=1)
        for policy in POLICIES:
            for rival in RIVALS:
                role = METHODS[rival]
                drawn = plots.Role(role.label, role.color, "solid" if policy == "mlp" else "dotted", marker=role.marker)
                plots.curve(
                    ahead[(policy, kind), rival], ax, role=drawn, label=role.label if policy == "mlp" else "",
                    seeds=False, markers=False,
                )  # fmt: skip
        plots.panel(ax, "DPO less its rivals", about="share of the optimum's gain; solid: network, dotted: table")
        ax.set_ylabel("DPO ahead  →" if column == 0 else "")
        ax.set_xlabel("KL from the reference (nats)")
    plots.same_limits(axes[:2].ravel())
    shown = {
        (f"{POLICIES[policy]}, {DATA[kind]}", METHODS[name].label): each
        for (policy, kind), by in reward.items() for name, each in by.items()
    }  # fmt: skip
    shown |= {
        (f"DPO less its rivals, {DATA[kind]}", f"{POLICIES[policy]}, {METHODS[rival].label}"): each
        for ((policy, kind), rival), each in ahead.items()
    }
    told = "; ".join(
        f"{POLICIES[key[0]]}, {DATA[key[1]]}: "
        + ", ".join(f"{METHODS[name].label} {100 * middle[key, name]:.0f} %" for name in share[key])
        for key in settings
    )
    seeds = next(iter(data.values())).sizes["seed"]
    return Drawing(
        figure=figure,
        alt=(
            f"Six panels, {seeds} seeds. Share of the exact optimum's gain in expected reward at a KL of {READ_AT:g} "
            f"nat, medians. {told}."
        ),
        data=plots.table(shown),
        numbers={
            f"share of the gain at KL {READ_AT:g}, {' '.join(key)}, {name}": (value, 0.05)
            for (key, name), value in middle.items() if np.isfinite(value)
        },
    )  # fmt: skip


def _rewards(records: Mapping[str, xr.Dataset]) -> dict[str, plots.Summary]:
    """What every method gains over the reference at each KL, as far as half of its seeds go."""
    dpo = mean_over_prompts(records["dpo"])
    start = dpo["reward"].isel(step=0, beta=0, drop=True)
    sweeps = {"optimum": (optimal_policies(records["dpo"], EXACT_BETAS), "beta")}
    for name, ds in records.items():
        if name == "sft":
            sweeps[name] = ds, "step"
        else:
            sweeps[name] = ds.isel(step=-1, drop=True), "unlikelihood_weight" if name == "unlikelihood" else "beta"
    sweeps["best_of_n"] = (
        best_of_n_policies(records["ppo"].isel(beta=0, drop=True), DRAWS, by="learned_reward"),
        "draws",
    )
    levels = np.append(0.0, LEVELS)
    found = {}
    for name, (ds, over) in sweeps.items():
        reach = float(mean_over_prompts(ds)["kl"].max(over).median())
        gain = read_off(ds, [*levels[levels < reach], *([reach] if reach < levels[-1] else [])], over, start) - start
        found[name] = plots.over_seeds(gain.assign_attrs(long_name="gain in expected reward"), x="level")
    return found


def _frontiers(rewards: Mapping[str, plots.Summary], records: Mapping[str, xr.Dataset], ax: Axes) -> None:
    """Draw the way of DPO's and PPO's trainings faintly, and every frontier over it."""
    start = mean_over_prompts(records["dpo"])["reward"].isel(step=0, beta=0, drop=True)
    for name in ("dpo", "ppo"):
        means = mean_over_prompts(records[name])
        way = (means["kl"].median("seed"), (means["reward"] - start).median("seed"))
        for beta in records[name]["beta"].values[::3]:
            x, y = (each.sel(beta=beta).values for each in way)
            inside = x <= LEVELS[-1]
            ax.plot(x[inside], y[inside], color=METHODS[name].color, linewidth=0.6, alpha=0.35, zorder=1.2)
    for name, summary in rewards.items():
        role = METHODS[name]
        if name in BANDS:
            plots.curve(summary, ax, role=role, seeds=False)
            continue
        (line,) = ax.plot(
            summary.x, summary.median, color=role.color, linestyle=role.line, zorder=4 if name == "optimum" else 3
        )
        line.set_linewidth(line.get_linewidth() * role.width)
        if name in ("sft", "unlikelihood"):
            ax.plot(summary.x[-1], summary.median[-1], color=role.color, marker=role.marker, markersize=4, zorder=4)
            ax.annotate(
                role.label, (summary.x[-1], summary.median[-1]), xytext=BESIDE[name], fontsize="x-small",
                color=role.color, va="center", arrowprops={"arrowstyle": "-", "color": role.color, "linewidth": 0.5},
            )  # fmt: skip
            continue
        plots.end_label(summary.x[-1], summary.median[-1], role.label, ax, color=role.color)
    ax.set_xlim(0, LEVELS[-1])


def _named(values: xr.DataArray) -> xr.DataArray:
    return values.assign_attrs(long_name="share of the optimum's gain", units="1")


def _established(share: Mapping[tuple[str, str], Mapping[str, xr.DataArray]]) -> bool:
    """Whether DPO is at the optimum with all data, and with a sample level with PPO and far below PPO-GT."""
    found = []
    for (_, kind), by in share.items():
        at = {name: each.sel(level=READ_AT) for name, each in by.items()}
        dpo, ppo, truth = (
            plots.over_seeds(_named(values.expand_dims(level=[READ_AT])), x="level")
            for values in (at["dpo"], at["dpo"] - at["ppo"], at["ppo_gt"] - at["dpo"])
        )
        if kind == "population":
            found.append(bool(dpo.low[0] > ALL))
        else:
            found += [bool(abs(ppo.low[0]) < EVEN and abs(ppo.high[0]) < EVEN), bool(truth.low[0] > FAR)]
    return all(found)


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, figure 2, left",
    lines={
        f"{policy} {kind} {name}": line
        for policy in POLICIES for kind in DATA for name, line in lines(policy, kind).items()
    },
    draw=draw,
)  # fmt: skip
