"""What a reward makes of a reference, exactly: the KL-regularised optimum, its frontier, and Best-of-N.

Everything is in log space: a temperature of 1e-3 or a million draws lose no tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import torch
from torch import Tensor

from lab.objectives.base import check_hyper
from lab.objectives.supervised import log1mexp


@dataclass(frozen=True)
class Optimum:
    """The optimum of E r - beta KL(pi || pi_ref), all of it per run, beta and prompt.

    Args:
        log_prob: log pi*(y|x) in nats, [run, beta, prompt, response].
        log_partition: log Z(x) = log sum_y pi_ref(y|x) exp(r(x, y) / beta), [run, beta, prompt].
        value: the optimal value, beta log Z, in the unit of the reward, [run, beta, prompt].
        reward: E_pi* r, [run, beta, prompt].
        kl: KL(pi* || pi_ref) in nats, [run, beta, prompt].
    """

    log_prob: Tensor
    log_partition: Tensor
    value: Tensor
    reward: Tensor
    kl: Tensor


def optimum(reference_log_prob: Tensor, reward: Tensor, betas: Tensor) -> Optimum:
    """Compute the optimum of the KL-regularised reward for each beta.

    pi*(y|x) = pi_ref(y|x) exp(r(x, y) / beta) / Z(x); over beta its (kl, reward) is the frontier that no policy
    crosses, with slope d E r / d KL = beta.

    Args:
        reference_log_prob: log pi_ref, [run, prompt, response], nats; -inf is allowed.
        reward: r, [run, prompt, response].
        betas: temperatures, > 0, [beta].

    Returns:
        The optimum of each run, beta and prompt; nothing is reduced.

    Raises:
        ValueError: if the shapes differ, a reward is not finite, or a beta is not above 0.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), eq. 4, appendix A.1; slope: own derivation, tests/test_optima.py.
    """
    _check(reference_log_prob, reward)
    if betas.ndim != 1:
        raise ValueError(f"betas has shape {tuple(betas.shape)}; give one dimension, [beta]")
    check_hyper("betas", betas)
    reference, tilt = reference_log_prob[:, None], reward[:, None] / betas.to(reward)[:, None, None]
    log_partition = torch.logsumexp(reference + tilt, -1)
    log_prob = (reference + tilt).log_softmax(-1)
    expected, kl = reward_and_kl(log_prob, reference, reward[:, None])
    return Optimum(log_prob, log_partition, betas.to(reward)[:, None] * log_partition, expected, kl)


def best_of_n(reference_log_prob: Tensor, reward: Tensor, draws: Tensor) -> Tensor:
    """Compute the distribution of the best of N responses drawn from the reference.

    P(y) = F(y)^N - G(y)^N for distinct rewards, where F is the reference's mass of responses no better than y, G that
    of the worse ones; responses of one reward share their group's probability as the reference does.

    Args:
        reference_log_prob: log pi_ref, [run, prompt, response], nats; -inf is allowed.
        reward: what picks the best, [run, prompt, response].
        draws: N, each >= 1, whole or not, [n].

    Returns:
        log P, [run, n, prompt, response], nats.

    Raises:
        ValueError: if the shapes differ, a reward is not finite, or an N is below 1.

    Source: order statistics, own derivation; tests/test_optima.py holds it to enumeration and to simulation.
    """
    _check(reference_log_prob, reward)
    if draws.ndim != 1:
        raise ValueError(f"draws has shape {tuple(draws.shape)}; give one dimension, [n]")
    check_hyper("draws", draws, positive=False, low=1)
    count = draws.to(reward)[:, None, None]
    table = reference_log_prob[..., None, :]
    better, equal = (compare(reward[..., None, :], reward[..., :, None]) for compare in (torch.gt, torch.eq))
    above, group, below = (
        torch.logsumexp(table.masked_fill(~mask, -inf), -1) for mask in (better, equal, ~(better | equal))
    )  # [run, prompt, response]
    upto = torch.logaddexp(group, below)
    # Near 1 the mass is 1 minus the rest: its rounding would be raised to the N-th power.
    upto = torch.where(upto > -log(2), log1mexp(above), upto)
    upto, group = upto[:, None], group[:, None]
    # F^N - G^N = F^N (1 - (G / F)^N), exact where G / F is near 0 and near 1.
    worse = log1mexp((group - upto).clamp(max=0))  # log(G / F)
    log_prob = count * upto + torch.log(-torch.expm1(count * worse)) + (reference_log_prob[:, None] - group)
    return torch.where(group.isneginf(), -inf, log_prob)


def best_of_n_kl_bound(draws: float) -> float:
    """Return log N - (N - 1) / N, the usual bound on KL(Best-of-N || reference), in nats; equal for no ties or atoms.

    Raises:
        ValueError: if N is below 1.

    Source: Beirami et al. 2024 (arXiv 2401.01879) for its being a bound.
    """
    check_hyper("draws", draws, positive=False, low=1)
    return log(draws) - (draws - 1) / draws


def reward_and_kl(log_prob: Tensor, reference_log_prob: Tensor, reward: Tensor) -> tuple[Tensor, Tensor]:
    """Return E_pi r and KL(pi || pi_ref) over the last dimension, [...]; a response of probability 0 adds nothing.

    Args:
        log_prob: log pi, [..., response], nats.
        reference_log_prob: log pi_ref, broadcasts to it.
        reward: r, broadcasts to it.
    """
    prob = log_prob.exp()
    ratio = (log_prob - reference_log_prob).masked_fill(prob == 0, 0.0)
    return (prob * reward).sum(-1), (prob * ratio).sum(-1)


def _check(reference_log_prob: Tensor, reward: Tensor) -> None:
    if reward.shape != reference_log_prob.shape or reward.ndim != 3:
        raise ValueError(
            f"reference_log_prob has shape {tuple(reference_log_prob.shape)} and reward {tuple(reward.shape)}; "
            "both are [run, prompt, response]"
        )
    if not bool(torch.isfinite(reward).all()):
        raise ValueError("reward holds NaN or infinity; all must be finite: correct it")
