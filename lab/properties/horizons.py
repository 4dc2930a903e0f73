"""The three properties at a horizon: after equal steps, at an equal margin, or equally far from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lab import metrics
from lab.intervals import median_interval
from lab.properties.definitions import NAMES, by_step
from lab.properties.findings import Thresholds
from lab.properties.measuring import decide

STEP, MARGIN, KL = "step", "log_ratio_margin", "kl_from_reference"
NOT_REACHED = "not reached"
FEWEST = 0.5  # the share of seeds that has to reach a horizon for a verdict there


@dataclass(frozen=True)
class Horizon:
    """Where runs are compared: when a quantity first reaches a level.

    Args:
        quantity: "step", "log_ratio_margin" or "kl_from_reference"; the latter two averaged over pairs and prompts.
        level: The level, in steps or nats; at least 0, and above 0 but for steps.

    Raises:
        ValueError: If the quantity is unknown or the level out of range.
    """

    quantity: str
    level: float

    def __post_init__(self) -> None:
        if self.quantity not in (STEP, MARGIN, KL):
            raise ValueError(f"the quantity is '{self.quantity}'; it must be one of {STEP}, {MARGIN}, {KL}")
        if not np.isfinite(self.level) or self.level < 0 or (self.level == 0 and self.quantity != STEP):
            raise ValueError(
                f"the level of {self.quantity} is {self.level}; it must be a finite number above 0, as every run "
                "starts at 0"
            )

    def __str__(self) -> str:
        """Say what is equal: "step 500", "margin 4 nats", "KL 0.5 nats"."""
        word, unit = {STEP: ("step", ""), MARGIN: ("margin", " nats"), KL: ("KL", " nats")}[self.quantity]
        return f"{word} {self.level:g}{unit}"


def progress(ds: xr.Dataset, quantity: str) -> xr.DataArray:
    """Compute how far every run has come, by the quantity of a horizon.

    Args:
        ds: A record.
        quantity: "step", "log_ratio_margin" (averaged over pairs) or "kl_from_reference" (averaged over prompts).

    Returns:
        [axes..., seed, step], in steps or nats.

    Source: own definition; tests/test_properties_horizons.py.
    """
    if quantity == KL:
        return metrics.over_prompts(metrics.kl_from_reference(ds), ds)
    if quantity == MARGIN:
        return metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
    runs = ds["log_prob"].isel(prompt=0, response=0, drop=True)
    return ds["step"].astype(np.float64).broadcast_like(runs).transpose(*runs.dims)


def read_at(values: xr.DataArray, ds: xr.Dataset, horizons: Sequence[Horizon]) -> xr.DataArray:
    """Read curves of a record at horizons, linearly between recorded steps.

    Args:
        values: [axes..., seed, step], and other dimensions in front; any units.
        ds: The record that they were derived from.
        horizons: Where to read.

    Returns:
        [..., axes..., seed, horizon]; NaN where a run does not reach the horizon.

    Raises:
        ValueError: If there are no horizons.

    Source: `metrics.when_reached`; tests/test_properties_horizons.py.
    """
    if not horizons:
        raise ValueError("there are no horizons; give at least one, such as Horizon('step', 500)")
    columns: dict[Horizon, xr.DataArray] = {}
    for quantity in dict.fromkeys(each.quantity for each in horizons):
        mine = [each for each in horizons if each.quantity == quantity]
        way = progress(ds, quantity).broadcast_like(values).transpose(*values.dims)
        read = metrics.when_reached(values, way, [each.level for each in mine])
        columns |= {each: read.isel(level=place, drop=True) for place, each in enumerate(mine)}
    names = xr.DataArray([str(each) for each in horizons], dims="horizon", name="horizon")
    return xr.concat([columns[each] for each in horizons], names).transpose(..., "horizon")


def by_seed_at(ds: xr.Dataset, horizons: Sequence[Horizon], *, thresholds: Thresholds | None = None) -> xr.Dataset:
    """Measure the three properties of every run as if its training had ended at each horizon.

    At the last step these are the numbers of `by_seed`.

    Args:
        ds: A record, swept or not.
        horizons: Where to measure.
        thresholds: As in `by_seed`.

    Returns:
        Over [property, axes..., seed, horizon]: value, loss_change, above_start; NaN where a run does not get there,
        and where a property has no such condition.

    Raises:
        ValueError: If there are no horizons.

    Source: own definition; tests/test_properties_horizons.py.
    """
    curves = by_step(ds, threshold=(thresholds or Thresholds()).drop)
    stacked = curves[["value", "loss_change", "above_start"]].to_dataarray("number").transpose(..., "step")
    return read_at(stacked, ds, horizons).to_dataset("number")


def verdicts_at(
    ds: xr.Dataset, horizons: Sequence[Horizon], *, thresholds: Thresholds | None = None, level: float = 0.95
) -> xr.Dataset:
    """Decide on the three properties at each horizon, in every cell of a sweep.

    The rule is that of `verdicts`, over the seeds that get there. Where fewer than half do, the verdict is
    "not reached" and there are no numbers.

    Args:
        ds: A record; all axes but `seed` are kept.
        horizons: Where to measure.
        thresholds: From where on a property is present.
        level: Probability that an interval is to cover.

    Returns:
        Over [property, axes..., horizon]: value, low, high, threshold, the conditions and their ends as in `verdicts`,
        and verdict; over [axes..., horizon]: reached, the share of seeds that get there, and n, their number.

    Raises:
        ValueError: If there are no horizons, or the record has no seeds.

    Source: own definition; tests/test_properties_horizons.py.
    """
    limits = thresholds or Thresholds()
    seeds = by_seed_at(ds, horizons, thresholds=limits)
    there = seeds["value"].isel(property=0, drop=True).notnull()
    table = xr.Dataset({"n": there.sum("seed"), "reached": there.mean("seed")})
    enough = table["reached"] >= FEWEST
    for name, columns in {
        "value": ("value", "low", "high"),
        "loss_change": ("loss_change", "loss_low", "loss_high"),
        "above_start": ("above_start", "above_start_low", "above_start_high"),
    }.items():
        for column, ends in zip(columns, interval_of_those_there(seeds[name], level), strict=True):
            table[column] = ends.where(enough)
    table["threshold"] = "property", [getattr(limits, name) for name in NAMES]
    table["verdict"] = xr.where(enough, decide(table), NOT_REACHED).transpose(*table["value"].dims)
    return table


def interval_of_those_there(array: xr.DataArray, level: float = 0.95) -> list[xr.DataArray]:
    """Compute the median and its bootstrap interval over the seeds that have a number.

    Args:
        array: [..., seed, ...], NaN for a seed that did not reach the horizon.
        level: Probability that the interval is to cover.

    Returns:
        Median, lower end, upper end, each without `seed`; NaN where no seed has a number.

    Raises:
        ValueError: If there is no dimension `seed`.

    Source: `median_interval`; tests/test_properties_horizons.py.
    """
    if "seed" not in array.dims:
        raise ValueError("the record has no dimension 'seed'; keep it: ds.isel(seed=[0]), not ds.isel(seed=0)")
    array = array.transpose(..., "seed")
    frame = array.isel(seed=0, drop=True)
    rows = array.values.reshape(-1, array.sizes["seed"])
    found = np.full((3, len(rows)), np.nan)
    # Cells in which the same seeds got there are one call: a median over seeds is a median of their ranks.
    there = ~np.isnan(rows)
    for mask in np.unique(there, axis=0):
        if mask.any():
            same = (there == mask).all(1)
            found[:, same] = median_interval(rows[same][:, mask], 1, level=level)
    return [frame.copy(data=numbers.reshape(frame.shape)) for numbers in found]
