"""Odds ratios: what a response's probability is against all others together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs, logsigmoid, per_run
from lab.objectives.reference_free import WithNLL
from lab.objectives.supervised import log1mexp


@dataclass(frozen=True)
class ORPO(WithNLL):
    """ORPO: NLL(chosen) - beta log s(o(chosen) - o(rejected)), o = log[p / (1 - p)] with p = exp(log pi(y) / |y|).

    As pi(rejected) -> 0 the odds term ends and the likelihood goes on. As pi(chosen) -> 1 the odds have no bound and
    the term goes to 0 as well, yet its push on log pi(chosen) does not: it tends to beta r / (1 - r) / |chosen|, r the
    averaged probability of the rejected response.

    Args:
        beta: weight of the odds term, the paper's lambda, > 0.
        nll_weight: weight of the token mean of -log pi(chosen), >= 0; the paper has 1.

    Source: Hong et al. 2024 (arXiv 2403.07691), eq. 6 and 7.
    """

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return NaN: beta weighs the odds term, it scales no implicit reward."""
        return float("nan"), float("nan")

    def _averages(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        good, bad = pairs.chosen / pairs.chosen_length, pairs.rejected / pairs.rejected_length
        return good, bad, log1mexp(good), log1mexp(bad)

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return NLL - beta log s(o(chosen) - o(rejected)), [run, ..., pair]."""
        good, bad, no_good, no_bad = self._averages(pairs)
        odds = (good - no_good) - (bad - no_bad)
        return self._nll(pairs) - per_run(self.beta, odds) * logsigmoid(odds)

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -beta q / ((1 - p) |chosen|) - NLL's and beta q / ((1 - r) |rejected|), each [run, ..., pair].

        q = r (1 - p) / (p (1 - r) + r (1 - p)) = s(o(r) - o(p)), so that 1 - p cancels: no pole at pi(chosen) = 1.
        """
        good, bad, no_good, no_bad = self._averages(pairs)
        beta, total = per_run(self.beta, good), torch.logaddexp(good + no_bad, bad + no_good)
        chosen = -beta * torch.exp(bad - total) / pairs.chosen_length
        rejected = beta * torch.exp(bad + no_good - total - no_bad) / pairs.rejected_length
        return chosen - self._nll_slope(pairs), rejected
