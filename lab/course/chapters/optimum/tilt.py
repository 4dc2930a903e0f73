"""Exercise 1.1: The optimum, in log space."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.optimum.goals import DERIVE
from lab.course.chapters.optimum.worlds import drawn_world
from lab.course.exercise import Exercise, Wrong


def tilt(reference_log_prob, reward, beta):
    """Return log π*, where π* is the policy with the largest E r − β KL(π ‖ π_ref).

    Args:
        reference_log_prob: log π_ref of every response, [response], nats.
        reward: r of every response, [response]; some are in the thousands.
        beta: β, above 0.

    Returns:
        log π* of every response, [response], nats; the probabilities sum to 1.
    """
    score = reference_log_prob + reward / beta
    return score - np.logaddexp.reduce(score)


def _tilt_without_reference(reference_log_prob, reward, beta):
    score = reward / beta
    return score - np.logaddexp.reduce(score)


def _tilt_by_beta(reference_log_prob, reward, beta):
    score = reference_log_prob + reward * beta
    return score - np.logaddexp.reduce(score)


def _tilt_unnormalised(reference_log_prob, reward, beta):
    return reference_log_prob + reward / beta


def _tilt_overflowing(reference_log_prob, reward, beta):
    with np.errstate(all="ignore"):
        weight = np.exp(reference_log_prob) * np.exp(reward / beta)
        return np.log(weight / weight.sum())


def _tilt_underflowing(reference_log_prob, reward, beta):
    weight = np.exp(reference_log_prob) * np.exp((reward - reward.max()) / beta)
    with np.errstate(all="ignore"):
        return np.log(weight / weight.sum())


def _tilt_by_the_mean(reference_log_prob, reward, beta):
    score = reference_log_prob + reward / beta
    return score - np.logaddexp.reduce(score) + np.log(len(score))


def _tilt_as_probabilities(reference_log_prob, reward, beta):
    return np.exp(tilt(reference_log_prob, reward, beta))


def _tilt_cases(generator: np.random.Generator) -> list[tuple]:
    """Draw ordinary worlds, one that is shifted, and rewards of thousands."""
    worlds = [(*drawn_world(generator, responses), float(np.exp(generator.normal()))) for responses in range(2, 12)]
    reference_log_prob, reward = drawn_world(generator, 6)
    far = drawn_world(generator, 6, scale=3000.0)
    return [*worlds, (reference_log_prob, reward, 0.5), (reference_log_prob, reward + 7.0, 0.5), (*far, 1.0)]


EXERCISE = Exercise(
    id="1.1", title="The optimum, in log space", minutes=10, difficulty=2, points=2, goal=DERIVE,
    solution=tilt, cases=_tilt_cases,
    wrong=(
        Wrong(_tilt_without_reference, "Your answer is the optimum of an even reference. Where does log π_ref enter?"),
        Wrong(_tilt_by_beta, "Your tilt grows with β. β is the price of leaving the reference: the higher the "
              "price, the smaller the tilt should be."),
        Wrong(_tilt_unnormalised, "Your probabilities do not sum to 1. What is left to subtract from every response?"),
        Wrong(_tilt_overflowing, "With rewards in the thousands exp overflows and your answer is no number any "
              "more. Stay with logarithms to the end."),
        Wrong(_tilt_underflowing, "Taking the largest reward off first stops the overflow. The small probabilities "
              "still become 0, and their logarithm −∞. Stay with logarithms to the end."),
        Wrong(_tilt_by_the_mean, "Your probabilities sum to the number of responses: Z is a sum, and no mean."),
        Wrong(_tilt_as_probabilities, "These are the right probabilities, and the task asks for their logarithms."),
    ),
    hints=(
        "Take the logarithm of π*(y) = π_ref(y) exp(r(y)/β) / Z before you write any code.",
        "Call log π_ref(y) + r(y)/β the score of y. Then log Z = log Σ exp(score) is one number. Subtracting it from "
        "every score makes the sum 1.",
        "np.logaddexp.reduce(score) is log Σ exp(score) without overflow.",
    ),
)  # fmt: skip
