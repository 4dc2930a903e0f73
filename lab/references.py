"""Reference policies: parameters whose policy has the problem's target distribution."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lab.optimizers import Adam
from lab.policies import MLP, Policy, Workspace
from lab.problems import Problem
from lab.threads import one_thread, spread

TOLERANCE = 1e-4  # nats of KL(target || reference), in the worst prompt of the worst run
STEPS = 1000
PEAK_LR = 3e-3
ROUNDS = 4
CHUNK = 48  # runs fitted together: optimiser state of so many of the paper's network stays in cache


def reference_parameters(policy: Policy, problem: Problem) -> Tensor:
    """Return parameters of the reference policy, exact where a closed form exists and fitted where not.

    Args:
        policy: the policy.
        problem: gives the target and the seeds.

    Returns:
        [run, parameter], float64 on the CPU.

    Raises:
        RuntimeError: if a fit misses `TOLERANCE`.
    """
    start = policy.start(problem)
    if start is not None:
        return start
    if not isinstance(policy, MLP):
        raise TypeError(f"{type(policy).__name__} has neither a closed-form start nor an initial draw: give it `start`")
    return fit_reference(policy, policy.initial(problem.seeds), problem.target_log_prob)


def fit_reference(policy: Policy, parameters: Tensor, target_log_prob: Tensor) -> Tensor:
    """Fit a policy to target distributions by supervised fine-tuning, all runs at once.

    Minimises the mean over prompts of the cross-entropy -sum_y target log pi by full-batch Adam with a cosine decay of
    the learning rate from 3e-3 to 0 in 1000 steps, the same for every run, so that a run's result does not depend on
    its batch. Where the target is missed, further rounds follow for the runs concerned, each twice as long.

    Args:
        policy: the policy.
        parameters: where to start, [run, parameter].
        target_log_prob: [run, prompt, response], nats.

    Returns:
        Fitted parameters, [run, parameter].

    Raises:
        ValueError: if the policy has other sizes than the target.
        RuntimeError: if KL(target || policy) of some prompt is still above 1e-4 nats after four rounds.
    """
    sizes, wanted = policy.forward(parameters[:1])[0].shape[1:], target_log_prob.shape[1:]
    if sizes != wanted:
        raise ValueError(
            f"the policy has {sizes[0]} prompts and {sizes[1]} responses, the problem has {wanted[0]} and {wanted[1]}; "
            "build the policy with the problem's sizes"
        )
    fitted = parameters.clone()
    todo = torch.arange(len(parameters))
    for round_ in range(ROUNDS):
        steps = STEPS * 2**round_

        def fit(chunk: Tensor, check: Callable[[], None], steps: int = steps) -> None:
            with torch.inference_mode():
                fitted[chunk] = _descend(policy, fitted[chunk], target_log_prob[chunk].exp(), steps, check)

        spread(fit, todo.split(CHUNK))
        with one_thread(), torch.inference_mode():
            divergence = _divergence(policy, fitted, target_log_prob)
        todo = torch.nonzero(~(divergence <= TOLERANCE)).flatten()
        if len(todo) == 0:
            return fitted
    raise RuntimeError(
        f"the reference misses its target by {float(divergence.max()):.3g} nats in {len(todo)} of "
        f"{len(parameters)} runs; allowed are {TOLERANCE:g}: "
        "give the policy more width or less extreme start probabilities"
    )


def _descend(policy: Policy, parameters: Tensor, target: Tensor, steps: int, check: Callable[[], None]) -> Tensor:
    parameters = parameters.clone()
    memory, space = Adam(PEAK_LR).memory(parameters), Workspace()
    for step in range(1, steps + 1):
        check()
        logits, activations = policy.forward(parameters, space)
        residual = (logits.softmax(-1) - target) / target.shape[1]  # d cross-entropy / d logits
        gradient = policy.pullback(parameters, activations, residual[:, None], space)[:, 0]
        rate = PEAK_LR * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        Adam(rate).advance(parameters, gradient, memory, step)
    return parameters


def _divergence(policy: Policy, parameters: Tensor, target_log_prob: Tensor) -> Tensor:
    log_prob = policy.forward(parameters)[0].log_softmax(-1)
    return (target_log_prob.exp() * (target_log_prob - log_prob)).sum(-1).amax(-1)  # [run]
