"""Exercise 5.1: Where the unseen mass is largest."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.scenarios.goals import START
from lab.course.exercise import Exercise, Wrong


def unseen_peak(chosen, rejected):
    """Find where the unseen mass of a table is largest on its way through DPO.

    One prompt, softmax of a table of logits: with D the log-ratio margin, 0 at the start and
    growing from then on, the three masses are in proportion chosen exp(D/2) : rejected
    exp(-D/2) : 1 - chosen - rejected. chosen and rejected are the probabilities under the
    reference, one number each. Return the D >= 0 in nats at which the unseen mass is largest,
    and how large it is there.
    """
    margin = max(0.0, float(np.log(rejected / chosen)))
    unseen = 1 - chosen - rejected
    named = chosen * np.exp(margin / 2) + rejected * np.exp(-margin / 2)
    return margin, unseen / (unseen + named)


def _before_the_start(chosen, rejected):
    margin, unseen = float(np.log(rejected / chosen)), 1 - chosen - rejected
    return margin, unseen / (unseen + 2 * np.sqrt(chosen * rejected))


def _half_the_margin(chosen, rejected):
    margin = max(0.0, 0.5 * float(np.log(rejected / chosen)))
    unseen = 1 - chosen - rejected
    return margin, unseen / (unseen + chosen * np.exp(margin / 2) + rejected * np.exp(-margin / 2))


def _at_the_start(chosen, rejected):
    return 0.0, 1 - chosen - rejected


def _ratio_upside_down(chosen, rejected):
    margin = max(0.0, float(np.log(chosen / rejected)))
    unseen = 1 - chosen - rejected
    return margin, unseen / (unseen + chosen * np.exp(margin / 2) + rejected * np.exp(-margin / 2))


def _unscaled_mass(chosen, rejected):
    return unseen_peak(chosen, rejected)[0], 1 - 2 * np.sqrt(chosen * rejected) if rejected > chosen else (
        1 - chosen - rejected
    )


def _rise_since_the_start(chosen, rejected):
    margin, most = unseen_peak(chosen, rejected)
    return margin, most - (1 - chosen - rejected)


def _mass_at_the_start(chosen, rejected):
    return unseen_peak(chosen, rejected)[0], 1 - chosen - rejected


def _start_cases(rng: np.random.Generator) -> list[tuple]:
    drawn = [tuple(float(share) for share in rng.dirichlet((1, 1, 2))[:2]) for _ in range(6)]
    return [(0.45, 0.45), (0.02, 0.45), (0.45, 0.02), (0.02, 0.02), *drawn]


EXERCISE = Exercise(
    id="5.1",
    title="Where the unseen mass is largest",
    minutes=10,
    difficulty=2,
    points=2,
    goal=START,
    solution=unseen_peak,
    cases=_start_cases,
    wrong=(
        Wrong(_before_the_start, "D starts at 0 and grows: a peak that lies at a negative D was never passed."),
        Wrong(
            _half_the_margin,
            "chosen exp(D/2) and rejected exp(-D/2) have the smallest sum where they are equal; solve that for D, "
            "not for D/2.",
        ),
        Wrong(
            _at_the_start,
            "the unseen mass does not only fall: try chosen = 0.02 and rejected = 0.45, and a D of 1.",
        ),
        Wrong(_ratio_upside_down, "the ratio is upside down: which of the two has to be the larger for a rise?"),
        Wrong(_unscaled_mass, "the three masses are in that proportion; they still have to be divided by their sum."),
        Wrong(_rise_since_the_start, "your second number is the rise; asked for is the mass at the peak itself."),
        Wrong(
            _mass_at_the_start, "your second number is the unseen mass at the start; put your D into the proportion."
        ),
    ),
    hints=(
        "The unseen logits do not move. The unseen share is largest where the other two together weigh least.",
        "The sum chosen exp(D/2) + rejected exp(-D/2) is smallest where its derivative is 0, so where its two "
        "terms are equal.",
        "Equal terms: exp(D) = rejected / chosen, if that D is above 0; else the unseen mass falls from the start. "
        "Then divide the unseen weight by the sum of all three.",
    ),
)
