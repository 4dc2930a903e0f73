"""Weights on pairs that come from the policy itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs


@dataclass(frozen=True)
class WPO(Objective):
    """Weighted preference optimisation: W(chosen) W(rejected) times a loss, W(y) = pi(y) / sum_y' pi(y')^2 detached.

    For a response of several tokens, log W is the mean over its tokens. A pair whose responses the policy would not
    sample counts less: as pi(rejected) -> 0 both pushes vanish at least like pi(rejected), whatever the loss. As
    pi(chosen) -> 1 its weight tends to 1 and the rejected one's to pi(rejected).

    Args:
        objective: the loss that is weighted; one that does not couple pairs.

    Raises:
        ValueError: if the objective couples pairs, or `PairLogProbs` has no confidences.

    Source: Zhou et al. 2024 (arXiv 2406.11827), with the sampled alignment of its weights, as in TRL.
    """

    objective: Objective

    def __post_init__(self) -> None:
        if self.objective.couples_pairs:
            raise ValueError(
                f"WPO weighs pairs one by one, and {type(self.objective).__name__} couples them; give it a loss of "
                "single pairs, such as DPO"
            )

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return the betas of the objective."""
        return self.objective.betas

    @property
    def needs(self) -> frozenset[str]:
        """Return "confidence" and what the objective needs."""
        return self.objective.needs | {"confidence"}

    def _weight(self, pairs: PairLogProbs) -> Tensor:
        if pairs.chosen_confidence is None or pairs.rejected_confidence is None:
            raise ValueError(
                "WPO weighs by the policy's confidence, and these pairs have none; give PairLogProbs "
                "chosen_confidence and rejected_confidence"
            )
        return torch.exp(pairs.chosen_confidence.detach() + pairs.rejected_confidence.detach())

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return W(chosen) W(rejected) times the loss, [run, ..., pair]."""
        return self._weight(pairs) * self.objective.loss(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return W(chosen) W(rejected) times the objective's weights, each [run, ..., pair]."""
        weight = self._weight(pairs)
        chosen, rejected = self.objective.response_weights(pairs)
        return weight * chosen, weight * rejected
