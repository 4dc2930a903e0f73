"""Exercise 2.1: the likelihood of comparisons, and its gradient."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.reward_models.goals import LIKELIHOOD
from lab.course.chapters.reward_models.worlds import drawn_wins
from lab.course.exercise import Exercise, Wrong


def bt_loss(reward, wins):
    """Compute the loss of rewards on comparisons, and its gradient.

    The loss is the mean over all comparisons of −log σ(reward of the winner − reward of the loser).

    Args:
        reward: r̂ of every response, [response]; differences may be in the thousands.
        wins: how often each response beat each other, [winner, loser]; 0 on the diagonal.

    Returns:
        The loss, one number, and its gradient with respect to the rewards, [response].
    """
    apart = reward[:, None] - reward[None, :]
    share = wins / wins.sum()
    loss = (share * np.logaddexp(0, -apart)).sum()
    push = share * np.exp(-np.logaddexp(0, apart))
    return float(loss), push.sum(0) - push.sum(1)


def _ascending(reward, wins):
    loss, gradient = bt_loss(reward, wins)
    return loss, -gradient


def _summed(reward, wins):
    loss, gradient = bt_loss(reward, wins)
    return loss * float(wins.sum()), gradient * wins.sum()


def _wrong_side(reward, wins):
    apart = reward[:, None] - reward[None, :]
    share = wins / wins.sum()
    push = share * np.exp(-np.logaddexp(0, -apart))
    return float((share * np.logaddexp(0, -apart)).sum()), push.sum(0) - push.sum(1)


def _winners_only(reward, wins):
    apart = reward[:, None] - reward[None, :]
    push = wins / wins.sum() * np.exp(-np.logaddexp(0, apart))
    return bt_loss(reward, wins)[0], -push.sum(1)


def _transposed(reward, wins):
    return bt_loss(reward, wins.T)


def _overflowing(reward, wins):
    with np.errstate(all="ignore"):
        chance = 1 / (1 + np.exp(-(reward[:, None] - reward[None, :])))
        share = wins / wins.sum()
        push = share * (1 - chance)
        return float(-(share * np.log(chance)).sum()), push.sum(0) - push.sum(1)


def _gradient_summed(reward, wins):
    loss, gradient = bt_loss(reward, wins)
    return loss, gradient * wins.sum()


def _mean_over_the_table(reward, wins):
    loss, gradient = _summed(reward, wins)
    return loss / wins.size, gradient / wins.size


def _mean_over_couples(reward, wins):
    loss, gradient = _summed(reward, wins)
    return loss / float((wins > 0).sum()), gradient / (wins > 0).sum()


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw ordinary comparisons, and rewards that lie thousands apart."""
    ordinary = [(generator.normal(size=size), drawn_wins(generator, size, 5 * size)) for size in range(2, 9)]
    return [*ordinary, (np.array([2000.0, 0.0, -1500.0]), drawn_wins(generator, 3, 30))]


EXERCISE = Exercise(
    id="2.1",
    title="The loss of a reward model",
    minutes=12,
    difficulty=3,
    points=3,
    goal=LIKELIHOOD,
    solution=bt_loss,
    cases=_cases,
    wrong=(
        Wrong(
            _ascending,
            "Your gradient has the wrong sign. A small step against the gradient has to lower the loss: try it.",
        ),
        Wrong(_summed, "Your numbers grow with the number of comparisons. The task asks for a mean."),
        Wrong(
            _gradient_summed,
            "Your loss is a mean and your gradient that of the sum: divide it by the number of comparisons too.",
        ),
        Wrong(
            _mean_over_the_table,
            "You divide by the number of entries of the table. The mean is over comparisons: wins.sum() of them.",
        ),
        Wrong(
            _mean_over_couples,
            "You divide by the number of entries above 0. A couple that was compared four times counts four times.",
        ),
        Wrong(
            _wrong_side,
            "Your push is large where the reward orders the pair rightly. On which side of 0 is σ to be near 1?",
        ),
        Wrong(_winners_only, "Your gradient moves the winners alone. Each comparison pushes its loser just as hard."),
        Wrong(_transposed, "You read the table the other way round: wins[i, j] counts how often i beat j."),
        Wrong(
            _overflowing,
            "With differences in the thousands log(σ(·)) is −∞ or no number. Write −log σ(a) as log(1 + exp(−a)), and "
            "compute that safely.",
        ),
    ),
    hints=(
        "Begin with the table apart[i, j] = reward[i] − reward[j], by reward[:, None] − reward[None, :].",
        "−log σ(a) is np.logaddexp(0, −a), for any a. Its derivative is −σ(−a).",
        "With push = share · σ(−apart), response k gets −(row sum of push) + (column sum of push).",
    ),
)
