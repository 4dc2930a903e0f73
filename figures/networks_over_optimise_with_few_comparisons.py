"""True and learned reward over KL where policy and reward model are networks, and what is lost past the peak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from figures.layouts.methods import METHODS
from figures.layouts.over_optimisation import KL, over_kl
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.experiments.over_optimisation import SIZES, both_rewards, climbing_lines, learned_past_peak, share_lost

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "Under a sharp reference networks trained on 8 comparisons lose over a fifth of their gain past its peak, DPO as "
    "PPO; on 512, next to nothing"
)
PLAIN = "True and learned reward over KL in networks, and how much true reward is lost past its peak"
SHOWN = ("best_of_n", "ppo", "dpo")
CLIMBERS = ("best_of_n", "ppo")  # they climb the learned reward itself
NETWORK, TABLE, PLAIN_REFERENCE = "network", "table", "network, reference as drawn"
SHARP = 2  # scale of the reference's logits
FEW = SIZES[0]
LEAST, MUCH, LITTLE = 0.01, 0.2, 0.05  # of the gain in true reward: a fall at all, a median that is much, or little
TOP, MIDDLE, BOTTOM = "ABCD", "EFGH", "IJ"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw both rewards of three methods over their KL at four sizes of data, and what is lost past the peak."""
    found = {(setting, size): _rewards(data, setting, size) for setting in (NETWORK, TABLE) for size in SIZES}
    found[PLAIN_REFERENCE, FEW] = _rewards(data, PLAIN_REFERENCE, FEW)
    lost = {
        (setting, name): _over_sizes({
            size: share_lost(found[setting, size][name]) for size in SIZES if (setting, size) in found
        })
        for setting in (NETWORK, TABLE, PLAIN_REFERENCE) for name in SHOWN
    }  # fmt: skip
    peaks = {name: _over_sizes({size: _peak(found[NETWORK, size][name]) for size in SIZES}) for name in SHOWN}
    figure, axes = page.mosaic(
        ";".join(
            "".join(letter * width for letter in letters) for letters, width in ((TOP, 3), (MIDDLE, 3), (BOTTOM, 6))
        ),
        aspect=1.02, title=MESSAGE if _established(found, lost) else PLAIN,
        note="gains over the reference along all β, or all N; median over worlds and 95 % bootstrap interval; KL at "
        "the peak: of the largest true reward among a method's policies; below: the share of that gain which is gone "
        "at the method's largest KL",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    for place, size in enumerate(SIZES):
        for letters, kind in ((TOP, "true"), (MIDDLE, "learned")):
            ax = axes[letters[place]]
            for name in SHOWN:
                curve = over_kl(found[NETWORK, size][name], kind)
                shown[f"{NETWORK}, {kind} reward, {size} comparisons", METHODS[name].label] = curve
                plots.curve(
                    curve, ax, role=replace(METHODS[name], line="solid"), seeds=False,
                    label=METHODS[name].label if place == len(SIZES) - 1 else "",
                )  # fmt: skip
            ax.set_xlim(0, KL[-1] + 0.3)
            ax.set_ylabel(f"{kind} reward" if place == 0 else "")
            ax.set_xlabel("KL (nats)" if kind == "learned" else "")
        told = "\n".join(f"{METHODS[name].label} {peaks[name].median[place]:.1f}" for name in SHOWN)
        plots.panel(axes[TOP[place]], f"{size} comparisons", about=f"KL at the peak:\n{told}")
    plots.same_limits([axes[letter] for letter in TOP])
    plots.same_limits([axes[letter] for letter in MIDDLE])
    _lost(lost, NETWORK, axes[BOTTOM[0]])
    _lost(lost, PLAIN_REFERENCE, axes[BOTTOM[0]], hollow=True)
    _lost(lost, TABLE, axes[BOTTOM[1]])
    plots.panel(axes[BOTTOM[0]], "Network", about=f"hollow: reference as drawn, {FEW} comparisons")
    plots.panel(axes[BOTTOM[1]], "Table", about="reward model and policy are tables")
    axes[BOTTOM[1]].set_ylabel("")
    plots.same_limits([axes[letter] for letter in BOTTOM])
    shown |= {
        (f"{setting}, share of the gain lost", METHODS[name].label): each for (setting, name), each in lost.items()
    }
    shown |= {(f"{NETWORK}, KL at the peak", METHODS[name].label): each for name, each in peaks.items()}
    seeds = next(iter(data.values())).sizes["seed"]
    return Drawing(
        figure=figure,
        alt=(
            f"Ten panels, medians of {seeds} seeds. Share of the largest gain in true reward that is gone at the "
            "largest KL, with intervals: "
            + "; ".join(
                f"{setting}, {METHODS[name].label}: "
                + ", ".join(
                    f"{each.median[k]:.2f} [{each.low[k]:.2f}, {each.high[k]:.2f}] with {size} comparisons"
                    for k, size in enumerate(each.x)
                )
                for (setting, name), each in lost.items()
            )
            + f". KL at the peak, {NETWORK}: "
            + "; ".join(
                f"{METHODS[name].label} {', '.join(f'{value:.1f}' for value in each.median)}"
                for name, each in peaks.items()
            )
            + "."
        ),
        data=plots.table(shown),
        numbers={
            **{
                f"share lost past the peak, {setting}, {size} comparisons, {name}": (each.median[k], 0.08)
                for (setting, name), each in lost.items() for k, size in enumerate(each.x)
                if np.isfinite(each.median[k])
            },
            **{
                f"KL at the peak, {NETWORK}, {size} comparisons, {name}": (each.median[k], 0.6)
                for name, each in peaks.items() for k, size in enumerate(SIZES) if np.isfinite(each.median[k])
            },
        },
    )  # fmt: skip


def _over_sizes(values: Mapping[int, xr.DataArray]) -> plots.Summary:
    """Summarise one number a seed at each size of the data."""
    import xarray as xr

    joined = xr.concat(list(values.values()), "comparisons").assign_coords(comparisons=list(values))
    return plots.over_seeds(joined.assign_attrs(next(iter(values.values())).attrs), x="comparisons")


def _peak(rewards: xr.Dataset) -> xr.DataArray:
    return metrics.past_peak(rewards["kl"], rewards["true"], over="point")["peak_kl"]


def _rewards(data: Mapping[str, xr.Dataset], setting: str, size: int) -> dict[str, xr.Dataset]:
    """Both rewards of each method in one setting."""
    pair = (data[f"{setting}, {name}"] for name in ("dpo", "ppo"))
    return both_rewards(*(ds.sel(comparisons=size, drop=True) if "comparisons" in ds.dims else ds for ds in pair))


def _lost(lost: Mapping[tuple[str, str], plots.Summary], setting: str, ax: Axes, *, hollow: bool = False) -> None:
    """Draw what is lost over the size of the data; the methods stand a little apart, so that intervals can be told."""
    ax.axhline(0, color="#555555", linewidth=0.6, zorder=1)
    for name, aside in zip(SHOWN, (0.9, 1.0, 1.11), strict=True):
        each, role = lost[setting, name], METHODS[name]
        places = each.x * aside * (0.62 if hollow else 1)
        ax.plot(
            places, each.median, color=role.color, linestyle="solid", marker=role.marker, markersize=5, zorder=3,
            markerfacecolor="white" if hollow else role.color,
        )  # fmt: skip
        ax.vlines(places, each.low, each.high, color=role.color, linewidth=1.6, alpha=0.6, zorder=2)
    ax.set_xscale("log")
    ax.set_xlim(0.48 * SIZES[0], 1.4 * SIZES[-1])
    ax.set_xticks(SIZES, [str(size) for size in SIZES])
    ax.minorticks_off()
    ax.set_xlabel("comparisons of a prompt")
    ax.set_ylabel("share of the gain lost")


def _established(
    found: Mapping[tuple[str, int], Mapping[str, xr.Dataset]], lost: Mapping[tuple[str, str], plots.Summary]
) -> bool:
    """Whether every network surely falls with few comparisons, its learned reward rising, and hardly with many."""
    said = []
    for name in SHOWN:
        share = lost[NETWORK, name]
        said += [share.low[0] > LEAST and share.median[0] > MUCH, share.median[-1] < LITTLE]
        if name in CLIMBERS:
            risen = learned_past_peak(found[NETWORK, FEW][name])
            said.append(plots.over_seeds(risen.expand_dims(point=[0]), x="point").low[0] > 0)
    return bool(all(said))


FIGURE = Figure(
    title=MESSAGE,
    paper="Gao et al. 2023, figure 1, and the open question of Rafailov et al. 2023, section 7",
    lines={
        f"{setting}, {name}": line
        for setting, lines in {
            NETWORK: climbing_lines("mlp", SHARP),
            TABLE: climbing_lines("tabular", SHARP),
            PLAIN_REFERENCE: climbing_lines("mlp", 1, sizes=(FEW,)),
        }.items()
        for name, line in lines.items()
    },
    draw=draw,
)
