"""The vector field of an objective: where plain gradient flow moves every response, from any state of any policy.

With A the table of pair_weight * response_weight, pi the policy, J = d logits / d parameters and t = learning rate
times steps, gradient flow moves

    d log pi / dt = -(I - 1 pi^T) J J^T (A - pi sum_y A)

A table has J = I, so that each prompt's kernel is (I - 1 pi^T)(I - 1 pi^T)^T; a log-linear policy has its features
for J; a network has what its parameters make of it.

Source: own derivation by the chain rule; tests/test_theory_fields.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.gradients import log_prob_change, logit_gradient, pick_pairs
from lab.objectives import Objective
from lab.objectives.view import PairView
from lab.policies import Policy
from lab.problems import Problem


@dataclass(frozen=True)
class Flow:
    """How gradient flow moves every log-probability, per unit of learning rate times steps.

    Args:
        log_prob: log pi, [run, prompt, response], nats.
        change: d log pi / dt of the whole loss, [run, prompt, response], nats.
        by_term: the part of it that each term of each pair makes, [run, term, pair, prompt, response], nats; they sum
            to `change`.
        flat: where the pairs stand, `Preferences.flat`, [2 * pair].
    """

    log_prob: Tensor
    change: Tensor
    by_term: Tensor
    flat: Tensor

    @property
    def at_pairs(self) -> tuple[Tensor, Tensor]:
        """Return d log pi(chosen) / dt and d log pi(rejected) / dt of every pair, each [run, pair]."""
        return pick_pairs(self.change.flatten(1), self.flat)


def flow(
    policy: Policy, parameters: Tensor, objective: Objective, problem: Problem, reference_log_prob: Tensor
) -> Flow:
    """Compute the gradient flow of an objective at a state of every run.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        objective: the objective.
        problem: pairs, weights and lengths; its own target distributions do not enter.
        reference_log_prob: log pi_ref, [run, prompt, response], nats; it stays while the state varies.

    Returns:
        The flow; nothing is reduced over runs.
    """
    logits, memory = policy.forward(parameters)
    log_prob = logits.log_softmax(-1)
    by_term = term_gradients(objective, problem, log_prob, reference_log_prob)
    whole = logit_gradient(log_prob[:, None], by_term.table.sum(1, keepdim=True))
    # The whole has a pass of its own: near pi = 1 its parts nearly cancel, and their sum would be rounding.
    downhill = -policy.pullback(parameters, memory, torch.cat((whole, by_term.logit), 1))
    change = log_prob_change(log_prob[:, None], policy.pushforward(parameters, memory, downhill))
    return Flow(log_prob, change[:, 0], change[:, 1:].unflatten(1, (2, -1)), by_term.flat)


@dataclass(frozen=True)
class TermGradients:
    """The gradients of every term of every pair by itself: all chosen terms, then all rejected ones.

    Args:
        table: A = dL/d log pi, [run, term * pair, prompt, response].
        logit: dL/d logits, [run, term * pair, prompt, response]; it is 0 on the prompts of other pairs.
        flat: where the pairs stand, `Preferences.flat`, [2 * pair].
    """

    table: Tensor
    logit: Tensor
    flat: Tensor


def term_gradients(
    objective: Objective, problem: Problem, log_prob: Tensor, reference_log_prob: Tensor
) -> TermGradients:
    """Split the gradient of the whole loss by the pair and the term that make it.

    An objective that couples pairs counts a push where it acts: with the pair whose response it moves.

    Args:
        objective: the objective.
        problem: pairs, weights and lengths.
        log_prob: log pi, [run, prompt, response], nats.
        reference_log_prob: log pi_ref, [run, prompt, response], nats.

    Returns:
        The gradients, in log-probability and in logit space.

    Source: own derivation; tests/test_theory_fields.py holds the sum against automatic differentiation.
    """
    pairs = PairView.of(problem, objective.needs, reference_log_prob.flatten(1).to(log_prob))
    weights = objective.response_weights(pairs(log_prob.flatten(1)))
    weighted = torch.cat(weights, 1) * problem.preferences.of_terms(log_prob)
    table = torch.zeros(*weighted.shape, log_prob[0].numel()).to(log_prob)
    table.scatter_(2, pairs.flat.expand(len(weighted), -1)[..., None], weighted[..., None])
    table = table.unflatten(-1, log_prob.shape[1:])
    return TermGradients(table, logit_gradient(log_prob[:, None], table), pairs.flat)
