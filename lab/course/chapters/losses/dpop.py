"""Exercise 6.5: DPO-Positive."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.losses.goals import FIX
from lab.course.exercise import Exercise, Wrong


def dpop_loss(u, v, beta, penalty):
    """Compute the loss of DPO-Positive of every pair, [pair], not averaged.

    u and v [pair] are the log-ratios of the chosen and of the rejected response in nats. It is
    DPO with one change: before beta multiplies it, the log-ratio margin is made smaller by
    penalty times what the chosen response has lost against the reference, which is -u where u
    is below 0, and nothing where it is not. Margins may be 2000 nats.
    """
    lost = np.maximum(0.0, -u)
    return np.logaddexp(0.0, -beta * (u - v - penalty * lost))


def _smaller_for_larger(u, v, beta, penalty):
    return np.logaddexp(0.0, -beta * (u - v - penalty * np.minimum(0.0, -u)))


def _always(u, v, beta, penalty):
    return np.logaddexp(0.0, -beta * (u - v + penalty * u))


def _outside_beta(u, v, beta, penalty):
    return np.logaddexp(0.0, -(beta * (u - v) - penalty * np.maximum(0.0, -u)))


def _of_the_rejected(u, v, beta, penalty):
    return np.logaddexp(0.0, -beta * (u - v - penalty * np.maximum(0.0, -v)))


def _reward_for_the_loss(u, v, beta, penalty):
    return np.logaddexp(0.0, -beta * (u - v + penalty * np.maximum(0.0, -u)))


def _cases(rng: np.random.Generator) -> list[tuple]:
    sets = ((0.1, 5.0), (0.3, 50.0), (1.0, 1.0), (0.05, 20.0))
    drawn = [(rng.normal(0, 2, 6), rng.normal(-1, 3, 6), beta, penalty) for beta, penalty in sets]
    return [*drawn, (np.array([-40.0, 1.0]), np.array([-10.0, -2000.0]), 1.0, 50.0)]


EXERCISE = Exercise(
    id="6.5",
    title="DPO-Positive",
    minutes=8,
    difficulty=2,
    points=2,
    goal=FIX,
    solution=dpop_loss,
    cases=_cases,
    wrong=(
        Wrong(_smaller_for_larger, "yours acts where the chosen response *gains*: is it max or min that was meant?"),
        Wrong(_always, "a chosen response that gains is not to be touched: the penalty is 0 where u is above 0."),
        Wrong(_outside_beta, "the penalty is inside: beta multiplies all of it."),
        Wrong(_of_the_rejected, "it is the chosen response whose fall costs; the rejected one is meant to fall."),
        Wrong(_reward_for_the_loss, "the sign: a fall of the chosen response has to make the margin smaller."),
    ),
    hints=(
        "Write what the chosen response has lost as one array: 0 where u is above 0.",
        "np.maximum(0, -u) is that array. Subtract penalty times it from u - v.",
        "np.logaddexp(0, -beta * (u - v - penalty * lost)).",
    ),
)
