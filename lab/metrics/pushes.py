"""The two pushes of an objective on its pairs: their ratio, what is left of them, and what they sum to."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label, log

# A push raises the margin: the loss falls with log π of the chosen response and rises with that of the rejected one.
SIGNS = {"chosen": -1.0, "rejected": 1.0}


def log_push_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Compare the push on the chosen response of a pair with that on the rejected one.

    log |∂ℓ/∂log π⁺| - log |∂ℓ/∂log π⁻|

    In the logits z the pair's gradient is push⁻ (e⁻ - e⁺) + (push⁺ - push⁻)(π - e⁺): a balanced part, which leaves the
    other responses alone, and an SFT term on the chosen response that carries the surplus. At 0, as for DPO, there is
    no such term; for Flex-DPO the ratio is log β⁺ - log β⁻ throughout.

    Args:
        ds: A record.

    Returns:
        [..., step, pair], natural log, unreduced; inf without a rejected term, NaN where both pushes are 0.

    Source: own derivation; tests/test_metrics_pushes.py.
    """
    weight = log(abs(ds["response_weight"]))
    with np.errstate(invalid="ignore"):
        ratio = weight.sel(term="chosen", drop=True) - weight.sel(term="rejected", drop=True)
    return label(ratio, "log_push_ratio", "push on chosen over push on rejected", "natural log")


def remaining_push(ds: xr.Dataset) -> xr.DataArray:
    """Compute what is left of each term's push on its response: its response weight as a share of that at the start.

    response_weight_t / response_weight_0; 1 at the start, 0 at rest, negative where the objective pulls back

    Args:
        ds: A record.

    Returns:
        [..., step, term, pair], unreduced; NaN for a term without a push at the start.

    Source: own definition; tests/test_metrics_pushes.py.
    """
    weight = ds["response_weight"]
    start = weight.isel(step=0, drop=True)
    share = (weight / start.where(start != 0)).transpose(*weight.dims)
    return label(share, "remaining_push", "push left, as a share of its start", "1")


def total_push(ds: xr.Dataset) -> xr.DataArray:
    """Sum the push on each response of a pair over the training.

    ∫ |∂ℓ/∂log π| dstep, by the trapezoidal rule between recorded steps; positive where it raises the margin

    Args:
        ds: A record.

    Returns:
        [..., term, pair] in steps, unreduced.

    Source: own definition; tests/test_metrics_pushes.py.
    """
    signs = xr.DataArray([SIGNS[str(term)] for term in ds["term"].values], dims="term")
    total = (ds["response_weight"] * signs).integrate("step")
    dims = [dim for dim in ds["response_weight"].dims if dim != "step"]
    return label(total.transpose(*dims), "total_push", "push summed over the training", "steps")
