"""Which settings are worth choosing: those that no other one beats in every cost at once, and how sure that is."""

from __future__ import annotations

import numpy as np
import xarray as xr


def non_dominated(costs: xr.DataArray) -> xr.DataArray:
    """Find the Pareto front: the settings that no other setting beats.

    j beats i if cost_j <= cost_i in every cost, and < in one; equal settings do not beat each other

    Args:
        costs: [..., setting, cost], smaller is better, in any units and any order of dimensions.

    Returns:
        [..., setting], true on the front. A setting with a NaN among its costs is never on it, and beats none.

    Raises:
        ValueError: If there is no dimension `setting` or no dimension `cost`.

    Source: definition; tests/test_metrics_fronts.py.
    """
    _need(costs, ("setting", "cost"))
    ordered = costs.transpose(..., "setting", "cost")
    return ordered.isel(cost=0, drop=True).copy(data=_front(ordered.values.astype(np.float64))).rename("on_front")


def front_frequency(costs: xr.DataArray, *, resamples: int = 2000, seed: int = 0) -> xr.Dataset:
    """Compute the Pareto front of the medians over seeds, and how often each setting is on that of a resample.

    A resample draws seeds with replacement, the same for every setting and cost: runs of one seed share their start.

    Args:
        costs: [setting, cost, seed], smaller is better.
        resamples: Number of resamples.
        seed: Seed of the resampling; the same seed gives the same frequencies.

    Returns:
        Over [setting]: `on_front` of the medians, and `frequency`, the share of resamples whose front it is on.

    Raises:
        ValueError: If the dimensions are others, there are no seeds, or no resamples.

    Source: Efron & Tibshirani 1993, chapter 6, applied to a set; tests/test_metrics_fronts.py.
    """
    _need(costs, ("setting", "cost", "seed"))
    if costs.ndim != 3 or not costs.sizes["seed"]:
        raise ValueError(
            f"costs have sizes {dict(costs.sizes)}; a front needs setting, cost and at least one seed, and nothing "
            "else. Select the rest first."
        )
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; it must be at least 1, such as 2000")
    values = costs.transpose("seed", "setting", "cost").values.astype(np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    medians = np.stack([np.median(values[rows], axis=0) for rows in drawn])
    on_front = non_dominated(costs.median("seed", skipna=False))
    frequency = on_front.copy(data=_front(medians).mean(0)).rename("frequency")
    frequency.attrs = {"long_name": "share of resamples in which it is on the front", "units": "1"}
    return xr.Dataset({"on_front": on_front, "frequency": frequency})


def least_kl(prob: np.ndarray, reference_prob: float) -> np.ndarray:
    """Compute the least KL from the reference at which a response has a given probability.

    c log(c / p) + (1 - c) log((1 - c) / (1 - p)): all other responses keep their reference proportions

    Args:
        prob: c, from 0 to 1, of any shape.
        reference_prob: p, above 0 and below 1.

    Returns:
        KL in nats, of the shape of `prob`; 0 at c = p, log(1 / p) at c = 1.

    Raises:
        ValueError: If a probability is out of range.

    Source: data-processing inequality, own derivation; tests/test_metrics_fronts.py.
    """
    given = np.asarray(prob, np.float64)
    if not 0 < reference_prob < 1 or not ((given >= 0) & (given <= 1)).all():
        raise ValueError(
            f"prob lies from {given.min():g} to {given.max():g} and reference_prob is {reference_prob:g}; the first "
            "must lie in [0, 1], the second in (0, 1). Give probabilities, not their logarithms."
        )
    parts = []
    for share, start in ((given, reference_prob), (1 - given, 1 - reference_prob)):
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.where(share > 0, share * (np.log(share) - np.log(start)), 0.0))
    return parts[0] + parts[1]


def _front(costs: np.ndarray) -> np.ndarray:
    """Mark the settings of [..., setting, cost] that none beats."""
    beaten = np.zeros(costs.shape[:-1], bool)
    for other in range(costs.shape[-2]):
        rival = costs[..., other : other + 1, :]
        beaten |= (rival <= costs).all(-1) & (rival < costs).any(-1)
    return ~beaten & ~np.isnan(costs).any(-1)


def _need(costs: xr.DataArray, dims: tuple[str, ...]) -> None:
    missing = [dim for dim in dims if dim not in costs.dims]
    if missing:
        raise ValueError(
            f"costs have dimensions {list(costs.dims)}; {' and '.join(missing)} is missing. Join what is compared "
            "with xr.concat along it."
        )
