"""Bootstrap intervals over seeds: percentile intervals, which need no assumption about the shape of the spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def rank_correlations(
    predictors: xr.Dataset,
    outcomes: xr.Dataset,
    *,
    within: Sequence[str] = (),
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Correlate the ranks of every predictor with those of every outcome, with percentile bootstrap intervals.

    Spearman's ρ over all dimensions but `within`; its mean over the cells of `within`

    Whole seeds are resampled, with everything that belongs to them: pairs of one problem share its draws, and so do
    settings of one seed. Ranks are taken anew in every resample. Values that differ by rounding alone (1e-9) are tied.
    An entry whose outcome is NaN is left out; so is a cell in which the predictor or the outcome takes one value only.

    Args:
        predictors: Any number of variables [..., seed, ...].
        outcomes: Any number of variables of the same dimensions and coordinates.
        within: Dimensions that are held fixed: a correlation for each of their cells, then the mean. None of them pools
            all settings, whose differences then count too.
        level: Probability that the interval is to cover.
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        [predictor, outcome]: `value`, `low`, `high` in [-1, 1], NaN where no cell counts, and `cells`, how many count.

    Raises:
        ValueError: If there is no dimension `seed`, `within` names it or a dimension that is not there, or level or
            resamples is out of range.

    Source: Spearman 1904; tests/test_intervals_ranks.py holds it to scipy.stats.spearmanr resample by resample.
    """
    _check(level, resamples)
    x, y = (each.to_dataarray("variable") for each in (predictors, outcomes))
    if "seed" not in x.dims or "seed" in within or not set(within) <= set(x.dims):
        dims = [dim for dim in x.dims if dim != "variable"]
        raise ValueError(
            f"within is {list(within)} and the dimensions are {dims}; 'seed' must be among the dimensions and not in "
            "within, which holds some of the others"
        )
    x, y = xr.align(x, y, join="exact", exclude=["variable"])
    rest = [dim for dim in x.dims if dim not in ("variable", "seed", *within)]
    order = ("variable", *within, "seed", *rest)
    shape = (int(np.prod([x.sizes[dim] for dim in within], dtype=int)), x.sizes["seed"], -1)
    first, second = (np.asarray(a.transpose(*order).values, np.float64).reshape(len(a), *shape) for a in (x, y))
    drawn = np.random.default_rng(seed).integers(0, shape[1], (resamples, shape[1]))
    # The first row is the sample itself: every seed once.
    counts = np.vstack([np.ones(shape[1]), *([np.bincount(row, minlength=shape[1])] for row in drawn)])
    cells = np.stack(
        [_cell_correlations(first[:, cell], second[:, cell], counts) for cell in range(shape[0])], -1
    )  # [resample, predictor, outcome, cell]
    counted = np.isfinite(cells[0])
    cells = np.where(counted, cells, np.nan)
    present = np.isfinite(cells)
    with np.errstate(invalid="ignore"):
        rho = np.where(present, cells, 0).sum(-1) / present.sum(-1)
    ends = np.full((2, *rho.shape[1:]), np.nan)
    known = counted.any(-1)
    ends[:, known] = np.nanquantile(rho[1:, known], [(1 - level) / 2, (1 + level) / 2], axis=0)
    table = {"value": rho[0], "low": ends[0], "high": ends[1], "cells": counted.sum(-1)}
    return xr.Dataset(
        {name: (("predictor", "outcome"), values) for name, values in table.items()},
        {"predictor": list(predictors.data_vars), "outcome": list(outcomes.data_vars)},
    )


def _cell_correlations(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Correlate [predictor, seed, entry] with [outcome, seed, entry] in every resample: [resample, predictor, outcome].

    `counts` [resample, seed] says how often each seed was drawn.
    """
    rho = np.full((len(counts), len(first), len(second)), np.nan)
    entries = first[0].size
    missing = np.isnan(second).reshape(len(second), entries)
    for pattern in np.unique(missing, axis=0):
        these = np.flatnonzero((missing == pattern).all(1))
        there = np.flatnonzero(~pattern)
        usable = np.flatnonzero(~np.isnan(first.reshape(len(first), entries)[:, there]).any(1))
        if not there.size or not usable.size:
            continue
        x, y = (
            first.reshape(len(first), entries)[usable][:, there],
            second.reshape(len(second), entries)[these][:, there],
        )
        for rows in np.array_split(np.arange(len(counts)), 1 + len(counts) * there.size // 400_000):
            weight = np.repeat(counts[rows], first.shape[2], axis=1)[:, there]
            a, b = (np.stack([_centred_ranks(each, weight) for each in array], 1) for array in (x, y))
            heavy = a * weight[:, None]
            size = np.sqrt((heavy * a).sum(-1))[:, :, None] * np.sqrt((b * b * weight[:, None]).sum(-1))[:, None]
            product = heavy @ b.swapaxes(1, 2)
            rho[np.ix_(rows, usable, these)] = np.divide(
                product, size, out=np.full_like(product, np.nan), where=size > 0
            )
    return rho


def _centred_ranks(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rank values [entry] that occur `weight` times [resample, entry]: mean ranks of ties, less the mean of all."""
    order = np.argsort(values, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(values[order]) > 1e-9)])
    last = np.flatnonzero(np.append(np.diff(group) > 0, True))
    upto = np.cumsum(weight[:, order], axis=1)[:, last]
    middle = 0.5 * (upto + np.hstack([np.zeros((len(upto), 1)), upto[:, :-1]])) - 0.5 * upto[:, -1:]
    ranks = np.empty_like(weight)
    ranks[:, order] = middle[:, group]
    return ranks


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
