"""From a quantity over seeds to a piece of evidence: median, interval, and whether it passes."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab import properties
from lab.claims.claim import NO, UNDECIDED, WEAK, YES, Evidence
from lab.claims.writing import number
from lab.intervals import median_interval

ANSWER_OF = {"present": YES, "absent": NO, "inconclusive": UNDECIDED}
OPPOSITE = {YES: NO, NO: YES, UNDECIDED: UNDECIDED, WEAK: WEAK}


def told(what: str, values: xr.DataArray, *, units: str = "", style: str = ".3f") -> Evidence:
    """Tell a number without holding it against anything.

    Args:
        what: What it is.
        values: One number a seed [seed].
        units: Their unit.
        style: How they are written.

    Returns:
        Median and interval.

    Raises:
        ValueError: If the values have other dimensions than `seed`.
    """
    return Evidence(what, *_interval(what, values), values.sizes["seed"], units, style)


def above(
    what: str,
    values: xr.DataArray,
    threshold: float,
    *,
    weak: float | None = None,
    units: str = "",
    style: str = ".3f",
    measure: str = "",
) -> Evidence:
    """Ask whether the median over seeds lies above a threshold.

    Yes if its whole interval does, no if its whole interval lies below, undecided otherwise. A "no" is "weakly" if the
    whole interval lies above `weak`.

    Args:
        what: What is measured.
        values: One number a seed [seed]; a paired difference is taken seed by seed before.
        threshold: What it is held against.
        weak: From where on the direction is right although the size is not.
        units: Their unit.
        style: How they are written.
        measure: Which of several rival measures this belongs to.

    Returns:
        Median, interval and answer; undecided where a seed has no number.

    Raises:
        ValueError: If the values have other dimensions than `seed`.
    """
    value, low, high = _interval(what, values)
    answer = YES if low > threshold else NO if high < threshold else UNDECIDED
    if answer == NO and weak is not None and low > weak:
        answer = WEAK
    need = f"above {number(threshold, 'g')}"
    return Evidence(what, value, low, high, values.sizes["seed"], units, style, need, answer, measure)


def below(
    what: str,
    values: xr.DataArray,
    threshold: float,
    *,
    units: str = "",
    style: str = ".3f",
    measure: str = "",
) -> Evidence:
    """Ask whether the median over seeds lies below a threshold; the mirror image of `above`."""
    value, low, high = _interval(what, values)
    answer = YES if high < threshold else NO if low > threshold else UNDECIDED
    need = f"below {number(threshold, 'g')}"
    return Evidence(what, value, low, high, values.sizes["seed"], units, style, need, answer, measure)


def within(
    what: str, values: xr.DataArray, expected: float, share: float, *, units: str = "", style: str = ".3f"
) -> Evidence:
    """Ask whether the median over seeds lies within a share of what is expected, on either side."""
    value, low, high = _interval(what, values)
    least, most = expected * (1 - share), expected * (1 + share)
    answer = YES if least <= low and high <= most else NO if high < least or low > most else UNDECIDED
    need = f"{expected:g} within {share:.0%}".replace("%", " %")
    return Evidence(what, value, low, high, values.sizes["seed"], units, style, need, answer)


WORDS = {
    "drop": ("fall of log π⁻ beyond the rise of log π⁺", "nats", ".1f"),
    "degradation": ("chosen mass lost from its peak", "", ".3f"),
    "dispersion": ("unseen mass gained from its minimum", "", ".3f"),
}


def has(ds: xr.Dataset, name: str, *, not_: bool = False, of: str = "") -> Evidence:
    """Ask whether one of the three properties is present, with all the conditions of its definition.

    Args:
        ds: The record of one cell.
        name: drop, degradation or dispersion.
        not_: Ask whether it is absent instead.
        of: Whose number it is, where a claim looks at several records.

    Returns:
        Its number, interval and verdict.

    Raises:
        ValueError: If the record holds several cells.
    """
    table = properties.verdicts(ds)
    if cells := {dim: size for dim, size in table["value"].sizes.items() if dim != "property" and size > 1}:
        raise ValueError(f"the record holds several cells, {cells}; a property is asked of one. Pick one with ds.sel.")
    row = table.sel(property=name)
    value, low, high, threshold = (row[column].item() for column in ("value", "low", "high", "threshold"))
    answer = ANSWER_OF[row["verdict"].item()]
    need = (
        f"{'no ' if not_ else ''}{name} (above {threshold:g}{', and above its start' if name == 'dispersion' else ''})"
    )
    what, units, style = WORDS[name]
    what = f"{of}: {what}" if of else what
    answer = OPPOSITE[answer] if not_ else answer
    return Evidence(what, value, low, high, row["n"].item(), units, style, need, answer)


def _interval(what: str, values: xr.DataArray) -> tuple[float, float, float]:
    if values.dims != ("seed",):
        raise ValueError(
            f"'{what}' has dimensions {list(values.dims)}; evidence needs one number a seed. Pick a cell and a step, "
            "and average over pairs or prompts."
        )
    value, low, high = median_interval(np.asarray(values.values, np.float64), 0)
    return float(value), float(low), float(high)
