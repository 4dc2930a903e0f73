"""Exercise 7.2: what PPO's clip lets through."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.rlhf.goals import CLIP
from lab.course.exercise import Exercise, Wrong


def clipped_push(log_ratio, advantage, clip):
    """Compute how PPO's objective pulls at the log-probability of each drawn response.

    With w = π/π_old the objective of one draw is min(w A, clip(w, 1 − ε, 1 + ε) A). It is to grow.

    Args:
        log_ratio: log π − log π_old of each draw, [draw], nats; no w is exactly 1 − ε or 1 + ε.
        advantage: A of each draw, [draw].
        clip: ε, above 0 and below 1.

    Returns:
        d objective / d log π of each draw, [draw].
    """
    ratio = np.exp(log_ratio)
    over = (advantage > 0) & (ratio > 1 + clip)
    under = (advantage < 0) & (ratio < 1 - clip)
    return np.where(over | under, 0.0, ratio * advantage)


def _without_min(log_ratio, advantage, clip):
    ratio = np.exp(log_ratio)
    return np.where(np.abs(ratio - 1) > clip, 0.0, ratio * advantage)


def _wrong_way_round(log_ratio, advantage, clip):
    ratio = np.exp(log_ratio)
    out = ((advantage < 0) & (ratio > 1 + clip)) | ((advantage > 0) & (ratio < 1 - clip))
    return np.where(out, 0.0, ratio * advantage)


def _without_clip(log_ratio, advantage, clip):
    return np.exp(log_ratio) * advantage


def _clipped_value(log_ratio, advantage, clip):
    ratio = np.exp(log_ratio)
    return np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage)


def _clipped_ratio(log_ratio, advantage, clip):
    return np.clip(np.exp(log_ratio), 1 - clip, 1 + clip) * advantage


def _logarithm_for_the_ratio(log_ratio, advantage, clip):
    over = (advantage > 0) & (log_ratio > 1 + clip)
    under = (advantage < 0) & (log_ratio < 1 - clip)
    return np.where(over | under, 0.0, log_ratio * advantage)


def _without_ratio(log_ratio, advantage, clip):
    return np.where(clipped_push(log_ratio, advantage, clip) == 0, 0.0, advantage)


def _upper_end_only(log_ratio, advantage, clip):
    ratio = np.exp(log_ratio)
    return np.where((advantage > 0) & (ratio > 1 + clip), 0.0, ratio * advantage)


def _cases(generator: np.random.Generator) -> list[tuple]:
    """Draw ratios on both sides of both ends, with advantages of both signs."""
    return [(generator.normal(scale=0.5, size=20), generator.normal(size=20), clip) for clip in (0.1, 0.2, 0.3, 0.5)]


EXERCISE = Exercise(
    id="7.2",
    title="What the clip lets through",
    minutes=10,
    difficulty=3,
    points=3,
    goal=CLIP,
    solution=clipped_push,
    cases=_cases,
    wrong=(
        Wrong(
            _without_min,
            "You stop the pull on both sides. With A > 0 and w far *below* 1 the policy went the wrong way: look at "
            "which of the two terms the minimum takes there.",
        ),
        Wrong(
            _wrong_way_round,
            "You stop the pull where the policy went against the advantage, and there it is needed most. Exchange the "
            "two cases.",
        ),
        Wrong(_without_clip, "Nothing is clipped in your answer. Where is the clipped term the smaller one?"),
        Wrong(
            _clipped_value,
            "That is the objective itself. The task asks for its derivative with respect to log π; where the minimum "
            "takes the clipped term, that term does not change any more.",
        ),
        Wrong(
            _clipped_ratio,
            "You pull with the clipped w. Where w is clipped the term is constant in π: its derivative is 0.",
        ),
        Wrong(_logarithm_for_the_ratio, "You put log w where w belongs: w = exp(log_ratio)."),
        Wrong(_without_ratio, "The factor w is missing: dw/d log π = w."),
        Wrong(_upper_end_only, "You handle A > 0 alone. With A < 0 it is the lower end that stops the pull."),
    ),
    hints=(
        "Draw w A and clip(w) A as functions of w, once for A > 0 and once for A < 0, and mark the smaller one.",
        "Where w A is the smaller one the derivative is w A. Where the clipped term is, it is 0.",
        "The pull is 0 for A > 0 with w > 1 + ε, and for A < 0 with w < 1 − ε. Everywhere else it is w A.",
    ),
)
