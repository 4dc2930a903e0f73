"""Exercise 6.7: The cheapest weight that holds."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.losses.goals import FIX
from lab.course.exercise import Exercise, Wrong


def cheapest_weight(weights, chosen, floor):
    """Choose an SFT weight from a sweep: the smallest one that holds, one number.

    weights [weight] are the weights that were tried, in any order; chosen [weight, seed] is the
    chosen mass at the end of each run. A weight holds if at least 95 % of its seeds end at the
    floor or above it. Return the smallest weight that holds, or np.inf if none does.
    """
    holds = (chosen >= floor).mean(axis=1) >= 0.95
    return float(weights[holds].min()) if holds.any() else np.inf


def _by_the_median(weights, chosen, floor):
    holds = np.median(chosen, axis=1) >= floor
    return float(weights[holds].min()) if holds.any() else np.inf


def _by_the_mean(weights, chosen, floor):
    holds = chosen.mean(axis=1) >= floor
    return float(weights[holds].min()) if holds.any() else np.inf


def _most_chosen(weights, chosen, floor):
    return float(weights[np.argmax(np.median(chosen, axis=1))])


def _every_seed(weights, chosen, floor):
    holds = (chosen >= floor).all(axis=1)
    return float(weights[holds].min()) if holds.any() else np.inf


def _first_in_the_list(weights, chosen, floor):
    holds = (chosen >= floor).mean(axis=1) >= 0.95
    return float(weights[np.argmax(holds)]) if holds.any() else np.inf


def _cases(rng: np.random.Generator) -> list[tuple]:
    def one(floor: float, below: tuple[int, ...]) -> tuple:
        """Draw 40 seeds a weight, of which so many end below the floor, by little or by much."""
        weights = np.array([0.0, 0.001, 0.01, 0.03, 0.1, 1.0])
        chosen = floor + (1 - floor) * rng.uniform(0, 1, (6, 40))
        chosen *= np.linspace(0.999, 1, 6)[:, None]
        chosen = np.maximum(chosen, floor)
        for row, count in enumerate(below):
            chosen[row, rng.choice(40, count, replace=False)] = floor * rng.uniform(0.97, 0.999, count)
        order = rng.permutation(6)
        return weights[order], chosen[order], floor

    return [
        one(0.9, (30, 12, 4, 1, 0, 0)),
        one(0.9, (25, 15, 2, 0, 0, 0)),
        one(0.95, (40, 30, 18, 8, 2, 1)),
        one(0.5, (3, 3, 2, 0, 0, 0)),
        one(0.8, (40, 40, 40, 40, 30, 22)),
    ]


EXERCISE = Exercise(
    id="6.7",
    title="The cheapest weight that holds",
    minutes=8,
    difficulty=2,
    points=2,
    goal=FIX,
    solution=cheapest_weight,
    cases=_cases,
    wrong=(
        Wrong(_by_the_median, "the median holds where half of the seeds may fail; a run that you ship is one seed."),
        Wrong(_by_the_mean, "the mean hides single seeds below the floor behind those far above it."),
        Wrong(_most_chosen, "that keeps the chosen response best and pays most: the smallest weight was asked for."),
        Wrong(_every_seed, "one seed of forty may fail; you ask for all, which more seeds make ever harder."),
        Wrong(
            _first_in_the_list,
            "the first weight in the list that holds need not be the smallest: they are not in order.",
        ),
    ),
    hints=(
        "chosen >= floor is a truth table [weight, seed].",
        "Its mean over seeds is the share that holds; compare that with 0.95.",
        "weights[holds].min(), if holds.any().",
    ),
)
