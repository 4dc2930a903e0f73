"""Where each nat of a change came from: a training taken again, every update split by the pair and term behind it.

An update is a sum over the terms k of the pairs, and so is the first-order change of log pi that it makes,

    update = sum_k update_k,        d log pi = sum_k (I - 1 pi^T) J update_k

For plain gradient descent update_k = -lr g_k. Momentum is linear in all gradients so far, so each term has a running
sum of its own. Adam is linear in them given its denominators, which all terms share: update_k is the running mean of
the term's gradients over the common root of v. Which denominator a term would have had alone is another question.

Source: own derivation; tests/test_theory_attribution.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.gradients import log_prob_change
from lab.objectives import Objective
from lab.optimizers import SGD, Adam, Momentum, Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.theory.fields import term_gradients
from lab.threads import one_thread


@dataclass(frozen=True)
class Attribution:
    """What each term of each pair did between two recorded states, to first order in every single step.

    Args:
        log_prob: log pi at the recorded steps, [run, step, prompt, response], nats.
        by_term: first-order changes summed over the steps from each recorded state to the next,
            [run, step - 1, term, pair, prompt, response], nats. What the steps did beyond is the realised change of
            `log_prob` minus their sum.
    """

    log_prob: Tensor
    by_term: Tensor


def attribute(
    policy: Policy,
    start: Tensor,
    objective: Objective,
    optimizer: Optimizer,
    problem: Problem,
    *,
    steps: int,
    every: int = 1,
) -> Attribution:
    """Train every run on all pairs and split each update by the pair and the term that made it.

    Args:
        policy: the policy.
        start: parameters of the reference policy, where training starts, [run, parameter].
        objective: the objective.
        optimizer: SGD, Momentum or Adam.
        problem: pairs, weights and lengths.
        steps: number of updates.
        every: record each so many steps; the first and the last state are always recorded.

    Returns:
        The recorded states and what moved them.

    Raises:
        ValueError: for another optimiser, or `steps` or `every` below 1.
    """
    if not isinstance(optimizer, SGD | Momentum | Adam):
        raise ValueError(
            f"the optimiser is {type(optimizer).__name__}; its update can be split for SGD, Momentum, Adam"
        )
    if steps < 1 or every < 1:
        raise ValueError(f"steps is {steps} and every is {every}; allowed are 1 or more")
    with one_thread(), torch.inference_mode():
        return _replay(policy, start, objective, optimizer, problem, [*range(0, steps, every), steps])


def _replay(
    policy: Policy, start: Tensor, objective: Objective, optimizer: Optimizer, problem: Problem, rows: list[int]
) -> Attribution:
    state = start.clone()
    logits, passed = policy.forward(state)
    log_prob = reference = logits.log_softmax(-1)
    terms = 2 * len(problem.preferences)
    memory = optimizer.memory(state)
    # One mean or sum of gradients for each term; Adam's squares stay common to all.
    own = state.new_zeros(len(state), terms, state.shape[1])
    moved = log_prob.new_zeros(len(state), terms, *log_prob.shape[1:])
    recorded, between = [log_prob], []
    for step in range(1, rows[-1] + 1):
        split = term_gradients(objective, problem, log_prob, reference).logit
        # The sum is formed as training forms it, so that the states are training's to the last bit.
        whole = split.unflatten(1, (2, -1)).sum(2).sum(1, keepdim=True)
        update = optimizer.update(policy.pullback(state, passed, whole)[:, 0], memory, step)
        by_term = _split(optimizer, policy.pullback(state, passed, split), own, memory, step)
        moved += log_prob_change(log_prob[:, None], policy.pushforward(state, passed, by_term))
        state += update
        logits, passed = policy.forward(state)
        log_prob = logits.log_softmax(-1)
        if step == rows[len(recorded)]:
            recorded.append(log_prob)
            between.append(moved.clone())
            moved.zero_()
    return Attribution(torch.stack(recorded, 1), torch.stack(between, 1).unflatten(2, (2, -1)))


def _split(optimizer: Optimizer, gradient: Tensor, own: Tensor, memory: tuple[Tensor, ...], step: int) -> Tensor:
    """Return the update of each term, [run, term, parameter], and advance the terms' own memory in place."""
    rate = _column(optimizer.lr, gradient)
    if isinstance(optimizer, Adam):
        own.lerp_(gradient, 1 - optimizer.beta1)
        root = (memory[1] / (1 - optimizer.beta2**step)).sqrt() + optimizer.eps  # v after this step
        return own / root[:, None] * (-rate / (1 - optimizer.beta1**step))
    if isinstance(optimizer, Momentum):
        own.mul_(_column(optimizer.momentum, gradient)).add_(gradient)
        return own * -rate
    return gradient * -rate


def _column(value: float | Tensor, like: Tensor) -> Tensor:
    """Shape a hyper-parameter, a number or one a run, for [run, term, parameter]."""
    return torch.as_tensor(value).to(like).view(-1, 1, 1)
