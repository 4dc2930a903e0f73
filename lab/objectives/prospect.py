"""Losses of single responses called desirable or undesirable; a pair gives one of each, and its loss is their mean.

u, v, s as in `pairwise`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, sigmoid

from lab.objectives.anchored import bump
from lab.objectives.base import PairLogProbs, Scaled, check_hyper, per_run


@dataclass(frozen=True)
class APOZeroUnpaired(Scaled):
    """Unpaired APO-zero: the mean of w_D [1 - s(beta u)] and w_U s(beta v).

    As pi(rejected) -> 0 its own push vanishes like exp(beta v); the chosen one's does not notice, and falls with u
    alone as pi(chosen) -> 1.

    Args:
        beta: inverse temperature, > 0.
        desirable_weight: w_D, >= 0.
        undesirable_weight: w_U, >= 0.

    Source: D'Oosterlinck et al. 2024 (arXiv 2408.06266), eq. 7, one response at a time as in TRL.
    """

    desirable_weight: float | Tensor = 1.0
    undesirable_weight: float | Tensor = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("desirable_weight", self.desirable_weight, positive=False)
        check_hyper("undesirable_weight", self.undesirable_weight, positive=False)

    def _start(self, pairs: PairLogProbs) -> float | Tensor:
        """Return the reference point z0 that log-ratios are compared with, in nats."""
        return 0.0

    def _gains(self, pairs: PairLogProbs) -> tuple[float | Tensor, Tensor, Tensor]:
        beta, start = per_run(self.beta, pairs.chosen), self._start(pairs)
        return beta, beta * (pairs.chosen_log_ratio - start), beta * (start - pairs.rejected_log_ratio)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return {w_D [1 - s(beta (u - z0))] + w_U [1 - s(beta (z0 - v))]} / 2, [run, ..., pair]."""
        _, gain, loss = self._gains(pairs)
        good, bad = per_run(self.desirable_weight, gain), per_run(self.undesirable_weight, gain)
        return 0.5 * (good * sigmoid(-gain) + bad * sigmoid(-loss))

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -w_D beta s'(beta (u - z0)) / 2 and w_U beta s'(beta (z0 - v)) / 2, each [run, ..., pair]."""
        beta, gain, loss = self._gains(pairs)
        good, bad = per_run(self.desirable_weight, gain), per_run(self.undesirable_weight, gain)
        return -0.5 * good * beta * bump(gain), 0.5 * bad * beta * bump(loss)


@dataclass(frozen=True)
class KTO(APOZeroUnpaired):
    """Kahneman-Tversky optimisation: the mean of w_D [1 - s(beta (u - z0))] and w_U [1 - s(beta (z0 - v))].

    z0 = max(0, KL(pi || pi_ref)) has no gradient. It is `pairs.kl` where that is given (training gives the exact one,
    averaged over the pairs' prompts) and else an estimate, the mean log-ratio of all responses of the pairs.

    As pi(rejected) -> 0 its own push vanishes like exp(beta v) and the chosen one's does not notice. That never fades:
    as pi(chosen) -> 1 on one prompt, KL tends to u itself, and the push to w_D beta / 8, its largest.

    Args:
        beta: inverse temperature, > 0.
        desirable_weight: w_D, >= 0.
        undesirable_weight: w_U, >= 0.

    Source: Ethayarajh et al. 2024 (arXiv 2402.01306), eq. 8.
    """

    @property
    def needs(self) -> frozenset[str]:
        """Return "kl"."""
        return frozenset({"kl"})

    def _start(self, pairs: PairLogProbs) -> float | Tensor:
        if pairs.kl is not None:
            return pairs.kl.detach().clamp(min=0)
        return ((pairs.chosen_log_ratio + pairs.rejected_log_ratio) / 2).mean(-1, keepdim=True).clamp(min=0).detach()
