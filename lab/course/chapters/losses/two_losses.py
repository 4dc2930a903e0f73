"""Exercise 6.1: Two losses that stop."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.losses.goals import WRITE
from lab.course.exercise import Exercise, Wrong


def two_losses(u, v, beta):
    """Compute IPO and SLiC of every pair, not averaged: an array [2, pair].

    u and v [pair] are the log-ratios of the chosen and of the rejected response in nats, beta >
    0. First row: IPO, the squared distance of the log-ratio margin u - v from its target, which
    is half of 1/beta. Second row: SLiC, a hinge, which falls with slope beta in u - v until the
    margin beta (u - v) is 1, and is 0 from there on.
    """
    log_ratio_margin = u - v
    ipo = (log_ratio_margin - 1 / (2 * beta)) ** 2
    slic = np.maximum(0.0, 1 - beta * log_ratio_margin)
    return np.stack([ipo, slic])


def _target_twice_as_far(u, v, beta):
    return np.stack([(u - v - 1 / beta) ** 2, two_losses(u, v, beta)[1]])


def _margin_with_beta(u, v, beta):
    return np.stack([(beta * (u - v) - 0.5) ** 2, two_losses(u, v, beta)[1]])


def _distance_not_squared(u, v, beta):
    return np.stack([np.abs(u - v - 1 / (2 * beta)), two_losses(u, v, beta)[1]])


def _hinge_upside_down(u, v, beta):
    return np.stack([two_losses(u, v, beta)[0], np.maximum(0.0, 1 + beta * (u - v))])


def _hinge_of_log_ratio_margin(u, v, beta):
    return np.stack([two_losses(u, v, beta)[0], np.maximum(0.0, 1 - (u - v))])


def _line_without_hinge(u, v, beta):
    return np.stack([two_losses(u, v, beta)[0], 1 - beta * (u - v)])


def _rows_exchanged(u, v, beta):
    return two_losses(u, v, beta)[::-1]


def _target_at_half_beta(u, v, beta):
    return np.stack([(u - v - beta / 2) ** 2, two_losses(u, v, beta)[1]])


def _average_of_pairs(u, v, beta):
    return two_losses(u, v, beta).mean(axis=1)


def _cases(rng: np.random.Generator) -> list[tuple]:
    known = (np.array([0.0, 3.0, 5.0, 20.0]), np.array([0.0, -3.0, 5.0, -20.0]), 0.1)
    return [known, *((rng.normal(0, 4, 5), rng.normal(0, 4, 5), beta) for beta in (0.05, 0.3, 1.0, 2.0))]


EXERCISE = Exercise(
    id="6.1",
    title="Two losses that stop",
    minutes=10,
    difficulty=2,
    points=2,
    goal=WRITE,
    solution=two_losses,
    cases=_cases,
    wrong=(
        Wrong(_target_twice_as_far, "IPO's target is too far, by a factor of 2: half of 1/beta was asked for."),
        Wrong(_margin_with_beta, "IPO measures the log-ratio margin in nats: beta stands in the target alone."),
        Wrong(_distance_not_squared, "IPO squares the distance; yours pulls as hard near the target as far from it."),
        Wrong(_hinge_upside_down, "SLiC grows with your margin: a pair in the right order is punished."),
        Wrong(_hinge_of_log_ratio_margin, "SLiC's hinge is at margin 1, and the margin has beta in it."),
        Wrong(_line_without_hinge, "SLiC goes below 0: past the hinge there is nothing left to win."),
        Wrong(_rows_exchanged, "the two rows are exchanged: IPO comes first."),
        Wrong(_target_at_half_beta, "IPO's target is half of 1/beta, and not half of beta."),
        Wrong(_average_of_pairs, "one value a pair was asked for, not their mean."),
    ),
    hints=(
        "Both look at u and v through u - v alone. Compute that first.",
        "IPO: where is the loss 0? SLiC: which of two numbers is larger, 0 or 1 - margin?",
        "(u - v - 1 / (2 * beta)) ** 2, and np.maximum(0, 1 - beta * (u - v)); np.stack makes one array of the two.",
    ),
)
