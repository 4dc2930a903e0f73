"""Losses of the length-averaged log-ratios u/|chosen| and v/|rejected|, where |y| is the number of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs, Scaled, logsigmoid, per_run


def averaged_margin(pairs: PairLogProbs) -> Tensor:
    """Return u/|chosen| - v/|rejected|, nats a token, [run, ..., pair]."""
    return pairs.chosen_log_ratio / pairs.chosen_length - pairs.rejected_log_ratio / pairs.rejected_length


@dataclass(frozen=True)
class AveragedDPO(Scaled):
    """Length-normalised DPO: -log s(beta (u/|chosen| - v/|rejected|)), "sigmoid_norm" in TRL.

    As pi(rejected) -> 0 both pushes vanish, like DPO's; the longer response is pushed less. As pi(chosen) -> 1 only
    the margin counts.

    Args:
        beta: inverse temperature, > 0; a number or one a run, [run].

    Source: Meng et al. 2024 (arXiv 2405.14734), appendix I; Lambert et al. 2024 (Tulu 3, arXiv 2411.15124).
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log s(beta (u/|chosen| - v/|rejected|)), [run, ..., pair]."""
        return -logsigmoid(per_run(self.beta, pairs.chosen) * averaged_margin(pairs))

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta s(-m)/|chosen| and +beta s(-m)/|rejected|, each [run, ..., pair]."""
        beta = per_run(self.beta, pairs.chosen)
        push = beta * torch.sigmoid(-beta * averaged_margin(pairs))
        return -push / pairs.chosen_length, push / pairs.rejected_length


@dataclass(frozen=True)
class AveragedIPO(Scaled):
    """IPO on averages: (u/|chosen| - v/|rejected| - 1/(2 beta))^2; what TRL calls "ipo" (the paper's is `IPO`).

    A finite target of 1/(2 beta) nats *a token*: both pushes vanish there and turn round beyond it, on the way to
    pi(rejected) -> 0 as well as on the way to pi(chosen) -> 1.

    Args:
        beta: the paper's tau, > 0; a number or one a run, [run].

    Source: Azar et al. 2023 (arXiv 2310.12036), eq. 17, with averages in place of sums as in TRL.
    """

    def _error(self, pairs: PairLogProbs) -> Tensor:
        return averaged_margin(pairs) - 0.5 / per_run(self.beta, pairs.chosen)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return (u/|chosen| - v/|rejected| - 1/(2 beta))^2, [run, ..., pair]."""
        return self._error(pairs) ** 2

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return 2 error/|chosen| and -2 error/|rejected|, each [run, ..., pair]."""
        pull = 2 * self._error(pairs)
        return pull / pairs.chosen_length, -pull / pairs.rejected_length
