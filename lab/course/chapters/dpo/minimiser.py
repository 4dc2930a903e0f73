"""Exercise 3.4: The minimum of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.course.chapters.dpo.goals import OPTIMUM
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.judging import like_the_solution

NEAR = 1e-6  # KL in nats within which two policies count as one
LOG_SUM = 1e-8  # how far the log of the summed probabilities may be from 0


def dpo_minimiser(wins, reference_log_prob, beta):
    """Return the policy at which DPO's loss over all comparisons is least, as log-probabilities.

    Every couple of responses has been compared, infinitely often. The labels follow Bradley–Terry
    for some reward that you do not see. Solve it or train it; KL(optimum ‖ yours) has to be below
    1e-6 nats, for the optimum of the RLHF objective with that reward.

    Args:
        wins: probability that i is preferred over j, strictly between 0 and 1, [i, j]; wins[i, j] +
            wins[j, i] = 1.
        reference_log_prob: log π_ref, [response], nats.
        beta: β, above 0.

    Returns:
        log π, [response], nats; the probabilities sum to 1.
    """
    reward = np.log(wins[:, 0]) - np.log(wins[0, :])
    logits = reference_log_prob + reward / beta
    return logits - np.logaddexp.reduce(logits)


def descend(wins, reference_log_prob, beta, *, steps, tolerance=0.0):
    """Minimise the same loss for any wins by Newton's method; each step is halved until the loss falls.

    A couple is compared as often as the reference draws it: it counts by π_ref(i) π_ref(j).

    Args:
        wins: as for `dpo_minimiser`; any probabilities.
        reference_log_prob: log π_ref, [response], nats.
        beta: β, above 0.
        steps: most steps.
        tolerance: stop where every entry of the gradient is below it.

    Returns:
        log π, [response], nats.

    Source: own derivation; tests/test_chapter_dpo.py holds it against the optimum and against training.
    """
    weight = np.exp(reference_log_prob[:, None] + reference_log_prob) * wins
    np.fill_diagonal(weight, 0.0)

    def loss(log_ratio):
        return (weight * np.logaddexp(0.0, -beta * (log_ratio[:, None] - log_ratio))).sum()

    log_ratio = np.zeros(len(wins))
    for _ in range(steps):
        push = np.exp(-np.logaddexp(0.0, beta * (log_ratio[:, None] - log_ratio)))  # σ(−m) of i over j
        gradient = beta * ((weight * push).sum(0) - (weight * push).sum(1))
        if np.abs(gradient).max() <= tolerance:
            break
        curvature = beta**2 * (weight + weight.T) * push * (1 - push)
        hessian = np.diag(curvature.sum(1)) - curvature
        direction = -np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        length = 1.0
        while length > 1e-10 and loss(log_ratio + length * direction) > loss(log_ratio):
            length /= 2
        log_ratio = log_ratio + length * direction
    logits = reference_log_prob + log_ratio
    return logits - np.logaddexp.reduce(logits)


def _minimiser_times_beta(wins, reference_log_prob, beta):
    return dpo_minimiser(wins, reference_log_prob, 1 / beta)


def _minimiser_without_reference(wins, reference_log_prob, beta):
    return dpo_minimiser(wins, np.zeros(len(wins)), beta)


def _minimiser_of_win_rates(wins, reference_log_prob, beta):
    logits = reference_log_prob + (wins.sum(axis=1) - 0.5) / (len(wins) - 1) / beta
    return logits - np.logaddexp.reduce(logits)


def _minimiser_turned_round(wins, reference_log_prob, beta):
    return dpo_minimiser(wins.T, reference_log_prob, beta)


def _minimiser_of_mean_odds(wins, reference_log_prob, beta):
    rate = wins.mean(axis=1)
    logits = reference_log_prob + np.log(rate / (1 - rate)) / beta
    return logits - np.logaddexp.reduce(logits)


def _minimiser_as_probabilities(wins, reference_log_prob, beta):
    return np.exp(dpo_minimiser(wins, reference_log_prob, beta))


def _minimiser_not_normalised(wins, reference_log_prob, beta):
    return reference_log_prob + (np.log(wins[:, 0]) - np.log(wins[0, :])) / beta


def _minimiser_stopped_early(wins, reference_log_prob, beta):
    return descend(wins, reference_log_prob, beta, steps=1)


def _minimiser_cases(generator: np.random.Generator) -> list[tuple]:
    def drawn(responses: int, beta: float) -> tuple:
        reward, reference = generator.normal(size=(2, responses))
        wins = np.exp(-np.logaddexp(0.0, reward - reward[:, None]))
        return wins, reference - np.logaddexp.reduce(reference), beta

    return [drawn(3, 0.5), drawn(4, 1.3), drawn(5, 2.0), drawn(5, 0.7)]


def _is_the_optimum(cases: list[tuple], outputs: list[Any]) -> None:
    """Accept every policy within KL 1e-6 of the optimum, however it was found."""
    far = 0.0
    for case, output in zip(cases, outputs, strict=True):
        right, given = dpo_minimiser(*case), np.asarray(output, np.float64)
        if given.shape != right.shape or not abs(np.logaddexp.reduce(given)) <= LOG_SUM:
            far = np.inf
            break
        far = max(far, float(np.exp(right) @ (right - given)))
    if far < NEAR:
        return
    if far < np.inf:
        known = _sentence(cases, outputs)
        raise Mistake(known or f"KL(optimum ‖ yours) is up to {far:.2g} nats, and 1e-6 is allowed. If you solve: put "
                      "your margins β(Δᵢ − Δⱼ) through σ, and compare with wins. If you train: the loss is flat where "
                      "responses are rare, so train longer, or by larger steps.")  # fmt: skip
    raise Mistake(_sentence(cases, outputs) or "the outputs are no log-probabilities of the responses: their "
                  "exponentials have to sum to 1, one for each response.")  # fmt: skip


def _sentence(cases: list[tuple], outputs: list[Any]) -> str:
    """Return what the wrong answer with the same outputs says, or ""."""
    for wrong in EXERCISE.wrong:
        try:
            like_the_solution(cases, outputs, wrong.answer)
        except Mistake:
            continue
        return wrong.says
    return ""


EXERCISE = Exercise(
    id="3.4", title="The minimum of the loss", minutes=20, difficulty=4, points=5, goal=OPTIMUM,
    solution=dpo_minimiser, cases=_minimiser_cases, judge=_is_the_optimum,
    wrong=(
        Wrong(_minimiser_times_beta, "Your policy gets sharper as β grows. Twice the β asks for half the log-ratio at "
              "the same preference: on which side of the equation does β stand?"),
        Wrong(_minimiser_without_reference, "Your implicit rewards are right, your policy has forgotten its reference: "
              "a log-ratio says how far π is from π_ref."),
        Wrong(_minimiser_of_win_rates, "A win rate is no reward. Bradley–Terry passes the difference of two rewards "
              "through σ; take that back first."),
        Wrong(_minimiser_turned_round, "Your policy prefers what loses: wins[i, j] says how often i is preferred over "
              "j."),
        Wrong(_minimiser_of_mean_odds, "You average win probabilities first and take the odds then. The difference of "
              "two rewards is the log of the odds of one couple: take the log first."),
        Wrong(_minimiser_as_probabilities, "These are the right probabilities, and the task asks for their "
              "logarithms."),
        Wrong(_minimiser_not_normalised, "Your probabilities do not sum to 1. The logits are right: finish with a "
              "softmax."),
        Wrong(_minimiser_stopped_early, "You took one good step and stopped. The loss is convex in the logits; go on "
              "until its gradient is 0."),
    ),
    hints=(
        "For one couple the loss is a cross-entropy between P(i over j) and σ(m). At which m is it least?",
        "σ(m) = wins[i, j] gives m = log wins[i, j] − log wins[j, i]. Can one policy have all these margins at once?",
        "Yes, if labels follow Bradley–Terry: m = β(Δᵢ − Δⱼ) for all couples, with Δᵢ = (log wins[i, 0] − log "
        "wins[0, i]) / β, up to a constant.",
    ),
)  # fmt: skip
