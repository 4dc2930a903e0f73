"""How far the chosen response of each pair has fallen, in nats: from its start and from its peak."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.pairs import chosen_log_prob, chosen_log_ratio
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
