"""Losses with a term for each response by itself: both are anchored to the reference. u, v, s as in `pairwise`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, sigmoid

from lab.objectives.base import PairLogProbs, Scaled, logsigmoid, per_run


def bump(x: Tensor) -> Tensor:
    """Return s(x) s(-x), the derivative of the logistic function, exact in both tails."""
    return sigmoid(x) * sigmoid(-x)


@dataclass(frozen=True)
class NCA(Scaled):
    """Noise-contrastive alignment on pairs: -log s(beta u) - log s(-beta u) / 2 - log s(-beta v) / 2.

    As pi(rejected) -> 0 its own push vanishes and the chosen one's does not notice: it ends at beta u = log 2, which
    holds the chosen response up. pi(chosen) -> 1 is therefore pushed back once u passes log 2 / beta.

    Source: Chen et al. 2024 (arXiv 2402.05369), the pairwise NCA loss.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta u) - log s(-beta u) / 2 - log s(-beta v) / 2, [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        x, y = beta * pairs.chosen_log_ratio, beta * pairs.rejected_log_ratio
        return -logsigmoid(x) - 0.5 * logsigmoid(-x) - 0.5 * logsigmoid(-y)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta [s(beta u) / 2 - s(-beta u)] and beta s(beta v) / 2, each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        x, y = beta * pairs.chosen_log_ratio, beta * pairs.rejected_log_ratio
        return beta * (0.5 * sigmoid(x) - sigmoid(-x)), 0.5 * beta * sigmoid(y)


@dataclass(frozen=True)
class BCO(Scaled):
    """Binary classifier optimisation on pairs, without the running shift: -log s(beta u) - log s(-beta v).

    As pi(rejected) -> 0 its own push vanishes, the chosen one's does not notice and goes on until beta u is large;
    pi(chosen) -> 1 ends it only as far as u can rise, so a small reference leaves it smaller.

    Source: Jung et al. 2024 (arXiv 2404.04656), the BCO loss with reward shift 0.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta u) - log s(-beta v), [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        return -logsigmoid(beta * pairs.chosen_log_ratio) - logsigmoid(-beta * pairs.rejected_log_ratio)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(-beta u) and beta s(beta v), each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        return -beta * sigmoid(-beta * pairs.chosen_log_ratio), beta * sigmoid(beta * pairs.rejected_log_ratio)


@dataclass(frozen=True)
class SPPO(Scaled):
    """Self-play preference optimisation with hard labels: (u - 1/(2 beta))^2 + (v + 1/(2 beta))^2.

    Two finite targets, one for each response: as pi(rejected) -> 0 it is pulled back up from v < -1/(2 beta), and
    pi(chosen) -> 1 is pulled back down from u > 1/(2 beta). The pull has no bound.

    Source: Wu et al. 2024 (arXiv 2405.00675), the squared loss with P(chosen beats rejected) = 1; beta is 1/eta.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return (u - 1/(2 beta))^2 + (v + 1/(2 beta))^2, [run, ..., pair]."""
        target = 0.5 / per_run(self.beta, pairs.chosen)
        return (pairs.chosen_log_ratio - target) ** 2 + (pairs.rejected_log_ratio + target) ** 2

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return 2 (u - 1/(2 beta)) and 2 (v + 1/(2 beta)), each [run, ..., pair]."""
        target = 0.5 / per_run(self.beta, pairs.chosen)
        return 2 * (pairs.chosen_log_ratio - target), 2 * (pairs.rejected_log_ratio + target)


@dataclass(frozen=True)
class APOZero(Scaled):
    """Anchored preference optimisation, zero: [1 - s(beta u)] + s(beta v): the chosen up, the rejected down.

    As pi(rejected) -> 0 its own push vanishes like exp(beta v) and the chosen one's does not notice. A response far on
    either side of the reference feels little: the pushes are strongest at u = 0 and v = 0. As pi(chosen) -> 1 its push
    falls with u alone.

    Source: D'Oosterlinck et al. 2024 (arXiv 2408.06266), eq. 7.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return s(-beta u) + s(beta v), [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        return sigmoid(-beta * pairs.chosen_log_ratio) + sigmoid(beta * pairs.rejected_log_ratio)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(beta u) s(-beta u) and beta s(beta v) s(-beta v), each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        return -beta * bump(beta * pairs.chosen_log_ratio), beta * bump(beta * pairs.rejected_log_ratio)


@dataclass(frozen=True)
class APODown(Scaled):
    """Anchored preference optimisation, down: s(beta u) + [1 - s(beta (u - v))]: both down, the rejected faster.

    As pi(rejected) -> 0 the second term is done and only the first is left, which goes on pushing the chosen response
    *down*; it falls off only once u is far below 0. pi(chosen) -> 1 is thus never an end point.

    Source: D'Oosterlinck et al. 2024 (arXiv 2408.06266), eq. 8.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return s(beta u) + s(-beta (u - v)), [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        return sigmoid(beta * pairs.chosen_log_ratio) + sigmoid(-beta * pairs.log_ratio_margin)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return beta [s'(beta u) - s'(m)] and beta s'(m) with m = beta (u - v), each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        apart = beta * bump(beta * pairs.log_ratio_margin)
        return beta * bump(beta * pairs.chosen_log_ratio) - apart, apart


@dataclass(frozen=True)
class CalDPO(SPPO):
    """Calibrated DPO: -log s(u - v) + (u - 1/(2 beta))^2 + (v + 1/(2 beta))^2.

    The squares hold both log-ratios at finite targets: as pi(rejected) -> 0 it is pulled back up, and pi(chosen) -> 1
    is pulled back down once u passes its target. The logistic term has no beta.

    Source: after Xiao et al. 2024 (arXiv 2412.14516), for rewards +1/2 and -1/2; this form was written without the
    paper's text at hand and has no stored peer to agree with: compare it with the paper before citing.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(u - v) + (u - 1/(2 beta))^2 + (v + 1/(2 beta))^2, [run, ..., pair]."""
        return -logsigmoid(pairs.log_ratio_margin) + super().loss(pairs)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -s(v - u) + 2 (u - 1/(2 beta)) and s(v - u) + 2 (v + 1/(2 beta)), each [run, ..., pair]."""
        push = torch.sigmoid(-pairs.log_ratio_margin)
        chosen, rejected = super().response_weights(pairs)
        return chosen - push, rejected + push
