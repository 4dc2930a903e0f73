"""Exercise 2.3: fit rewards by gradient descent, and see what separable data do."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.reward_models.goals import SEPARABLE
from lab.course.chapters.reward_models.likelihood import bt_loss
from lab.course.chapters.reward_models.worlds import drawn_wins
from lab.course.exercise import Exercise, Wrong

ENOUGH = 0.05  # the loss at which an early stop stops


def fit(wins, lr, steps):
    """Fit rewards to comparisons by gradient descent on the mean loss.

    All rewards begin at 0. Each of exactly `steps` steps subtracts lr times the gradient of the loss
    of exercise 2.1.

    Args:
        wins: how often each response beat each other, [winner, loser].
        lr: learning rate.
        steps: number of steps.

    Returns:
        The rewards after the last step, [response].
    """
    reward = np.zeros(len(wins))
    share = wins / wins.sum()
    for _ in range(steps):
        apart = reward[:, None] - reward[None, :]
        push = share / (1 + np.exp(apart))
        reward = reward + lr * (push.sum(1) - push.sum(0))
    return reward


def _stopping_early(wins, lr, steps):
    reward = np.zeros(len(wins))
    for _ in range(steps):
        loss, gradient = bt_loss(reward, wins)
        if loss < ENOUGH:
            break
        reward = reward - lr * gradient
    return reward


def _climbing(wins, lr, steps):
    reward = np.zeros(len(wins))
    for _ in range(steps):
        reward = reward + lr * bt_loss(reward, wins)[1]
    return reward


def _of_the_sum(wins, lr, steps):
    return fit(wins, lr * wins.sum(), steps)


def _one_step_less(wins, lr, steps):
    return fit(wins, lr, steps - 1)


def _one_step_more(wins, lr, steps):
    return fit(wins, lr, steps + 1)


def _first_at_zero(wins, lr, steps):
    reward = fit(wins, lr, steps)
    return reward - reward[0]


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw noisy comparisons, one that was labelled once, and a chain in which nobody ever loses to a lower one."""
    once = np.array([[0.0, 1.0], [0.0, 0.0]])
    chain = np.triu(np.ones((4, 4)), 1)
    noisy = [(drawn_wins(generator, size, 8 * size), 0.5, 60) for size in range(2, 6)]
    return [*noisy, (once, 1.0, 500), (chain, 2.0, 500)]


EXERCISE = Exercise(
    id="2.3",
    title="Train until you are told to stop",
    minutes=10,
    difficulty=2,
    points=2,
    goal=SEPARABLE,
    solution=fit,
    cases=_cases,
    wrong=(
        Wrong(
            _stopping_early,
            "Your training stops by itself when the loss is small. Take every step: what follows is the point.",
        ),
        Wrong(_climbing, "Your rewards go uphill: the winners end below the losers. Subtract the gradient."),
        Wrong(_of_the_sum, "Your steps are those of the summed loss, larger the more comparisons there are."),
        Wrong(_one_step_less, "You are one step short."),
        Wrong(_one_step_more, "You take one step too many."),
        Wrong(
            _first_at_zero,
            "Your differences are right, and shifted so that one reward is 0. Begin with all rewards at 0 and only "
            "step: nothing else moves them.",
        ),
    ),
    hints=(
        "You have the gradient from exercise 2.1; reference('2.1') gives it too.",
        "A loop of three lines will do: loss and gradient, then reward = reward − lr * gradient.",
        "Repeat `steps` times: reward = reward − lr * reference('2.1')(reward, wins)[1].",
    ),
    tolerance=1e-8,
)
