"""Exercise 1.4: Along the frontier."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.optimum.goals import READ
from lab.course.chapters.optimum.worlds import drawn_world
from lab.course.exercise import Exercise, Wrong


def frontier_speed(reference_log_prob, reward, beta):
    """Return how fast the optimum moves along its frontier when β grows: dE_π* r / dβ and dKL(π* ‖ π_ref) / dβ.

    Args:
        reference_log_prob: log π_ref, [response], nats.
        reward: r, [response].
        beta: β, above 0.

    Returns:
        Two numbers: the derivative of E r, then that of KL, both with respect to β.
    """
    score = reference_log_prob + reward / beta
    prob = np.exp(score - np.logaddexp.reduce(score))
    variance = prob @ (reward - prob @ reward) ** 2
    return float(-variance / beta**2), float(-variance / beta**3)


def _speed_of_the_reference(reference_log_prob, reward, beta):
    prob = np.exp(reference_log_prob)
    variance = prob @ (reward - prob @ reward) ** 2
    return float(-variance / beta**2), float(-variance / beta**3)


def _speed_upwards(reference_log_prob, reward, beta):
    earned, kl = frontier_speed(reference_log_prob, reward, beta)
    return -earned, -kl


def _speed_in_the_inverse(reference_log_prob, reward, beta):
    earned, kl = frontier_speed(reference_log_prob, reward, beta)
    return -earned * beta**2, -kl * beta**2


def _speed_swapped(reference_log_prob, reward, beta):
    earned, kl = frontier_speed(reference_log_prob, reward, beta)
    return kl, earned


def _speed_cases(generator: np.random.Generator) -> list[tuple]:
    """Draw worlds and a β that is neither large nor small."""
    return [(*drawn_world(generator, size), float(generator.uniform(0.3, 2.0))) for size in range(3, 12)]


EXERCISE = Exercise(
    id="1.4", title="Along the frontier", minutes=12, difficulty=4, points=4, goal=READ,
    solution=frontier_speed, cases=_speed_cases,
    wrong=(
        Wrong(_speed_of_the_reference, "Your variance is that of the reward under the reference. Which policy "
              "moves?"),
        Wrong(_speed_upwards, "The sign is the wrong way round: a larger β makes the optimum earn less, and stay "
              "nearer."),
        Wrong(_speed_in_the_inverse, "These are the derivatives with respect to 1/β. One more factor turns them "
              "into those with respect to β."),
        Wrong(_speed_swapped, "Your two numbers are exchanged: E r comes first, KL second."),
    ),
    hints=(
        "With t = 1/β the optimum is π* ∝ π_ref exp(t r). Differentiate with respect to t first.",
        "d log π*(y)/dt = r(y) − E r, so that dE r/dt = Var r under π*. Then dt/dβ = −1/β².",
        "KL = t E r − log Z, and d log Z/dt = E r. So dKL/dt = t Var r.",
    ),
)  # fmt: skip
