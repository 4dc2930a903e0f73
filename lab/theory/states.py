"""States of a policy that were not reached by training: any distribution, put into a policy of any family."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lab.policies import LogLinear, Policy, Tabular
from lab.preferences import Preferences
from lab.threads import one_thread

TOLERANCE = 1e-9  # nats between the logits that are wanted and those that are there, both centred
STEPS = 100
HALVINGS = 20


def place_pairs(
    reference_log_prob: Tensor, preferences: Preferences, log_chosen: Tensor, log_rejected: Tensor
) -> Tensor:
    """Move the pairs of every prompt to given probabilities; the unseen responses keep their proportions.

    In a prompt with pairs the chosen responses share exp(log_chosen) evenly, the rejected ones exp(log_rejected); the
    unseen ones share what is left as they do under the reference. A prompt without pairs stays at the reference.

    Args:
        reference_log_prob: log pi_ref, [run, prompt, response], nats.
        preferences: the pairs.
        log_chosen: log-probability of the chosen responses of a prompt together, [run], nats.
        log_rejected: likewise for the rejected responses.

    Returns:
        log pi, [run, prompt, response], nats.

    Raises:
        ValueError: if the two probabilities leave nothing to the unseen responses, a prompt has none of these, or a
            response is chosen in one pair and rejected in another.
    """
    prompts, responses = reference_log_prob.shape[1:]
    taken = torch.logaddexp(log_chosen, log_rejected)
    if not bool((taken < 0).all()):
        worst = int(torch.nan_to_num(taken, nan=torch.inf).argmax())
        raise ValueError(
            f"state {worst} has log_chosen={float(log_chosen[worst]):g} and "
            f"log_rejected={float(log_rejected[worst]):g}; their probabilities must sum to less "
            "than 1, so that the unseen responses have mass: lower one of them"
        )
    unseen = preferences.unseen(prompts, responses)
    if not bool(unseen.any(-1).all()):
        raise ValueError("a prompt has no unseen response to take the rest of the mass; give it more responses")
    members = torch.zeros(2, prompts * responses, dtype=torch.bool)
    for mask, where in zip(members, preferences.flat(responses).tensor_split(2), strict=True):
        mask[where] = True
    if bool(members.all(0).any()):
        raise ValueError("a response is chosen in one pair and rejected in another of the same prompt; it cannot have "
                         "two probabilities: leave one of the pairs out")  # fmt: skip
    log_prob = reference_log_prob.masked_fill(~unseen, -torch.inf).log_softmax(-1)
    log_prob = log_prob + torch.log(-torch.expm1(taken))[:, None, None]
    for mask, log_mass in zip(members.view(2, prompts, responses), (log_chosen, log_rejected), strict=True):
        share = log_mass[:, None, None] - mask.sum(-1, keepdim=True).clamp_min(1).to(log_mass).log()
        log_prob = torch.where(mask, share, log_prob)
    bare = torch.ones(prompts, dtype=torch.bool)
    bare[preferences.prompt] = False
    return torch.where(bare[:, None], reference_log_prob, log_prob)


def fit_exactly(policy: Policy, log_prob: Tensor, start: Tensor) -> tuple[Policy, Tensor]:
    """Give a policy exactly the distributions that are wanted.

    A table takes them as its logits, a log-linear policy as its offset, a network by the parameters that are nearest to
    `start`: only the kernel then tells the families apart. Nearest is meant step by step: Gauss-Newton from `start`,
    where each step is the shortest change of the parameters that reaches the wanted logits to first order.

    Args:
        policy: the policy; a log-linear one keeps its features.
        log_prob: the wanted log pi, [run, prompt, response], nats.
        start: where a network comes from, such as its reference, [run, parameter].

    Returns:
        The policy, and its parameters [run, parameter].

    Raises:
        RuntimeError: if a network cannot reach a distribution: its centred logits stay more than 1e-9 nats away.

    Source: own construction; tests/test_theory_states.py.
    """
    if isinstance(policy, Tabular):
        return policy, log_prob.flatten(1)
    if isinstance(policy, LogLinear):
        return replace(policy, offset=log_prob), torch.zeros_like(start)
    with one_thread(), torch.inference_mode():
        found = [
            _nearest(policy, theta, wanted) for theta, wanted in zip(start.split(64), log_prob.split(64), strict=True)
        ]
    return policy, torch.cat(found)


def _nearest(policy: Policy, parameters: Tensor, log_prob: Tensor) -> Tensor:
    wanted = _centred(log_prob)
    units = _centred_units(log_prob)
    constant = torch.block_diag(*log_prob.new_ones(log_prob.shape[1], log_prob.shape[2], log_prob.shape[2]))
    state = parameters
    missing = wanted - _centred(policy.forward(state)[0])
    for _ in range(STEPS):
        distance = missing.norm(dim=-1)
        far = distance >= TOLERANCE
        if not bool(far.any()):
            return state
        rows = policy.pullback(state, policy.forward(state)[1], units.expand(len(state), -1, -1, -1))
        # The kernel of centred logits is singular along the constants, where nothing is missing. Without room for the
        # distributions it is singular elsewhere too: no length of such a step is an advance.
        solution, _ = torch.linalg.solve_ex(rows @ rows.mT + constant, missing)
        step = (solution[:, None] @ rows)[:, 0]
        length = torch.ones_like(distance)
        for _ in range(HALVINGS):
            tried = state + length[:, None] * step
            left = wanted - _centred(policy.forward(tried)[0])
            advance = left.norm(dim=-1) <= (1 - 0.2 * length) * distance
            if bool((advance | ~far).all()):
                break
            length = torch.where(advance | ~far, length, length / 2)
        if not bool((advance & far).any()):
            break
        state = torch.where(advance[:, None], tried, state)
        missing = torch.where(advance[:, None], left, missing)
    raise RuntimeError(
        f"the network misses its distribution by {float(missing.norm(dim=-1).max()):.3g} nats; allowed are "
        f"{TOLERANCE:g}: give it more width or a less extreme state"
    )


def _centred(logits: Tensor) -> Tensor:
    """Return the logits less their mean over the responses, [run, prompt * response]."""
    return (logits - logits.mean(-1, keepdim=True)).flatten(1)


def _centred_units(like: Tensor) -> Tensor:
    """Return the gradients of every centred logit in the logits, [prompt * response, prompt, response]."""
    prompts, responses = like.shape[1:]
    one = torch.eye(responses).to(like) - 1 / responses
    return torch.block_diag(*[one] * prompts).view(-1, prompts, responses)
