"""Exercise 7.1: the gradient of the RLHF objective in the logits of a policy."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.rlhf.goals import CLIMB
from lab.course.exercise import Exercise, Wrong


def policy_gradient(logits, reference_log_prob, reward, beta):
    """Compute the gradient of J(π) = E_π r − β KL(π ‖ π_ref) in the logits of a softmax policy.

    The policy is π = softmax(logits). A step along the gradient is to make J larger.

    Args:
        logits: [response].
        reference_log_prob: log π_ref, [response], nats.
        reward: r, [response].
        beta: β, at least 0.

    Returns:
        dJ / dlogits, [response].
    """
    log_prob = logits - np.logaddexp.reduce(logits)
    prob = np.exp(log_prob)
    score = reward - beta * (log_prob - reference_log_prob)
    return prob * (score - prob @ score)


def _without_kl(logits, reference_log_prob, reward, beta):
    return policy_gradient(logits, reference_log_prob, reward, 0.0)


def _without_mean(logits, reference_log_prob, reward, beta):
    log_prob = logits - np.logaddexp.reduce(logits)
    return np.exp(log_prob) * (reward - beta * (log_prob - reference_log_prob))


def _downwards(logits, reference_log_prob, reward, beta):
    return -policy_gradient(logits, reference_log_prob, reward, beta)


def _of_log_probs(logits, reference_log_prob, reward, beta):
    log_prob = logits - np.logaddexp.reduce(logits)
    score = reward - beta * (log_prob - reference_log_prob)
    return score - np.exp(log_prob) @ score


def _less_the_plain_mean(logits, reference_log_prob, reward, beta):
    pull = _without_mean(logits, reference_log_prob, reward, beta)
    return pull - pull.mean()


def _of_the_other_kl(logits, reference_log_prob, reward, beta):
    prob = np.exp(logits - np.logaddexp.reduce(logits))
    return prob * (reward - prob @ reward) + beta * (np.exp(reference_log_prob) - prob)


def _kl_added(logits, reference_log_prob, reward, beta):
    return policy_gradient(logits, reference_log_prob, reward, -beta)


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw a policy, a reference and a reward."""
    cases = []
    for size in range(2, 10):
        reference = generator.normal(size=size)
        given = (generator.normal(size=size), reference - np.logaddexp.reduce(reference), generator.normal(size=size))
        cases.append((*given, float(np.exp(generator.normal()))))
    return cases


EXERCISE = Exercise(
    id="7.1",
    title="The exact policy gradient",
    minutes=12,
    difficulty=3,
    points=3,
    goal=CLIMB,
    solution=policy_gradient,
    cases=_cases,
    wrong=(
        Wrong(_without_kl, "Your gradient is that of E r alone. Where does the price of leaving the reference pull?"),
        Wrong(
            _without_mean,
            "Your gradient does not sum to 0 over the responses. A shift of all logits changes no probability, so that "
            "nothing may pull that way.",
        ),
        Wrong(_downwards, "Your gradient points downhill. A small step along it has to make J larger."),
        Wrong(
            _of_log_probs,
            "The factor of the softmax is missing: how much does log π(y) of a response change the *mean* over π, if "
            "that response is hardly ever given?",
        ),
        Wrong(
            _less_the_plain_mean,
            "You make the gradient sum to 0 by the same number for all. Take the mean score under π off each score, "
            "before π multiplies it.",
        ),
        Wrong(_of_the_other_kl, "Your second term belongs to KL(π_ref ‖ π). The objective has KL(π ‖ π_ref)."),
        Wrong(_kl_added, "You add β KL. It is a price: J = E r − β KL."),
    ),
    hints=(
        "Write J = Σ π(y) s(y) with the score s = r − β log(π/π_ref), and differentiate π first.",
        "dπ(y)/dlogit(z) = π(y) ([y = z] − π(z)). What the score itself changes adds up to 0.",
        "The result is π · (s − Σ π s).",
    ),
)
