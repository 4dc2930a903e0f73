"""Exercise 7.3: compare at equal KL."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.rlhf.goals import FAIR
from lab.course.exercise import Exercise, Wrong


def reward_at_kl(kl, reward, level):
    """Compute the most reward that the policies of a sweep give at a KL, if two may be mixed.

    A mixture takes policy i with probability p and policy j otherwise: its reward is the mean of the
    two, and so, at most, is its KL. Count its KL as that mean.

    Args:
        kl: KL(π ‖ π_ref) of each policy, [policy], nats, in no order; the first is the reference.
        reward: expected reward of each policy, [policy].
        level: the KL that may be spent at most, above 0; some policy spends more.

    Returns:
        One number.
    """
    best = max(reward[kl <= level])
    for i in np.flatnonzero(kl <= level):
        for j in np.flatnonzero(kl > level):
            share = (level - kl[i]) / (kl[j] - kl[i])
            best = max(best, (1 - share) * reward[i] + share * reward[j])
    return float(best)


def _nearest(kl, reward, level):
    return float(reward[np.abs(kl - level).argmin()])


def _unmixed(kl, reward, level):
    return float(reward[kl <= level].max())


def _whatever_kl(kl, reward, level):
    return float(reward.max())


def _between_neighbours(kl, reward, level):
    order = np.argsort(kl)
    return float(np.interp(level, kl[order], reward[order]))


def _from_the_reference(kl, reward, level):
    beyond = kl > level
    return float((reward[0] + (reward[beyond] - reward[0]) * level / kl[beyond]).max())


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw a sweep with a bent frontier, some policies far below it, and levels inside."""
    cases = []
    for policies in (4, 6, 8, 12, 16):
        kl = np.append(0.0, generator.uniform(0.2, 3.0, policies))
        reward = np.append(0.1, np.sqrt(kl[1:]) * generator.uniform(0.4, 1.0, policies))
        cases += [(kl, reward, float(share * kl.max())) for share in (0.3, 0.6, 0.8)]
    return cases


EXERCISE = Exercise(
    id="7.3",
    title="Compare at equal KL",
    minutes=12,
    difficulty=3,
    points=3,
    goal=FAIR,
    solution=reward_at_kl,
    cases=_cases,
    wrong=(
        Wrong(_nearest, "You take the policy whose KL is nearest to the level. It may spend more than is allowed."),
        Wrong(
            _unmixed,
            "You take single policies only. Between two of them a mixture does better, and it counts.",
        ),
        Wrong(_whatever_kl, "You take the largest reward of all, whatever KL it costs."),
        Wrong(
            _between_neighbours,
            "You join neighbours in KL. Where one of them is a bad policy, a mixture of two others passes above it.",
        ),
        Wrong(_from_the_reference, "You mix with the reference alone. Other policies below the level mix better."),
    ),
    hints=(
        "Candidates are of two kinds: single policies within the level, and mixtures of one within and one beyond.",
        "A mixture of i (within) and j (beyond) hits the level with the share (level − kl_i)/(kl_j − kl_i) of j.",
        "Two loops and a maximum are enough: the sweeps are small.",
    ),
)
