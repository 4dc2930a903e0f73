"""The hinge between objectives and policies: exact gradients of the chosen and the rejected term in four spaces.

An objective gives response weights a = d loss_p / d log pi(y|x), a policy gives J = d logits / d parameters, and the
chain rule joins them. With A [term, prompt, response] the table of pair_weight * a, scattered on the term's own
responses,

    log_probability   dL/d log pi     = A
    probability       dL/d pi         = A / pi                     (coordinates pi taken as free, as in the papers)
    logit             dL/d logits     = A - pi * sum_y A
    parameter         dL/d parameters = (dL/d logits) J

Source: own derivation by the chain rule; tests/test_oracles.py holds each against automatic differentiation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from lab.objectives import Objective, PairLogProbs
from lab.objectives.view import pick_pairs
from lab.policies import Policy, Workspace
from lab.preferences import Preferences

SPACES = ("log_probability", "probability", "logit", "parameter")
TERMS = ("chosen", "rejected")
MANY = 64  # responses above which sums from the left and from the right cost less than a product of matrices


def weight_table(weighted: Tensor, flat: Tensor, size: int) -> Tensor:
    """Scatter pair_weight * response_weight onto the responses, term by term.

    Args:
        weighted: chosen then rejected weights, [run, 2 * pair].
        flat: where they belong, `Preferences.flat`, [2 * pair].
        size: prompts * responses.

    Returns:
        A, [run, term, prompt * response]; pairs that name the same response add up.
    """
    half = len(flat) // 2
    table = weighted.new_zeros(len(weighted), 2 * size)
    table.index_add_(1, torch.cat([flat[:half], flat[half:] + size]), weighted)
    return table.view(-1, 2, size)


def logit_gradient(log_prob: Tensor, table: Tensor) -> Tensor:
    """Apply the softmax Jacobian: A - pi sum(A) = A (1 - pi) - pi (sum(A) - A), without losing small tails.

    Neither 1 - pi nor sum(A) - A is formed by subtraction: each is the sum over the other responses. So a gradient of
    1e-80 on a response of probability 1 - 1e-80 is still exact, and a small weight is not lost beside a large one where
    several pairs of a prompt meet.

    Args:
        log_prob: [run, 1, prompt, response] in nats.
        table: A, [run, term, prompt, response].

    Returns:
        dL/d logits, [run, term, prompt, response]; sums to 0 over the responses.
    """
    prob = log_prob.exp()
    return torch.addcmul(table * _others(prob), prob, _others(table), value=-1)


def _others(values: Tensor) -> Tensor:
    """Return for every response the sum over all others, [..., response], without subtracting."""
    responses = values.shape[-1]
    if responses <= MANY:
        return values @ _all_others(responses, values.dtype, values.device)
    others = torch.zeros_like(values)
    torch.cumsum(values[..., :-1], -1, out=others[..., 1:])
    others[..., :-1] += values[..., 1:].flip(-1).cumsum(-1).flip(-1)
    return others


@cache
def _all_others(responses: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return ones with a diagonal of zeros, [response, response]."""
    with torch.inference_mode(False):  # autograd refuses what was made in inference mode
        return torch.ones(responses, responses, dtype=dtype, device=device).fill_diagonal_(0)


def norms_and_cosine(terms: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Measure the chosen and the rejected term, without underflow or overflow of the squares.

    Args:
        terms: both gradients, [run, term, entry].
        scale: a magnitude of each gradient, [run, term, 1], that brings its entries near 1 and is 0 only for a zero
            gradient; None takes the largest entry.

    Returns:
        The log Euclidean norms [run, term], -inf for the zero vector, and the cosine between the terms [run], NaN if
        one of them is zero.
    """
    peak = terms.abs().amax(-1, keepdim=True) if scale is None else scale
    scaled = terms / peak
    return measure_gram(scaled @ scaled.mT, peak)


def measure_gram(gram: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Read norms and cosine off the inner products of the two terms, each divided by its scale before.

    Args:
        gram: inner products of the scaled terms, [..., term, term].
        scale: what each term was divided by, [..., term, 1]; 0 marks a zero gradient.

    Returns:
        As `norms_and_cosine`.
    """
    norm = gram.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()  # a gradient that cancels may round to less than 0
    peak = scale.squeeze(-1)
    log_norm = torch.where(peak > 0, peak.log() + norm.log(), -torch.inf)
    return log_norm, (gram[..., 0, 1] / norm.prod(-1)).clamp(-1, 1)


def scaled_gram(
    policy: Policy, parameters: Tensor, memory: Any, by_logit: Tensor, workspace: Workspace | None = None
) -> tuple[Tensor, Tensor]:
    """Multiply the terms' gradients in parameter space with each other, without underflow or overflow.

    Args:
        policy: the policy; its `gram` need not form these gradients.
        parameters: the state, [run, parameter].
        memory: what the forward pass left.
        by_logit: the terms' gradients in logit space, [run, term, prompt, response].
        workspace: where to compute.

    Returns:
        What `measure_gram` reads. Where pushes of several prompts cancel, it is exact to 1e-16 of the largest push.
    """
    scale = by_logit.abs().amax((-2, -1)).unsqueeze(-1)  # far fewer entries than v J has, and J is linear
    return policy.gram(parameters, memory, by_logit / scale[..., None], workspace), scale


@dataclass(frozen=True)
class Decomposition:
    """Gradients of the chosen and the rejected term at one state of every run. Terms are summed over the pairs.

    Args:
        log_prob: log pi, [run, prompt, response], nats.
        response_weight: a, without pair weights, [run, term, pair].
        log_probability: A = dL/d log pi, [run, term, prompt, response].
        logit: dL/d logits, [run, term, prompt, response].
        parameter: dL/d parameters, [run, term, parameter].
    """

    log_prob: Tensor
    response_weight: Tensor
    log_probability: Tensor
    logit: Tensor
    parameter: Tensor

    @property
    def probability_log_magnitude(self) -> Tensor:
        """Return log |dL/d pi| = log |A| - log pi, [run, term, prompt, response]; -inf where A is 0; signed as A."""
        return self.log_probability.abs().log() - self.log_prob[:, None]

    @cached_property
    def _measured(self) -> dict[str, tuple[Tensor, Tensor]]:
        magnitude = self.probability_log_magnitude.flatten(2)
        peak = magnitude.amax(-1, keepdim=True)  # probability space may exceed any float: shift before exp
        shifted = self.log_probability.flatten(2).sign() * (magnitude - peak).exp()
        log_norm, cosine = norms_and_cosine(shifted)
        return {
            "log_probability": norms_and_cosine(self.log_probability.flatten(2)),
            "probability": (log_norm + peak.squeeze(-1), cosine),
            "logit": norms_and_cosine(self.logit.flatten(2)),
            "parameter": norms_and_cosine(self.parameter),
        }

    def log_norm(self, space: str) -> Tensor:
        """Return log |gradient| of both terms in a space, [run, term]; -inf for a zero gradient."""
        return self._measured[_known(space)][0]

    def cosine(self, space: str) -> Tensor:
        """Return the cosine between the chosen and the rejected term in a space, [run]; NaN where a term is zero."""
        return self._measured[_known(space)][1]

    def inner(self, space: str) -> tuple[Tensor, Tensor]:
        """Return sign and log-magnitude of the inner product of the two terms in a space, each [run]; 0, -inf for 0."""
        log_norm = self.log_norm(space)
        cosine = self.cosine(space).masked_fill(log_norm.isneginf().any(-1), 0.0)
        return cosine.sign(), cosine.abs().log() + log_norm.sum(-1)


def decompose(
    policy: Policy, parameters: Tensor, objective: Objective, preferences: Preferences, reference_log_prob: Tensor
) -> Decomposition:
    """Compute every gradient of an objective at a state, chosen and rejected term apart, in all four spaces.

    Args:
        policy: the policy.
        parameters: the state, [run, parameter].
        objective: the objective.
        preferences: the pairs and their weights.
        reference_log_prob: log pi_ref, [run, prompt, response], nats.

    Returns:
        The decomposition; nothing is reduced over runs.
    """
    logits, memory = policy.forward(parameters)
    log_prob = logits.log_softmax(-1)
    flat = preferences.flat(log_prob.shape[-1]).to(log_prob.device)
    reference = reference_log_prob.flatten(1).to(log_prob)
    pairs = PairLogProbs(*pick_pairs(log_prob.flatten(1), flat), *pick_pairs(reference, flat))
    weights = torch.stack(objective.response_weights(pairs), 1)
    weighted = weights.flatten(1) * preferences.of_terms(log_prob)
    table = weight_table(weighted, flat, log_prob[0].numel()).unflatten(-1, log_prob.shape[1:])
    gradient = logit_gradient(log_prob[:, None], table)
    return Decomposition(log_prob, weights, table, gradient, policy.pullback(parameters, memory, gradient))


def log_prob_change(log_prob: Tensor, logit_change: Tensor) -> Tensor:
    """Return the first-order change of log pi for a change dz of the logits: dz - sum_y pi dz, [..., response].

    dz is first taken relative to that of the likeliest response, which cancels from the formula: near probability 1
    both its terms would be nearly equal, and the sign of a small change lost.
    """
    change = logit_change - torch.take_along_dim(logit_change, log_prob.argmax(-1, keepdim=True), -1)
    return change - (log_prob.exp() * change).sum(-1, keepdim=True)


def _known(space: str) -> str:
    if space not in SPACES:
        raise ValueError(f"space is {space!r}; allowed are {', '.join(SPACES)}")
    return space
