"""The three properties as numbers: drastic drop, degradation, dispersion."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab import metrics
from lab.intervals import interval_over_seeds
from lab.properties.audit import audit
from lab.properties.definitions import NAMES, by_step
from lab.properties.findings import ABSENT, INCONCLUSIVE, PRESENT, Finding, Properties, Thresholds
from lab.properties.sentences import describe
from lab.trajectory import RESERVED

# Median, lower and upper end of each number over seeds.
COLUMNS = {
    "value": ("value", "low", "high"),
    "turning": ("turning_step", "turning_low", "turning_high"),
    "loss_change": ("loss_change", "loss_low", "loss_high"),
    "above_start": ("above_start", "above_start_low", "above_start_high"),
}


def measure(ds: xr.Dataset, *, thresholds: Thresholds | None = None, level: float = 0.95) -> Properties:
    """Measure the three properties of one experiment, after an audit of its start.

    drop = -Δlog π⁻ - max(Δlog π⁺, 0) from step 0 to the end, averaged over pairs
    degradation = peak of π⁺ - final π⁺, and the loss ends below its value at the peak
    dispersion = final u - minimum of u, and u ends above its start, and the loss below its value at the minimum

    Each is one number a seed; π⁺ is averaged over pairs and u over prompts before the extremum is searched. A chosen
    response that falls from step 0 on has its peak there. A property is present when the bootstrap interval of its
    median over seeds lies above the threshold and those of its conditions on their right side; absent when one of them
    lies on the wrong side; inconclusive otherwise. A noisy curve (mini-batches) has too high a peak.

    Args:
        ds: The record of one cell: `seed` is its only dimension besides the reserved ones.
        thresholds: From where on a property is present.
        level: Probability that an interval is to cover.

    Returns:
        The audit and the three findings; printing them gives the sentences.

    Raises:
        ValueError: If the record is swept over an axis, or has no seeds.

    Source: own definitions, after Yan et al. 2024 (arXiv 2406.07327), section 3; tests/test_properties.py.
    """
    swept = [str(dim) for dim in _axes(ds) if ds.sizes[dim] > 1]
    if swept:
        cell = ", ".join(f"{dim}={ds[dim].values[0].item()!r}" for dim in swept)
        raise ValueError(
            f"the record is swept over {', '.join(swept)}; pick one cell, such as ds.sel({cell}), or call verdicts(ds)"
        )
    ds = ds.squeeze(_axes(ds), drop=False)
    table = verdicts(ds, thresholds=thresholds, level=level)
    findings = {}
    for name in NAMES:
        row = table.sel(property=name)
        numbers = {key: row[key].item() for key in Finding.__dataclass_fields__}
        findings[name] = Finding(**numbers)
    return Properties(audit=audit(ds), chosen_gradient_left=table["chosen_gradient_left"].item(), **findings)


def verdicts(ds: xr.Dataset, *, thresholds: Thresholds | None = None, level: float = 0.95) -> xr.Dataset:
    """Measure the three properties in every cell of a sweep.

    The same numbers as `measure`, without a loop over cells.

    Args:
        ds: A record; all axes but `seed` are kept.
        thresholds: From where on a property is present.
        level: Probability that an interval is to cover.

    Returns:
        Over [property, axes...]: value, low, high, threshold, n, turning_step, turning_low, turning_high, verdict,
        sentence; and the conditions with their ends, NaN where a property has none: loss_change (from the turning point
        to the end, in nats) and above_start (final minus first unseen mass). Over [axes...]: chosen_gradient_left.

    Raises:
        ValueError: If the record has no seeds.

    Source: own definition; tests/test_properties.py.
    """
    limits = thresholds or Thresholds()
    seeds = by_seed(ds, thresholds=limits)
    table = xr.Dataset(coords={"property": list(NAMES)})
    for name in COLUMNS:
        for column, ends in zip(COLUMNS[name], interval_over_seeds(seeds[name], level), strict=True):
            table[column] = ends
    table["threshold"] = "property", [getattr(limits, name) for name in NAMES]
    table["n"] = ds.sizes["seed"]
    table["chosen_gradient_left"] = interval_over_seeds(_chosen_gradient_left(ds), level)[0]
    table["verdict"] = decide(table)
    table["sentence"] = _sentences(table, level)
    return table


def by_seed(ds: xr.Dataset, *, thresholds: Thresholds | None = None) -> xr.Dataset:
    """Measure the numbers behind the three properties in every run, for comparisons that pair the seeds.

    Args:
        ds: A record, swept or not.
        thresholds: Only that of the drop counts, for its turning step.

    Returns:
        Over [property, axes..., seed]: value (the number that `verdicts` takes the median of), turning (its step), and
        the conditions loss_change and above_start, NaN where a property has none.

    Source: own definition; tests/test_properties.py.
    """
    limits = thresholds or Thresholds()
    return by_step(ds, threshold=limits.drop).isel(step=-1, drop=True)


def decide(table: xr.Dataset) -> xr.DataArray:
    """Decide each verdict from the intervals of the number and of its conditions.

    Present: every interval on its right side. Absent: one of them on the wrong side. Otherwise inconclusive.

    Args:
        table: low, high, threshold, and loss_low, loss_high, above_start_low, above_start_high, NaN for no condition.

    Returns:
        The words, of the table's dimensions.

    Source: own definition; tests/test_properties.py.
    """
    holds = (table["low"] > table["threshold"]) & ~(table["loss_high"] >= 0) & ~(table["above_start_low"] <= 0)
    fails = (table["high"] < table["threshold"]) | (table["loss_low"] >= 0) | (table["above_start_high"] <= 0)
    return xr.where(holds, PRESENT, xr.where(fails, ABSENT, INCONCLUSIVE))


def _chosen_gradient_left(ds: xr.Dataset) -> xr.DataArray:
    weight = metrics.over_pairs(abs(ds["response_weight"].sel(term="chosen", drop=True)), ds)
    first = weight.isel(step=0, drop=True)
    return (weight.isel(step=-1, drop=True) / first).where(first > 0)


def _sentences(table: xr.Dataset, level: float) -> xr.DataArray:
    columns = dict(table.broadcast_like(table["value"]).transpose(*table["value"].dims).data_vars)
    words = np.empty(table["value"].shape, object)
    for index in np.ndindex(words.shape):
        row = {str(name): column.values[index].item() for name, column in columns.items()}
        words[index] = describe(NAMES[index[0]], row, level)
    return table["value"].copy(data=words.astype(str))


def _axes(ds: xr.Dataset) -> list:
    return [dim for dim in ds["log_prob"].dims if dim not in RESERVED and dim != "seed"]
