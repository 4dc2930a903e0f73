"""Exercise 1.5: β from a budget."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.optimum.goals import READ
from lab.course.chapters.optimum.tilt import tilt
from lab.course.chapters.optimum.worlds import drawn_world
from lab.course.exercise import Exercise, Wrong


def beta_for(kl, reference_log_prob, reward):
    """Return the β whose optimum is exactly that far from the reference: KL(π* ‖ π_ref) = kl.

    Args:
        kl: the KL that may be spent, nats; some β between 1e-3 and 1e3 spends just that.
        reference_log_prob: log π_ref, [response], nats.
        reward: r, [response].

    Returns:
        β, to at least six digits.
    """
    low, high = np.log(1e-3), np.log(1e3)
    for _ in range(80):
        middle = (low + high) / 2
        score = reference_log_prob + reward / np.exp(middle)
        log_prob = score - np.logaddexp.reduce(score)
        spent = np.exp(log_prob) @ (log_prob - reference_log_prob)
        low, high = (middle, high) if spent > kl else (low, middle)
    return float(np.exp((low + high) / 2))


def _beta_of_a_small_tilt(kl, reference_log_prob, reward):
    prob = np.exp(reference_log_prob)
    return float(np.sqrt(prob @ (reward - prob @ reward) ** 2 / (2 * kl)))


def _beta_for_bits(kl, reference_log_prob, reward):
    return beta_for(kl * np.log(2), reference_log_prob, reward)


def _beta_of_the_other_kl(kl, reference_log_prob, reward):
    low, high = np.log(1e-3), np.log(1e3)
    for _ in range(80):
        middle = (low + high) / 2
        log_prob = tilt(reference_log_prob, reward, np.exp(middle))
        spent = np.exp(reference_log_prob) @ (reference_log_prob - log_prob)
        low, high = (middle, high) if spent > kl else (low, middle)
    return float(np.exp((low + high) / 2))


def _beta_inverted(kl, reference_log_prob, reward):
    return 1 / beta_for(kl, reference_log_prob, reward)


def _beta_at_the_end(kl, reference_log_prob, reward):
    return 1e3


def _budget_cases(generator: np.random.Generator) -> list[tuple]:
    """Draw a budget that the optimum can spend: half of that of β = 0.2."""
    cases = []
    for size in range(4, 11):
        reference_log_prob, reward = drawn_world(generator, size)
        log_prob = tilt(reference_log_prob, reward, 0.2)
        cases.append((float(np.exp(log_prob) @ (log_prob - reference_log_prob)) / 2, reference_log_prob, reward))
    return cases


EXERCISE = Exercise(
    id="1.5", title="β from a budget", minutes=12, difficulty=3, points=3, goal=READ,
    solution=beta_for, cases=_budget_cases, tolerance=1e-5,
    wrong=(
        Wrong(_beta_of_a_small_tilt, "Your β is right for small budgets only: KL ≈ Var r / (2β²) holds as β → ∞. "
              "Solve the exact equation."),
        Wrong(_beta_for_bits, "Your β spends the budget in bits. Here KL is in nats, by natural logarithms."),
        Wrong(_beta_of_the_other_kl, "Your β spends the budget in KL(π_ref ‖ π*). It is KL(π* ‖ π_ref) that the "
              "objective charges."),
        Wrong(_beta_inverted, "You return 1/β."),
        Wrong(_beta_at_the_end, "Your search runs to the upper end, 1000, in each case: it moves the wrong end of its "
              "interval. A larger β spends less."),
    ),
    hints=(
        "KL(π* ‖ π_ref) falls when β grows, without exception. What do you do with one equation of that kind?",
        "Halve an interval that holds the answer, again and again. β spans many powers of ten: halve log β.",
        "If the optimum at the middle spends more than the budget, β is too small: move the lower end up.",
    ),
)  # fmt: skip
