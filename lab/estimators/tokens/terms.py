"""Parts of a loss of tokens: what each token adds, and what that pulls at. Weighted likelihoods, and the KL penalty."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from lab.estimators.surrogates import k3, k3_weight
from lab.estimators.tokens.batch import TokenBatch, check_bound, check_level
from lab.objectives.base import as_tensor, check_hyper, per_run


class Term(ABC):
    """A loss of every token of a batch, and its derivative in all log-probabilities of the response."""

    @abstractmethod
    def loss(self, batch: TokenBatch) -> Tensor:
        """Return the loss of every token, unreduced, [run, response, token]; where there is none it means nothing."""

    @abstractmethod
    def pull(self, batch: TokenBatch, share: Tensor) -> Tensor:
        """Return sum_t share_t d loss_t / d log pi_s of every token s, [run, response, token].

        Args:
            batch: the responses.
            share: the weight of every token's loss in the total, 0 where there is no token, [run, response, token].
        """


class WeightedLikelihood(Term):
    """-c A log pi of every token, c a weight that is not differentiated: REINFORCE with its weight bounded."""

    @abstractmethod
    def weight(self, batch: TokenBatch) -> Tensor:
        """Return c, [run, response, token] or [run, response, 1]."""

    def loss(self, batch: TokenBatch) -> Tensor:
        """Return -c A log pi."""
        return -self.weight(batch).detach() * batch.advantage[..., None] * batch.log_prob

    def pull(self, batch: TokenBatch, share: Tensor) -> Tensor:
        """Return -share c A: no token pulls at another."""
        return -share * self.weight(batch) * batch.advantage[..., None]


@dataclass(frozen=True)
class CISPO(WeightedLikelihood):
    """-min(w, cap) A log pi, the weight not differentiated: no token falls silent, as it does beyond PPO's clip.

    Args:
        cap: the largest weight itself, not its distance from 1; a number or one a run.
        level: of the ratio w, one of LEVELS.

    Source: MiniMax-M1 (arXiv 2506.13585); the one-sided cap as in ScaleRL (arXiv 2510.13786).
    """

    cap: float | Tensor = 5.0
    level: str = "token"

    def __post_init__(self) -> None:
        check_bound("cap", self.cap, 0.0)
        check_level(self.level)

    def weight(self, batch: TokenBatch) -> Tensor:
        """Return min(w, cap)."""
        ratio = batch.pooled(self.level).exp()
        return torch.minimum(ratio, as_tensor(self.cap, ratio))


@dataclass(frozen=True)
class VESPO(WeightedLikelihood):
    """-phi(W) A log pi with phi(W) = W^k exp(lam (1 - W)), 1 at W = 1, W the ratio of the whole response.

    Both a response that became far likelier and one that became far less likely count less. The logarithm of W is held
    within [log 1e-8, 20], and a token's part of it within 20 of 0: beyond, phi is next to nothing.

    Args:
        good: k and lam where A >= 0, each >= 0 and a number or one a run.
        bad: k and lam where A < 0, likewise.

    Source: arXiv 2602.10693; bounds as in TRL 1.16.0.
    """

    good: tuple[float | Tensor, float | Tensor] = (2.0, 3.0)
    bad: tuple[float | Tensor, float | Tensor] = (3.0, 2.0)

    def __post_init__(self) -> None:
        for name in ("good", "bad"):
            for each, value in zip(("k", "lam"), getattr(self, name), strict=True):
                check_hyper(f"{each} of {name}", value, positive=False)

    def weight(self, batch: TokenBatch) -> Tensor:
        """Return phi(W), [run, response, 1]."""
        total = batch.log_ratio.clamp(-20, 20).sum(-1, keepdim=True).clamp(log(1e-8), 20)
        favoured = batch.advantage[..., None] >= 0
        k, lam = (
            torch.where(favoured, as_tensor(good, total), as_tensor(bad, total))
            for good, bad in zip(self.good, self.bad, strict=True)
        )
        return (k * total - lam * torch.expm1(total)).exp()


@dataclass(frozen=True)
class K3(Term):
    """beta k3 of every token, where k3 = exp(-d) + d - 1 with d = log pi - log pi_ref; times w where corrected.

    The correction makes it an estimate under pi of what pi_old drew. It is differentiated too, so that the gradient is
    another one even where w = 1: there E d(w k3) is the gradient of KL(pi || pi_ref), and E d k3 that of
    KL(pi_ref || pi).

    Args:
        beta: weight of KL, >= 0; a number or one a run.
        corrected: whether k3 is multiplied by w.
        level: of the ratio w, one of LEVELS.

    Source: Schulman 2020; Shao et al. 2024 (arXiv 2402.03300), eq. 4; the correction as in TRL 1.16.0, its gradient:
    own derivation, tests/test_estimators_tokens.py.
    """

    beta: float | Tensor
    corrected: bool = True
    level: str = "token"

    def __post_init__(self) -> None:
        check_hyper("beta", self.beta, positive=False)
        check_level(self.level)

    def loss(self, batch: TokenBatch) -> Tensor:
        """Return beta k3, or beta w k3."""
        return per_run(self.beta, batch.log_prob) * k3(batch.log_prob, _reference(batch)) * self._ratio(batch)

    def pull(self, batch: TokenBatch, share: Tensor) -> Tensor:
        """Return share beta w (1 - pi_ref / pi), and where corrected what beta w k3 pulls at through w."""
        reference, weight = _reference(batch), share * per_run(self.beta, batch.log_prob) * self._ratio(batch)
        direct = weight * k3_weight(batch.log_prob, reference)
        if not self.corrected:
            return direct
        return direct + batch.unpooled(weight * k3(batch.log_prob, reference), self.level)

    def _ratio(self, batch: TokenBatch) -> Tensor:
        return batch.pooled(self.level).exp() if self.corrected else torch.ones_like(batch.log_prob[..., :1])


def _reference(batch: TokenBatch) -> Tensor:
    if batch.reference_log_prob is None:
        raise ValueError("the batch has no reference_log_prob and the KL penalty needs it; give one a token, or no K3")
    return batch.reference_log_prob
