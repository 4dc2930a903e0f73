"""Supervised objectives: what pairs teach when responses are not compared, but each is made likely or unlikely."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs, check_hyper, per_run


def mean_length(length: float | Tensor) -> float | Tensor:
    """Return the mean number of tokens over the pairs: a mean over tokens is a mean over pairs divided by it."""
    return length.to(torch.float64).mean() if isinstance(length, Tensor) else length


def log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - exp(x)) for x <= 0, by the branch that is exact on its side of -log 2.

    Source: Maechler 2012, "Accurately computing log(1 - exp(-|a|))".
    """
    near = x > -0.6931471805599453
    # Each branch gets arguments of its own side only, so that no derivative of the other is NaN.
    safe_near, safe_far = torch.where(near, x, -torch.ones_like(x)), torch.where(near, -torch.ones_like(x), x)
    return torch.where(near, torch.log(-torch.expm1(safe_near)), torch.log1p(-torch.exp(safe_far)))


@dataclass(frozen=True)
class SFT(Objective):
    """Supervised fine-tuning on the chosen response ("Preferred-FT"): -log pi(chosen); the rejected one is ignored.

    pi(rejected) -> 0 does not change it; its pull on log pi(chosen) is the same until pi(chosen) = 1.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), section 6, baseline Preferred-FT.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log pi(chosen), [run, ..., pair]."""
        return -pairs.chosen

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -1 and 0, each [run, ..., pair]."""
        return -torch.ones_like(pairs.chosen), torch.zeros_like(pairs.rejected)


@dataclass(frozen=True)
class TokenSFT(Objective):
    """SFT as a mean over tokens: -log pi(chosen) / mean over the pairs of |chosen|; TRL's "sft".

    Averaged over equally weighted pairs it is -sum log pi(chosen) / sum |chosen|. pi(rejected) -> 0 does not change it;
    its pull on log pi(chosen) is the same until pi(chosen) = 1.

    Source: the SFT term of Liu et al. 2024 (RPO, arXiv 2405.16436), as TRL averages it.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log pi(chosen) / mean |chosen|, [run, ..., pair]."""
        return -pairs.chosen / mean_length(pairs.chosen_length)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -1 / mean |chosen| and 0, each [run, ..., pair]."""
        return -torch.ones_like(pairs.chosen) / mean_length(pairs.chosen_length), torch.zeros_like(pairs.rejected)


@dataclass(frozen=True)
class Unlikelihood(Objective):
    """Likelihood and unlikelihood: -log pi(chosen) - weight * log(1 - pi(rejected)).

    As pi(rejected) -> 0 its push vanishes like pi(rejected) itself, in log pi: the lost mass is not chased into the
    tail. As pi(rejected) -> 1 it has no bound. pi(chosen) -> 1 is SFT's.

    Args:
        weight: weight of the unlikelihood, >= 0; a number or one a run, [run].

    Source: Welleck et al. 2019 (arXiv 1908.04319), the sequence of one token: likelihood plus unlikelihood.
    """

    weight: float | Tensor = 1.0

    def __post_init__(self) -> None:
        check_hyper("weight", self.weight, positive=False)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log pi(chosen) - weight * log(1 - pi(rejected)), [run, ..., pair]."""
        return -pairs.chosen - per_run(self.weight, pairs.chosen) * log1mexp(pairs.rejected)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -1 and weight * pi(rejected) / (1 - pi(rejected)), each [run, ..., pair]."""
        odds = torch.exp(pairs.rejected - log1mexp(pairs.rejected))
        return -torch.ones_like(pairs.chosen), per_run(self.weight, odds) * odds
