"""What β does to one pair in a table, exactly: the margin at a time, and the β that is ahead then."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label

LEADING_MARGIN = 2.0  # nats


def flow_margin(beta: np.ndarray | float, time: np.ndarray | float) -> np.ndarray:
    """Compute the margin that DPO's gradient flow gives a pair in a table after a training time.

    m + e^m = 1 + 2 β² t, the inverse of `flow_time`; the log-ratio margin is m / β. A factor c before the loss is a
    factor on the time, so with β inside the sigmoid alone, -log σ(βΔ)/β, the margin is that at t/β, and with β before
    the loss alone, -β log σ(Δ), it is that of β = 1 at βt.

    Args:
        beta: β, above 0; any shape that broadcasts with the time.
        time: Learning rate times steps, at least 0.

    Returns:
        The margin in nats, of the broadcast shape.

    Raises:
        ValueError: If a β is not above 0 or a time is negative.

    Source: own derivation, dm/dt = 2 β² σ(-m); tests/test_metrics_beta.py holds it to Lambert's W and to an integrator.
    """
    beta, time = np.broadcast_arrays(np.asarray(beta, np.float64), np.asarray(time, np.float64))
    if not (beta > 0).all() or not (time >= 0).all():
        raise ValueError(
            f"beta goes from {beta.min():g} and time from {time.min():g}; beta must be above 0 and time, the learning "
            "rate times the steps, at least 0."
        )
    clock = 2 * beta**2 * time
    # Both bounds lie above the root, from where Newton falls towards it without overshooting.
    margin = np.minimum(clock / 2, np.log1p(clock))
    for _ in range(60):
        margin = margin - (margin + np.expm1(margin) - clock) / (1 + np.exp(margin))
    return margin


def leading_beta(time: np.ndarray | float) -> np.ndarray:
    """Compute the β whose log-ratio margin is the largest of all after a training time.

    β = sqrt((1 + e²) / (2 t)): it is the β whose own margin has just come to 2 nats, at every time. From d(m/β)/dβ = 0
    and the flow's law, (m - 2)(1 - e^m) = 0.

    Args:
        time: Learning rate times steps, above 0.

    Returns:
        β, of the same shape; its log-ratio margin is 2 / β.

    Raises:
        ValueError: If a time is not above 0.

    Source: own derivation; tests/test_metrics_beta.py searches the β on a grid.
    """
    time = np.asarray(time, np.float64)
    if not (time > 0).all():
        raise ValueError(f"time goes from {time.min():g}; it must be above 0: at the start no β is ahead.")
    return np.sqrt((LEADING_MARGIN + np.expm1(LEADING_MARGIN)) / (2 * time))


def leader(moved: xr.DataArray) -> xr.Dataset:
    """Find which β has the largest log-ratio margin, and the margin that it has with its own β.

    The top of the parabola through the best β of the sweep and its two neighbours, both scales logarithmic.

    Args:
        moved: Log-ratio margins above 0 [..., beta], of at least three β.

    Returns:
        Over [...]: beta, and margin = beta · log-ratio margin in nats; NaN where the best β is the first or the last of
        the sweep, for the top then lies outside it.

    Raises:
        ValueError: If the β are fewer than three.

    Source: own definition; tests/test_metrics_beta.py.
    """
    moved = moved.sortby("beta").transpose(..., "beta")
    place = np.log(moved["beta"].values)
    if len(place) < 3:
        raise ValueError(
            f"beta is {moved['beta'].values.tolist()}; the leader is sought among three or more β. Sweep them on the "
            "line, as in beta=0.05,0.1,0.2."
        )
    values = np.log(moved.values)
    best = values.argmax(-1)
    at = np.clip(best, 1, len(place) - 2)
    low, top, high = (np.take_along_axis(values, at[..., None] + shift, -1)[..., 0] for shift in (-1, 0, 1))
    before, after = place[at - 1] - place[at], place[at + 1] - place[at]
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (low - top) / before, (high - top) / after
        bend = (right - left) / (after - before)
        slope = left - bend * before
        shift = -slope / (2 * bend)
        beta = np.exp(place[at] + shift)
        margin = beta * np.exp(top + slope * shift / 2)
    inside = best == at
    frame = moved.isel(beta=0, drop=True)
    return xr.Dataset({
        name: label(frame.copy(data=np.where(inside, found, np.nan)), name, long_name, units)
        for name, found, long_name, units in (
            ("beta", beta, "β that is ahead", "1"), ("margin", margin, "margin of the β that is ahead", "nats"),
        )
    })  # fmt: skip
