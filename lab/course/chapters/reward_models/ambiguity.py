"""Exercise 2.2: two rewards that the data cannot tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.course.chapters.reward_models.goals import OPEN
from lab.course.chapters.reward_models.likelihood import bt_loss
from lab.course.exercise import Exercise, Mistake, Wrong

FLAT = 1e-6  # largest slope of a loss at its minimum
EQUAL = 1e-9  # of two losses

LEFT_OUT = "a response is in no comparison at all. That its reward is open is no surprise: compare each at least once."
NOT_BEST = "the loss still has a slope at one of your rewards, so that a better one exists. Both are to be minima."
OTHER_LOSS = "the two losses differ, so that the data do prefer one of the two rewards."
SAME_ORDER = "both rewards put all responses in the same order. The same constant for all changes nothing that matters."


def two_rewards():
    """Give comparisons that cannot decide between two rewards.

    Find a table of wins in which every response is compared at least once, and two rewards that
    both minimise its loss, such that one ranks some response above another, and the other ranks
    them the other way round.

    Returns:
        Three arrays: wins, how often each response beat each other, [winner, loser]; the first
        reward, [response]; the second reward, [response].
    """
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[2, 3] = 3
    wins[1, 0] = wins[3, 2] = 1
    odds = np.log(3)
    return wins, np.array([odds, 0, 10 + odds, 10]), np.array([10 + odds, 10, odds, 0])


def _only_shifted():
    wins, first, _ = two_rewards()
    return wins, first, first + 5.0


def _connected():
    wins, first, second = two_rewards()
    wins[0, 2] = wins[2, 0] = 1
    return wins, first, second


def _one_best_one_not():
    wins = np.array([[0.0, 3.0], [1.0, 0.0]])
    return wins, np.array([np.log(3), 0.0]), np.array([0.0, 1.0])


def _left_out():
    wins = np.zeros((3, 3))
    wins[0, 1] = wins[1, 0] = 1
    return wins, np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0])


def _judge(cases: list[tuple], outputs: list[Any]) -> None:
    if not isinstance(outputs[0], tuple | list) or len(outputs[0]) != 3:
        raise Mistake("asked for are three arrays: wins, the first reward and the second one.")
    wins, *rewards = (np.asarray(part, float) for part in outputs[0])
    size = rewards[0].size
    if wins.shape != (size, size) or not all(reward.shape == (size,) for reward in rewards):
        shapes = ", ".join(str(each.shape) for each in (wins, *rewards))
        raise Mistake(f"it gives shapes {shapes}; asked for are [response, response] and twice [response].")
    if not np.isfinite(wins).all() or not all(np.isfinite(reward).all() for reward in rewards):
        raise Mistake("some of your numbers are not finite. Counts and rewards are.")
    if (wins < 0).any() or np.diagonal(wins).any() or (wins != np.round(wins)).any():
        raise Mistake("wins holds counts: whole numbers of at least 0, and 0 on the diagonal.")
    if not (wins + wins.T).any(1).all():
        raise Mistake(LEFT_OUT)
    losses, slopes = zip(*(bt_loss(reward, wins) for reward in rewards), strict=True)
    if abs(losses[0] - losses[1]) > EQUAL:
        raise Mistake(OTHER_LOSS)
    if max(float(np.abs(slope).max()) for slope in slopes) > FLAT:
        raise Mistake(NOT_BEST)
    orders = [np.sign(np.round(reward[:, None] - reward[None, :], 9)) for reward in rewards]
    if not (orders[0] * orders[1] < 0).any():
        raise Mistake(SAME_ORDER)


EXERCISE = Exercise(
    id="2.2",
    title="Two rewards, one loss",
    minutes=10,
    difficulty=3,
    points=3,
    goal=OPEN,
    solution=two_rewards,
    cases=lambda generator: [()],
    wrong=(
        Wrong(_only_shifted, SAME_ORDER),
        Wrong(_one_best_one_not, OTHER_LOSS),
        Wrong(_left_out, LEFT_OUT),
        Wrong(_connected, NOT_BEST),
    ),
    hints=(
        "Draw responses as dots and comparisons as edges. Which differences of rewards does no path of edges fix?",
        "Two islands of responses that are never compared with each other are enough.",
        "Within an island with 3 wins against 1 the best difference is log 3. Then lift one whole island by 10.",
    ),
    judge=_judge,
)
