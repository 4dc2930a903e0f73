"""Exercise 2.5: whether a predicted win rate of 70 % means 70 %."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.reward_models.goals import CALIBRATION
from lab.course.chapters.reward_models.worlds import drawn_wins
from lab.course.exercise import Exercise, Wrong


def calibration_error(reward, wins, edges):
    """Compute how far predicted win rates lie from counted ones.

    Take every couple in both orders. The prediction that i beats j is σ(reward[i] − reward[j]).
    Sort the couples into bins by their prediction; a bin's predicted and counted win rates are means
    over its comparisons. The error is the mean over all comparisons of |predicted − counted| of
    their bins.

    Args:
        reward: r̂, [response].
        wins: how often each response beat each other, [winner, loser].
        edges: ends of the bins, [bin + 1], rising from 0 to 1; no prediction lies on one.

    Returns:
        One number between 0 and 1.
    """
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    place = np.digitize(prediction, edges[1:-1])
    off = comparisons * prediction - wins
    return float(sum(abs(off[place == each].sum()) for each in range(len(edges) - 1)) / comparisons.sum())


def _bins_alike(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    place = np.digitize(prediction, edges[1:-1])
    counts = [comparisons[place == each].sum() for each in range(len(edges) - 1)]
    off = [abs((comparisons * prediction - wins)[place == each].sum()) for each in range(len(edges) - 1)]
    return float(np.mean([error / count for error, count in zip(off, counts, strict=True) if count]))


def _winners_only(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    place = np.digitize(prediction, edges[1:-1])
    off = [abs((wins * prediction - wins)[place == each].sum()) for each in range(len(edges) - 1)]
    return float(sum(off) / wins.sum())


def _couple_by_couple(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    return float(np.abs(comparisons * prediction - wins).sum() / comparisons.sum())


def _without_bins(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    return float(abs((comparisons * prediction - wins).sum()) / comparisons.sum())


def _couples_alike(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    seen = comparisons > 0
    rate = np.divide(wins, comparisons, out=np.zeros_like(prediction), where=seen)
    place = np.digitize(prediction, edges[1:-1])
    off = [abs(((prediction - rate) * seen)[place == each].sum()) for each in range(len(edges) - 1)]
    return float(sum(off) / seen.sum())


def _rates_unweighted(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    seen = comparisons > 0
    place = np.where(seen, np.digitize(prediction, edges[1:-1]), -1)
    total = 0.0
    for each in set(place[seen].tolist()):
        here = place == each
        total += comparisons[here].sum() * abs(prediction[here].mean() - (wins[here] / comparisons[here]).mean())
    return float(total / comparisons.sum())


def _counted_twice(reward, wins, edges):
    return 2 * calibration_error(reward, wins, edges)


def _one_order(reward, wins, edges):
    above = np.triu(np.ones_like(wins), 1)
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = (wins + wins.T) * above
    place = np.digitize(prediction, edges[1:-1])
    off = comparisons * prediction - wins * above
    return float(sum(abs(off[place == each].sum()) for each in range(len(edges) - 1)) / comparisons.sum())


def _empty_bins(reward, wins, edges):
    prediction = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    comparisons = wins + wins.T
    place = np.digitize(prediction, edges[1:-1])
    total = 0.0
    with np.errstate(all="ignore"):
        for each in range(len(edges) - 1):
            here = place == each
            count = comparisons[here].sum()
            predicted, counted = (comparisons * prediction)[here].sum() / count, wins[here].sum() / count
            total += count * abs(predicted - counted)
    return float(total / comparisons.sum())


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw rewards that are not those of the comparisons, and couples that are compared unequally often."""
    edges = np.linspace(0, 1, 6)
    return [(1.5 * generator.normal(size=size), drawn_wins(generator, size, 12 * size), edges) for size in range(4, 10)]


EXERCISE = Exercise(
    id="2.5",
    title="Does 70 % mean 70 %?",
    minutes=12,
    difficulty=3,
    points=3,
    goal=CALIBRATION,
    solution=calibration_error,
    cases=_cases,
    wrong=(
        Wrong(
            _bins_alike,
            "Your mean gives each bin the same weight. A bin with two comparisons then counts as much as one with two "
            "hundred.",
        ),
        Wrong(
            _winners_only,
            "You look at each comparison from its winner's side only, where the counted rate is always 1. Take both "
            "orders of each couple.",
        ),
        Wrong(
            _couple_by_couple,
            "You take |predicted − counted| for each couple. Inside a bin errors of both signs cancel: add first, then "
            "take the absolute value.",
        ),
        Wrong(
            _without_bins,
            "You put everything into one bin. Over both orders of all couples the mean prediction is always one half.",
        ),
        Wrong(
            _couples_alike,
            "Your means give each couple the same weight, however often it was compared. Weigh it by its comparisons.",
        ),
        Wrong(
            _rates_unweighted,
            "Inside a bin you take plain means over couples. Both rates are means over the bin's comparisons: a couple "
            "that was compared more often weighs more.",
        ),
        Wrong(
            _counted_twice,
            "You are off by a factor 2. In both orders each comparison counts twice: in the bins, and in the number "
            "that you divide by.",
        ),
        Wrong(_one_order, "You take each couple in one order only. Both orders belong in the bins."),
        Wrong(_empty_bins, "A bin in which no couple was compared gives 0/0. Leave it out: it has no comparisons."),
    ),
    hints=(
        "wins + wins.T counts the comparisons of each couple; i won wins[i, j] of them. Diagonals are 0 in both.",
        "np.digitize(prediction, edges[1:-1]) gives each couple the number of its bin.",
        "A bin contributes |Σ comparisons · prediction − Σ wins|; divide the sum over bins by all comparisons.",
    ),
)
