"""Exercise 3.1: The loss."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.dpo.goals import DERIVE
from lab.course.exercise import Exercise, Wrong


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Return the DPO loss of every pair, not averaged.

    A response is a row of tokens here, as in a language model: log π(y) is the sum of its tokens'
    log-probabilities. A shorter response is filled up with zeros. Margins reach 4000 nats to either
    side; the loss has to stay finite.

    Args:
        chosen: log-probabilities of the chosen responses' tokens under the policy, [pair, token],
            nats.
        rejected: the same of the rejected responses; they may have another number of tokens.
        reference_chosen: the chosen responses' tokens under the reference, [pair, token], nats.
        reference_rejected: the rejected responses' tokens under the reference.
        beta: β, above 0.

    Returns:
        [pair], in nats.
    """
    chosen_log_ratio = (chosen - reference_chosen).sum(axis=1)
    rejected_log_ratio = (rejected - reference_rejected).sum(axis=1)
    margin = beta * (chosen_log_ratio - rejected_log_ratio)
    return np.logaddexp(0.0, -margin)


def _loss_without_reference(chosen, rejected, reference_chosen, reference_rejected, beta):
    return np.logaddexp(0.0, -beta * (chosen.sum(axis=1) - rejected.sum(axis=1)))


def _loss_with_beta_on_one_term(chosen, rejected, reference_chosen, reference_rejected, beta):
    u, v = (chosen - reference_chosen).sum(axis=1), (rejected - reference_rejected).sum(axis=1)
    return np.logaddexp(0.0, -(beta * u - v))


def _loss_of_token_means(chosen, rejected, reference_chosen, reference_rejected, beta):
    u, v = (chosen - reference_chosen).mean(axis=1), (rejected - reference_rejected).mean(axis=1)
    return np.logaddexp(0.0, -beta * (u - v))


def _loss_of_swapped_pairs(chosen, rejected, reference_chosen, reference_rejected, beta):
    return dpo_loss(rejected, chosen, reference_rejected, reference_chosen, beta)


def _loss_that_overflows(chosen, rejected, reference_chosen, reference_rejected, beta):
    u, v = (chosen - reference_chosen).sum(axis=1), (rejected - reference_rejected).sum(axis=1)
    return -np.log(1 / (1 + np.exp(-beta * (u - v))))


def _loss_with_beta_outside(chosen, rejected, reference_chosen, reference_rejected, beta):
    return beta * dpo_loss(chosen, rejected, reference_chosen, reference_rejected, 1.0)


def _loss_without_beta(chosen, rejected, reference_chosen, reference_rejected, beta):
    return dpo_loss(chosen, rejected, reference_chosen, reference_rejected, 1.0)


def _loss_negative(chosen, rejected, reference_chosen, reference_rejected, beta):
    return -dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta)


def _loss_averaged(chosen, rejected, reference_chosen, reference_rejected, beta):
    return dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta).mean()


def _loss_cases(generator: np.random.Generator) -> list[tuple]:
    """Draw pairs of unequal lengths; one case stands at the reference, one has margins of thousands of nats."""

    def drawn(pairs: int, beta: float, scale: float) -> tuple:
        tables = []
        for longest in generator.integers(2, 9, 2):
            here = np.arange(longest) < generator.integers(1, longest + 1, (pairs, 1))
            tables.append([np.where(here, -scale * generator.exponential(size=here.shape), 0.0) for _ in range(2)])
        (chosen, reference_chosen), (rejected, reference_rejected) = tables
        return chosen, rejected, reference_chosen, reference_rejected, beta

    chosen, rejected, *_ = drawn(3, 0.1, 1.0)
    at_reference = chosen, rejected, chosen.copy(), rejected.copy(), 0.1
    return [*(drawn(4, beta, 1.0) for beta in (0.05, 0.1, 0.5, 2.0)), at_reference, drawn(12, 5.0, 150.0)]


EXERCISE = Exercise(
    id="3.1", title="The loss", minutes=10, difficulty=2, points=3, goal=DERIVE,
    solution=dpo_loss, cases=_loss_cases,
    wrong=(
        Wrong(_loss_without_reference, "A policy that equals its reference has loss log 2 = 0.693 on every pair, "
              "whatever it says. Yours has not: what are the log-probabilities to be compared with?"),
        Wrong(_loss_with_beta_on_one_term, "Your loss reacts to the rejected response as if it had another β than the "
              "chosen one. Both implicit rewards carry the same factor."),
        Wrong(_loss_of_token_means, "You divide by the number of tokens, padding included. The probability of a "
              "response is the product of its tokens' probabilities."),
        Wrong(_loss_of_swapped_pairs, "Your loss falls when the rejected response wins. Swap the pair, or the sign of "
              "the margin."),
        Wrong(_loss_that_overflows, "Your formula is right and your arithmetic is not: at a margin of −4000 it gives "
              "infinity where the loss is 4000. np.logaddexp(0, x) is log(1 + exp(x)) without the overflow."),
        Wrong(_loss_without_beta, "Your loss does not know β. The margin is β times a difference of log-ratios."),
        Wrong(_loss_with_beta_outside, "You multiply the loss by β. It is the margin, inside the σ, that carries β."),
        Wrong(_loss_negative, "Your numbers are below 0: this is log σ(m). The loss is its negative."),
        Wrong(_loss_averaged, "You average over the pairs. One number for each pair is asked for."),
    ),
    hints=(
        "Line 4 of the derivation has the loss for one pair. Which four numbers of a pair does it need?",
        "The margin is β times a difference of two log-ratios, each summed over tokens.",
        "The loss is log(1 + exp(−margin)), which np.logaddexp computes for any margin.",
    ),
)  # fmt: skip
