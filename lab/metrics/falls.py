"""How far the chosen response of each pair has fallen, in nats: from its start and from its peak."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.levels import when_reached
from lab.metrics.pairs import chosen_log_prob, chosen_log_ratio, log_ratio_margin
from lab.metrics.probabilities import label


def fall_from_start(ds: xr.Dataset) -> xr.DataArray:
    """Compute how far the chosen response has fallen below its start.

    log π_ref(y⁺|x) - log π(y⁺|x)

    Args:
        ds: A record.

    Returns:
        [..., step, pair] in nats, unreduced; negative where it has risen.

    Source: definition; tests/test_metrics_falls.py.
    """
    return label(-chosen_log_ratio(ds), "fall_from_start", "fall of log π⁺ from its start", "nats")


def fall_from_peak(ds: xr.Dataset) -> xr.DataArray:
    """Compute how far the chosen response has fallen below the highest point that it has been at so far.

    max over k' <= k of log π_k'(y⁺|x), less log π_k(y⁺|x)

    Args:
        ds: A record; a peak between two recorded steps is not seen.

    Returns:
        [..., step, pair] in nats, unreduced, at least 0.

    Source: definition; tests/test_metrics_falls.py.
    """
    level = chosen_log_prob(ds)
    peak = level.copy(data=np.maximum.accumulate(level.values, axis=level.get_axis_num("step")))
    return label(peak - level, "fall_from_peak", "fall of log π⁺ from its peak", "nats")


def falls(ds: xr.Dataset, *, early: int, margin: float) -> xr.Dataset:
    """Read the fall of the chosen response of each pair in four ways.

    `first_steps` from the start to step `early`; `equal_margin` from the start to where the pair's own log-ratio margin
    first reaches `margin`; `end` from the start to the last step; `from_peak` from the peak to the last step

    Args:
        ds: A record.
        early: A recorded step.
        margin: A log-ratio margin in nats.

    Returns:
        Each [..., pair] in nats; `equal_margin` is NaN where a pair never has that margin.

    Raises:
        ValueError: If the step is not recorded.

    Source: definitions; tests/test_metrics_falls.py.
    """
    if early not in ds["step"].values:
        raise ValueError(
            f"early is {early}, which is not recorded; the record has {ds.sizes['step']} steps from "
            f"{ds['step'].values[0]} to {ds['step'].values[-1]}. Take a step of ds.step, or record more often."
        )
    start, peak = fall_from_start(ds), fall_from_peak(ds)
    return xr.Dataset(
        {
            "first_steps": start.sel(step=early, drop=True),
            "equal_margin": when_reached(start, log_ratio_margin(ds), [margin]).isel(level=0, drop=True),
            "end": start.isel(step=-1, drop=True),
            "from_peak": peak.isel(step=-1, drop=True),
        }
    )
