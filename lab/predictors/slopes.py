"""Predictors from gradients: what a pair's own two responses, and what all pairs together, do to it at first order.

With g = d log pi(y|x) / d parameters, a plain gradient step on one pair raises its log pi+ by |g+|^2 - <g+, g-> times
learning rate and push. The gradient of the whole loss adds what all other pairs do to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.gradients import log_prob_change, logit_gradient, pick_pairs, weight_table
from lab.objectives import Objective
from lab.objectives.view import PairView
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.preferences import Preferences
from lab.problems import Problem


def pair_gradients(policy: Policy, parameters: Tensor, preferences: Preferences) -> Iterator[Tensor]:
    """Yield g = d log pi / d parameters of the chosen and the rejected response, one pair after the other.

    All pairs at once would take too much memory: a network has thousands of parameters a run.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        preferences: the pairs.

    Yields:
        [run, 2, parameter] in nats a parameter, chosen first.

    Source: chain rule; tests/test_predictors.py holds it to autograd.
    """
    logits, memory = policy.forward(parameters)
    log_prob = logits.log_softmax(-1)
    for prompt, chosen, rejected in zip(preferences.prompt, preferences.chosen, preferences.rejected, strict=True):
        table = torch.zeros_like(log_prob)[:, None].repeat(1, 2, 1, 1)
        table[:, 0, prompt, chosen] = 1.0
        table[:, 1, prompt, rejected] = 1.0
        yield policy.pullback(parameters, memory, logit_gradient(log_prob[:, None], table))


def interference(policy: Policy, parameters: Tensor, preferences: Preferences) -> Tensor:
    """Compute the share of its rise that a pair's chosen response loses to its rejected one: <g+, g-> / |g+|^2.

    Above 1 an infinitesimal plain gradient step on the pair alone lowers the chosen response.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        preferences: the pairs.

    Returns:
        [run, pair].

    Source: own derivation; tests/test_predictors.py.
    """
    return torch.stack([gram[:, 0, 1] / gram[:, 0, 0] for gram in _grams(policy, parameters, preferences)], 1)


def gradient_cosine(policy: Policy, parameters: Tensor, preferences: Preferences) -> Tensor:
    """Compute the cosine of g+ and g- of every pair, [run, pair].

    Source: definition; tests/test_predictors.py.
    """
    grams = _grams(policy, parameters, preferences)
    return torch.stack([gram[:, 0, 1] / (gram[:, 0, 0] * gram[:, 1, 1]).sqrt() for gram in grams], 1)


def own_fall(policy: Policy, parameters: Tensor, preferences: Preferences) -> Tensor:
    """Compute how fast a pair's own plain gradient step lowers its chosen response: <g+, g-> - |g+|^2.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        preferences: the pairs.

    Returns:
        [run, pair], nats for each unit of learning rate times push; above 0 the chosen response falls.

    Source: own derivation; tests/test_predictors.py. In a log-linear policy it is CHES with features centred by their
    mean under the policy.
    """
    grams = _grams(policy, parameters, preferences)
    return torch.stack([gram[:, 0, 1] - gram[:, 0, 0] for gram in grams], 1)


def loss_gradient(policy: Policy, parameters: Tensor, objective: Objective, problem: Problem) -> Tensor:
    """Compute dL/d parameters at step 0, where the policy is its own reference.

    Args:
        policy: the policy.
        parameters: the reference's parameters, [run, parameter].
        objective: the objective.
        problem: gives pairs, weights and lengths.

    Returns:
        [run, parameter], all pairs and both terms added up.

    Raises:
        ValueError: for an objective that reads more than the pairs' log-probabilities and lengths.

    Source: `lab.gradients`; tests/test_predictors.py holds it to a finite step of training.
    """
    logits, memory = policy.forward(parameters)
    log_prob = logits.log_softmax(-1)
    flat = problem.preferences.flat(problem.responses).to(log_prob.device)
    weighted = torch.cat(_pushes(log_prob, objective, problem), 1)
    table = weight_table(weighted, flat, log_prob[0].numel()).unflatten(-1, log_prob.shape[1:])
    return policy.pullback(parameters, memory, logit_gradient(log_prob[:, None], table)).sum(1)


def others_fall(policy: Policy, parameters: Tensor, objective: Objective, problem: Problem) -> Tensor:
    """Compute how fast the other pairs lower a pair's chosen response in gradient flow.

    <g+, dL/d parameters> less what the pair's own two responses add to it, w (a+ |g+|^2 + a- <g+, g->)

    Args:
        policy: the policy.
        parameters: the reference's parameters, [run, parameter].
        objective: the objective, with response weights a+ and a-.
        problem: gives pairs, weights w and lengths.

    Returns:
        [run, pair], nats for each unit of learning rate; 0 for a pair that is alone.

    Raises:
        ValueError: as `loss_gradient`.

    Source: own derivation; tests/test_predictors.py holds it to the gradient of the loss of the other pairs.
    """
    log_prob = policy.forward(parameters)[0].log_softmax(-1)
    gradient = loss_gradient(policy, parameters, objective, problem)
    together = first_order_fall(policy, parameters, problem.preferences, -gradient)
    grams = torch.stack(list(_grams(policy, parameters, problem.preferences)), 1)[:, :, 0]
    chosen, rejected = _pushes(log_prob, objective, problem)
    return together - (chosen * grams[..., 0] + rejected * grams[..., 1])


def first_update(optimizer: Optimizer, gradient: Tensor) -> Tensor:
    """Return the optimiser's own first update, [run, parameter]: its memory is empty, and Adam's is nearly a sign."""
    return optimizer.update(gradient, optimizer.memory(gradient), 1)


def first_order_fall(policy: Policy, parameters: Tensor, preferences: Preferences, direction: Tensor) -> Tensor:
    """Compute how far every chosen response falls, to first order, when the parameters take a step.

    -<g+, direction>

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        preferences: the pairs.
        direction: the step, [run, parameter]: minus the gradient for gradient flow, or an optimiser's `first_update`.

    Returns:
        [run, pair] in nats; above 0 the chosen response falls.

    Source: first-order expansion; tests/test_predictors.py.
    """
    logits, memory = policy.forward(parameters)
    log_prob = logits.log_softmax(-1)
    change = log_prob_change(log_prob, policy.pushforward(parameters, memory, direction[:, None])[:, 0])
    chosen, _ = pick_pairs(change.flatten(1), preferences.flat(log_prob.shape[-1]).to(change.device))
    return -chosen


def _grams(policy: Policy, parameters: Tensor, preferences: Preferences) -> Iterator[Tensor]:
    """Yield the inner products of g+ and g-, [run, 2, 2], one pair after the other."""
    for both in pair_gradients(policy, parameters, preferences):
        yield both @ both.mT


def _pushes(log_prob: Tensor, objective: Objective, problem: Problem) -> tuple[Tensor, Tensor]:
    """Return pair_weight * response_weight of the chosen and the rejected responses at step 0, each [run, pair]."""
    if objective.needs:
        raise ValueError(
            f"{type(objective).__name__} reads {' and '.join(sorted(objective.needs))} besides its pairs, which the "
            "predictors do not provide; give an objective of pairs' log-probabilities, such as DPO"
        )
    table = log_prob.flatten(1)  # at step 0 the policy is its own reference
    first, second = objective.response_weights(PairView.of(problem, objective.needs, table)(table))
    weight = problem.preferences.weight.to(log_prob)
    return first * weight, second * weight
