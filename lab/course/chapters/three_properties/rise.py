"""Exercise 4.1: The chosen response rises."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.three_properties.goals import TABLE
from lab.course.chapters.three_properties.states import drawn_states
from lab.course.exercise import Exercise, Wrong


def chosen_slope(log_prob, chosen, rejected):
    """Return how fast log π⁺ grows in a table that DPO trains on one pair, in many states.

    The logits of the prompt move by +δ at the chosen response and by −δ at the rejected one. Return
    the derivative of log π⁺ in δ, at δ = 0. Can it be negative?

    Args:
        log_prob: log π of one prompt, [state, response], nats.
        chosen: position of the chosen response.
        rejected: position of the rejected response.

    Returns:
        [state], nats per unit of δ.
    """
    prob = np.exp(log_prob)
    return 1 - prob[:, chosen] + prob[:, rejected]


def _slope_of_the_logit(log_prob, chosen, rejected):
    return np.ones(len(log_prob))


def _slope_by_the_chosen_alone(log_prob, chosen, rejected):
    return 1 - np.exp(log_prob[:, chosen])


def _slope_with_the_rejected_against(log_prob, chosen, rejected):
    return 1 - np.exp(log_prob[:, chosen]) - np.exp(log_prob[:, rejected])


def _slope_of_the_probability(log_prob, chosen, rejected):
    return np.exp(log_prob[:, chosen]) * chosen_slope(log_prob, chosen, rejected)


def _slope_of_the_margin(log_prob, chosen, rejected):
    return np.full(len(log_prob), 2.0)


def _slope_downhill(log_prob, chosen, rejected):
    return -chosen_slope(log_prob, chosen, rejected)


def _slope_of_the_rejected(log_prob, chosen, rejected):
    return chosen_slope(log_prob, chosen, rejected) - 2


def _slope_cases(generator: np.random.Generator) -> list[tuple]:
    return [drawn_states(generator, 10_000, 4), drawn_states(generator, 20, 10), drawn_states(generator, 20, 2)]


EXERCISE = Exercise(
    id="4.1", title="The chosen response rises", minutes=10, difficulty=2, points=3, goal=TABLE,
    solution=chosen_slope, cases=_slope_cases,
    wrong=(
        Wrong(_slope_of_the_logit, "That is how fast the logit grows. The softmax divides by a sum that moves as "
              "well."),
        Wrong(_slope_by_the_chosen_alone, "You let the chosen logit rise and forget that the rejected one falls: the "
              "mass that it gives up is shared out too."),
        Wrong(_slope_with_the_rejected_against, "With the rejected response near 1 your slope is near 0 or negative. "
              "Taking mass from it helps the others: check the sign of its part."),
        Wrong(_slope_of_the_probability, "This is the slope of π⁺. The slope of log π⁺ was asked for."),
        Wrong(_slope_of_the_margin, "This is the slope of log π⁺ − log π⁻, in which the softmax's sum cancels. In log "
              "π⁺ alone it does not."),
        Wrong(_slope_downhill, "The sign is the wrong way round: δ above 0 raises the chosen logit."),
        Wrong(_slope_of_the_rejected, "This is the slope of log π⁻. That of log π⁺ was asked for."),
    ),
    hints=(
        "log π⁺ = logit⁺ − log Σ exp(logit). Differentiate both parts by δ.",
        "The derivative of log Σ exp(logit) in one logit is that response's probability.",
        "The first part gives 1. The sum gives π⁺ · (+1) + π⁻ · (−1), and it is subtracted.",
    ),
)  # fmt: skip
