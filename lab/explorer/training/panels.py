"""The four panels of the scene: who has the mass, how far it moved, one prompt's responses, and what one step does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots
from lab.explorer.sheets import Frame, draw_bars, draw_outlines
from lab.explorer.training.lines import last_stage, seams
from lab.explorer.training.records import Reading
from lab.plots import Role, Summary

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

LOWEST = -8  # log10 of the smallest probability that a log axis reaches
BOTH = Role("chosen and rejected", "#7A5195", "dashdot", marker="D")


def curves_frame(readings: Sequence[Reading], what: str, log: bool) -> Frame:
    """Frame the panel of probabilities or of changes, wide enough for all its runs.

    Args:
        readings: the current run and those that are pinned.
        what: "probability" or "change".
        log: whether heights are drawn as logarithms.
    """
    last = max(float(reading.steps[-1]) for reading in readings)
    if what == "probability":
        ylim = (LOWEST - 0.2, 0.2) if log else (-0.02, 1.02)
        return Frame(
            "Who has the mass", (0, last), ylim, "mean over pairs and prompts", ylabel="probability", powers=log
        )
    heights = np.concatenate([_reach(summary) for reading in readings for summary in reading.change.values()])
    low, high = _outwards(heights.min(initial=0)), _outwards(heights.max(initial=0))
    room = 0.04 * (high - low)
    return Frame(
        "How far it moved", (0, last), (low - room, high + room), "change of log-probability since step 0",
        ylabel="change (nats)", symlog=log,
    )  # fmt: skip


def draw_curves(ax: Axes, readings: Sequence[Reading], what: str, log: bool, *, seeds: bool = True) -> None:
    """Draw chosen, rejected and unseen of the current run, and the medians of the pinned ones thin beside them.

    A dotted line stands where a later stage of the current run begins. `seeds` says whether each stands faint behind.
    """
    for seam in seams(readings[0].experiment):
        ax.axvline(seam, color=plots.REFERENCE.color, linewidth=1.0, linestyle="dotted", zorder=1)
    for number, reading in reversed(list(enumerate(readings))):
        series: Mapping[Role, Summary] = getattr(reading, what)
        for role, summary in series.items():
            drawn = _as_log10(summary) if what == "probability" and log else summary
            if not np.isfinite(drawn.median).any():
                continue
            if number == 0:
                plots.curve(drawn, ax, role=role, seeds=seeds)
            else:
                pinned = Role(f"{role.label} {number}", role.color, role.line, width=0.5)
                plots.curve(_median_only(drawn), ax, role=pinned, label=str(number))


def responses_frame(reading: Reading, prompt: int, log: bool) -> Frame:
    """Frame the bars of one prompt's responses."""
    names = tuple(str(response) for response in range(reading.record.sizes["response"]))
    ylim = (LOWEST - 0.2, 0.2) if log else (0.0, 1.02)
    return Frame(
        f"Every response of prompt {prompt}", (-0.6, len(names) - 0.4), ylim, xlabel="response", ylabel="probability",
        about="at the cursor; grey outline: the reference", powers=log, names=names,
    )  # fmt: skip


def draw_responses(ax: Axes, reading: Reading, at: int, prompt: int, log: bool) -> None:
    """Draw the probability of every response at a recorded state, in front of the reference's."""
    here = reading.shown.isel(step=[at])
    prob = metrics.prob(here).isel(step=0, prompt=prompt)
    base = np.exp(np.median(_plain(reading.shown["reference_log_prob"].isel(prompt=prompt)), axis=0))
    now = plots.over_seeds(prob, x="response")
    if log:
        now, base = _as_log10(now), np.log10(np.maximum(base, 10.0**LOWEST))
    floor = LOWEST - 0.2 if log else 0.0
    place = np.arange(len(now.x))
    roles = response_roles(reading.shown, prompt)
    colors = [role.color for role in roles]
    height = np.clip(now.median, floor, None)
    draw_bars(ax, height, floor, colors)
    draw_outlines(ax, base, floor)
    if now.count > 1:
        ax.vlines(place, np.clip(now.low, floor, None), np.clip(now.high, floor, None), colors=colors, linewidth=1.8)
    _name_bars(ax, roles, height)


def step_frame(reading: Reading, at: int, prompt: int) -> Frame:
    """Frame the bars of what the next step does to one prompt's responses."""
    size = np.abs(np.concatenate([_reach(summary) for summary in _changes(reading, at, prompt)])).max(initial=0)
    reach = _outwards(size) or 1.0
    names = tuple(str(response) for response in range(reading.record.sizes["response"]))
    return Frame(
        "Change of log π by the next step (nats)", (-0.6, len(names) - 0.4), (-1.08 * reach, 1.55 * reach),
        about=" ", xlabel="response", names=names,
    )  # fmt: skip


def draw_step(ax: Axes, reading: Reading, at: int, prompt: int) -> None:
    """Draw the two pushes as arrows, and the change of every response: realised as bars, first order as ticks."""
    realised, linear = _changes(reading, at, prompt)
    place = np.arange(len(realised.x))
    roles = response_roles(reading.shown, prompt)
    colors = [role.color for role in roles]
    ax.axhline(0, color="#555555", linewidth=0.6)
    draw_bars(ax, np.nan_to_num(realised.median), 0.0, colors)
    if realised.count > 1:
        ax.vlines(place, realised.low, realised.high, colors=colors, linewidth=1.8)
    ax.scatter(place, linear.median, marker="_", s=170, color="#111111", linewidths=1.4, zorder=4)
    top = ax.get_ylim()[1] / 1.55
    pushes = {"chosen": push(reading, at, prompt, "chosen"), "rejected": push(reading, at, prompt, "rejected")}
    largest = max((float(np.abs(value).max()) for value in largest_pushes(reading, prompt)), default=0.0)
    for response, role in enumerate(roles):
        if role.label in pushes and largest:
            length = 0.42 * top * pushes[role.label] / largest
            ax.vlines(response, 1.25 * top - length / 2, 1.25 * top + length / 2, colors=role.color, linewidth=2.2)
            head = "^" if length > 0 else "v"
            ax.scatter(response, 1.25 * top + length / 2, marker=head, s=34, color=role.color, linewidths=0, zorder=4)
    ax.annotate(
        _pushes_in_words(reading, pushes), (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points",
        fontsize="small", color="#555555", va="bottom", ha="left",
    )  # fmt: skip
    _name_bars(ax, roles, np.nan_to_num(realised.median))


def response_roles(record: xr.Dataset, prompt: int) -> list[Role]:
    """Return how each response of a prompt is drawn: as its pairs name it."""
    here = record["pair_prompt"].values == prompt
    chosen, rejected = set(record["chosen"].values[here]), set(record["rejected"].values[here])
    named = {True: {True: BOTH, False: plots.CHOSEN}, False: {True: plots.REJECTED, False: plots.UNSEEN}}
    return [named[response in chosen][response in rejected] for response in range(record.sizes["response"])]


def sentence_of_changes(reading: Reading, at: int, prompt: int) -> str:
    """Say by how much the next step changes log π of each response of a prompt, chosen first."""
    realised, _ = _changes(reading, at, prompt)
    roles = response_roles(reading.shown, prompt)
    parts = [f"{response} ({roles[response].label}) {value:+.2g}" for response, value in enumerate(realised.median)]
    return ", ".join(parts).replace("-", "−")


def push(reading: Reading, at: int, prompt: int, term: str) -> float:
    """Return the push on a prompt's chosen or rejected responses at a state, -∂ℓ/∂log π, mean of its pairs."""
    weights = _weights(reading.shown, prompt).isel(step=at).sel(term=term)
    return float(np.median(-_plain(weights.mean("pair")))) if weights.sizes["pair"] else 0.0


def largest_pushes(reading: Reading, prompt: int) -> list[np.ndarray]:
    """Return the pushes on a prompt over all steps, for the length of the longest arrow."""
    weights = _weights(reading.shown, prompt)
    return [weights.values] if weights.sizes["pair"] else []


def _weights(record: xr.Dataset, prompt: int) -> xr.DataArray:
    return record["response_weight"].isel(pair=np.flatnonzero(record["pair_prompt"].values == prompt))


def _pushes_in_words(reading: Reading, pushes: Mapping[str, float]) -> str:
    words = f"push: chosen {pushes['chosen']:+.2g}, rejected {pushes['rejected']:+.2g}".replace("-", "−")
    last = last_stage(reading.experiment)
    plain = last.sft_weight == (0.0,) and last.divergence == ("reverse_kl",)
    if last.objective != ("dpo",) or not plain:
        return words
    # DPO pushes the chosen response by beta sigma(-m): its share of beta is the weight that the papers speak of.
    beta = float(reading.shown["beta_chosen"].values.ravel()[0])
    return f"{words}; σ(−m) {abs(pushes['chosen']) / beta:.2g}"


@lru_cache(maxsize=64)
def _changes(reading: Reading, at: int, prompt: int) -> tuple[Summary, Summary]:
    """Summarise the change that the next step makes, realised and to first order; zeros behind the last step."""
    here = reading.shown.isel(step=at, prompt=prompt)
    return (
        plots.over_seeds(here["realised_change"], x="response"),
        plots.over_seeds(here["linear_change"], x="response"),
    )


def _name_bars(ax: Axes, roles: Sequence[Role], heights: np.ndarray) -> None:
    """Name each role once, at the height of its largest bar."""
    for role in dict.fromkeys(roles):
        own = [height for height, other in zip(heights, roles, strict=True) if other is role]
        word = "both" if role is BOTH else role.label
        plots.end_label(ax.get_xlim()[1], max(own, key=abs), word, ax, color=role.color)


def _reach(summary: Summary) -> np.ndarray:
    values = np.concatenate([summary.median, summary.seeds.ravel()])
    return values[np.isfinite(values)]


def _outwards(value: float) -> float:
    """Round away from 0 to a short number, so that limits rarely change while a slider moves."""
    if value == 0 or not np.isfinite(value):
        return 0.0
    power = 10.0 ** np.floor(np.log10(abs(value)))
    digit = next(digit for digit in (1, 1.5, 2, 3, 5, 10) if abs(value) <= digit * power * (1 + 1e-12))
    return float(np.sign(value) * digit * power)


def _plain(array: xr.DataArray) -> np.ndarray:
    return array.transpose("seed", ...).values


def _median_only(summary: Summary) -> Summary:
    none = np.full(len(summary.x), np.nan)
    return Summary(summary.x, summary.median, none, none, np.empty((0, len(summary.x))), np.empty(0))


def _as_log10(summary: Summary) -> Summary:
    with np.errstate(divide="ignore"):
        median, low, high, seeds = (
            np.log10(part) for part in (summary.median, summary.low, summary.high, summary.seeds)
        )
    return replace(summary, median=median, low=low, high=high, seeds=seeds)
