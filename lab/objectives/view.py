"""What an objective sees of a table of log-probabilities: the pairs' own, and what it asks for beyond them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import PairLogProbs
from lab.problems import Problem


def pick_pairs(table: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
    """Pick the chosen and the rejected entries, each [run, ..., pair], out of a table [run, ..., prompt * response].

    Args:
        table: any value of each prompt and response, such as log-probabilities.
        flat: `Preferences.flat`, [2 * pair].
    """
    chosen, rejected = table.index_select(-1, flat).tensor_split(2, -1)
    return chosen, rejected


@dataclass(frozen=True)
class PairView:
    """Looks up the pairs of a problem in any table of its runs.

    Args:
        problem: gives pairs, sizes and lengths.
        needs: what the objective reads beyond the pairs' log-probabilities, `Objective.needs`.
        flat: `Preferences.flat` on the device, [2 * pair].
        reference: log pi_ref, [run, prompt * response].
        starts: the pairs' entries of it, each [run, pair].
        lengths: tokens of the chosen and of the rejected responses, each a number or [pair].
        prompt_weight: weight of the pairs of each prompt, [prompt] or [run, prompt].
    """

    problem: Problem
    needs: frozenset[str]
    flat: Tensor
    reference: Tensor
    starts: tuple[Tensor, Tensor]
    lengths: tuple[float | Tensor, float | Tensor]
    prompt_weight: Tensor

    @classmethod
    def of(cls, problem: Problem, needs: frozenset[str], reference: Tensor) -> PairView:
        """Prepare for tables like `reference`, [run, prompt * response]."""
        flat = problem.preferences.flat(problem.responses).to(reference.device)
        lengths: tuple[float | Tensor, float | Tensor] = (1.0, 1.0)
        if problem.lengths is not None:
            lengths = pick_pairs(problem.lengths.flatten().to(reference), flat)
        pairs = problem.preferences
        shares = torch.zeros((*pairs.weight.shape[:-1], problem.prompts), dtype=torch.float64)
        shares = shares.index_add_(-1, pairs.prompt, pairs.weight).to(reference)
        return cls(problem, needs, flat, reference, pick_pairs(reference, flat), lengths, shares)

    def __call__(self, table: Tensor) -> PairLogProbs:
        """Return the pairs of log pi, [run, prompt * response] or [run, step, prompt * response]."""
        taped = table.ndim == 3
        starts = (self.starts[0][:, None], self.starts[1][:, None]) if taped else self.starts
        confidences = self._confidences(table) if "confidence" in self.needs else (None, None)
        return PairLogProbs(
            *pick_pairs(table, self.flat),
            *starts,
            chosen_length=self.lengths[0],
            rejected_length=self.lengths[1],
            kl=self._kl(table, self.reference[:, None] if taped else self.reference) if "kl" in self.needs else None,
            chosen_confidence=confidences[0],
            rejected_confidence=confidences[1],
        )

    def _by_prompt(self, table: Tensor) -> Tensor:
        return table.unflatten(-1, (self.problem.prompts, self.problem.responses))

    def _kl(self, table: Tensor, reference: Tensor) -> Tensor:
        """Return KL(pi || pi_ref), the mean over the pairs' prompts, [run, ..., 1]."""
        terms = self._by_prompt(table.exp() * (table - reference)).sum(-1)
        share = self.prompt_weight
        if share.ndim == 2 and terms.ndim == 3:
            share = share[:, None]
        return (terms * share).sum(-1, keepdim=True)

    def _confidences(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return log pi(y) - log sum_y pi(y)^2 of the chosen and the rejected responses, each [run, ..., pair]."""
        by_prompt = self._by_prompt(table)
        relative = by_prompt - torch.logsumexp(2 * by_prompt, -1, keepdim=True)
        return pick_pairs(relative.flatten(-2), self.flat)
