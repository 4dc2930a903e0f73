"""A weighted sum of objectives is an objective."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs, check_hyper, per_run


@dataclass(frozen=True)
class WeightedSum(Objective):
    """sum_k weight_k * objective_k, for instance DPO with an added SFT term.

    Args:
        objectives: the summands, at least one.
        weights: one weight >= 0 each; a number or one a run, [run].

    Raises:
        ValueError: if the two lists are empty or differ in length, or a weight is negative or not finite.
    """

    objectives: tuple[Objective, ...]
    weights: tuple[float | Tensor, ...]

    def __post_init__(self) -> None:
        if not self.objectives or len(self.objectives) != len(self.weights):
            raise ValueError(
                f"{len(self.objectives)} objectives and {len(self.weights)} weights; give one weight an objective, "
                "at least one of each"
            )
        for weight in self.weights:
            check_hyper("weight", weight, positive=False)

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return the betas of the first summand, which is taken as the preference objective."""
        return self.objectives[0].betas

    @property
    def needs(self) -> frozenset[str]:
        """Return what any summand needs."""
        return frozenset().union(*(objective.needs for objective in self.objectives))

    @property
    def couples_pairs(self) -> bool:
        """Return whether any summand couples the pairs."""
        return any(objective.couples_pairs for objective in self.objectives)

    @property
    def only_margin(self) -> bool:
        """Return whether every summand depends on the margin alone."""
        return all(objective.only_margin for objective in self.objectives)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the weighted sum of the losses, [run, ..., pair]."""
        scaled = (per_run(w, pairs.chosen) * o.loss(pairs) for o, w in zip(self.objectives, self.weights, strict=True))
        return _sum(scaled)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return the weighted sums of the response weights, each [run, ..., pair]."""
        parts = [o.response_weights(pairs) for o in self.objectives]
        factors = [per_run(w, pairs.chosen) for w in self.weights]
        chosen = _sum(factor * part[0] for factor, part in zip(factors, parts, strict=True))
        rejected = _sum(factor * part[1] for factor, part in zip(factors, parts, strict=True))
        return chosen, rejected


def _sum(tensors) -> Tensor:  # type: ignore[no-untyped-def]
    first, *rest = tensors
    for tensor in rest:
        first = first + tensor
    return first
