"""Terms that are functions of the importance ratio: clipped, softly gated, and a geometric mean."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lab.estimators.surrogates import clipped, clipped_weight
from lab.estimators.tokens.batch import TokenBatch, check_bound, check_level
from lab.estimators.tokens.terms import Term
from lab.objectives.base import as_tensor, check_hyper


class RatioTerm(Term):
    """A loss that is a function of the log-ratio of a level and of A.

    level "token" takes each token's own w, "mean" the geometric mean of a response's (GSPO), "sum" their product, the
    ratio of the whole response (RLOO). Derived classes are frozen dataclasses with `level`, `value` and `slope`.
    """

    level: str

    @abstractmethod
    def value(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return the loss, of the shape of `log_ratio`."""

    @abstractmethod
    def slope(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return d loss / d log_ratio, likewise."""

    def loss(self, batch: TokenBatch) -> Tensor:
        """Return the loss of every token; the tokens of a response share it unless the level is "token"."""
        return self.value(batch.pooled(self.level), batch.advantage[..., None]).expand_as(batch.log_prob)

    def pull(self, batch: TokenBatch, share: Tensor) -> Tensor:
        """Return the slope at the level of the ratio, handed down to the tokens that make it."""
        return batch.unpooled(share * self.slope(batch.pooled(self.level), batch.advantage[..., None]), self.level)


@dataclass(frozen=True)
class Clipped(RatioTerm):
    """-min(min(w, cap) A, clip(w, 1 - low, 1 + high) A): PPO's clip, and a cap that also bounds what A < 0 pushes down.

    Args:
        low: how far w may fall below 1, >= 0; inf for no bound; a number or one a run.
        high: how far it may rise above 1, likewise.
        cap: largest w, >= 1, inf for none. For A > 0 the smaller of cap and 1 + high counts, for A < 0 the larger.
        level: of the ratio w, one of LEVELS.

    Source: Schulman et al. 2017 (arXiv 1707.06347), eq. 7; low and high: DAPO (arXiv 2503.14476); level: GSPO (arXiv
    2507.18071); cap: `delta` of TRL 1.16.0.
    """

    low: float | Tensor = 0.2
    high: float | Tensor = 0.2
    cap: float | Tensor = inf
    level: str = "token"

    def __post_init__(self) -> None:
        for name, least in (("low", 0.0), ("high", 0.0), ("cap", 1.0)):
            check_bound(name, getattr(self, name), least)
        check_level(self.level)

    def value(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return the clipped loss of a ratio that is capped first."""
        low, high, ceiling = self._bounds(log_ratio)
        return clipped(torch.minimum(log_ratio, ceiling), advantage, low, high)

    def slope(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return -w A, and 0 beyond a bound that holds."""
        low, high, ceiling = self._bounds(log_ratio)
        return torch.where(log_ratio > ceiling, 0.0, clipped_weight(log_ratio, advantage, low, high))

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low, high, cap = (as_tensor(value, like) for value in (self.low, self.high, self.cap))
        return low, torch.minimum(high, cap - 1), torch.maximum(cap, 1 + high).log()


@dataclass(frozen=True)
class SAPO(RatioTerm):
    """-(4 / T) s(T (w - 1)) A with s the logistic function: a gate that closes smoothly where PPO's clip cuts.

    Its slope in log w at w = 1 is -A, that of the plain policy gradient; T is `good` where A > 0, else `bad`.

    Args:
        good: T where A > 0, > 0; a number or one a run.
        bad: T elsewhere; larger, so that what is pushed down falls silent sooner.
        level: of the ratio w, one of LEVELS.

    Source: Soft Adaptive Policy Optimization (arXiv 2511.20347).
    """

    good: float | Tensor = 1.0
    bad: float | Tensor = 1.05
    level: str = "token"

    def __post_init__(self) -> None:
        check_hyper("good", self.good)
        check_hyper("bad", self.bad)
        check_level(self.level)

    def value(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return the gated loss."""
        temperature = self._temperature(advantage)
        return -4 / temperature * (temperature * torch.expm1(log_ratio)).sigmoid() * advantage

    def slope(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return -4 s (1 - s) w A."""
        scaled = self._temperature(advantage) * torch.expm1(log_ratio)
        return -4 * (logsigmoid(scaled) + logsigmoid(-scaled) + log_ratio).exp() * advantage

    def _temperature(self, advantage: Tensor) -> Tensor:
        return torch.where(advantage > 0, as_tensor(self.good, advantage), as_tensor(self.bad, advantage))


@dataclass(frozen=True)
class Geometric(Term):
    """-A exp(mean over tokens of m), m the log-ratio bounded on the side that A rewards: GMPO.

    m_t = min(d_t, high) where A > 0, else max(d_t, -low). Tokens are clipped one by one before the geometric mean.

    Args:
        low: how far a token's log-ratio may fall below 0, >= 0, nats; inf for no bound; a number or one a run.
        high: how far it may rise above 0, likewise.

    Source: Geometric-Mean Policy Optimization (arXiv 2507.20673).
    """

    low: float | Tensor = 0.4
    high: float | Tensor = 0.4

    def __post_init__(self) -> None:
        check_bound("low", self.low, 0.0)
        check_bound("high", self.high, 0.0)

    def loss(self, batch: TokenBatch) -> Tensor:
        """Return the loss of the response at each of its tokens."""
        return self._value(batch).expand_as(batch.log_prob)

    def pull(self, batch: TokenBatch, share: Tensor) -> Tensor:
        """Return the loss of the response over its length, and 0 for a token beyond its bound."""
        log_ratio, favoured = batch.log_ratio, batch.advantage[..., None] > 0
        low, high = as_tensor(self.low, log_ratio), as_tensor(self.high, log_ratio)
        free = torch.where(favoured, log_ratio <= high, log_ratio >= -low)
        return free * batch.unpooled(share * self._value(batch), "mean")

    def _value(self, batch: TokenBatch) -> Tensor:
        log_ratio, advantage = batch.log_ratio, batch.advantage[..., None]
        low, high = as_tensor(self.low, log_ratio), as_tensor(self.high, log_ratio)
        bounded = torch.where(advantage > 0, torch.minimum(log_ratio, high), torch.maximum(log_ratio, -low))
        return -advantage * ((bounded * batch.present).sum(-1, keepdim=True) / batch.length).exp()
