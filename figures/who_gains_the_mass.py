"""Who gains the mass that the chosen responses lose: likely responses, or those that other prompts choose?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MESSAGE = "The mass that the chosen response loses goes to responses that other prompts choose"
PLAIN = "Which unseen responses gain the mass that the chosen response loses"
ELSEWHERE = "chosen elsewhere"
PROMPTS = (1, 2, 3, 4, 5)
LINE = "dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"
PEAK = replace(plots.REFERENCE, label="chosen,\nat its peak", width=0.8)
# From this share on a kind takes all of the mass.
MOST = 0.9
# A kind that ends below this probability is named inside the panel: its line lies on the axis.
NOTHING = 0.02
NOTE = "s1 where no scenario is named; median and 95 % bootstrap interval, every seed faint behind"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the mass of each kind over the steps, each response's growth, and what more prompts do."""
    every = data["scenarios"]
    ds = every.sel(scenario="s1")
    mass = metrics.over_prompts(metrics.mass_by_kind(ds), ds)
    kinds = {word: plots.over_seeds(mass.sel(kind=word, drop=True)) for word in ("chosen", *plots.KINDS)}
    correlations = _correlations(every)
    counts = _by_number_of_prompts(data, every)
    gain = _gain_since_the_peak(ds)
    share = _share(every, -1)
    leaks = float(share.median.min()) > MOST

    figure, axes = page.grid(2, 2, aspect=0.86, title=MESSAGE if leaks else PLAIN, note=NOTE)
    for word, summary in kinds.items():
        last = summary.median[-1]
        label = word.replace(" ", "\n") if last > NOTHING else ""
        plots.curve(summary, axes[0, 0], role=plots.role(word), label=label)
    _name_those_at_nothing(kinds, axes[0, 0])
    plots.panel(
        axes[0, 0], "Where the mass goes",
        about=f"since its peak the chosen response lost {-gain['chosen']:.2f}; responses\n"
        f"that another prompt chooses gained {gain[ELSEWHERE]:.2f}, all others {abs(_others(gain)):.2f}",
    )  # fmt: skip
    axes[0, 0].set_ylabel("")

    points = _points(ds)
    medians = _scatter(points, axes[0, 1])
    plots.panel(
        axes[0, 1], "Each unseen response, at the end",
        about=f"medians {medians[ELSEWHERE]:.1f}, {medians['never named']:.0f} and {medians['rejected elsewhere']:.0f} "
        "nats: its growth depends on\nwhat other prompts make of it, hardly on its start".replace("-", "−"),
    )  # fmt: skip

    half = len(correlations.x) // 2
    shades = [plots.UNSEEN] * half + [plots.KINDS[ELSEWHERE]] * half
    plots.bars(correlations, axes[1, 0], roles=shades, labels=list(every.scenario.values) * 2)
    _name_groups(axes[1, 0])
    above = "likelier ones grow a little more" if correlations.low[half:].max() > 0 else "no sign of it"
    plots.panel(
        axes[1, 0], "Do the rich get richer?",
        about=f"all unseen responses: ρ up to {correlations.median[:half].max():.2f}; among those\n"
        f"chosen elsewhere up to {correlations.median[half:].max():.2f}: {above}",
    )  # fmt: skip

    plots.curve(counts["peak"], axes[1, 1], role=PEAK, seeds=False, markers=True)
    for word in ("chosen", "unseen"):
        plots.curve(counts[word], axes[1, 1], role=plots.role(word), label=f"{word},\nat the end", markers=True)
    axes[1, 1].set_xticks(PROMPTS)
    axes[1, 1].set_xlabel("number of prompts that share the network")
    axes[1, 1].set_ylabel("")
    axes[1, 1].set_ylim(-0.03, 1.06)
    alone, most = counts["chosen"].median[0], counts["chosen"].median[-1]
    plots.panel(
        axes[1, 1], "How many prompts it takes",
        about=f"one prompt, with nothing chosen elsewhere, ends at {alone:.2f};\n"
        f"{PROMPTS[-1]} prompts end at {most:.2f}",
    )  # fmt: skip

    shown = {("mass", word): summary for word, summary in kinds.items()}
    shown |= {("prompts", word): summary for word, summary in counts.items()}
    shown["rank correlation", "growth and reference probability"] = correlations
    return Drawing(
        figure=figure,
        alt=(
            f"Four panels, DPO on an MLP, {ds.sizes['seed']} seeds. Since its peak the chosen response lost "
            f"{-gain['chosen']:.2f} of probability; responses that another prompt chooses gained "
            f"{gain[ELSEWHERE]:.2f}, all other unseen ones {abs(_others(gain)):.2f}. At the end the former hold "
            f"{share.median.min():.0%} or more of the unseen mass in every scenario. Log-probabilities changed by "
            f"{medians[ELSEWHERE]:.1f} nats (median) for responses chosen elsewhere, {medians['never named']:.0f} for "
            f"those never named and {medians['rejected elsewhere']:.0f} for those rejected elsewhere. Growth depends "
            f"little on the reference probability: rank correlations lie between {correlations.median.min():.2f} and "
            f"{correlations.median.max():.2f}. With one prompt the chosen response ends at {alone:.2f}, with "
            f"{PROMPTS[-1]} at {most:.2f}."
        ),
        data=pd.concat([plots.table(shown), points], ignore_index=True),
        numbers={
            "mass lost by chosen since its peak, s1": (-gain["chosen"], 0.06),
            "mass gained by chosen elsewhere since then, s1": (gain[ELSEWHERE], 0.06),
            "mass gained by other unseen since then, s1": (_others(gain), 0.02),
            **{
                f"final share of chosen elsewhere in the unseen mass, {name}": (value, 0.03)
                for name, value in zip(share.x, share.median, strict=True)
            },
            **{
                f"final share of them under the reference, {name}": (value, 1e-3)
                for name, value in zip(share.x, _share(every, 0).median, strict=True)
            },
            **{
                f"rank correlation, {name}": (value, 0.12)
                for name, value in zip(correlations.x, correlations.median, strict=True)
            },
            "median log-ratio of chosen elsewhere, s1": (medians[ELSEWHERE], 0.6),
            "median log-ratio of rejected elsewhere, s1": (medians["rejected elsewhere"], 4.0),
            "median log-ratio of never named, s1": (medians["never named"], 3.0),
            **{
                f"final chosen probability, {count} prompts": (value, 0.06)
                for count, value in zip(PROMPTS, counts["chosen"].median, strict=True)
            },
        },
    )


def _gain_since_the_peak(ds: xr.Dataset) -> dict[str, float]:
    """Mass that each kind gained since the chosen response was at its peak, median of the seeds that turned."""
    peak = properties.turning_point(metrics.over_pairs(metrics.chosen_prob(ds), ds))
    gain, kind = metrics.mass_gain(ds, since=peak), metrics.response_kind(ds)
    sums = {
        word: metrics.over_prompts(gain.where(kind == word, 0).sum("response", skipna=False), ds)
        for word in metrics.KINDS
    }
    return {word: float(each.median()) for word, each in sums.items()}


def _share(ds: xr.Dataset, position: int) -> plots.Summary:
    """Share of the unseen mass that responses chosen elsewhere hold at a recorded position."""
    held = metrics.over_prompts(metrics.mass_by_kind(ds).sel(kind=ELSEWHERE, drop=True), ds)
    share = (held / metrics.over_prompts(metrics.unseen_mass(ds), ds)).isel(step=position, drop=True)
    return plots.over_seeds(share, x="scenario")


def _correlations(ds: xr.Dataset) -> plots.Summary:
    """Rank correlation of growth and start in each scenario: among all unseen responses, then within one kind."""
    among = {"all unseen": metrics.unseen_mask(ds), ELSEWHERE: metrics.response_kind(ds) == ELSEWHERE}
    cases = [
        metrics.growth_rank_correlation(ds, among=mask).assign_coords(
            scenario=[f"{name}, {word}" for name in ds.scenario.values]
        )
        for word, mask in among.items()
    ]
    both = xr.concat(cases, "scenario")
    both["scenario"].attrs["long_name"] = "case"
    both.attrs["long_name"] = "rank correlation"
    return plots.over_seeds(both, x="scenario")


def _by_number_of_prompts(data: Mapping[str, xr.Dataset], every: xr.Dataset) -> dict[str, plots.Summary]:
    """Peak and end of the chosen response, and the unseen mass at the end, for each number of prompts."""
    columns: dict[str, list[xr.DataArray]] = {"peak": [], "chosen": [], "unseen": []}
    for count in PROMPTS:
        ds = data.get(f"{count} prompts", every.sel(scenario="s1", drop=True))
        chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
        unseen = metrics.over_prompts(metrics.unseen_mass(ds), ds)
        for word, each in (
            ("peak", chosen.max("step")),
            ("chosen", chosen.isel(step=-1)),
            ("unseen", unseen.isel(step=-1)),
        ):
            columns[word].append(each.drop_vars("step", errors="ignore"))
    joined = {
        word: xr.concat(parts, "prompts", join="exact").assign_coords(prompts=list(PROMPTS))
        for word, parts in columns.items()
    }
    return {word: plots.over_seeds(each, x="prompts") for word, each in joined.items()}


def _points(ds: xr.Dataset) -> pd.DataFrame:
    """One row for each unseen response of each prompt and seed: start and growth."""
    kind = metrics.response_kind(ds)
    both = xr.Dataset(
        {
            "x": ds["reference_log_prob"] / np.log(10),
            "y": metrics.log_ratio(ds).isel(step=-1, drop=True),
            "series": kind.drop_attrs(),
        }
    )
    frame = both.to_dataframe().reset_index()
    frame = frame[frame["series"].isin(list(plots.KINDS))]
    return frame.assign(panel="log10 reference probability, log-ratio", n=1)[["panel", "series", "seed", "x", "y", "n"]]


def _scatter(points: pd.DataFrame, ax: Axes) -> dict[str, float]:
    """Draw the responses by kind; return the median growth of each."""
    medians = {}
    for word, role in plots.KINDS.items():
        some = points[points["series"] == word]
        ax.plot(some["x"], some["y"], role.marker, color=role.color, markersize=3, alpha=0.45, markeredgewidth=0)
        medians[word] = float(some["y"].median())
        plots.end_label(some["x"].max(), medians[word], word.replace(" ", "\n"), ax, color=role.color)
    ax.axhline(0, color=plots.REFERENCE.color, linewidth=0.8, zorder=1)
    ax.margins(x=0.02)
    plots.powers_of_ten(ax, axis="x")
    ax.set_xlabel("reference probability")
    ax.set_ylabel("change of log π (nats)")
    return medians


def _name_those_at_nothing(kinds: Mapping[str, plots.Summary], ax: Axes) -> None:
    gone = [word for word, summary in kinds.items() if summary.median[-1] <= NOTHING]
    for row, word in enumerate(gone):
        ax.annotate(
            word, (1, 0), xycoords=("axes fraction", "data"), xytext=(-4, 5 + 11 * row), textcoords="offset points",
            ha="right", va="bottom", fontsize="small", color=plots.role(word).color,
        )  # fmt: skip


def _name_groups(ax: Axes) -> None:
    ax.set_xlim(-1, 1)
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    ax.axhline(3.5, color="#bbbbbb", linewidth=0.6)
    groups = {"all\nunseen": (1.5, plots.UNSEEN), "chosen\nelsewhere": (5.5, plots.KINDS[ELSEWHERE])}
    for text, (height, role) in groups.items():
        plots.end_label(1, height, text, ax, color=role.color)
    ax.set_xlabel("rank correlation ρ of growth with start")


def _others(gain: Mapping[str, float]) -> float:
    return sum(gain[word] for word in plots.KINDS if word != ELSEWHERE)


FIGURE = Figure(
    title=MESSAGE,
    paper="extends 3D-Properties, corollary 3 (dispersion): which responses gain",
    lines={
        "scenarios": f"mlp s1,s2,s3,s4 {LINE}",
        **{f"{count} prompts": f"mlp s1 {LINE} prompts={count} every=5 keep=none" for count in PROMPTS if count != 4},
    },
    draw=draw,
)
