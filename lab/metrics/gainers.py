"""Where the mass goes: what each response gained over the reference, and which unseen ones gained most."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import exp, label, unseen_mask


def mass_gain(ds: xr.Dataset) -> xr.DataArray:
    """Compute the mass that each response has gained at the last step.

    π_last(y|x) - π_ref(y|x)

    Args:
        ds: A record.

    Returns:
        [..., prompt, response], unreduced; sums to 0 over the responses.

    Source: own definition; tests/test_metrics.py.
    """
    gain = exp(ds["log_prob"].isel(step=-1, drop=True)) - exp(ds["reference_log_prob"])
    return label(gain, "mass_gain", "gained mass", "1")


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
    mask = unseen_mask(ds).values
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
