"""Exercise 6.4: At equal margin."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.losses.goals import FAIR
from lab.course.exercise import Exercise, Wrong


def at_margin(margin, value, level):
    """Read a curve at the moment when the margin first reaches a level: one number.

    margin and value are curves over the same recorded steps, [step]; the margin starts below
    the level, and may fall back after it has reached it. Between two recorded steps both are
    straight lines. Return -1.0 if the margin never reaches the level.
    """
    reached = margin >= level
    if not reached.any():
        return -1.0
    after = int(np.argmax(reached))
    before = after - 1
    share = (level - margin[before]) / (margin[after] - margin[before])
    return float(value[before] + share * (value[after] - value[before]))


def _at_the_end(margin, value, level):
    return float(value[-1])


def _first_record_beyond(margin, value, level):
    return float(value[np.argmax(margin >= level)]) if (margin >= level).any() else -1.0


def _nearest_record(margin, value, level):
    return float(value[np.argmin(np.abs(margin - level))]) if (margin >= level).any() else -1.0


def _nearest_record_in_any_case(margin, value, level):
    return float(value[np.argmin(np.abs(margin - level))])


def _interpolated_unsorted(margin, value, level):
    return float(np.interp(level, margin, value)) if (margin >= level).any() else -1.0


def _between_the_wrong_two(margin, value, level):
    after = int(np.argmax(margin >= level))
    share = (level - margin[after - 1]) / (margin[after] - margin[after - 1])
    return float(value[after - 1] + share * (value[after] - value[after - 1]))


def _not_a_number_for_never(margin, value, level):
    return at_margin(margin, value, level) if (margin >= level).any() else np.nan


def _interpolated_over_all(margin, value, level):
    order = np.argsort(margin)
    return float(np.interp(level, margin[order], value[order])) if (margin >= level).any() else -1.0


def _first_record_for_never(margin, value, level):
    found = at_margin(margin, value, level)
    return float(value[0]) if found == -1.0 else found


def _cases(rng: np.random.Generator) -> list[tuple]:
    def one(level: float, bend: float) -> tuple:
        steps = np.arange(12)
        margin = 8 * (1 - np.exp(-steps / 3)) - bend * np.maximum(0, steps - 6) + 0.02 * rng.random(12)
        margin[0] = 0.0
        return margin, rng.uniform(0.1, 0.9, 12), level

    return [
        one(4.5, 0.0),
        one(2.0, 0.0),
        one(2.6, 0.0),
        one(5.5, 0.8),
        one(5.5, 1.2),
        one(6.6, 0.8),
        one(9.0, 0.0),
        one(50.0, 0.5),
    ]


EXERCISE = Exercise(
    id="6.4",
    title="At equal margin",
    minutes=10,
    difficulty=3,
    points=3,
    goal=FAIR,
    solution=at_margin,
    cases=_cases,
    wrong=(
        Wrong(_at_the_end, "that is the last step, where each loss has another margin."),
        Wrong(_first_record_beyond, "the level lies between two recorded steps; yours jumps to the second of them."),
        Wrong(_nearest_record, "the nearest record is not the moment: go between the two records, in proportion."),
        Wrong(
            _nearest_record_in_any_case,
            "the record that is nearest is not the moment, and a level that is never reached has none.",
        ),
        Wrong(
            _interpolated_unsorted,
            "np.interp needs a margin that only rises, and yours falls back later. Look at the two records around the "
            "first crossing.",
        ),
        Wrong(
            _between_the_wrong_two,
            "np.argmax of nothing but False is 0: where the level is never reached you go on from the last record.",
        ),
        Wrong(_not_a_number_for_never, "where the level is never reached the task asks for -1.0, and yours is NaN."),
        Wrong(_interpolated_over_all, "the margin falls back later, and sorting mixes what came before with that."),
        Wrong(_first_record_for_never, "np.argmax of nothing but False is 0; ask whether the level is reached at all."),
    ),
    hints=(
        "np.argmax(margin >= level) is the first record at or beyond the level, if there is one.",
        "With a the record before and b that one, how far from a to b is the level, as a share?",
        "share = (level - margin[a]) / (margin[b] - margin[a]); the value moves by the same share.",
    ),
)
