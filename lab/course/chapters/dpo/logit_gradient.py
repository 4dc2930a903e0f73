"""Exercise 3.2: The gradient, by hand."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.dpo.goals import GRADIENT
from lab.course.exercise import Exercise, Wrong


def logit_gradient(logits, reference_log_prob, chosen, rejected, beta):
    """Return the gradient of the DPO loss of one pair in the logits of its prompt.

    The policy is the softmax of the logits. Derive it with pen and paper; no finite differences.

    Args:
        logits: scores of the policy before the softmax, not normalised, [response].
        reference_log_prob: log π_ref, [response], nats.
        chosen: position of the chosen response.
        rejected: position of the rejected response.
        beta: β, above 0.

    Returns:
        [response].
    """
    log_ratio = logits - reference_log_prob
    margin = beta * (log_ratio[chosen] - log_ratio[rejected])
    push = beta * np.exp(-np.logaddexp(0.0, margin))
    gradient = np.zeros(len(logits))
    gradient[chosen], gradient[rejected] = -push, push
    return gradient


def _gradient_with_one_softmax(logits, reference_log_prob, chosen, rejected, beta):
    push = logit_gradient(logits, reference_log_prob, chosen, rejected, beta)[rejected]
    gradient = push * np.exp(logits - np.logaddexp.reduce(logits))
    gradient[chosen] -= push
    gradient[rejected] += push
    return gradient


def _gradient_that_grows(logits, reference_log_prob, chosen, rejected, beta):
    gradient = logit_gradient(logits, reference_log_prob, chosen, rejected, beta)
    return np.sign(gradient) * (beta - np.abs(gradient))


def _gradient_without_beta(logits, reference_log_prob, chosen, rejected, beta):
    return logit_gradient(logits, reference_log_prob, chosen, rejected, beta) / beta


def _gradient_uphill(logits, reference_log_prob, chosen, rejected, beta):
    return -logit_gradient(logits, reference_log_prob, chosen, rejected, beta)


def _gradient_without_reference(logits, reference_log_prob, chosen, rejected, beta):
    return logit_gradient(logits, np.zeros(len(logits)), chosen, rejected, beta)


def _gradient_at_the_start(logits, reference_log_prob, chosen, rejected, beta):
    return logit_gradient(reference_log_prob, reference_log_prob, chosen, rejected, beta)


def _gradient_with_beta_outside(logits, reference_log_prob, chosen, rejected, beta):
    return beta * logit_gradient(logits, reference_log_prob, chosen, rejected, 1.0)


def _gradient_of_the_chosen_term(logits, reference_log_prob, chosen, rejected, beta):
    push = logit_gradient(logits, reference_log_prob, chosen, rejected, beta)[rejected]
    gradient = push * np.exp(logits - np.logaddexp.reduce(logits))
    gradient[chosen] -= push
    return gradient


def _gradient_times_probability(logits, reference_log_prob, chosen, rejected, beta):
    prob = np.exp(logits - np.logaddexp.reduce(logits))
    return logit_gradient(logits, reference_log_prob, chosen, rejected, beta) * prob


def _gradient_in_probability(logits, reference_log_prob, chosen, rejected, beta):
    prob = np.exp(logits - np.logaddexp.reduce(logits))
    return logit_gradient(logits, reference_log_prob, chosen, rejected, beta) / prob


def _gradient_cases(generator: np.random.Generator) -> list[tuple]:
    def drawn(beta: float) -> tuple:
        reference = generator.normal(size=6)
        chosen, rejected = (int(place) for place in generator.choice(6, 2, replace=False))
        return generator.normal(0, 2, 6), reference - np.logaddexp.reduce(reference), chosen, rejected, beta

    return [drawn(beta) for beta in (0.05, 0.1, 0.3, 0.5, 1.7, 3.0) for _ in range(3)]


EXERCISE = Exercise(
    id="3.2", title="The gradient, by hand", minutes=15, difficulty=3, points=4, goal=GRADIENT,
    solution=logit_gradient, cases=_gradient_cases,
    wrong=(
        Wrong(_gradient_with_one_softmax, "Unseen responses get a gradient from you. The chosen response's logit "
              "pulls them through the softmax, and the rejected one's pulls them the other way: you have one of the "
              "two."),
        Wrong(_gradient_that_grows, "Your gradient is largest where the pair is already in order. Follow the sign "
              "inside the σ when you differentiate log σ(m)."),
        Wrong(_gradient_without_beta, "You are off by a factor β. The margin holds β, and so does its derivative."),
        Wrong(_gradient_uphill, "This is minus the gradient, the way that a step goes. Asked for is the gradient "
              "itself; descent subtracts it."),
        Wrong(_gradient_without_reference, "Direction and signs are right, the size is not: you weigh the pair by the "
              "policy's own preference, and the weight looks at the margin over the reference."),
        Wrong(_gradient_at_the_start, "Your push is β/2 whatever the policy is: that is σ(−m) at m = 0. The margin "
              "moves."),
        Wrong(_gradient_with_beta_outside, "The β in front is there, and the one inside σ(−m) is not: m = β(Δ⁺ − Δ⁻)."),
        Wrong(_gradient_of_the_chosen_term, "You differentiate log π⁺ alone. The rejected response's term pulls on "
              "every logit too."),
        Wrong(_gradient_times_probability, "You multiply by the probabilities. That is the chain rule for a loss given "
              "in π; this one is given in log π, and log π⁺ − log π⁻ is a difference of two logits."),
        Wrong(_gradient_in_probability, "You divide by the probabilities: that is the gradient in π. The logits are "
              "one chain rule further."),
    ),
    hints=(
        "Write the margin with logits in place of log-probabilities. What becomes of the softmax's normaliser?",
        "The loss is a function of m = β(logit⁺ − logit⁻ + constant). How many entries of the gradient are not 0?",
        "d(−log σ(m))/dm = −σ(−m), and dm/dlogits is +β at the chosen and −β at the rejected response.",
    ),
)  # fmt: skip
