"""Exercise 4.4: What one step moves."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.three_properties.goals import SHARING
from lab.course.exercise import Exercise, Wrong


def predicted_change(log_prob, kernel, logit_gradient, lr):
    """Return how every log π changes in one step of plain gradient descent, to first order.

    The policy is any network: its parameters θ give the logits of all prompts, and J = ∂ logits /
    ∂θ is known through the kernel K = J Jᵀ, which says how far a push on one logit moves another
    one.

    Args:
        log_prob: log π before the step, [prompt, response], nats.
        kernel: K, [prompt · response, prompt · response]; the logits in the order of
            log_prob.ravel().
        logit_gradient: G = ∂L/∂ logits, [prompt, response].
        lr: learning rate η.

    Returns:
        Δ log π, [prompt, response], nats.
    """
    logit_change = -lr * (kernel @ logit_gradient.ravel()).reshape(log_prob.shape)
    mean_change = (np.exp(log_prob) * logit_change).sum(axis=1, keepdims=True)
    return logit_change - mean_change


def _change_of_the_logits(log_prob, kernel, logit_gradient, lr):
    return -lr * (kernel @ logit_gradient.ravel()).reshape(log_prob.shape)


def _change_uphill(log_prob, kernel, logit_gradient, lr):
    return -predicted_change(log_prob, kernel, logit_gradient, lr)


def _change_without_sharing(log_prob, kernel, logit_gradient, lr):
    return predicted_change(log_prob, np.eye(log_prob.size), logit_gradient, lr)


def _change_of_own_prompts_only(log_prob, kernel, logit_gradient, lr):
    prompts, responses = log_prob.shape
    own = np.kron(np.eye(prompts), np.ones((responses, responses)))
    return predicted_change(log_prob, kernel * own, logit_gradient, lr)


def _change_of_even_responses(log_prob, kernel, logit_gradient, lr):
    logit_change = _change_of_the_logits(log_prob, kernel, logit_gradient, lr)
    return logit_change - logit_change.mean(axis=1, keepdims=True)


def _change_over_all_prompts(log_prob, kernel, logit_gradient, lr):
    logit_change = _change_of_the_logits(log_prob, kernel, logit_gradient, lr)
    return logit_change - (np.exp(log_prob) * logit_change).sum()


def _change_at_rate_one(log_prob, kernel, logit_gradient, lr):
    return predicted_change(log_prob, kernel, logit_gradient, 1.0)


def _change_by_a_whole_step(log_prob, kernel, logit_gradient, lr):
    moved = log_prob + _change_of_the_logits(log_prob, kernel, logit_gradient, lr)
    return moved - np.logaddexp.reduce(moved, axis=1, keepdims=True) - log_prob


def _change_of_the_probability(log_prob, kernel, logit_gradient, lr):
    return np.exp(log_prob) * predicted_change(log_prob, kernel, logit_gradient, lr)


def _change_cases(generator: np.random.Generator) -> list[tuple]:
    def drawn(prompts: int, responses: int, lr: float) -> tuple:
        logits = 2 * generator.normal(size=(prompts, responses))
        jacobian = generator.normal(size=(prompts * responses, 30))
        gradient = generator.normal(size=(prompts, responses))
        log_prob = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return log_prob, jacobian @ jacobian.T, gradient - gradient.mean(axis=1, keepdims=True), lr

    return [drawn(2, 3, 0.1), drawn(3, 4, 0.01), drawn(4, 5, 1.0)]


EXERCISE = Exercise(
    id="4.4", title="What one step moves", minutes=20, difficulty=4, points=5, goal=SHARING,
    solution=predicted_change, cases=_change_cases,
    wrong=(
        Wrong(_change_of_the_logits, "These are the changes of the logits. A log-probability is a logit less the log "
              "of a sum, and the sum moves with them."),
        Wrong(_change_uphill, "Every sign is reversed: descent goes against the gradient."),
        Wrong(_change_without_sharing, "You moved each logit by its own gradient, as a table does. In a network a push "
              "on one logit moves the others: that is what K is for."),
        Wrong(_change_of_own_prompts_only, "You kept the part of K that stays on a prompt. The parameters are shared "
              "by all prompts, and the other blocks are where a network differs from a table."),
        Wrong(_change_of_even_responses, "You subtract the plain mean of the logit changes. The softmax weighs each "
              "response by its probability."),
        Wrong(_change_over_all_prompts, "You subtract one number from everything. Each prompt has a softmax of its "
              "own."),
        Wrong(_change_at_rate_one, "Your change does not know the learning rate."),
        Wrong(_change_by_a_whole_step, "You put the moved logits through a softmax again. To first order, as asked, "
              "the log of the sum moves by the mean of Δz under π."),
        Wrong(_change_of_the_probability, "These are the changes of π. Those of log π were asked for."),
    ),
    hints=(
        "Go in two steps: first how the logits change, then what that does to the log-probabilities.",
        "Δθ = −η Jᵀ G and Δlogits = J Δθ. Which product of J with itself appears?",
        "Δlogits = −η K G. Then Δ log π = Δlogits − Σ π Δlogits, with the sum over the responses of each prompt.",
    ),
)  # fmt: skip
