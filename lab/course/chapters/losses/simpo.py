"""Exercise 6.2: SimPO, without a reference."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.losses.goals import WRITE
from lab.course.exercise import Exercise, Wrong


def simpo_loss(chosen, rejected, chosen_length, rejected_length, beta, gamma):
    """Compute the SimPO loss of every pair, [pair], not averaged.

    chosen and rejected [pair] are log pi of whole responses, summed over their tokens, in nats;
    the lengths [pair] count the tokens. SimPO scores a response by beta times its mean
    log-probability a token, asks the chosen score to be above the rejected one by gamma, and
    takes -log sigmoid of what is over. There is no reference. Scores may be hundreds of nats
    apart: the loss has to stay finite.
    """
    score_margin = beta * (chosen / chosen_length - rejected / rejected_length)
    return np.logaddexp(0.0, gamma - score_margin)


def _without_gamma(chosen, rejected, chosen_length, rejected_length, beta, gamma):
    return simpo_loss(chosen, rejected, chosen_length, rejected_length, beta, 0.0)


def _gamma_given_away(chosen, rejected, chosen_length, rejected_length, beta, gamma):
    return simpo_loss(chosen, rejected, chosen_length, rejected_length, beta, -gamma)


def _gamma_times_beta(chosen, rejected, chosen_length, rejected_length, beta, gamma):
    return simpo_loss(chosen, rejected, chosen_length, rejected_length, beta, beta * gamma)


def _sums_of_tokens(chosen, rejected, chosen_length, rejected_length, beta, gamma):
    return np.logaddexp(0.0, gamma - beta * (chosen - rejected))


def _one_length_for_both(chosen, rejected, chosen_length, rejected_length, beta, gamma):
    return np.logaddexp(0.0, gamma - beta * (chosen - rejected) / chosen_length)


def _cases(rng: np.random.Generator) -> list[tuple]:
    def one(beta: float, gamma: float, scale: float) -> tuple:
        lengths = rng.integers(1, 40, (2, 4)).astype(float)
        chosen, rejected = -scale * rng.exponential(size=(2, 4)) * lengths
        return chosen, rejected, *lengths, beta, gamma

    return [one(2.0, 0.5, 1.0), one(2.5, 1.4, 1.0), one(10.0, 5.0, 2.0), one(10.0, 0.3, 200.0)]


EXERCISE = Exercise(
    id="6.2",
    title="SimPO, without a reference",
    minutes=8,
    difficulty=2,
    points=2,
    goal=WRITE,
    solution=simpo_loss,
    cases=_cases,
    wrong=(
        Wrong(_without_gamma, "gamma is missing: a pair whose scores are equal has to cost more than log 2."),
        Wrong(_gamma_given_away, "gamma has the wrong sign: the chosen score has to be *above* by gamma, not below."),
        Wrong(_gamma_times_beta, "gamma is asked of the scores, which have beta in them already."),
        Wrong(_sums_of_tokens, "these are sums over tokens: a longer response has a lower sum, whatever its quality."),
        Wrong(_one_length_for_both, "each response is divided by its own length."),
    ),
    hints=(
        "DPO subtracts a reference to take away what is common. What does SimPO divide by instead?",
        "The margin is beta (chosen / chosen_length - rejected / rejected_length) - gamma.",
        "-log sigmoid(x) without an overflow is np.logaddexp(0, -x).",
    ),
)
