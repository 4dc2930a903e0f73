"""Exercise 5.3: An interval that covers."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.scenarios.goals import SURE
from lab.course.exercise import Exercise, Mistake, Wrong

COVERED = (0.88, 0.985)  # of 95 %, with 24 values a sample and 240 samples
WIDTH = (0.75, 1.35)  # of the interval, over that of the solution


def interval(values, seed):
    """Compute the median of every sample and its 95 % bootstrap interval: an array [3, sample].

    values is [sample, n]. In this order: the median of the n values, the lower end, the upper
    end. Draw n of the n values with replacement, some 1000 times, and take the median of each
    draw: the interval runs from the 2.5th to the 97.5th percentile of these medians. seed
    starts the random numbers: np.random.default_rng(seed). The check looks at how often the
    interval holds the true median of what the values were drawn from.
    """
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (1000, values.shape[1]))
    medians = np.median(values[:, drawn], axis=2)
    low, high = np.percentile(medians, [2.5, 97.5], axis=1)
    return np.stack([np.median(values, axis=1), low, high])


def _where_seeds_lie(values, seed):
    return np.stack([np.median(values, axis=1), *np.percentile(values, [2.5, 97.5], axis=1)])


def _one_standard_error(values, seed):
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (1000, values.shape[1]))
    spread = np.median(values[:, drawn], axis=2).std(axis=1)
    median = np.median(values, axis=1)
    return np.stack([median, median - spread, median + spread])


def _along_the_samples(values, seed):
    return interval(values.T, seed)


def _of_the_mean(values, seed):
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (1000, values.shape[1]))
    low, high = np.percentile(values[:, drawn].mean(axis=2), [2.5, 97.5], axis=1)
    return np.stack([values.mean(axis=1), low, high])


def _ends_of_the_mean(values, seed):
    return np.stack([np.median(values, axis=1), *_of_the_mean(values, seed)[1:]])


def _without_replacement(values, seed):
    drawn = np.random.default_rng(seed).permutation(values.shape[1])
    return np.stack([np.median(values[:, drawn], axis=1)] * 3)


def _sample_cases(rng: np.random.Generator) -> list[tuple]:
    """Draw samples whose true median is 0: exponential ones, which are skewed as probabilities near 1 are."""
    return [(rng.exponential(size=(240, 24)) - np.log(2), 7), (np.log(2) - rng.exponential(size=(240, 24)), 8)]


SPREAD_SAYS = "that is where single seeds lie, not where their median lies: draw samples anew and take their medians."
NARROW_SAYS = "one standard error is no 95 % interval."
POINT_SAYS = "both ends are one number: draw with replacement, or each draw is the sample again."
OF_MEAN_SAYS = "the ends are those of the mean: take the median of each draw."
AXIS_SAYS = "the median is to be taken over the n values of each sample, the second axis."
MEAN_SAYS = "the first row has to be the median of each sample, not its mean."


def _cover(cases: list[tuple], outputs: list) -> None:
    for (values, seed), output in zip(cases, outputs, strict=True):
        found, mine = np.asarray(output, float), interval(values, seed)
        if found.shape != mine.shape:
            raise Mistake(f"it gives the shape {found.shape}, asked for is {mine.shape}: {AXIS_SAYS}")
        if np.abs(found[0] - mine[0]).max() > 1e-9:
            raise Mistake(MEAN_SAYS)
        covered = float(np.mean((found[1] <= 0) & (found[2] >= 0)))
        width = float((found[2] - found[1]).mean() / (mine[2] - mine[1]).mean())
        told = f"of {len(values)} intervals {covered:.0%} hold the true median, instead of about 95 %: "
        if covered > COVERED[1] or width > WIDTH[1]:
            raise Mistake(told + SPREAD_SAYS)
        if width < 1e-9:
            raise Mistake(told + POINT_SAYS)
        middle, mean = (found[1] + found[2]) / 2, values.mean(axis=1)
        if np.abs(middle - mean).mean() < np.abs(found[0] - mean).mean() / 4:
            raise Mistake(told + OF_MEAN_SAYS)
        if covered < COVERED[0] or width < WIDTH[0]:
            raise Mistake(told + NARROW_SAYS)


EXERCISE = Exercise(
    id="5.3",
    title="An interval that covers",
    minutes=12,
    difficulty=3,
    points=3,
    goal=SURE,
    solution=interval,
    cases=_sample_cases,
    wrong=(
        Wrong(_where_seeds_lie, SPREAD_SAYS),
        Wrong(_one_standard_error, NARROW_SAYS),
        Wrong(_along_the_samples, AXIS_SAYS),
        Wrong(_of_the_mean, MEAN_SAYS),
        Wrong(_ends_of_the_mean, OF_MEAN_SAYS),
        Wrong(_without_replacement, POINT_SAYS),
    ),
    hints=(
        "A bootstrap asks how the median would differ if other seeds had been drawn, using the seeds at hand.",
        "np.random.default_rng(seed).integers(0, n, (1000, n)) draws 1000 times n positions; the same draws may "
        "serve all samples.",
        "medians = np.median(values[:, drawn], axis=2) is [sample, 1000]; np.percentile(medians, [2.5, 97.5], "
        "axis=1) are the ends.",
    ),
    judge=_cover,
)
