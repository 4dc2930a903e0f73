"""Exercise 4.2: Which way the unseen responses go."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.three_properties.goals import TABLE
from lab.course.chapters.three_properties.states import drawn_states
from lab.course.exercise import Exercise, Wrong

TIE = 1e-9  # states nearer to the border than this are left out: rounding would decide them


def unseen_direction(log_prob, chosen, rejected, step):
    """Return whether the unseen responses of a table gain or lose when the logits of the pair move.

    The logits move by +step at the chosen and by −step at the rejected response. A step of 1e-6 is
    as good as none; a step of 1 is not. The answer has to hold for both.

    Args:
        log_prob: log π of one prompt before the step, [state, response], nats.
        chosen: position of the chosen response.
        rejected: position of the rejected response.
        step: above 0.

    Returns:
        [state]: 1 where the unseen mass grows, −1 where it shrinks.
    """
    return np.where(log_prob[:, rejected] > log_prob[:, chosen] + step, 1, -1)


def _direction_reversed(log_prob, chosen, rejected, step):
    return np.where(log_prob[:, chosen] > log_prob[:, rejected], 1, -1)


def _direction_of_small_steps(log_prob, chosen, rejected, step):
    return np.where(log_prob[:, rejected] > log_prob[:, chosen], 1, -1)


def _direction_always_up(log_prob, chosen, rejected, step):
    return np.ones(len(log_prob), int)


def _direction_always_down(log_prob, chosen, rejected, step):
    return -np.ones(len(log_prob), int)


def _direction_counting_the_step_twice(log_prob, chosen, rejected, step):
    return np.where(log_prob[:, rejected] - step > log_prob[:, chosen] + step, 1, -1)


def _direction_cases(generator: np.random.Generator) -> list[tuple]:
    cases = []
    for step in (1e-6, 0.1, 1.0, 3.0):
        log_prob, chosen, rejected = drawn_states(generator, 2000, 4)
        clear = np.abs(log_prob[:, rejected] - log_prob[:, chosen] - step) > TIE
        cases.append((log_prob[clear], chosen, rejected, step))
    return cases


EXERCISE = Exercise(
    id="4.2", title="Which way the unseen go", minutes=15, difficulty=3, points=4, goal=TABLE,
    solution=unseen_direction, cases=_direction_cases,
    wrong=(
        Wrong(_direction_reversed, "Exactly the other way round, at least for small steps. Who gives up more mass than "
              "the chosen response can take: a large rejected response or a small one?"),
        Wrong(_direction_of_small_steps, "Right for small steps and wrong for step = 1: on the way the chosen response "
              "grows and the rejected one shrinks, so that the condition has to hold at the end of the step too."),
        Wrong(_direction_always_up, "There are states where the unseen responses lose. Look at a rejected response of "
              "probability 0.01 and a chosen one of 0.5."),
        Wrong(_direction_always_down, "There are states where the unseen responses gain. Look at a rejected response "
              "of probability 0.8 and a chosen one of 0.02."),
        Wrong(_direction_counting_the_step_twice, "You compare the two responses after the step. Unseen mass may turn "
              "on the way and still end above its start: compare the sums of exp(logit) before and after."),
    ),
    hints=(
        "Every unseen logit stays where it is. What alone decides whether its probability grows?",
        "The softmax's sum, over the old one, is 1 + π⁺(eˢ − 1) + π⁻(e⁻ˢ − 1), with s the step. Unseen responses gain "
        "where it is below 1.",
        "Divide π⁺(eˢ − 1) < π⁻(1 − e⁻ˢ) by eˢ − 1; what is left compares π⁻ with π⁺ times a power of e.",
    ),
)  # fmt: skip
