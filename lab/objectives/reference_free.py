"""Pairwise losses without a reference policy: c = log pi(chosen), r = log pi(rejected), |y| the number of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs, Scaled, as_tensor, check_hyper, per_run
from lab.objectives.margins import smoothed, smoothed_slope
from lab.objectives.supervised import mean_length


@dataclass(frozen=True)
class WithNLL(Scaled):
    """A pairwise loss with a likelihood term: L + nll_weight * (-c / mean over the pairs of |chosen|).

    Args:
        beta: scale of the difference, > 0.
        nll_weight: weight of the token mean of -log pi(chosen), >= 0.
    """

    nll_weight: float | Tensor = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("nll_weight", self.nll_weight, positive=False)

    def _nll(self, pairs: PairLogProbs) -> Tensor:
        return -pairs.chosen * self._nll_slope(pairs)

    def _nll_slope(self, pairs: PairLogProbs) -> float | Tensor:
        return per_run(self.nll_weight, pairs.chosen) / mean_length(pairs.chosen_length)


@dataclass(frozen=True)
class CPO(WithNLL):
    """Contrastive preference optimisation: -(1 - e) log s(m) - e log s(-m) + NLL with m = beta (c - r).

    As pi(rejected) -> 0 the contrast ends and the likelihood term alone goes on, at full strength. As pi(chosen) -> 1
    the pull of the likelihood stays -1 in log pi; the contrast depends on the margin only.

    Args:
        beta: scale of the difference, > 0.
        nll_weight: weight of the token mean of -log pi(chosen), >= 0.
        smoothing: e, in [0, 0.5).

    Source: Xu et al. 2024 (arXiv 2401.08417), L_prefer + L_NLL.
    """

    smoothing: float | Tensor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("smoothing", self.smoothing, positive=False, below=0.5)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the smoothed -log s(beta (c - r)) plus the likelihood term, [run, ..., pair]."""
        margin = per_run(self.beta, pairs.chosen) * (pairs.chosen - pairs.rejected)
        return smoothed(margin, self.smoothing) + self._nll(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta f'(m) - nll_weight / mean |chosen| and -beta f'(m), each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        push = beta * smoothed_slope(beta * (pairs.chosen - pairs.rejected), self.smoothing)
        return push - self._nll_slope(pairs), -push


@dataclass(frozen=True)
class SLiCHF(WithNLL):
    """SLiC-HF as published, without a reference: max(0, 1 - beta (c - r)) + NLL; CPO's "hinge" in TRL.

    The contrast is a constant push until beta (c - r) = 1 and then none: long before pi(rejected) -> 0 it is over and
    the likelihood term alone carries pi(chosen) -> 1.

    Args:
        beta: scale of the difference, 1 / the paper's delta, > 0.
        nll_weight: weight of the token mean of -log pi(chosen), >= 0.

    Source: Zhao et al. 2023 (arXiv 2305.10425), eq. 1 divided by delta, with the chosen response as the target.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return max(0, 1 - beta (c - r)) plus the likelihood term, [run, ..., pair]."""
        margin = per_run(self.beta, pairs.chosen) * (pairs.chosen - pairs.rejected)
        return torch.relu(1 - margin) + self._nll(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta where the margin is below 1, less the likelihood's, and +beta there, each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        push = beta * (beta * (pairs.chosen - pairs.rejected) < 1).to(pairs.chosen.dtype)
        return -push - self._nll_slope(pairs), push


@dataclass(frozen=True)
class FreeIPO(WithNLL):
    """IPO on averages without a reference: (c/|chosen| - r/|rejected| - 1/(2 beta))^2 + NLL; CPO's "ipo" in TRL.

    A finite target of the difference: as pi(rejected) -> 0 or pi(chosen) -> 1 pass it, the contrast turns round.

    Args:
        beta: 1/(2 target), > 0.
        nll_weight: weight of the token mean of -log pi(chosen), >= 0.

    Source: Azar et al. 2023 (arXiv 2310.12036), eq. 17, without the reference as in TRL's CPO trainer.
    """

    def _error(self, pairs: PairLogProbs) -> Tensor:
        difference = pairs.chosen / pairs.chosen_length - pairs.rejected / pairs.rejected_length
        return difference - 0.5 / per_run(self.beta, difference)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return (c/|chosen| - r/|rejected| - 1/(2 beta))^2 plus the likelihood term, [run, ..., pair]."""
        return self._error(pairs) ** 2 + self._nll(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return 2 error/|chosen| minus the likelihood's and -2 error/|rejected|, each [run, ..., pair]."""
        pull = 2 * self._error(pairs)
        return pull / pairs.chosen_length - self._nll_slope(pairs), -pull / pairs.rejected_length


@dataclass(frozen=True)
class SimPO(Scaled):
    """SimPO: -log s(beta (c/|chosen| - r/|rejected|) - gamma).

    As pi(rejected) -> 0 both pushes vanish once the average margin passes gamma / beta; there is no reference that
    would hold either response. As pi(chosen) -> 1 only the margin counts.

    Args:
        beta: scale of the average log-probability, > 0 (the paper uses 2 to 10).
        gamma: target margin in units of the scaled margin, >= 0.
        smoothing: e of label smoothing, in [0, 0.5); the paper has 0.

    Source: Meng et al. 2024 (arXiv 2405.14734), eq. 6.
    """

    gamma: float | Tensor = 0.5
    smoothing: float | Tensor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("gamma", self.gamma, positive=False)
        check_hyper("smoothing", self.smoothing, positive=False, below=0.5)

    def _score(self, average: Tensor) -> tuple[Tensor, float | Tensor]:
        """Return the score of a response and its derivative, from the average log-probability of its tokens."""
        return average, 1.0

    def _margin(self, pairs: PairLogProbs) -> tuple[Tensor, float | Tensor, float | Tensor]:
        good, by_chosen = self._score(pairs.chosen / pairs.chosen_length)
        bad, by_rejected = self._score(pairs.rejected / pairs.rejected_length)
        margin = per_run(self.beta, good) * (good - bad) - per_run(self.gamma, good)
        return margin, by_chosen, by_rejected

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the smoothed -log s(beta (score(chosen) - score(rejected)) - gamma), [run, ..., pair]."""
        return smoothed(self._margin(pairs)[0], self.smoothing)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta f'(m) score'/|chosen| and -beta f'(m) score'/|rejected|, each [run, ..., pair]."""
        margin, by_chosen, by_rejected = self._margin(pairs)
        push = per_run(self.beta, margin) * smoothed_slope(margin, self.smoothing)
        return push * by_chosen / pairs.chosen_length, -push * by_rejected / pairs.rejected_length


@dataclass(frozen=True)
class AlphaPO(SimPO):
    """AlphaPO: SimPO on the score (1 - exp(-alpha a)) / alpha of the average log-probability a; a itself at alpha = 0.

    alpha > 0 makes the margin grow like pi^(-alpha) as pi(rejected) -> 0: both pushes end soon; alpha < 0 bounds
    the score of the rejected response, whose push then fades like pi^|alpha| while the margin stays finite. As
    pi(chosen) -> 1 the score is that of SimPO.

    Args:
        beta: scale of the score, > 0.
        gamma: target margin, >= 0.
        smoothing: e of label smoothing, in [0, 0.5).
        alpha: shape of the score, finite; 0 is SimPO.

    Source: Gupta et al. 2025 (arXiv 2501.03884), the alpha reward with length normalisation.
    """

    alpha: float | Tensor = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("alpha", self.alpha, low=-float("inf"))

    def _score(self, average: Tensor) -> tuple[Tensor, float | Tensor]:
        alpha = as_tensor(self.alpha, average)
        line = alpha == 0
        alpha = torch.where(line, torch.ones_like(alpha), alpha)
        score, slope = -torch.expm1(-alpha * average) / alpha, torch.exp(-alpha * average)
        return torch.where(line, average, score), torch.where(line, torch.ones_like(slope), slope)
