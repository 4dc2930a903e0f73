"""What a ranking of pairs by a predictor of step 0 is worth: its best, its worst, CHES, and a look during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.experiments.predicting import EARLY, MARGIN, PROBLEMS, by_setting, follow, foresee, predict

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "With fixed features step 0 tells the pairs that will fall from those that rise; "
    "in an MLP it does not, and how they first move hardly does"
)
PLAIN = "Pairs ranked by a predictor of step 0, and how far their chosen response then falls"
BINS = 5
RESAMPLES = 300
# Where the fall so far is held against the final one, as shares of the typical final margin.
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
LOOKS = {"loglinear": "dashed", "mlp": "solid"}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw falls over ranks for the best and the worst predictor, and how early the final fall shows."""
    fixed, network = Ranked.of(data, "loglinear"), Ranked.of(data, "mlp")
    best, worst = fixed.extremes("end")
    so_far = {key: _so_far(data, *key) for key in PROBLEMS}
    holds = _holds(fixed, network, so_far)
    figure, axes = page.grid(
        2, 3, aspect=0.72, title=MESSAGE if holds else PLAIN,
        note="Adam, four prompts. Points: pairs, ranked within their setting. Line: median of each fifth of the ranks, "
        "and 95 % bootstrap interval over seeds. ρ: rank correlation within settings. Shares: how many of the lowest "
        "and of the highest fifth are below their start by then. Last panel: ρ of the fall so far with that at the "
        "end, all problems; pairs that never have the margin are left out.",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    cells = (
        (fixed, best, "end", "the best"),
        (fixed, "ches", "end", "CHES"),
        (fixed, worst, "end", "the worst"),
        (network, "step_fall", "first_steps", ""),
        (network, network.extremes("end")[0], "end", "the best"),
    )
    for ax, (ranked, name, outcome, place) in zip(axes.flat, cells, strict=False):
        title = f"{ranked.label}: {place or 'first steps'}"
        shown[title, ranked.words(name)] = ranked.draw(ax, name, outcome)
        plots.panel(ax, title, about=ranked.about(name, outcome))
        ax.set_ylabel(
            f"fall after {EARLY} steps (nats)" if outcome == "first_steps" else "fall at the end (nats)",
            fontsize="small",
        )
        ax.set_xlabel("rank of the pair, low to high", fontsize="small")
    last = axes[1, 2]
    for (policy, optimizer), summary in so_far.items():
        role = plots.role(optimizer)
        label = f"{plots.role(policy).label}, {role.label}"
        shown["the fall so far", label] = summary
        last.plot(
            summary.x, summary.median, color=role.color, linestyle=LOOKS[policy], marker=role.marker, markersize=3
        )
        last.fill_between(summary.x, summary.low, summary.high, color=role.color, alpha=0.18, linewidth=0)
    _name_lines(last, so_far)
    last.set_xscale("log")
    last.set_xticks([0.01, 0.03, 0.1, 0.3], ["1 %", "3 %", "10 %", "30 %"])
    last.minorticks_off()
    last.set_xlabel("margin so far, of the typical final one", fontsize="small")
    last.set_ylabel("ρ with the fall at the end", fontsize="small")
    last.axhline(0, color="#555555", linewidth=0.6, zorder=1)
    last.set_ylim(min(0.0, *(np.nanmin(each.low) for each in so_far.values())), 1.03)
    plots.panel(last, "The fall so far", about="solid: MLP; dashed: log-linear")
    table = plots.table(shown)
    table["n"] = next(iter(data.values())).sizes["seed"]
    numbers = {
        f"{ranked.policy}: {name} {outcome}": (ranked.rho(name, outcome), 0.08) for ranked, name, outcome, _ in cells
    } | {
        f"{policy} {optimizer}: fall until {share:g} of the margin": (value, 0.1)
        for (policy, optimizer), each in so_far.items()
        for share, value in zip(each.x, each.median, strict=True)
        if np.isfinite(value)
    }
    numbers = {name: pair for name, pair in numbers.items() if np.isfinite(pair[0])}
    return Drawing(figure=figure, alt=_alt(cells, so_far), data=table, numbers=numbers)


@dataclass(frozen=True, eq=False)
class Ranked:
    """The pairs of one policy under Adam with four prompts.

    Args:
        policy: Its word.
        table: Rank correlations within settings, [predictor, outcome].
        before: What was predicted of each pair, [setting, seed, pair].
        after: The falls that came, [setting, seed, pair] in nats.
    """

    policy: str
    table: xr.Dataset
    before: xr.Dataset
    after: xr.Dataset

    @classmethod
    def of(cls, data: Mapping[str, xr.Dataset], policy: str) -> Ranked:
        """Take the record of the line with four prompts and the usual start."""
        lines = PROBLEMS[policy, "adam"]
        (usual,) = (place for place, line in enumerate(lines) if "prompts=4" in line and "on=" not in line)
        record = data[f"{policy} adam {usual}"]
        return cls(
            policy,
            foresee([record], early=EARLY, margin=MARGIN[policy]).sel(comparison="within"),
            by_setting([predict(record.attrs["experiment"])], inside=("overlap",)),
            by_setting([metrics.falls(record, early=EARLY, margin=MARGIN[policy])], inside=("overlap",)),
        )

    @property
    def label(self) -> str:
        """Return the policy's name."""
        return plots.role(self.policy).label

    def words(self, name: str) -> str:
        """Name a predictor in words."""
        return str(self.table["long_name"].sel(predictor=name).item())

    def rho(self, name: str, outcome: str) -> float:
        """Return the correlation within settings."""
        return float(self.table["value"].sel(predictor=name, outcome=outcome))

    def low(self, name: str, outcome: str) -> float:
        """Return the lower end of its interval."""
        return float(self.table["low"].sel(predictor=name, outcome=outcome))

    def extremes(self, outcome: str) -> tuple[str, str]:
        """Name the predictors of the largest and of the smallest correlation in size."""
        size = abs(self.table["value"].sel(outcome=outcome)).dropna("predictor")
        order = size["predictor"].values[np.argsort(-size.values, kind="stable")]
        return str(order[0]), str(order[-1])

    def ranks(self, name: str) -> np.ndarray:
        """Return where each pair stands among those of its setting, from 0 to 1, [setting, seed, pair]."""
        values = self.before[name].transpose("setting", "seed", "pair").values
        flat = values.reshape(len(values), -1)
        order = np.argsort(np.argsort(flat, axis=1, kind="stable"), axis=1)
        return ((order + 0.5) / flat.shape[1]).reshape(values.shape)

    def falls(self, outcome: str) -> np.ndarray:
        """Return the falls that came in nats, [setting, seed, pair]."""
        return self.after[outcome].transpose("setting", "seed", "pair").values

    def about(self, name: str, outcome: str) -> str:
        """Say which predictor it is, and how many of its lowest and of its highest fifth fall."""
        rank, fell = self.ranks(name), self.falls(outcome) > 0
        lowest, highest = (f"{fell[where].mean():.0%}".replace("%", " %") for where in (rank < 0.2, rank > 0.8))
        rho = f"{self.rho(name, outcome):.2f}".replace("-", "−")
        return f"{self.words(name)}: ρ = {rho}\nbelow their start: {lowest} … {highest}"

    def draw(self, ax: Axes, name: str, outcome: str) -> plots.Summary:
        """Draw every pair and the median in each fifth of the ranks."""
        rank, fall = self.ranks(name), self.falls(outcome)
        shown = np.quantile(fall, [0.005, 0.995])
        ax.scatter(rank, fall, s=3, color="#8A8A8A", alpha=0.28, linewidths=0, rasterized=True)
        summary = _fifths(rank, fall)
        color = plots.CHOSEN.color
        ax.vlines(summary.x, summary.low, summary.high, colors=color, linewidth=2.2, zorder=3)
        ax.plot(summary.x, summary.median, color=color, marker="o", markersize=4, linewidth=1.4, zorder=4)
        ax.axhline(0, color="#555555", linewidth=0.6, zorder=1)
        room = 0.06 * (shown[1] - shown[0])
        ax.set_ylim(shown[0] - room, shown[1] + room)
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        return summary


def _fifths(rank: np.ndarray, fall: np.ndarray) -> plots.Summary:
    """Take the median of each fifth of the ranks, and its interval when whole seeds are resampled."""
    seeds = rank.shape[1]
    drawn = np.random.default_rng(0).integers(0, seeds, (RESAMPLES, seeds))
    rows = []
    for fifth in range(BINS):
        inside = np.floor(rank * BINS) == fifth
        by_seed = [fall[:, seed][inside[:, seed]] for seed in range(seeds)]
        medians = [np.median(np.concatenate([by_seed[seed] for seed in row])) for row in drawn]
        rows.append([np.median(fall[inside]), *np.quantile(medians, [0.025, 0.975])])
    middles, (median, low, high) = (np.arange(BINS) + 0.5) / BINS, np.array(rows).T
    return plots.Summary(middles, median, low, high, np.empty((0, BINS)), np.empty(0), "rank", "fall of log π⁺", "nats")


def _holds(fixed: Ranked, network: Ranked, so_far: Mapping[tuple[str, str], plots.Summary]) -> bool:
    """Whether ranks tell falls with fixed features, and neither ranks nor first moves do in the network."""
    best, _ = fixed.extremes("end")
    sorted_out = fixed.low(best, "end") > 0.6 and fixed.low("ches", "end") > 0.4
    first = [each.high[each.x <= 0.02].max() for (policy, _), each in so_far.items() if policy == "mlp"]
    return bool(sorted_out and abs(network.rho(network.extremes("end")[0], "end")) < 0.3 and max(first) < 0.6)


def _so_far(data: Mapping[str, xr.Dataset], policy: str, optimizer: str) -> plots.Summary:
    """Correlate the fall so far with the fall at the end, at several shares of the final margin."""
    records = [ds for name, ds in data.items() if name.startswith(f"{policy} {optimizer} ")]
    found = follow(records, shares=SHARES, resamples=RESAMPLES)
    value, low, high = (found[name].values for name in ("value", "low", "high"))
    empty = np.empty((0, len(SHARES)))
    return plots.Summary(np.array(SHARES), value, low, high, empty, np.empty(0), "share of the margin", "ρ", "1")


def _name_lines(ax: Axes, so_far: Mapping[tuple[str, str], plots.Summary]) -> None:
    for height, optimizer in ((0.14, "sgd"), (0.04, "adam")):
        role = plots.role(optimizer)
        ax.annotate(
            role.label, (0.97, height), xycoords="axes fraction", ha="right", va="bottom", color=role.color,
            fontweight="bold", fontsize="small",
        )  # fmt: skip


def _alt(cells: tuple, so_far: Mapping[tuple[str, str], plots.Summary]) -> str:
    ranks = "; ".join(
        f"{ranked.label}, {ranked.words(name)} against the fall "
        f"{'after the first steps' if outcome == 'first_steps' else 'at the end'}: {ranked.rho(name, outcome):.2f}"
        for ranked, name, outcome, _ in cells
    )
    looks = "; ".join(
        f"{plots.role(policy).label} under {plots.role(optimizer).label} "
        + ", ".join(f"{value:.2f} at {100 * share:g} %" for share, value in zip(each.x, each.median, strict=True))
        for (policy, optimizer), each in so_far.items()
    )
    return (
        f"Five panels of pairs ranked by a predictor of step 0, with rank correlations within settings. {ranks}. "
        f"A sixth panel: the correlation of the fall so far with the fall at the end, by the margin so far. {looks}."
    )


FIGURE = Figure(
    title=MESSAGE,
    paper="",
    lines={
        f"{policy} {optimizer} {place}": line
        for (policy, optimizer), lines in PROBLEMS.items()
        for place, line in enumerate(lines)
    },
    draw=draw,
)
