"""Exercise 3.5: Data whose minimum is not the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.course.chapters.dpo.goals import OPTIMUM
from lab.course.chapters.dpo.minimiser import descend
from lab.course.exercise import Exercise, Mistake, Wrong

APART = 0.01  # KL in nats from which two policies count as two
SIZES = (3, 6)
LEAST, MOST = 0.01, 0.99  # of a win probability; beyond these the minimum runs off
LARGEST_REWARD = 5.0
RAREST = 0.001
BETAS = (0.1, 10.0)


def counterexample():
    """Return data from which DPO does not learn the optimum of the RLHF objective.

    All couples are compared, infinitely often, and each label is right more often than wrong:
    wins[i, j] is above 1/2 exactly where reward[i] is above reward[j]. Even so KL(optimum ‖
    minimiser of DPO's loss) has to be above 0.01 nats. Use 3 to 6 responses, win probabilities from
    0.01 to 0.99, rewards from −5 to 5, no two equal, reference probabilities of at least 0.001, and
    β from 0.1 to 10.

    Returns:
        A tuple of reference probabilities [response], rewards [response], wins [i, j] (with 1/2 on
            the diagonal) and β.
    """
    reference = np.array([0.5, 0.3, 0.2])
    reward = np.array([1.0, 0.5, 0.0])
    wins = np.where(reward[:, None] > reward, 0.8, np.where(reward[:, None] < reward, 0.2, 0.5))
    return reference, reward, wins, 0.5


def _bradley_terry(reward):
    return 1 / (1 + np.exp(reward - reward[:, None]))


def _shifted_reward():
    reward = np.array([1.0, 0.5, 0.0])
    return np.array([0.5, 0.3, 0.2]), reward, _bradley_terry(reward + 3.0), 0.5


def _wrong_order():
    reward = np.array([1.0, 0.5, 0.0])
    return np.array([0.5, 0.3, 0.2]), reward, _bradley_terry(-reward), 0.5


def _certain_labels():
    reward = np.array([1.0, 0.5, 0.0])
    wins = np.where(reward[:, None] > reward, 1.0, np.where(reward[:, None] < reward, 0.0, 0.5))
    return np.array([0.5, 0.3, 0.2]), reward, wins, 0.5


def _one_sided_wins():
    reference, reward, wins, beta = counterexample()
    return reference, reward, np.where(wins < 0.5, 0.3, wins), beta


def _is_a_counterexample(cases: list[tuple], outputs: list[Any]) -> None:
    """Minimise the loss on the given data, and look how far that is from the optimum."""
    (output,) = outputs
    if not isinstance(output, tuple | list) or len(output) != 4:
        raise Mistake("return four things in a tuple: reference probabilities, rewards, wins, β.")
    reference, reward, wins, beta = (np.asarray(each, np.float64) for each in output)
    _check_world(reference, reward, beta)
    _check_wins(wins, reward)
    log_reference = np.log(reference)
    minimum = descend(wins, log_reference, float(beta), steps=200, tolerance=1e-13)
    logits = log_reference + reward / beta
    optimum = logits - np.logaddexp.reduce(logits)
    apart = float(np.exp(optimum) @ (optimum - minimum))
    if not apart > APART:
        raise Mistake(f"{_FOUND} KL(optimum ‖ minimiser) is {max(apart, 0.0):.2g} nats. {_WHICH_LABELS}")


def _check_world(reference: np.ndarray, reward: np.ndarray, beta: np.ndarray) -> None:
    size = len(reference) if reference.ndim == 1 else 0
    if not SIZES[0] <= size <= SIZES[1] or reward.shape != (size,) or beta.ndim:
        raise Mistake("reference probabilities and rewards are two arrays of the same length, 3 to 6; β is one number.")
    if not abs(reference.sum() - 1) < 1e-9 or not (reference >= RAREST).all():
        raise Mistake("the reference probabilities have to sum to 1, each at least 0.001.")
    if not (np.abs(reward) <= LARGEST_REWARD).all() or len(np.unique(reward)) < size:
        raise Mistake("the rewards have to lie between −5 and 5, no two of them equal.")
    if not BETAS[0] <= beta <= BETAS[1]:
        raise Mistake("β has to lie between 0.1 and 10.")


def _check_wins(wins: np.ndarray, reward: np.ndarray) -> None:
    size = len(reward)
    if wins.shape != (size, size) or not (np.abs(wins + wins.T - 1) < 1e-9).all():
        raise Mistake(_NOT_BOTH_WAYS)
    if not ((wins >= LEAST) & (wins <= MOST)).all():
        raise Mistake(_TOO_CERTAIN)
    if not (((wins > 0.5) == (reward[:, None] > reward)) & ((wins == 0.5) == np.eye(size, dtype=bool))).all():
        raise Mistake(_LABELS_WRONG)


_FOUND = "Here DPO does find the optimum:"
_WHICH_LABELS = "Labels of which law does it need for that? Give it right ones of another law."
_NOT_BOTH_WAYS = "For every couple one of the two wins: wins[i, j] + wins[j, i] has to be 1, and 1/2 on the diagonal."
_TOO_CERTAIN = (
    "Certain labels have no minimum at all: the loss falls for ever as the margin grows. That is worth knowing, and "
    "another failure; stay within 0.01 and 0.99."
)
_LABELS_WRONG = (
    "Some couple is labelled wrong more often than right. That DPO learns what it is taught is no surprise; keep every "
    "majority right."
)


EXERCISE = Exercise(
    id="3.5", title="Right labels, wrong policy", minutes=15, difficulty=4, points=4, goal=OPTIMUM,
    solution=counterexample, cases=lambda generator: [()], judge=_is_a_counterexample,
    wrong=(
        Wrong(_shifted_reward, _WHICH_LABELS),
        Wrong(_wrong_order, _LABELS_WRONG),
        Wrong(_certain_labels, _TOO_CERTAIN),
        Wrong(_one_sided_wins, _NOT_BOTH_WAYS),
    ),
    hints=(
        "Exercise 3.4 used one property of the labels. Take it away, and leave the order of the responses as it is.",
        "Bradley–Terry ties the size of a preference to the gap of two rewards. Think of a judge for whom every better "
        "response is equally much better.",
        "A judge who is right 80 % of the time, whatever the couple, has wins of 0.8 above and 0.2 below.",
    ),
)  # fmt: skip
