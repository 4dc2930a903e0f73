"""Exercise 5.4: The verdict on a claim."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.scenarios.goals import CLAIM
from lab.course.exercise import Exercise, Wrong


def verdict(low, high):
    """Decide what becomes of a claim that several measures may mean: a text.

    low and high are [measure, comparison]: the ends of the interval of a difference that the
    claim wants above 0. A comparison answers "yes" where its whole interval lies above 0, "no"
    where it lies below 0, else "undecided". A measure answers "no" if one of its comparisons
    does, else "undecided" if one does, else "yes". Return "ambiguous" if some measures answer
    yes and some no; "reproduced" if some say yes and none no; "not reproduced" if some say no
    and none yes; "inconclusive" if all are undecided.
    """
    no = (high < 0).any(axis=1)
    yes = (low > 0).all(axis=1)
    if yes.any() and no.any():
        return "ambiguous"
    if yes.any():
        return "reproduced"
    return "not reproduced" if no.any() else "inconclusive"


def _middle_of_the_interval(low, high):
    middle = (low + high) / 2
    return verdict(middle, middle)


def _majority_of_comparisons(low, high):
    yes, no = (low > 0).sum(axis=1), (high < 0).sum(axis=1)
    return verdict(np.where(yes > no, 1.0, -1.0)[:, None], np.where(yes < no, -1.0, 1.0)[:, None])


def _one_yes_is_enough(low, high):
    yes, no = (low > 0).any(axis=1), (high < 0).any(axis=1)
    return verdict(np.where(yes, 1.0, -1.0)[:, None], np.where(no & ~yes, -1.0, 1.0)[:, None])


def _not_yes_is_no(low, high):
    yes = (low > 0).all(axis=1)
    sign = np.where(yes, 1.0, -1.0)[:, None]
    return verdict(sign, sign)


def _end_cases(rng: np.random.Generator) -> list[tuple]:
    def of(*rows: str) -> tuple:
        """Draw intervals: + above 0, - below 0, ~ across it with its middle above, . with its middle below."""
        ends = {"+": (0.1, 0.4), "-": (-0.4, -0.1), "~": (-0.1, 0.3), ".": (-0.3, 0.1)}
        placed = np.array([[ends[sign] for sign in row] for row in rows]) * rng.uniform(0.5, 1.5, (1, 1, 1))
        return placed[..., 0], placed[..., 1]

    return [
        of("+++", "+++"), of("+++", "---"), of("---", "-.-"), of("~~~", "..."), of("+~+", "+++"), of("++-", "+++"),
        of("++-", "+~+"), of("~~~", "~~~"), of("...", "..."), of("+-~", "~~+"), of("+++", "-~+", "..."),
        of("+~~", "~++"), of("+--", "+++"),
    ]  # fmt: skip


EXERCISE = Exercise(
    id="5.4",
    title="The verdict on a claim",
    minutes=8,
    difficulty=2,
    points=2,
    goal=CLAIM,
    solution=verdict,
    cases=_end_cases,
    wrong=(
        Wrong(
            _middle_of_the_interval,
            "the middle decided, not the whole interval: where it crosses 0, nothing is known.",
        ),
        Wrong(_majority_of_comparisons, "within a measure the majority does not decide: one no is a no."),
        Wrong(_one_yes_is_enough, "a measure says yes only when all of its comparisons do."),
        Wrong(_not_yes_is_no, "what is not yes need not be no: an interval across 0 is undecided."),
    ),
    hints=(
        "Make two truth tables [measure, comparison]: low > 0, and high < 0.",
        "A measure is yes if all of its comparisons are, and no if any of them is.",
        "yes = (low > 0).all(axis=1) and no = (high < 0).any(axis=1); then four cases of yes.any() and no.any().",
    ),
)
