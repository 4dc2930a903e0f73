"""Where the lost mass goes in every setting, beside what its share would be by number and by reference probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties
from lab.intervals import median_interval

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = (
    "In the network the lost mass goes to responses that other prompts choose, however few they are; not in a policy "
    "whose prompts share no output"
)
PLAIN = "Where the mass goes that the chosen response loses"
ELSEWHERE = "chosen elsewhere"
# From this share on a kind takes all of the mass.
ALL = 0.95
RUN = "adam lr=1e-3 steps=500 seeds=20 every=5 keep=none"
# Words to the policy's role, the line, and the cell of it.
SETTINGS: dict[str, tuple[str, str, dict[str, str | int]]] = {
    **{
        f"DPO, {name}": ("mlp", f"mlp s1,s2,s3,s4 dpo beta=0.1 {RUN}", {"scenario": name})
        for name in ("s1", "s2", "s3", "s4")
    },
    "IPO, β = 0.005": ("mlp", f"mlp s1 ipo beta=0.005 {RUN}", {}),
    "SLiC, β = 0.005": ("mlp", f"mlp s1 slic beta=0.005 {RUN}", {}),
    "Flex-DPO, β⁻ = 0.04": ("mlp", f"mlp s1 flex beta=0.1 beta_rejected=0.04 {RUN}", {}),
    "SimPO": ("mlp", f"mlp s1 simpo beta=2 {RUN}", {}),
    "2 prompts": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} prompts=2", {}),
    "8 prompts, roles mixed": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} prompts=8", {}),
    "32 prompts, roles kept": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} prompts=32 roles=kept spread=even", {}),
    "16 prompts, 34 responses": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} prompts=16 responses=34 spread=even", {}),
    "40 responses": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} responses=40", {}),
    "16 units": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} width=16,128", {"width": 16}),
    "128 units": ("mlp", f"mlp s1 dpo beta=0.1 {RUN} width=16,128", {"width": 128}),
    "SGD, 16 units": ("mlp", "mlp s1 dpo beta=0.1 sgd lr=1 steps=500 seeds=20 every=5 keep=none width=16", {}),
    "log-linear": ("loglinear", "loglinear s1 dpo beta=0.1 adam lr=0.05 steps=500 seeds=20 every=5 keep=none", {}),
    "log-linear, 40 responses": (
        "loglinear", "loglinear s1 dpo beta=0.1 adam lr=0.05 steps=500 seeds=20 every=5 keep=none responses=40", {},
    ),
}  # fmt: skip
NOTE = (
    "median and 95 % bootstrap interval over the seeds whose chosen response turned, dots: every such seed; MLP with "
    "64 units, Adam, 4 prompts and 10 responses where nothing else is said"
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw for each setting the share of the gained mass that responses chosen elsewhere took."""
    cells = {name: _cell(data, name) for name in SETTINGS}
    taken, counts = _summary({name: _taken(ds) for name, ds in cells.items()})
    by_count = np.array([_share_by_count(ds) for ds in cells.values()])
    by_mass = np.array([_share_by_mass(ds) for ds in cells.values()])
    networks = np.array([policy == "mlp" for policy, _, _ in SETTINGS.values()])
    holds = bool((taken.low[networks] > ALL).all() and (taken.high[~networks] < ALL).all())

    figure, axes = page.grid(1, 1, aspect=0.72, title=MESSAGE if holds else PLAIN, note=NOTE)
    ax = axes[0, 0]
    plots.bars(taken, ax, roles=[plots.POLICIES[policy] for policy, _, _ in SETTINGS.values()])
    place = np.arange(len(cells))
    ax.plot(by_count, place, "|", color="black", markersize=13, markeredgewidth=1.6, zorder=5)
    ax.plot(by_mass, place, "x", color="black", markersize=6, markeredgewidth=1.4, zorder=5)
    for mark, text, row in (("|", "share by number", 0), ("×", "share by reference probability", 1)):
        ax.annotate(
            f"{mark}  {text}", (1, 1), xycoords="axes fraction", xytext=(0, 16 - 13 * row), textcoords="offset points",
            ha="right", va="bottom", fontsize="small",
        )  # fmt: skip
    for row, count in enumerate(counts):
        ax.annotate(
            f"n = {count}", (1.02, row), va="center", fontsize="x-small", color="#555555", annotation_clip=False
        )
    ax.set_xlim(0, 1.01)
    ax.set_xlabel("share of the gained mass that goes to responses chosen elsewhere, since the peak")

    fewest = int(np.argmin(np.where(networks, by_count, 1)))
    words = list(cells)
    table = plots.table({("share of the gained mass", ELSEWHERE): taken})
    table = table.merge(
        table.iloc[: len(words)][["x"]].assign(by_number=by_count, by_reference=by_mass, turned=counts), on="x"
    )
    return Drawing(
        figure=figure,
        alt=(
            f"Bars: of the mass that unseen responses gain since the chosen response's peak, the share that goes to "
            f"responses which another prompt chooses. In {int(networks.sum())} settings of the network its median is "
            f"{taken.median[networks].min():.3f} or more; by number it would be {by_count[networks].min():.2f} to "
            f"{by_count[networks].max():.2f} ({by_count[fewest]:.2f} with {words[fewest]}). In the log-linear policy, "
            f"whose features are drawn for each prompt apart, it is {taken.median[-2]:.2f} and {taken.median[-1]:.2f}, "
            f"by number {by_count[-2]:.2f} and {by_count[-1]:.2f}."
        ),
        data=table.dropna(subset="y"),
        numbers={
            **{
                f"share of chosen elsewhere, {name}": (value, 0.03 if network else 0.3)
                for name, value, network in zip(words, taken.median, networks, strict=True)
            },
            f"their share by number, {words[fewest]}": (by_count[fewest], 1e-6),
        },
    )


def _cell(data: Mapping[str, xr.Dataset], name: str) -> xr.Dataset:
    _, line, pick = SETTINGS[name]
    return data[line].sel(pick)


def _taken(ds: xr.Dataset) -> xr.DataArray:
    """Share of the gained mass that responses chosen elsewhere took since the peak: [seed], NaN without a turn."""
    peak = properties.turning_point(metrics.over_pairs(metrics.chosen_prob(ds), ds))
    return metrics.gained_share_by_kind(ds, since=peak).sel(kind=ELSEWHERE, drop=True)


def _summary(taken: Mapping[str, xr.DataArray]) -> tuple[plots.Summary, list[int]]:
    """Summarise each setting over the seeds that turned; return how many those are."""
    seeds = next(iter(taken.values()))["seed"].values
    columns = [values.values for values in taken.values()]
    turned = [column[np.isfinite(column)] for column in columns]
    ends = np.array([median_interval(column, 0) if column.size else [np.nan] * 3 for column in turned], float)
    median, low, high = ends.T
    every, words = np.stack(columns, 1), np.array(list(taken))
    summary = plots.Summary(words, median, low, high, every, seeds, "setting", "share of the gained mass")
    return summary, [column.size for column in turned]


def _share_by_count(ds: xr.Dataset) -> float:
    """Share of responses chosen elsewhere among the unseen ones of a prompt."""
    kind = metrics.response_kind(ds)
    return float((kind == ELSEWHERE).sum() / metrics.unseen_mask(ds).sum())


def _share_by_mass(ds: xr.Dataset) -> float:
    """Share of the unseen mass that they hold at the start, mean over seeds."""
    first = ds.isel(step=[0])
    held = metrics.over_prompts(metrics.mass_by_kind(first).sel(kind=ELSEWHERE, drop=True), first)
    return float((held / metrics.over_prompts(metrics.unseen_mass(first), first)).mean())


FIGURE = Figure(
    title=MESSAGE,
    paper="extends 3D-Properties, corollary 3 (dispersion): which responses gain, in every setting",
    lines={line: line for _, line, _ in SETTINGS.values()},
    draw=draw,
)
