"""Exercise 1.3: A response that the reference never gives."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.optimum.goals import READ
from lab.course.exercise import Exercise, Wrong


def limits(reference_prob, reward):
    """Return what the optimum earns in the two limits of β: E_π* r as β → 0, and as β → ∞.

    Args:
        reference_prob: π_ref of every response, [response]: probabilities, some exactly 0.
        reward: r of every response, [response].

    Returns:
        Two numbers: the limit for β → 0, then the limit for β → ∞.
    """
    return float(reward[reference_prob > 0].max()), float(reference_prob @ reward)


def _limits_of_all(reference_prob, reward):
    return float(reward.max()), float(reference_prob @ reward)


def _limits_even(reference_prob, reward):
    return float(reward[reference_prob > 0].max()), float(reward.mean())


def _limits_swapped(reference_prob, reward):
    cold, hot = limits(reference_prob, reward)
    return hot, cold


def _limits_of_the_possible(reference_prob, reward):
    possible = reward[reference_prob > 0]
    return float(possible.max()), float(possible.mean())


def _limits_most_likely(reference_prob, reward):
    return float(reward[reference_prob > 0].max()), float(reward[reference_prob.argmax()])


def _limit_cases(generator: np.random.Generator) -> list[tuple]:
    """Draw references without the best response, which has the largest reward by far."""
    cases = []
    for responses in range(3, 10):
        prob = generator.dirichlet(np.ones(responses))
        reward = generator.normal(size=responses)
        prob[reward.argmax()] = 0.0
        cases.append((prob / prob.sum(), reward))
    return cases


EXERCISE = Exercise(
    id="1.3", title="A response that the reference never gives", minutes=8, difficulty=2, points=2, goal=READ,
    solution=limits, cases=_limit_cases,
    wrong=(
        Wrong(_limits_of_all, "Your limit for β → 0 is the reward of a response of probability 0 under the "
              "reference. What would its KL be, and can any β above 0 pay for that?"),
        Wrong(_limits_even, "Your limit for β → ∞ treats all responses alike. When KL is all that counts, which "
              "policy is the best?"),
        Wrong(_limits_of_the_possible, "Your limit for β → ∞ gives all possible responses the same weight. When KL "
              "is all that counts, which policy is the best?"),
        Wrong(_limits_most_likely, "Your limit for β → ∞ looks at the reference's likeliest response. The optimum "
              "becomes the reference, and that gives the others too."),
        Wrong(_limits_swapped, "The two limits are exchanged: a small β makes leaving the reference cheap."),
    ),
    hints=(
        "Write down π* ∝ π_ref exp(r/β) for a response with π_ref = 0.",
        "As β → 0 the largest r/β wins by any factor, but only among the responses that have a chance.",
        "As β → ∞ exp(r/β) → 1, and π* → π_ref.",
    ),
)  # fmt: skip
