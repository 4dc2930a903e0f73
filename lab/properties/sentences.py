"""The sentence of a finding: its numbers, seeds, interval and turning step in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_TITLES = {"drop": "Drastic drop", "degradation": "Degradation", "dispersion": "Dispersion"}


def describe(name: str, row: Mapping[str, float], level: float) -> str:
    """Write the sentences of a finding.

    Args:
        name: "drop", "degradation" or "dispersion".
        row: Its numbers by the names that `verdicts` gives them.
        level: Level of the intervals.

    Returns:
        The verdict, then what was measured, for print.

    Source: own definition; tests/test_properties.py.
    """
    head = f"{_TITLES[name]}: {row['verdict']}."
    if np.isnan(row["value"]):
        return f"{head} Some of the {row['n']} seeds hold no numbers."
    return f"{head} " + {"drop": _drop, "degradation": _degradation, "dispersion": _dispersion}[name](row, level)


def _drop(row: Mapping[str, float], level: float) -> str:
    # Signs turn with the word: "fell 3.2 nats less (2.9 to 3.5)".
    sign, word = (1, "more") if row["value"] >= 0 else (-1, "less")
    more = f"{sign * row['value']:.1f} nats {word}"
    low, high = sorted((sign * row["low"], sign * row["high"]))
    seeds = _seeds(row, level, f"{low:.1f} to {high:.1f}", f"{row['threshold']:g} nats")
    when = f"; past the threshold from {_when(row)} on" if np.isfinite(row["turning_step"]) else ""
    return f"log π⁻ fell {more} than log π⁺ rose ({seeds}){when}."


def _degradation(row: Mapping[str, float], level: float) -> str:
    seeds = _seeds(row, level, f"{row['low']:.3f} to {row['high']:.3f}", f"{row['threshold']:g}")
    left = row["chosen_gradient_left"]
    gradient = "" if np.isnan(left) else f" |∂L/∂log π⁺| ended at {left:.2g} of its start."
    return f"π⁺ ended {row['value']:.3f} below its peak ({seeds}); {_turn('peak', row)}.{gradient}"


def _dispersion(row: Mapping[str, float], level: float) -> str:
    seeds = _seeds(row, level, f"{row['low']:.3f} to {row['high']:.3f}", f"{row['threshold']:g}")
    # Signs turn with the word: "0.07 below its start (0.02 to 0.15)".
    sign, word = (1, "above") if row["above_start"] >= 0 else (-1, "below")
    side = f"{sign * row['above_start']:.3f} {word} its start"
    if row["n"] > 1:
        low, high = sorted((sign * row["above_start_low"], sign * row["above_start_high"]))
        side += f" ({low:.3f} to {high:.3f})"
    return f"Unseen mass ended {row['value']:.3f} above its minimum ({seeds}) and {side}; {_turn('minimum', row)}."


def _seeds(row: Mapping[str, float], level: float, ends: str, threshold: str) -> str:
    sample = f"median of {row['n']} seeds, {level * 100:g} % interval {ends}" if row["n"] > 1 else "1 seed, no interval"
    return f"{sample}, threshold {threshold}"


def _turn(extremum: str, row: Mapping[str, float]) -> str:
    if not np.isfinite(row["turning_step"]):
        return f"no {extremum} before the end"
    change = row["loss_change"]
    loss = "stood still" if change == 0 else f"{'fell' if change < 0 else 'rose'} by {abs(change):.2g}"
    return f"{extremum} at {_when(row)}, after which the loss {loss}"


def _when(row: Mapping[str, float]) -> str:
    step, low, high = (round(float(row[name]), 1) for name in ("turning_step", "turning_low", "turning_high"))
    if np.isnan(low):
        return f"step {step:g}"
    return f"step {step:g} ({low:g} to {'beyond the end' if np.isinf(high) else f'{high:g}'})"
