"""The loss of a reward model, on scores: here log-probabilities up to a constant stand for the rewards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs, check_hyper, logsigmoid, per_run


@dataclass(frozen=True)
class RewardModel(Objective):
    """Bradley-Terry loss of rewards: -log s(R(chosen) - R(rejected) - margin) + center (R(chosen) + R(rejected))^2.

    `PairLogProbs.chosen` and `.rejected` are the rewards. In a policy they are log-probabilities: as pi(rejected) -> 0
    both pushes vanish beyond `margin`, while the centring, where it is not 0, pulls *both* up and has no bound. As
    pi(chosen) -> 1 only the difference and the sum count.

    Args:
        margin: what the rewards should differ by at least, finite; a number or one a run, [run].
        center: weight of the centring of rewards, >= 0.

    Source: Touvron et al. 2023 (Llama 2, arXiv 2307.09288), eq. 2, margin included; Eisenstein et al. 2023 (Helping or
    Herding?, arXiv 2312.09244), eq. 2, centring.
    """

    margin: float | Tensor = 0.0
    center: float | Tensor = 0.0

    def __post_init__(self) -> None:
        check_hyper("margin", self.margin, low=-float("inf"))
        check_hyper("center", self.center, positive=False)

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return NaN: rewards are explicit."""
        return float("nan"), float("nan")

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(R(chosen) - R(rejected) - margin) + center (R(chosen) + R(rejected))^2, [run, ..., pair]."""
        apart = pairs.chosen - pairs.rejected - per_run(self.margin, pairs.chosen)
        return -logsigmoid(apart) + per_run(self.center, apart) * (pairs.chosen + pairs.rejected) ** 2

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -s(-m) + 2 center (R + R') and s(-m) + 2 center (R + R'), each [run, ..., pair]."""
        push = torch.sigmoid(per_run(self.margin, pairs.chosen) - (pairs.chosen - pairs.rejected))
        pull = 2 * per_run(self.center, push) * (pairs.chosen + pairs.rejected)
        return pull - push, pull + push


@dataclass(frozen=True)
class BradleyTerry(RewardModel):
    """A reward model proper: the same loss on a network's raw outputs, which need not be log-probabilities.

    Trained, the network's logits are rewards, each prompt's up to a constant unless `center` fixes it. The gradients in
    the two rewards are -s(R' - R) and +s(R' - R): equal and opposite, and both vanish together.
    """

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return 1 twice: a reward is the implicit reward of the rewards' softmax over an even reference."""
        return 1.0, 1.0
