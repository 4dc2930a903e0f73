"""The loss of one drawn response as a function of its log-probability, and its derivative."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped(log_ratio: Tensor, advantage: Tensor, clip_low: float | Tensor, clip_high: float | Tensor) -> Tensor:
    """Compute PPO's loss -min(w A, clip(w, 1 - low, 1 + high) A) with w = exp(log pi - log pi_old).

    Args:
        log_ratio: log pi - log pi_old, any shape, nats.
        advantage: A, broadcasts to it.
        clip_low: how far w may fall below 1; infinity for no bound.
        clip_high: how far it may rise above 1; infinity for no bound.

    Returns:
        The loss, unreduced.

    Source: Schulman et al. 2017 (arXiv 1707.06347), eq. 7; two bounds as in DAPO (arXiv 2503.14476).
    """
    ratio = log_ratio.exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(_from_one(clip_low, -1), _from_one(clip_high, 1)) * advantage)


def clipped_weight(log_ratio: Tensor, advantage: Tensor, clip_low: float | Tensor, clip_high: float | Tensor) -> Tensor:
    """Return d loss / d log pi of `clipped`: -w A, and 0 where w left the interval in the direction that A rewards."""
    ratio = log_ratio.exp()
    over = (advantage > 0) & (ratio > _from_one(clip_high, 1))
    under = (advantage < 0) & (ratio < _from_one(clip_low, -1))
    return torch.where(over | under, 0.0, -ratio * advantage)


def k3(log_prob: Tensor, reference_log_prob: Tensor) -> Tensor:
    """Compute exp(-d) + d - 1 with d = log pi - log pi_ref: never below 0, and KL(pi || pi_ref) on average over pi.

    Source: Schulman 2020, "Approximating KL divergence", estimator k3.
    """
    difference = reference_log_prob - log_prob
    return torch.expm1(difference) - difference


def k3_weight(log_prob: Tensor, reference_log_prob: Tensor) -> Tensor:
    """Return d k3 / d log pi = 1 - pi_ref / pi; averaged over pi it descends KL(pi_ref || pi), the *other* one."""
    return -torch.expm1(reference_log_prob - log_prob)


def _from_one(distance: float | Tensor, sign: int) -> Tensor:
    return 1 + sign * torch.as_tensor(distance, dtype=torch.float64)
