"""Exercise 1.2: What a policy leaves on the table."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.optimum.goals import PARTITION
from lab.course.chapters.optimum.tilt import tilt
from lab.course.chapters.optimum.worlds import drawn_world
from lab.course.exercise import Exercise, Wrong


def gap(log_prob, reference_log_prob, reward, beta):
    """Return how far a policy's objective stays below the largest that any policy has.

    J(π) = E_π r − β KL(π ‖ π_ref); the gap is max J − J(π), in the unit of the reward.

    Args:
        log_prob: log π of every response, [response], nats.
        reference_log_prob: log π_ref, [response], nats.
        reward: r, [response].
        beta: β, above 0.

    Returns:
        One number, 0 or more.
    """
    score = reference_log_prob + reward / beta
    log_optimum = score - np.logaddexp.reduce(score)
    return float(beta * (np.exp(log_prob) * (log_prob - log_optimum)).sum())


def _gap_reversed(log_prob, reference_log_prob, reward, beta):
    log_optimum = tilt(reference_log_prob, reward, beta)
    return float(beta * (np.exp(log_optimum) * (log_optimum - log_prob)).sum())


def _gap_without_beta(log_prob, reference_log_prob, reward, beta):
    return gap(log_prob, reference_log_prob, reward, beta) / beta


def _gap_to_reference(log_prob, reference_log_prob, reward, beta):
    return float(beta * (np.exp(log_prob) * (log_prob - reference_log_prob)).sum())


def _gap_in_reward(log_prob, reference_log_prob, reward, beta):
    return float((np.exp(tilt(reference_log_prob, reward, beta)) - np.exp(log_prob)) @ reward)


def _gap_with_negative_sign(log_prob, reference_log_prob, reward, beta):
    return -gap(log_prob, reference_log_prob, reward, beta)


def _gap_of_the_log_partition(log_prob, reference_log_prob, reward, beta):
    score = reference_log_prob + reward / beta
    objective = np.exp(log_prob) @ (reward - beta * (log_prob - reference_log_prob))
    return float(np.logaddexp.reduce(score) - objective)


def _gap_to_the_best_reward(log_prob, reference_log_prob, reward, beta):
    return float(reward.max() - np.exp(log_prob) @ (reward - beta * (log_prob - reference_log_prob)))


def _gap_cases(generator: np.random.Generator) -> list[tuple]:
    """Draw a policy of its own in each world."""
    drawn = [(drawn_world(generator, responses)[0], *drawn_world(generator, responses)) for responses in range(2, 12)]
    return [(*each, float(np.exp(generator.normal()))) for each in drawn]


EXERCISE = Exercise(
    id="1.2", title="What a policy leaves on the table", minutes=10, difficulty=3, points=3, goal=PARTITION,
    solution=gap, cases=_gap_cases,
    wrong=(
        Wrong(_gap_reversed, "Your number is what the optimum would lose under the policy: the two places of KL are "
              "exchanged. Under which of the two is J(π) an expectation?"),
        Wrong(_gap_without_beta, "Your number is off by the factor β. The gap has the unit of the reward; KL is "
              "in nats."),
        Wrong(_gap_to_reference, "You measure the way from the reference. It is the optimum that the gap is "
              "measured from."),
        Wrong(_gap_in_reward, "You compare rewards alone. The objective also charges β KL, for both policies."),
        Wrong(_gap_with_negative_sign, "The sign is the wrong way round: no policy has more than the largest "
              "objective, so that the gap is never below 0."),
        Wrong(_gap_of_the_log_partition, "You subtract J(π) from log Z. The largest objective is β log Z."),
        Wrong(_gap_to_the_best_reward, "You subtract J(π) from the largest reward. Giving that response alone costs "
              "β KL: no policy reaches it. What is max J?"),
    ),
    hints=(
        "You can compute max J − J(π) as it stands, or use the third line of the derivation.",
        "J(π) = β log Z − β KL(π ‖ π*). Which of the two terms does π change?",
        "The gap is β Σ π (log π − log π*).",
    ),
)  # fmt: skip
