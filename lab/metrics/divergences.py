"""How far one policy is from another, over all responses or over some of them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import exp, label, log


def divergence(log_prob: xr.DataArray, other: xr.DataArray, *, among: xr.DataArray | None = None) -> xr.DataArray:
    """Compute the divergence of one policy from another.

    KL(π ‖ μ) = Σ_y π(y|x) (log π(y|x) - log μ(y|x)); with `among`, that of the two given that a response is one of them

    Args:
        log_prob: log π, [..., response] in nats, such as that of the optimum.
        other: log μ, [..., response] in nats.
        among: Which responses count, [..., response]; None means all.

    Returns:
        [...] in nats; inf where π has mass and μ has none.

    Raises:
        ValueError: If `among` leaves a prompt no response.

    Source: definition; tests/test_metrics_divergences.py.
    """
    first, second = xr.broadcast(log_prob, other)
    if among is not None:
        if not bool(among.any("response").all()):
            raise ValueError("among leaves a prompt without responses; mark at least one of each prompt")
        first, second = (_given(each, among) for each in (first, second))
    prob = exp(first)
    # A response of probability 0 adds nothing, whatever the other policy says.
    apart = (first - second.where(prob > 0, 0)).where((prob > 0) | prob.isnull(), 0)
    found = (prob * apart).sum("response", skipna=False)
    return label(found, "divergence", "KL divergence", "nats")


def _given(log_prob: xr.DataArray, among: xr.DataArray) -> xr.DataArray:
    """Condition on the marked responses."""
    kept = log_prob.where(among, -np.inf)
    largest = kept.max("response")
    return kept - largest - log(exp(kept - largest).sum("response"))
