"""Where the mass goes: what each response gained over the reference, and which unseen ones gained most."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import exp, label, log_ratio, unseen_mask


def mass_gain(ds: xr.Dataset, *, since: xr.DataArray | None = None) -> xr.DataArray:
    """Compute the mass that each response has gained at the last step.

    π_last(y|x) - π_ref(y|x), or minus π_since(y|x)

    Args:
        ds: A record.
        since: Recorded steps from which the gain counts [axes of the record], such as `properties.turning_point` of
            a curve; the reference if None.

    Returns:
        [..., prompt, response], unreduced; sums to 0 over the responses. NaN for a run whose `since` is not finite.

    Raises:
        ValueError: If `since` holds a step that is not recorded.

    Source: own definition; tests/test_metrics.py, tests/test_metrics_gainers.py.
    """
    before = ds["reference_log_prob"]
    if since is not None:
        there = xr.apply_ufunc(np.isfinite, since)
        steps = since.where(there, ds["step"].values[0])
        unknown = np.setdiff1d(steps.values, ds["step"].values)
        if unknown.size:
            raise ValueError(
                f"since holds step {unknown[0]:g}, which is not recorded; the record has {ds.sizes['step']} steps from "
                f"{ds['step'].values[0]} to {ds['step'].values[-1]}. Take a step of ds.step, or record more often."
            )
        before = ds["log_prob"].sel(step=steps).drop_vars("step").where(there)
    gain = exp(ds["log_prob"].isel(step=-1, drop=True)) - exp(before)
    return label(gain, "mass_gain", "gained mass", "1")


def growth_rank_correlation(ds: xr.Dataset, *, among: xr.DataArray | None = None) -> xr.DataArray:
    """Correlate how much responses grew with how likely they were: do the rich get richer?

    Spearman's ρ over the responses of a prompt, between log π_last - log π_ref and log π_ref, averaged over prompts

    Above 0 the likelier responses grew by a larger factor; at 0 growth does not depend on where a response started;
    a gained mass instead of a factor would be larger for the likelier ones even if all grew alike. Log-probabilities
    that differ by rounding alone (1e-9 nats; 1e-4 in float32) count as equal: a table's unseen responses grow alike.

    Args:
        ds: A record.
        among: Which responses are compared [prompt, response], the unseen ones if None; a prompt with fewer than three
            does not count.

    Returns:
        [...], from -1 to 1; NaN where the responses of a prompt that counts all grew or all began alike.

    Raises:
        ValueError: If no prompt has three responses to compare.

    Source: own definition; tests/test_metrics_gainers.py.
    """
    growth = log_ratio(ds).isel(step=-1, drop=True)
    dims = [dim for dim in growth.dims if dim not in ("prompt", "response")]
    start = ds["reference_log_prob"].broadcast_like(growth)
    compared = _shared_mask(ds) if among is None else among
    mask = compared.transpose("prompt", "response").values.astype(bool)
    prompts = np.flatnonzero(mask.sum(-1) >= 3)
    if not prompts.size:
        raise ValueError(
            f"no prompt has three responses to compare: {mask.sum(-1).tolist()}. Mark more of them in `among`."
        )
    rounding = 1e-9 if growth.dtype == np.float64 else 1e-4
    columns = []
    for prompt in prompts:
        grew, began = (
            _centred_ranks(array.transpose(*dims, "prompt", "response").values[..., prompt, mask[prompt]], rounding)
            for array in (growth, start)
        )
        with np.errstate(invalid="ignore"):
            columns.append((grew * began).sum(-1) / np.sqrt((grew**2).sum(-1) * (began**2).sum(-1)))
    frame = growth.isel(prompt=0, response=0, drop=True)
    correlation = frame.copy(data=np.mean(columns, axis=0))
    return label(correlation, "growth_rank_correlation", "rank correlation of growth and reference probability", "1")


def _shared_mask(ds: xr.Dataset) -> xr.DataArray:
    """Return the unseen responses, which must be the same in all runs: their ranks are compared."""
    mask = unseen_mask(ds)
    if set(mask.dims) != {"prompt", "response"}:
        raise ValueError(
            "runs of this record have data of their own, so that each has other unseen responses; give fixed pairs, a "
            "scenario of s1 to s4"
        )
    return mask


def _centred_ranks(values: np.ndarray, rounding: float) -> np.ndarray:
    """Count along the last axis how many values lie below each, less those above: twice the ranks, centred.

    Values equal to within `rounding` share theirs; NaN makes all ranks of its row NaN.
    """
    gap = values[..., :, None] - values[..., None, :]
    return np.where(np.abs(gap) <= rounding, 0, np.sign(gap)).sum(-1)


def gainers(ds: xr.Dataset) -> xr.Dataset:
    """Rank the unseen responses of each prompt by the mass they gained.

    Args:
        ds: A record.

    Returns:
        Over [..., prompt, rank], where rank 1 gained most: `response` (its index, -1 where a prompt has no more
        unseen responses), `gain`, `share` (of all that the unseen responses of the prompt gained, losers left out),
        `reference_prob`, and `reference_rank` (1 is the likeliest unseen response under the reference).

    Source: own definition; tests/test_metrics.py.
    """
    gain = mass_gain(ds)
    dims = (*(dim for dim in gain.dims if dim not in ("prompt", "response")), "prompt", "response")
    gain = gain.transpose(*dims)
    mask = _shared_mask(ds).values
    ranks = int(mask.sum(-1).max())
    gained = np.where(mask, gain.values, -np.inf)
    reference = exp(ds["reference_log_prob"].broadcast_like(gain).transpose(*dims)).values
    seen_last = np.where(mask, reference, -np.inf)
    order = np.argsort(-gained, axis=-1, kind="stable")[..., :ranks]
    reference_rank = np.argsort(np.argsort(-seen_last, axis=-1, kind="stable"), axis=-1) + 1.0
    won = np.where(mask, np.maximum(gain.values, 0), 0)
    total = won.sum(-1, keepdims=True)
    share = np.divide(won, total, out=np.zeros_like(won), where=total > 0)
    there = np.take_along_axis(np.broadcast_to(mask, gained.shape), order, -1)

    def column(values: np.ndarray, long_name: str) -> tuple:
        picked = np.where(there, np.take_along_axis(values, order, -1), np.nan)
        return (*dims[:-1], "rank"), picked, {"long_name": long_name, "units": "1"}

    return xr.Dataset(
        {
            "response": ((*dims[:-1], "rank"), np.where(there, order, -1), {"long_name": "response", "units": "1"}),
            "gain": column(gain.values, "gained mass"),
            "share": column(share, "share of the mass gained by unseen responses"),
            "reference_prob": column(reference, "reference probability"),
            "reference_rank": column(reference_rank, "rank under the reference"),
        },
        {**{name: coord for name, coord in gain.coords.items()}, "rank": np.arange(1, ranks + 1)},
    )
