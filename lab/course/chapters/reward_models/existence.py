"""Exercise 2.4: whether any reward is the best one."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.reward_models.goals import SEPARABLE
from lab.course.exercise import Exercise, Wrong


def has_best_reward(wins):
    """Say whether some finite reward has the smallest loss of all, and is the only one up to a shift.

    Args:
        wins: how often each response beat each other, [winner, loser].

    Returns:
        True or False.
    """
    reached = (wins > 0) | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins)):
        reached = reached @ reached
    return bool(reached.all())


def _connected(wins):
    return has_best_reward(wins + wins.T)


def _both_ways(wins):
    compared = (wins + wins.T) > 0
    return bool(((wins > 0) == compared).all()) and _connected(wins)


def _nobody_perfect(wins):
    return bool((wins > 0).any(0).all() and (wins > 0).any(1).all())


def _all_compared(wins):
    return bool(((wins + wins.T + np.eye(len(wins))) > 0).all())


def _always(wins):
    return True


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Give cycles, chains, islands, and a group that never loses to another."""
    cycle = np.roll(np.eye(3), 1, axis=1)
    chain, ring = np.triu(np.ones((4, 4)), 1), np.roll(np.eye(4), 1, axis=1)
    two_cycles = np.zeros((6, 6))
    two_cycles[:3, :3] = two_cycles[3:, 3:] = cycle
    above = two_cycles.copy()
    above[:3, 3:] = 1
    returned = above.copy()
    returned[5, 0] = 1
    even = np.ones((4, 4)) - np.eye(4)
    order = generator.permutation(6)
    tables = [
        cycle,
        ring,
        chain,
        two_cycles,
        above,
        returned,
        even,
        chain + chain.T,
        np.array([[0.0, 2.0], [0.0, 0.0]]),
    ]
    return [(table,) for table in tables] + [(table[np.ix_(order, order)],) for table in (two_cycles, above, returned)]


EXERCISE = Exercise(
    id="2.4",
    title="Is there a best reward?",
    minutes=12,
    difficulty=4,
    points=4,
    goal=SEPARABLE,
    solution=has_best_reward,
    cases=_cases,
    wrong=(
        Wrong(
            _connected,
            "You ask whether the comparisons connect all responses. That is needed, and not enough: what if one of two "
            "connected responses always wins?",
        ),
        Wrong(
            _both_ways,
            "You ask that each compared couple has gone both ways. Think of a beats b, b beats c, c beats a.",
        ),
        Wrong(
            _nobody_perfect,
            "You ask that each response won and lost at least once. A whole group of responses may still have won "
            "everything against the rest.",
        ),
        Wrong(
            _all_compared,
            "You ask that each couple was compared. A path of comparisons may do, and labels that always go one way "
            "spoil it.",
        ),
        Wrong(
            _always,
            "You say yes to every table, even to one comparison with one label. Numbers at the end of a training are "
            "always finite: the question is whether they would go on growing.",
        ),
    ),
    hints=(
        "Which direction in the space of rewards would lower the loss for ever? Lift some group of responses together.",
        "Lifting a group lowers the loss for ever if and only if no response outside has ever beaten one inside.",
        "No such group exists when each response reaches each other along arrows from winner to loser.",
    ),
)
