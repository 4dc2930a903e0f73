"""DPO with a changed margin: -log s(m) with m another function of the log-ratios u and v; see `pairwise`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs, Scaled, as_tensor, check_hyper, logsigmoid, per_run

LARGEST = 80.0  # exponent of a probability ratio; beyond it the margin is clipped at any sensible bound


@dataclass(frozen=True)
class DPOP(Scaled):
    """DPO-Positive: -log s(beta [u - v - penalty max(0, -u)]).

    While the chosen response is below its reference, a fall of it costs 1 + penalty times as much. As
    pi(rejected) -> 0 both pushes vanish like DPO's once u >= 0; below, the penalty keeps the margin from growing. As
    pi(chosen) -> 1 it is DPO.

    Args:
        beta: inverse temperature, > 0.
        penalty: the paper's lambda, >= 0; 0 is DPO.

    Source: Pal et al. 2024 (Smaug, arXiv 2402.13228), the DPOP loss.
    """

    penalty: float | Tensor = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("penalty", self.penalty, positive=False)

    def _margin(self, pairs: PairLogProbs) -> Tensor:
        lost = torch.relu(-pairs.chosen_log_ratio)
        return per_run(self.beta, pairs.chosen) * (pairs.log_ratio_margin - per_run(self.penalty, lost) * lost)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta [u - v - penalty max(0, -u)]), [run, ..., pair]."""
        return -logsigmoid(self._margin(pairs))

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(-m) (1 + penalty where u < 0) and beta s(-m), each [run, ..., pair]."""
        push = per_run(self.beta, pairs.chosen) * torch.sigmoid(-self._margin(pairs))
        below = (pairs.chosen_log_ratio < 0).to(push.dtype)
        return -push * (1 + per_run(self.penalty, push) * below), push


@dataclass(frozen=True)
class DPOShift(Scaled):
    """DPO-Shift: -log s(beta u - beta shift v), `FlexDPO` with beta_rejected = shift * beta.

    As pi(rejected) -> 0 both pushes vanish, later than DPO's, and the rejected one is the weaker by `shift`. As
    pi(chosen) -> 1 only the shifted margin counts.

    Args:
        beta: inverse temperature, > 0.
        shift: the paper's f(lambda), in (0, 1]; 1 is DPO.

    Source: Yang et al. 2025 (arXiv 2502.07599), the DPO-Shift loss with a fixed f.
    """

    shift: float | Tensor = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("shift", self.shift, at_most=1)

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return beta and shift * beta."""
        return self.beta, self.beta * self.shift

    def _margin(self, pairs: PairLogProbs) -> Tensor:
        shifted = pairs.chosen_log_ratio - per_run(self.shift, pairs.chosen) * pairs.rejected_log_ratio
        return per_run(self.beta, pairs.chosen) * shifted

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta (u - shift v)), [run, ..., pair]."""
        return -logsigmoid(self._margin(pairs))

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(-m) and shift beta s(-m), each [run, ..., pair]."""
        push = per_run(self.beta, pairs.chosen) * torch.sigmoid(-self._margin(pairs))
        return -push, per_run(self.shift, push) * push


@dataclass(frozen=True)
class ChiPO(Scaled):
    """chi-squared PO: -log s(clip(beta [phi(u) - phi(v)])) with phi(u) = exp(u) + u, that is z + log z of the ratio z.

    As pi(rejected) -> 0 its pushes vanish, and stop altogether at the clip. The chosen push carries 1 + z: the further
    pi(chosen) is above its reference, the sooner the margin is reached; on the way to pi(chosen) -> 1 a small reference
    makes z large and ends the push early.

    Args:
        beta: weight of the mixed chi-squared and KL regulariser, > 0.
        clip: largest |margin|, the paper's 2 R_max, > 0; the default is our own choice.

    Source: Huang et al. 2024 (arXiv 2407.13399), algorithm 1.
    """

    clip: float | Tensor = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hyper("clip", self.clip)

    def _margin(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u, v = pairs.chosen_log_ratio, pairs.rejected_log_ratio
        z, w = u.clamp(max=LARGEST).exp(), v.clamp(max=LARGEST).exp()
        full = per_run(self.beta, u) * ((z - w) + (u - v))
        clip = as_tensor(self.clip, full)
        return z, w, full.clamp(-clip, clip), full.abs() <= clip

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(clip(beta [exp(u) + u - exp(v) - v])), [run, ..., pair]."""
        return -logsigmoid(self._margin(pairs)[2])

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(-m) (1 + exp(u)) and beta s(-m) (1 + exp(v)), 0 beyond the clip, each [run, ..., pair]."""
        z, w, margin, inside = self._margin(pairs)
        push = per_run(self.beta, margin) * torch.sigmoid(-margin) * inside.to(margin.dtype)
        return -push * (1 + z), push * (1 + w)
