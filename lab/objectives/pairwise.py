"""Pairwise objectives: every loss beside its equation.

u = log pi(chosen)/pi_ref(chosen), v = log pi(rejected)/pi_ref(rejected), s = the logistic function, all in nats.
DPO's push on the pair fades and never stops; IPO's turns round at a target; SLiC's is constant up to its hinge. SimPO
(`reference_free`) is DPO without u's and v's reference; KTO (`prospect`) weighs u and v one by one.
`python -m lab theory dpo ipo slic simpo kto` puts them side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs, Scaled, check_hyper, logsigmoid, per_run


@dataclass(frozen=True)
class DPO(Scaled):
    """Direct Preference Optimization: -log s(beta (u - v)).

    As pi(rejected) -> 0 both pushes vanish like exp(-margin), and never quite; they stay equal and opposite throughout.

    Args:
        beta: inverse temperature, > 0; a number or one a run, [run].

    Source: Rafailov et al. 2023 (arXiv 2305.18290), eq. 7; gradient: unnumbered, section 4.
    """

    @property
    def only_margin(self) -> bool:
        """Return True."""
        return True

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta (u - v)), [run, ..., pair]."""
        margin = per_run(self.beta, pairs.chosen) * pairs.log_ratio_margin
        return -logsigmoid(margin)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(-margin) and +beta s(-margin), each [run, ..., pair]."""
        push = self.margin_slope(pairs.log_ratio_margin)
        return push, -push

    def margin_slope(self, margin: Tensor) -> Tensor:
        """Return -beta s(-beta (u - v)), [run, ..., pair]."""
        minus_beta = -per_run(self.beta, margin)
        return torch.sigmoid(minus_beta * margin).mul_(minus_beta)


@dataclass(frozen=True)
class FlexDPO(Objective):
    """Flex-DPO: -log s(beta_chosen u - beta_rejected v).

    A smaller beta_rejected pulls the rejected response less for the same margin, and so keeps pushing for longer: as
    pi(rejected) -> 0 both pushes vanish like exp(beta_rejected v).

    Args:
        beta_chosen: beta of the chosen response, > 0; a number or one a run, [run].
        beta_rejected: beta of the rejected response, > 0; a number or one a run, [run].

    Source: Yan et al. 2024 (arXiv 2406.07327), Flex-DPO.
    """

    beta_chosen: float | Tensor
    beta_rejected: float | Tensor

    def __post_init__(self) -> None:
        check_hyper("beta_chosen", self.beta_chosen)
        check_hyper("beta_rejected", self.beta_rejected)

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return beta_chosen and beta_rejected."""
        return self.beta_chosen, self.beta_rejected

    def _margin(self, pairs: PairLogProbs) -> tuple[float | Tensor, float | Tensor, Tensor]:
        chosen, rejected = per_run(self.beta_chosen, pairs.chosen), per_run(self.beta_rejected, pairs.chosen)
        return chosen, rejected, chosen * pairs.chosen_log_ratio - rejected * pairs.rejected_log_ratio

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta_chosen u - beta_rejected v), [run, ..., pair]."""
        return -logsigmoid(self._margin(pairs)[2])

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta_chosen s(-margin) and +beta_rejected s(-margin), each [run, ..., pair]."""
        chosen, rejected, margin = self._margin(pairs)
        push = torch.sigmoid(-margin)
        return -chosen * push, rejected * push


@dataclass(frozen=True)
class IPO(Scaled):
    """Identity Preference Optimization: (u - v - 1/(2 beta))^2.

    A finite target: both pushes vanish at log-ratio margin 1/(2 beta); beyond it they turn round and, as
    pi(rejected) -> 0, grow without bound.

    Args:
        beta: the paper's tau, > 0; a number or one a run, [run].

    Source: Azar et al. 2023 (arXiv 2310.12036), eq. 17.
    """

    @property
    def only_margin(self) -> bool:
        """Return True."""
        return True

    def _error(self, margin: Tensor) -> Tensor:
        return margin - 0.5 / per_run(self.beta, margin)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return (u - v - 1/(2 beta))^2, [run, ..., pair]."""
        return self._error(pairs.log_ratio_margin) ** 2

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return 2 (u - v - 1/(2 beta)) and its negative, each [run, ..., pair]."""
        pull = self.margin_slope(pairs.log_ratio_margin)
        return pull, -pull

    def margin_slope(self, margin: Tensor) -> Tensor:
        """Return 2 (u - v - 1/(2 beta)), [run, ..., pair]."""
        return self._error(margin).mul_(2)


@dataclass(frozen=True)
class SLiC(Scaled):
    """Sequence-likelihood calibration in its hinge form: max(0, 1 - beta (u - v)).

    A constant push until the margin reaches 1, then none at all, long before pi(rejected) -> 0.

    Args:
        beta: scale of the margin, > 0; a number or one a run, [run].

    Source: Zhao et al. 2023 (arXiv 2305.10425) with the log-ratios of Liu et al. 2023 (RSO, arXiv 2309.06657).
    """

    @property
    def only_margin(self) -> bool:
        """Return True."""
        return True

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return max(0, 1 - beta (u - v)), [run, ..., pair]."""
        return torch.relu(1 - per_run(self.beta, pairs.chosen) * pairs.log_ratio_margin)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta and +beta where the margin is below 1, else 0, each [run, ..., pair]."""
        push = self.margin_slope(pairs.log_ratio_margin)
        return push, -push

    def margin_slope(self, margin: Tensor) -> Tensor:
        """Return -beta where beta (u - v) is below 1, else 0, [run, ..., pair]."""
        beta = per_run(self.beta, margin)
        return -beta * (beta * margin < 1).to(margin.dtype)
