"""One term of a gradient without the other, to see what each does alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs

TERMS = ("chosen", "rejected")


@dataclass(frozen=True)
class OneTerm(Objective):
    """An objective of whose gradient only the chosen, or only the rejected, term is followed.

    A stop-gradient, and no loss: the step is that of l(c, sg[r]) for the term "chosen" and of l(sg[c], r) for
    "rejected", with c and r the two log-probabilities and sg[.] a constant. The push on the other response is 0, and
    how strong the one that is left is still depends on both. The two steps of plain gradient descent from one state sum
    to the whole objective's. A response may still move through what the policy shares, the softmax first of all.

    Args:
        objective: the objective.
        term: "chosen" or "rejected", the one that is followed.

    Raises:
        ValueError: for another term.

    Source: own definition; tests/test_objectives_one_term.py.
    """

    objective: Objective
    term: str

    def __post_init__(self) -> None:
        if self.term not in TERMS:
            raise ValueError(f"term is {self.term!r}; allowed are {', '.join(TERMS)}: the objective itself has both")

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return the betas of the objective."""
        return self.objective.betas

    @property
    def needs(self) -> frozenset[str]:
        """Return what the objective needs."""
        return self.objective.needs

    @property
    def couples_pairs(self) -> bool:
        """Return whether the objective couples pairs."""
        return self.objective.couples_pairs

    @property
    def only_margin(self) -> bool:
        """Return False: one push alone leaves the softmax's normaliser in the step."""
        return False

    @property
    def whole(self) -> Objective:
        """Return the objective with both terms."""
        return self.objective.whole

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the loss of the objective, [run, ..., pair]."""
        return self.objective.loss(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return the weights that are followed, 0 for the other response, each [run, ..., pair]."""
        chosen, rejected = self.objective.response_weights(pairs)
        if self.term == "chosen":
            return chosen, torch.zeros_like(rejected)
        return torch.zeros_like(chosen), rejected
