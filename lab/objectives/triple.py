"""Triple preference optimisation: a pairwise loss and the likelihood of a third, gold response.

Where the data has no gold response, the chosen one is the best there is and takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs, Scaled, check_hyper, per_run
from lab.objectives.margins import smoothed, smoothed_slope
from lab.objectives.reference_free import SimPO
from lab.objectives.supervised import mean_length


@dataclass(frozen=True)
class GoldSFT(Objective):
    """Likelihood of the gold response, a mean over tokens: -log pi(gold) / mean over the pairs of |gold|.

    pi(rejected) -> 0 does not change it, nor does pi(chosen) -> 1 unless the chosen response is the gold one.

    Source: Saeidi et al. 2024 (arXiv 2405.16681), the likelihood term of TPO.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log pi(gold) / mean |gold|, [run, ..., pair]."""
        if pairs.gold is None:
            return -pairs.chosen / mean_length(pairs.chosen_length)
        return -pairs.gold / mean_length(pairs.gold_length)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -1 / mean |chosen| where the chosen response is the gold one, else 0; and 0, each [run, ..., pair]."""
        slope = 1 / mean_length(pairs.chosen_length) if pairs.gold is None else 0.0
        return -torch.ones_like(pairs.chosen) * slope, torch.zeros_like(pairs.rejected)


GOLD = GoldSFT()


@dataclass(frozen=True)
class TPO(Scaled):
    """Triple preference optimisation: -log s(beta (c - r)) + gold_weight * NLL(gold), c and r log-probabilities.

    As pi(rejected) -> 0 the contrast ends and the gold term alone goes on. As pi(chosen) -> 1 the contrast depends on
    the difference only; mass for the chosen and for the gold response compete.

    Args:
        beta: scale of the difference, > 0.
        gold_weight: the paper's alpha, >= 0.
        smoothing: e of label smoothing, in [0, 0.5).

    Source: Saeidi et al. 2024 (arXiv 2405.16681), the TPO loss.
    """

    gold_weight: float | Tensor = 1.0
    smoothing: float | Tensor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("gold_weight", self.gold_weight, positive=False)
        check_hyper("smoothing", self.smoothing, positive=False, below=0.5)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the smoothed -log s(beta (c - r)) plus gold_weight * NLL(gold), [run, ..., pair]."""
        margin = per_run(self.beta, pairs.chosen) * (pairs.chosen - pairs.rejected)
        return smoothed(margin, self.smoothing) + per_run(self.gold_weight, margin) * GOLD.loss(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta f'(m), with the gold term if that is the chosen one, and -beta f'(m), each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        push = beta * smoothed_slope(beta * (pairs.chosen - pairs.rejected), self.smoothing)
        return push + per_run(self.gold_weight, push) * GOLD.response_weights(pairs)[0], -push


@dataclass(frozen=True)
class TPOL(SimPO):
    """Length-controlled TPO: -log s(beta (c/|chosen| - r/|rejected|) - gamma) + gold_weight * NLL(gold).

    As pi(rejected) -> 0 the contrast ends once the average margin passes gamma / beta; as pi(chosen) -> 1 the gold term
    is TPO's.

    Args:
        beta: scale of the average log-probability, > 0.
        gamma: target margin in units of the scaled margin, >= 0.
        smoothing: e of label smoothing, in [0, 0.5).
        gold_weight: the paper's alpha, >= 0.

    Source: Saeidi et al. 2024 (arXiv 2405.16681), TPO-L.
    """

    gold_weight: float | Tensor = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("gold_weight", self.gold_weight, positive=False)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return SimPO's loss plus gold_weight * NLL(gold), [run, ..., pair]."""
        return super().loss(pairs) + per_run(self.gold_weight, pairs.chosen) * GOLD.loss(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return SimPO's weights, with the gold term where it is the chosen response, each [run, ..., pair]."""
        chosen, rejected = super().response_weights(pairs)
        return chosen + per_run(self.gold_weight, chosen) * GOLD.response_weights(pairs)[0], rejected
