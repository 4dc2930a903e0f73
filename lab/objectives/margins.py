"""Functions of the margin m = beta (u - v) alone; see `pairwise` for u and v.

s = the logistic function. In every one of them pi(chosen) -> 1 changes nothing by itself: only the margin counts.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs, Scaled, as_tensor, check_hyper, logsigmoid, per_run


def smoothed(margin: Tensor, smoothing: float | Tensor) -> Tensor:
    """Return -(1 - e) log s(m) - e log s(-m), the logistic loss with labels that are wrong at rate e."""
    e = per_run(smoothing, margin)
    return -(1 - e) * logsigmoid(margin) - e * logsigmoid(-margin)


def smoothed_slope(margin: Tensor, smoothing: float | Tensor) -> Tensor:
    """Return its derivative, -(1 - e) s(-m) + e s(m)."""
    e = per_run(smoothing, margin)
    return -(1 - e) * torch.sigmoid(-margin) + e * torch.sigmoid(margin)


@dataclass(frozen=True)
class MarginLoss(Scaled):
    """A loss f(m) of the margin m = beta (u - v): its pushes are equal and opposite, beta f'(m) and -beta f'(m)."""

    @abstractmethod
    def value(self, margin: Tensor) -> Tensor:
        """Return f(m)."""

    @abstractmethod
    def slope(self, margin: Tensor) -> Tensor:
        """Return f'(m)."""

    @property
    def only_margin(self) -> bool:
        """Return True."""
        return True

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return f(beta (u - v)), [run, ..., pair]."""
        return self.value(per_run(self.beta, pairs.chosen) * pairs.log_ratio_margin)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta f'(m) and -beta f'(m), each [run, ..., pair]."""
        push = self.margin_slope(pairs.log_ratio_margin)
        return push, -push

    def margin_slope(self, margin: Tensor) -> Tensor:
        """Return beta f'(m), [run, ..., pair]."""
        beta = per_run(self.beta, margin)
        return beta * self.slope(beta * margin)


@dataclass(frozen=True)
class CDPO(MarginLoss):
    """Conservative DPO: -(1 - e) log s(m) - e log s(-m), the cross-entropy with labels that are wrong at rate e.

    As pi(rejected) -> 0 the pushes do not vanish: they turn round at the finite margin log((1 - e) / e).

    Args:
        beta: inverse temperature, > 0.
        smoothing: e, the rate of wrong labels, in [0, 0.5); 0 is DPO.

    Source: Mitchell 2023, "A note on DPO with noisy preferences and relationship to IPO".
    """

    smoothing: float | Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("smoothing", self.smoothing, positive=False, below=0.5)

    def value(self, margin: Tensor) -> Tensor:
        """Return -(1 - e) log s(m) - e log s(-m)."""
        return smoothed(margin, self.smoothing)

    def slope(self, margin: Tensor) -> Tensor:
        """Return -(1 - e) s(-m) + e s(m)."""
        return smoothed_slope(margin, self.smoothing)


@dataclass(frozen=True)
class RobustDPO(MarginLoss):
    """Provably robust DPO: [-(1 - e) log s(m) + e log s(-m)] / (1 - 2e), unbiased when labels are wrong at rate e.

    As pi(rejected) -> 0 the push falls to beta e / (1 - 2e), not to 0: the loss has no lower bound.

    Args:
        beta: inverse temperature, > 0.
        smoothing: e, the rate of wrong labels, in [0, 0.5); 0 is DPO.

    Source: Chowdhury et al. 2024 (arXiv 2403.00409), the robust DPO loss.
    """

    smoothing: float | Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("smoothing", self.smoothing, positive=False, below=0.5)

    def value(self, margin: Tensor) -> Tensor:
        """Return [-(1 - e) log s(m) + e log s(-m)] / (1 - 2e)."""
        e = per_run(self.smoothing, margin)
        return (-(1 - e) * logsigmoid(margin) + e * logsigmoid(-margin)) / (1 - 2 * e)

    def slope(self, margin: Tensor) -> Tensor:
        """Return -[(1 - e) s(-m) + e s(m)] / (1 - 2e)."""
        e = per_run(self.smoothing, margin)
        return -((1 - e) * torch.sigmoid(-margin) + e * torch.sigmoid(margin)) / (1 - 2 * e)


@dataclass(frozen=True)
class EXO(MarginLoss):
    """EXO on pairs: KL(q || (1 - e, e)) with q = (s(m), s(-m)), the reverse divergence of DPO's.

    As pi(rejected) -> 0 the pushes turn round at the finite margin log((1 - e) / e) and vanish like s(-m) m beyond it;
    they vanish likewise far on the wrong side, where DPO's are strongest.

    Args:
        beta: inverse temperature, > 0.
        smoothing: e, the share of the label that the rejected response keeps, in (0, 0.5).

    Source: Ji et al. 2024 (arXiv 2402.00856), eq. 16.
    """

    smoothing: float | Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("smoothing", self.smoothing, below=0.5)

    def _logs(self, margin: Tensor) -> tuple[Tensor, Tensor]:
        e = as_tensor(self.smoothing, margin)
        return torch.log1p(-e), torch.log(e)

    def value(self, margin: Tensor) -> Tensor:
        """Return q [log q - log(1 - e)] + (1 - q) [log(1 - q) - log e] with q = s(m)."""
        right, wrong = self._logs(margin)
        return torch.sigmoid(margin) * (logsigmoid(margin) - right) + torch.sigmoid(-margin) * (
            logsigmoid(-margin) - wrong
        )

    def slope(self, margin: Tensor) -> Tensor:
        """Return s(m) s(-m) [m - log((1 - e) / e)]; the derivatives of the two logarithms cancel."""
        right, wrong = self._logs(margin)
        return torch.sigmoid(margin) * torch.sigmoid(-margin) * (margin - right + wrong)


@dataclass(frozen=True)
class DiscoPOP(MarginLoss):
    """DiscoPOP: (1 - w) (-log s(m)) + w exp(-m) with w = s(m / tau), a blend of DPO's loss and an exponential one.

    As pi(rejected) -> 0 the pushes vanish like exp(-m). Where its two halves meet, around m = 0, it is not convex: for
    tau < (1 - log 2) / 3 = 0.102 the slope at m = 0 is positive, and from the reference the margin first *falls*.

    Args:
        beta: inverse temperature, > 0.
        tau: width of the blend, > 0.

    Source: Lu et al. 2024 (arXiv 2406.08414), the log-ratio modulated loss (LRML).
    """

    tau: float | Tensor = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("tau", self.tau)

    def _parts(self, margin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tau = per_run(self.tau, margin)
        weight = logsigmoid(margin / tau)
        # w exp(-m) in one exponent: at m = -500 the first factor is 0 and the second overflows.
        return torch.sigmoid(-margin / tau), torch.exp(weight - margin), -logsigmoid(margin)

    def value(self, margin: Tensor) -> Tensor:
        """Return (1 - w) (-log s(m)) + w exp(-m)."""
        rest, exponential, logistic = self._parts(margin)
        return rest * logistic + exponential

    def slope(self, margin: Tensor) -> Tensor:
        """Return (1 - w) [w log s(m) + w exp(-m)] / tau - (1 - w) s(-m) - w exp(-m)."""
        rest, exponential, logistic = self._parts(margin)
        weight = torch.sigmoid(margin / per_run(self.tau, margin))
        blend = rest * (exponential - weight * logistic) / per_run(self.tau, margin)
        return blend - rest * torch.sigmoid(-margin) - exponential
