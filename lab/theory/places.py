"""States of one pair at which an objective is asked, as far out as they may be: to log-ratios of 10,000 nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives import Objective, PairLogProbs

START = 0.45  # probability of either response under the reference, as in scenario s1
OTHERS = 8  # unseen responses, which share the rest evenly
TERMS = ("chosen", "rejected")


@dataclass(frozen=True)
class Places:
    """One prompt with one pair: where its two responses stand, each [state].

    The log-ratios of the two responses are free, as they are to a loss: the reference is as unlikely as it has to be.
    From u = 0, where both responses have probability 0.45, a log-ratio below 0 takes the probability down by as much,
    and one above 0 takes it to 1 - 0.55 exp(-u), from a reference that is exp(-u) of it.

    Args:
        chosen: log pi(chosen), nats.
        rejected: log pi(rejected), nats.
        chosen_log_ratio: u, nats.
        rejected_log_ratio: v, nats.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_log_ratio: Tensor
    rejected_log_ratio: Tensor

    @classmethod
    def at(cls, u: Tensor, v: Tensor) -> Places:
        """Return the states at some log-ratios, [state] each."""
        return cls(_log_prob(u), _log_prob(v), u, v)

    @classmethod
    def certain(cls, t: Tensor) -> Places:
        """Return states with pi(chosen) = 1 - exp(-t) from a reference of 0.45, and the rejected response at v = -1."""
        chosen, v = torch.log1p(-torch.exp(-t)), -torch.ones_like(t)
        return cls(chosen, _log_prob(v), chosen - math.log(START), v)

    def moved(self, *, c: float = 0.0, r: float = 0.0, u: float = 0.0, v: float = 0.0) -> Places:
        """Return the states with log-probabilities and log-ratios moved by some nats, the reference in step."""
        return Places(self.chosen + c, self.rejected + r, self.chosen_log_ratio + u, self.rejected_log_ratio + v)

    def weights(self, objective: Objective, lengths: tuple[float, float] = (1.0, 1.0)) -> tuple[Tensor, Tensor]:
        """Return both response weights, each [state].

        KL and confidence are those of the one prompt, whose unseen responses share what the pair leaves, if anything:
        to a loss the two are free, and may sum to more than 1.
        """
        c, r, u, v = (each[None, :, None] for each in
                      (self.chosen, self.rejected, self.chosen_log_ratio, self.rejected_log_ratio))  # fmt: skip
        left = _rest(c, r)
        pairs = PairLogProbs(
            c, r, c - u, r - v, chosen_length=lengths[0], rejected_length=lengths[1],
            kl=c.exp() * u + r.exp() * v + torch.xlogy(left, left) - torch.xlogy(left, _rest(c - u, r - v)),
            chosen_confidence=c - _collision(c, r, left), rejected_confidence=r - _collision(c, r, left),
        )  # fmt: skip
        chosen, rejected = objective.response_weights(pairs)
        return chosen.flatten(), rejected.flatten()


def _log_prob(log_ratio: Tensor) -> Tensor:
    up = torch.log1p(-(1 - START) * torch.exp(-log_ratio.clamp(min=0)))
    return torch.where(log_ratio > 0, up, math.log(START) + log_ratio)


def _rest(c: Tensor, r: Tensor) -> Tensor:
    """Return 1 - exp(c) - exp(r), or 0."""
    return (-torch.expm1(torch.logaddexp(c, r))).clamp(min=0)


def _collision(c: Tensor, r: Tensor, left: Tensor) -> Tensor:
    """Return log sum_y pi(y)^2."""
    return torch.logsumexp(torch.stack([2 * c, 2 * r, 2 * left.log() - math.log(OTHERS)]), 0)
