"""Learning dynamics in factors: whom a term of a pair moves, through which kernel, by which residual.

One step of plain gradient descent with learning rate eta changes log pi(.|x_o) to first order by

    -eta A(x_o) K(x_o, x_u) G(x_u),     A = I - 1 pi^T,     K = J_o J_u^T,     G = dL_u / d logits(x_u)

A is the softmax's part, K the policy's own (the empirical neural tangent kernel, in logits), G the objective's.

Source: Ren & Sutherland 2025 (arXiv 2407.10490), proposition 1, and own derivation; tests/test_theory_influence.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.gradients import TERMS, pick_pairs
from lab.objectives import Objective
from lab.policies import Policy
from lab.problems import Problem
from lab.theory.fields import term_gradients


@dataclass(frozen=True)
class Influence:
    """The three factors of a small step at one state of every run.

    Args:
        softmax: A = I - 1 pi^T of every prompt, [run, prompt, response, response].
        kernel: K = J J^T, [run, prompt * response, prompt * response]: moved logit, moving logit.
        residual: G, the gradient of each term of each pair in the logits, [run, term, pair, prompt, response], with the
            pair's weight; 0 on the prompts of other pairs.
        flat: where the pairs stand, `Preferences.flat`, [2 * pair].
    """

    softmax: Tensor
    kernel: Tensor
    residual: Tensor
    flat: Tensor

    def change(self, pair: int, term: str) -> Tensor:
        """Return what one term of one pair does to every log pi, per unit of learning rate, [run, prompt, response].

        Args:
            pair: index of the pair that pushes.
            term: "chosen" or "rejected".

        Raises:
            ValueError: if there is no such pair or term.
        """
        if term not in TERMS:
            raise ValueError(f"term is {term!r}; allowed are {', '.join(TERMS)}")
        if not 0 <= pair < self.residual.shape[2]:
            raise ValueError(f"pair is {pair}; allowed are 0 to {self.residual.shape[2] - 1}")
        return self._moved(self.residual[:, TERMS.index(term), pair])

    @property
    def total(self) -> Tensor:
        """Return what all terms together do to every log pi, per unit of learning rate, [run, prompt, response]."""
        return self._moved(self.residual.sum((1, 2)))

    @property
    def who_moves_whom(self) -> Tensor:
        """Return the change of every pair member by every pair member, [run, moved, moved pair, mover, moving pair].

        Moved and mover are terms, in the order chosen, rejected; nats per unit of learning rate.
        """
        terms, pairs = self.residual.shape[1:3]
        logit_change = -(self.kernel[:, None] @ self.residual.flatten(1, 2).flatten(2)[..., None])[..., 0]
        by_mover = self._centre(logit_change.unflatten(-1, self.residual.shape[-2:]))
        moved = torch.stack(pick_pairs(by_mover.flatten(2), self.flat), 1)  # [run, moved, mover * pair, moved pair]
        return moved.mT.unflatten(-1, (terms, pairs))

    def _moved(self, residual: Tensor) -> Tensor:
        logit_change = -(self.kernel @ residual.flatten(1)[..., None])[..., 0]
        return self._centre(logit_change.unflatten(-1, residual.shape[1:])[:, None])[:, 0]

    def _centre(self, logit_change: Tensor) -> Tensor:
        """Apply A, [run, ..., prompt, response]."""
        return (self.softmax[:, None] @ logit_change[..., None])[..., 0]


def influence(
    policy: Policy, parameters: Tensor, objective: Objective, problem: Problem, reference_log_prob: Tensor
) -> Influence:
    """Compute the three factors of a small step of plain gradient descent, for any policy.

    The kernel takes one reverse pass for each logit. Where only the changes are wanted, `lab.theory.flow` gives them
    in one pass for each term.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        objective: the objective.
        problem: pairs, weights and lengths; its own target distributions do not enter.
        reference_log_prob: log pi_ref, [run, prompt, response], nats.

    Returns:
        The factors; nothing is reduced over runs.
    """
    logits, memory = policy.forward(parameters)
    log_prob = logits.log_softmax(-1)
    gradients = term_gradients(objective, problem, log_prob, reference_log_prob)
    cells = log_prob[0].numel()
    units = torch.eye(cells).to(log_prob).view(cells, *log_prob.shape[1:])
    rows = policy.pullback(parameters, memory, units.expand(len(log_prob), -1, -1, -1))
    softmax = torch.eye(log_prob.shape[-1]).to(log_prob) - log_prob.exp()[..., None, :]
    return Influence(softmax, rows @ rows.mT, gradients.logit.unflatten(1, (2, -1)), gradients.flat)
