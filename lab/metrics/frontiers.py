"""Reward against KL: what a method gives at each KL, what share of the possible that is, and where more KL hurts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label


def reward_at_kl(
    kl: xr.DataArray, reward: xr.DataArray, levels: Sequence[float], *, over: str, start: xr.DataArray
) -> xr.DataArray:
    """Compute the most reward that the policies of a sweep, or mixtures of them, give at no more than each KL.

    The least concave line over the reference (0, r_ref) and all (KL_i, r_i): a mixture of two policies has the mixed
    reward, and no more than the mixed KL, for KL is convex. Past the last KL the line stays level.

    Args:
        kl: KL(π ‖ π_ref) of each policy, [..., over] in nats.
        reward: E_π r, dimensions of `kl`, in the unit of the reward.
        levels: KL at which the line is read, each at least 0, nats.
        over: The swept dimension, such as "beta".
        start: E_π_ref r, [...] without `over`.

    Returns:
        [..., level] in the unit of the reward; NaN where a policy of the sweep has no numbers.

    Raises:
        ValueError: If a level is negative or not finite, or `over` is no dimension.

    Source: own derivation; tests/test_metrics_frontiers.py holds it to mixtures that are drawn out.
    """
    wanted = _levels(kl, levels, over)

    def read(x: np.ndarray, y: np.ndarray, first: np.ndarray) -> np.ndarray:
        return _hull(x, y, float(first), wanted)

    return _at_levels(read, (kl, reward, start), over, wanted)


def along_kl(
    kl: xr.DataArray, reward: xr.DataArray, levels: Sequence[float], *, over: str, start: xr.DataArray
) -> xr.DataArray:
    """Read a reward of a sweep along growing KL, where it may fall again.

    Linear between neighbours, the reference at KL 0 among them; level past the last one

    Args:
        kl: KL(π ‖ π_ref) of each policy, [..., over] in nats, in any order.
        reward: A reward of it, dimensions of `kl`.
        levels: KL at which it is read, each at least 0, nats.
        over: The swept dimension, such as "beta".
        start: That reward of the reference, [...] without `over`.

    Returns:
        [..., level] in the unit of the reward.

    Raises:
        ValueError: If a level is negative or not finite, or `over` is no dimension.

    Source: definition; tests/test_metrics_frontiers.py.
    """
    wanted = _levels(kl, levels, over)

    def read(x: np.ndarray, y: np.ndarray, first: np.ndarray) -> np.ndarray:
        order = np.argsort(x, kind="stable")
        return np.interp(wanted, np.append(0.0, x[order]), np.append(first, y[order]))

    return _at_levels(read, (kl, reward, start), over, wanted)


def share_of_gain(reward: xr.DataArray, best: xr.DataArray, start: xr.DataArray) -> xr.DataArray:
    """Compute which share of the possible gain over the reference a policy makes.

    (E_π r - E_π_ref r) / (best - E_π_ref r)

    Args:
        reward: E_π r, any dimensions.
        best: The most that is possible, such as that of the exact optimum at the same KL; broadcasts.
        start: E_π_ref r; broadcasts.

    Returns:
        1 for the best, 0 for the reference; NaN where no gain is possible.

    Source: definition; tests/test_metrics_frontiers.py.
    """
    gain = best - start
    return label((reward - start) / gain.where(gain != 0), "share_of_gain", "share of the possible gain", "1")


def past_peak(kl: xr.DataArray, reward: xr.DataArray, *, over: str) -> xr.Dataset:
    """Find where a reward is largest along growing KL, and how much of it more KL costs.

    Args:
        kl: KL(π ‖ π_ref), [..., over] in nats.
        reward: E_π r, dimensions of `kl`.
        over: The swept dimension, such as "beta" or "draws", in any order.

    Returns:
        Over [...]: `peak_kl`, the KL of the policy with the largest reward; `lost`, that reward less the one at the
        largest KL, 0 or more.

    Source: own definition, after Gao et al. 2023 (arXiv 2210.10760); tests/test_metrics_frontiers.py.
    """
    kl, reward = xr.broadcast(kl, reward)
    # argmax over a dimension of NaNs raises: such a run is read anywhere and stays NaN.
    best, last = (values.fillna(-np.inf).argmax(over) for values in (reward, kl))
    return xr.Dataset(
        {
            "peak_kl": label(
                kl.isel({over: best}).drop_vars(over, errors="ignore"), "peak_kl", "KL at the peak", "nats"
            ),
            "lost": label(
                reward.isel({over: best}).drop_vars(over, errors="ignore")
                - reward.isel({over: last}).drop_vars(over, errors="ignore"),
                "lost",
                "reward lost past its peak",
                "1",
            ),
        }
    )


def _levels(kl: xr.DataArray, levels: Sequence[float], over: str) -> np.ndarray:
    """Check where a sweep is to be read."""
    wanted = np.asarray(levels, np.float64)
    if wanted.ndim != 1 or not np.isfinite(wanted).all() or (wanted < 0).any():
        raise ValueError(f"levels are {wanted.tolist()}; give finite KLs of at least 0, in nats")
    if over not in kl.dims:
        raise ValueError(f"over is '{over}' and kl has dimensions {list(kl.dims)}; give one of them")
    return wanted


def _at_levels(
    read: Callable[..., np.ndarray], arrays: Sequence[xr.DataArray], over: str, levels: np.ndarray
) -> xr.DataArray:
    """Read every run at the levels; `read` gets the sweep of one run."""
    found = xr.apply_ufunc(
        read,
        *arrays,
        input_core_dims=[[over] if over in each.dims else [] for each in arrays],
        output_core_dims=[["level"]],
        vectorize=True,
    ).assign_coords(level=levels)
    found["level"].attrs |= {"long_name": "KL from the reference", "units": "nats"}
    return label(found, "reward_at_kl", "expected reward", "1")


def _hull(kl: np.ndarray, reward: np.ndarray, start: float, levels: np.ndarray) -> np.ndarray:
    """Read the least concave line over the points, from the reference on, at the levels."""
    if np.isnan(kl).any() or np.isnan(reward).any() or np.isnan(start):
        return np.full(len(levels), np.nan)
    order = np.lexsort((reward, kl))
    corners = [(0.0, start)]
    for x, y in zip(kl[order], reward[order], strict=True):
        if y <= corners[-1][1]:
            continue  # more KL for no more reward
        while len(corners) > 1 and _turns_up(corners[-2], corners[-1], (x, y)):
            corners.pop()
        if x <= corners[-1][0]:
            corners.pop()
        corners.append((float(x), float(y)))
    x, y = np.array(corners).T
    return np.interp(levels, x, y)


def _turns_up(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    """Whether the middle corner lies on or below the chord of its neighbours."""
    return (middle[1] - first[1]) * (last[0] - first[0]) <= (last[1] - first[1]) * (middle[0] - first[0])
