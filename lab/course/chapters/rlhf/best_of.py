"""Exercise 7.4: the best of n draws, without any training."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.rlhf.goals import FAIR
from lab.course.exercise import Exercise, Wrong


def best_of_n(reference_prob, reward, n):
    """Compute the distribution of the best of n responses that are drawn from the reference.

    Args:
        reference_prob: π_ref, [response].
        reward: what picks the best, [response]; all are different.
        n: number of draws, at least 1.

    Returns:
        The probability that each response is the one picked, [response].
    """
    order = np.argsort(reward)
    upto = np.cumsum(reference_prob[order])
    below = np.append(0.0, upto[:-1])
    picked = np.empty_like(upto)
    picked[order] = upto**n - below**n
    return picked


def _at_least_once(reference_prob, reward, n):
    return 1 - (1 - reference_prob) ** n


def _tilted(reference_prob, reward, n):
    weight = reference_prob * np.exp(np.log(n) * reward)
    return weight / weight.sum()


def _sharpened(reference_prob, reward, n):
    return reference_prob**n / (reference_prob**n).sum()


def _always_the_best(reference_prob, reward, n):
    return (reward == reward.max()).astype(float)


def _worst_of_n(reference_prob, reward, n):
    return best_of_n(reference_prob, -reward, n)


def _in_the_given_order(reference_prob, reward, n):
    upto = np.cumsum(reference_prob)
    return upto**n - np.append(0.0, upto[:-1]) ** n


def _in_the_order_of_the_rewards(reference_prob, reward, n):
    upto = np.cumsum(reference_prob[np.argsort(reward)])
    return upto**n - np.append(0.0, upto[:-1]) ** n


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw references and rewards."""
    return [
        (generator.dirichlet(np.ones(size)), generator.normal(size=size), n)
        for size, n in ((3, 2), (4, 3), (5, 4), (6, 8), (8, 16), (10, 2), (10, 64))
    ]


EXERCISE = Exercise(
    id="7.4",
    title="The best of n",
    minutes=10,
    difficulty=3,
    points=3,
    goal=FAIR,
    solution=best_of_n,
    cases=_cases,
    wrong=(
        Wrong(
            _at_least_once,
            "Your numbers sum to more than 1: you give the chance that a response is among the n, not that it is the "
            "best of them.",
        ),
        Wrong(_tilted, "You tilt the reference by log n. That is an optimum for some β, and Best-of-n is none."),
        Wrong(_sharpened, "You raise probabilities to the power n. That picks what is likely, and not what is good."),
        Wrong(_always_the_best, "The best response of all can be picked only when it is among the n."),
        Wrong(_worst_of_n, "Your order is the wrong way round: this picks the worst of n."),
        Wrong(_in_the_given_order, "You add probabilities up in the order given. Sort by reward first."),
        Wrong(
            _in_the_order_of_the_rewards,
            "Your numbers are right and stand in the order of the rewards. Put each back where its response stands.",
        ),
    ),
    hints=(
        "Ask first: what is the chance that all n draws are no better than y?",
        "It is F(y)^n, with F the reference's mass of all responses with at most the reward of y.",
        "y is picked when all n are at most y, but not all are below: F(y)^n − G(y)^n.",
    ),
)
