"""When a practitioner would stop: a rule that sees only what has been logged so far."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label


def patience_stop(curve: xr.DataArray, *, patience: int) -> xr.DataArray:
    """Find the step at which training stops when a curve is to rise and has not for a while.

    The first recorded step that lies `patience` records after the highest point so far; the first of equal ones
    counts. A rule for practice: it looks back only, and pays for its patience.

    Args:
        curve: What is watched, [..., step], such as the mean of log π over the chosen responses.
        patience: Number of records without a new highest point after which training stops, at least 1.

    Returns:
        Steps [...]; the last recorded one where the rule never stops, NaN where the curve has a NaN.

    Raises:
        ValueError: If the curve has no steps, or patience is below 1.

    Source: Prechelt 1998, "Early stopping - but when?", class UP, with a maximum; tests/test_metrics_stopping.py.
    """
    if "step" not in curve.dims or not curve.sizes["step"]:
        raise ValueError(f"curve has sizes {dict(curve.sizes)}; a stopping rule needs at least one step")
    if patience < 1:
        raise ValueError(f"patience is {patience}; it must be at least 1, such as 3")
    ordered = curve.transpose(..., "step")
    values = ordered.values.astype(np.float64)
    best = np.maximum.accumulate(values, axis=-1)
    place = np.arange(values.shape[-1])
    rises = np.concatenate([np.ones_like(values[..., :1], bool), best[..., 1:] > best[..., :-1]], axis=-1)
    since = place - np.maximum.accumulate(np.where(rises, place, 0), axis=-1)
    stalled = since >= patience
    stop = np.where(stalled.any(-1), np.argmax(stalled, axis=-1), len(place) - 1)
    steps = np.where(np.isnan(values).any(-1), np.nan, curve["step"].values[stop].astype(np.float64))
    return label(ordered.isel(step=0, drop=True).copy(data=steps), "patience_stop", "step of the stop", "1")
