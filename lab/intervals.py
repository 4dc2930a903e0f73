"""Bootstrap intervals over seeds: percentile intervals, which need no assumption about the shape of the spread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr


def median_interval(
    values: np.ndarray, axis: int, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the median over an axis and its percentile bootstrap interval.

    The median of a resample is a function of the ranks that were drawn. Ranks are drawn once, for all points alike,
    and the quantiles are taken over the few rank pairs that occur: the result is that of the plain bootstrap.

    Args:
        values: [..., n, ...], n along the axis; any units.
        axis: The axis of the seeds.
        level: Probability that the interval is to cover, between 0 and 1.
        resamples: Number of resamples.
        seed: Seed of the resampling; the same seed gives the same interval.

    Returns:
        Median, lower end, upper end; each of the shape without the axis. Where a value is NaN all three are NaN. One
        value alone has no interval: its ends are NaN.

    Raises:
        ValueError: If the axis is empty, or level or resamples is out of range.

    Source: Efron & Tibshirani 1993, chapter 13; tests/test_intervals.py holds it to scipy.stats.bootstrap.
    """
    _check(level, resamples)
    ordered = np.moveaxis(np.sort(np.asarray(values), axis=axis), axis, 0)
    n = ordered.shape[0]
    if n == 0:
        raise ValueError("there are no values along the axis; an interval needs at least one")
    # A sort puts NaN last.
    missing = np.isnan(ordered[-1])
    median = np.where(missing, np.nan, _midpoint(ordered[(n - 1) // 2], ordered[n // 2]))
    if n == 1:
        nothing = np.full_like(median, np.nan)
        return median, nothing, nothing
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    ranks = np.partition(drawn, ((n - 1) // 2, n // 2), axis=1)[:, [(n - 1) // 2, n // 2]]
    pairs, counts = np.unique(ranks, axis=0, return_counts=True)
    medians = _midpoint(ordered[pairs[:, 0]], ordered[pairs[:, 1]])
    order = np.argsort(medians, axis=0)
    medians = np.take_along_axis(medians, order, 0)
    reached = np.cumsum(counts[order], axis=0)
    low, high = (_quantile(medians, reached, q * (resamples - 1)) for q in ((1 - level) / 2, (1 + level) / 2))
    return median, np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def interval_over_seeds(array: xr.DataArray, level: float = 0.95) -> list[xr.DataArray]:
    """Compute the median over seeds and its percentile bootstrap interval, in every cell of a quantity.

    Args:
        array: [..., seed], any units.
        level: Probability that the interval is to cover, between 0 and 1.

    Returns:
        Median, lower end, upper end, each [...]; NaN as in `median_interval`.

    Raises:
        ValueError: If there is no dimension `seed`, or level is out of range.

    Source: `median_interval`; tests/test_properties.py.
    """
    if "seed" not in array.dims:
        raise ValueError("the record has no dimension 'seed'; keep it: ds.isel(seed=[0]), not ds.isel(seed=0)")
    frame = array.isel(seed=0, drop=True)
    found = median_interval(array.values, array.get_axis_num("seed"), level=level)
    return [frame.copy(data=np.asarray(numbers)) for numbers in found]


def interval(
    values: np.ndarray,
    statistic: Callable[..., np.ndarray] = np.mean,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Compute a statistic of one sample and its percentile bootstrap interval.

    Args:
        values: [n], any units.
        statistic: A vectorised function of (values, axis), such as np.mean.
        level: Probability that the interval is to cover, between 0 and 1.
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        Statistic, lower end, upper end. NaN among the values gives NaN; one value alone has no interval.

    Raises:
        ValueError: If there are no values, not one dimension of them, or level or resamples is out of range.

    Source: scipy.stats.bootstrap; tests/test_intervals.py.
    """
    _check(level, resamples)
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"values have shape {values.shape}; give one dimension with at least one value")
    value = float(statistic(values, axis=0))
    if values.size == 1 or np.isnan(values).any():
        return value, np.nan, np.nan
    # SciPy is slow to import, and `import lab` must stay quick.
    from scipy.stats import bootstrap

    ends = bootstrap(
        (values,),
        statistic,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return value, float(ends.low), float(ends.high)


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; it must be at least 1, such as 2000")


def _midpoint(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    # Equal infinities have no difference, and opposite ones no middle.
    with np.errstate(invalid="ignore"):
        return np.where(low == high, low, 0.5 * (low + high))


def _quantile(ordered: np.ndarray, reached: np.ndarray, position: float) -> np.ndarray:
    """Interpolate at a position between the order statistics of the resampled medians."""
    below = int(np.floor(position))
    first = np.take_along_axis(ordered, np.argmax(reached > below, axis=0)[None], 0)[0]
    above = min(below + 1, int(reached.flat[-1]) - 1)
    second = np.take_along_axis(ordered, np.argmax(reached > above, axis=0)[None], 0)[0]
    with np.errstate(invalid="ignore"):
        between = first + (second - first) * (position - below)
    return np.where((first == second) | (position == below), first, between)
