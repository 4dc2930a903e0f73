"""Losses that couple the pairs by sorting them: optimal transport between the distributions of two quantities.

All pairs of a run are the batch; they count equally.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs, Scaled, check_hyper, per_run
from lab.objectives.margins import smoothed, smoothed_slope


def ranks(values: Tensor) -> Tensor:
    """Return where each pair stands when the pairs are sorted upwards, [run, ..., pair]."""
    return torch.argsort(torch.argsort(values, dim=-1, stable=True), dim=-1, stable=True)


def at_same_rank(values: Tensor, of: Tensor) -> Tensor:
    """Return, for each pair, the one of `values` whose rank is that of the pair in `of`, [run, ..., pair]."""
    values, of = torch.broadcast_tensors(values, of)
    return torch.sort(values, dim=-1, stable=True).values.gather(-1, ranks(of))


@dataclass(frozen=True)
class AOT(Scaled):
    """Alignment by optimal transport, paired: DPO on d = a - b with the same ranks, not the same pairs, compared.

    a = log pi(chosen) - log pi(rejected) and b, the same of the reference, are both sorted over the pairs; the loss is
    -(1 - e) log s(beta d) - e log s(-beta d). A pair's loss stands at its own a. With one pair, or with e = 0 and equal
    ranks, it is DPO.

    As pi(rejected) -> 0 in one pair its pushes vanish as DPO's do, and the other pairs inherit other references. As
    pi(chosen) -> 1 only a counts.

    Args:
        beta: inverse temperature, > 0.
        smoothing: e, in [0, 0.5).

    Source: Melnyk et al. 2024 (arXiv 2406.05882), AOT paired.
    """

    smoothing: float | Tensor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("smoothing", self.smoothing, positive=False, below=0.5)

    @property
    def couples_pairs(self) -> bool:
        """Return True."""
        return True

    def _margin(self, pairs: PairLogProbs) -> Tensor:
        a = pairs.chosen - pairs.rejected
        b = pairs.reference_chosen - pairs.reference_rejected
        return per_run(self.beta, a) * (a - at_same_rank(b, a.detach()))

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -(1 - e) log s(beta d) - e log s(-beta d), [run, ..., pair]."""
        return smoothed(self._margin(pairs), self.smoothing)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta f'(beta d) and its negative, each [run, ..., pair]."""
        push = per_run(self.beta, pairs.chosen) * smoothed_slope(self._margin(pairs), self.smoothing)
        return push, -push


@dataclass(frozen=True)
class AOTUnpaired(AOT):
    """Alignment by optimal transport, unpaired: d = sort(u) - sort(v), quantile against quantile.

    A pair's loss stands at its own u; its v is compared with the u of its own rank. Response weights are the slopes of
    the sum over pairs. As pi(rejected) -> 0 in one pair, that pair becomes the lowest rank of v and pushes against the
    lowest u, which is another pair's; both pushes vanish as d grows. As pi(chosen) -> 1 only u counts.

    Args:
        beta: inverse temperature, > 0.
        smoothing: e, in [0, 0.5).

    Source: Melnyk et al. 2024 (arXiv 2406.05882), AOT unpaired.
    """

    def _margin(self, pairs: PairLogProbs) -> Tensor:
        u, v = pairs.chosen_log_ratio, pairs.rejected_log_ratio
        return per_run(self.beta, u) * (u - at_same_rank(v, u.detach()))

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta f'(beta d) at the pair's u and -beta f'(beta d) at the rank of its v, each [run, ..., pair]."""
        u, v = pairs.chosen_log_ratio, pairs.rejected_log_ratio
        push = per_run(self.beta, u) * smoothed_slope(self._margin(pairs), self.smoothing)
        by_rank = push.gather(-1, torch.argsort(u, dim=-1, stable=True))
        return push, -by_rank.gather(-1, ranks(v))
