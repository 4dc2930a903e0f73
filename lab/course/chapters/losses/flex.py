"""Exercise 6.6: Tune Flex-DPO."""

from __future__ import annotations

from typing import Any

import lab
from lab.course.chapters.losses.goals import FIX
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.rerunning import rerun

KEPT = 0.9  # chosen mass
MARGIN = 100.0  # nats
DEPTH = 350.0  # nats
SEEDS = 6


def tune():
    """Find both betas of Flex-DPO so that it keeps the chosen response, in s1 and in s2, at a price that you can pay.

    Return a line like "mlp s1,s2 flex beta_chosen=... beta_rejected=... adam lr=1e-3
    steps=500", with nothing else changed. The check runs it and asks of both scenarios, in the
    median over seeds: the chosen mass ends at 0.9 or above, the log-ratio margin is 100 nats or
    more, and log pi(rejected) has fallen by 350 nats at most.
    """
    return "mlp s1,s2 flex beta_chosen=0.1 beta_rejected=0.02 adam lr=1e-3 steps=500"


def _that_is_dpo():
    return "mlp s1,s2 flex beta_chosen=0.1 beta_rejected=0.1 adam lr=1e-3 steps=500"


def _enough_for_s1():
    return "mlp s1,s2 flex beta_chosen=0.1 beta_rejected=0.05 adam lr=1e-3 steps=500"


def _far_too_uneven():
    return "mlp s1,s2 flex beta_chosen=0.1 beta_rejected=0.005 adam lr=1e-3 steps=500"


def _no_margin_left():
    return "mlp s1,s2 flex beta_chosen=2 beta_rejected=0.2 adam lr=1e-3 steps=500"


def _help_from_elsewhere():
    return "mlp s1,s2 flex beta_chosen=0.1 beta_rejected=0.05 sft_weight=0.1 adam lr=1e-3 steps=500"


LOW = "the chosen response is not held. Which of the two pushes should be the stronger?"
DEEP = "the rejected response has fallen too far. A smaller beta on it lets it fall further, not less."
NARROW = "the margin is too small. What sets how deep the rejected response falls is its own beta."
ELSE = "only the two betas may differ, one value each."


def _held(cases: list[tuple], outputs: list[Any]) -> None:
    record = rerun(outputs[0], seeds=SEEDS)
    experiment = lab.Experiment.parse(outputs[0])
    betas = [getattr(experiment, name) for name in ("beta_chosen", "beta_rejected")]
    if [len(values) for values in betas] != [1, 1]:
        raise Mistake(f"the line is {outputs[0]!r}; {ELSE}")
    fixed = f"mlp s1,s2 flex beta_chosen={betas[0][0]} beta_rejected={betas[1][0]} adam lr=1e-3 steps=500"
    asked = lab.Experiment.parse(fixed)
    free = ("beta", "seeds", "seed", "every", "keep")
    if other := [
        name for name in vars(asked) if name not in free and getattr(asked, name) != getattr(experiment, name)
    ]:
        raise Mistake(f"the line changes {', '.join(other)}; {ELSE}")
    for scenario in ("s1", "s2"):
        cell = record.sel(scenario=scenario)
        chosen, margin, fall = (
            float(lab.metrics.over_pairs(part(cell), cell).isel(step=-1).median())
            for part in (lab.metrics.chosen_prob, lab.metrics.log_ratio_margin, lab.metrics.rejected_log_ratio)
        )
        told = f"in {scenario} the chosen mass ends at {chosen:.2f}, the margin at {margin:.0f} nats, "
        told += f"log pi(rejected) has fallen by {-fall:.0f}: "
        if -fall > DEPTH:
            raise Mistake(told + DEEP)
        if margin < MARGIN:
            raise Mistake(told + (NARROW if chosen >= KEPT else LOW))
        if chosen < KEPT:
            raise Mistake(told + LOW)


EXERCISE = Exercise(
    id="6.6",
    title="Tune Flex-DPO",
    minutes=15,
    difficulty=4,
    points=4,
    goal=FIX,
    solution=tune,
    cases=lambda rng: [()],
    wrong=(
        Wrong(_that_is_dpo, LOW),
        Wrong(_enough_for_s1, LOW),
        Wrong(_far_too_uneven, DEEP),
        Wrong(_no_margin_left, NARROW),
        Wrong(_help_from_elsewhere, ELSE),
    ),
    hints=(
        "The sweep above holds the answer nearly: read both of its panels, and s2 before s1.",
        "The chosen response of s2 needs a surplus of push: beta_chosen several times beta_rejected.",
        "Leave beta_chosen at 0.1, and look between beta_rejected = 0.01 and 0.03.",
    ),
    judge=_held,
)
