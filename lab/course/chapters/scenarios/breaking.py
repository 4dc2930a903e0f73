"""Exercise 5.5: Break the ordering."""

from __future__ import annotations

import lab
from lab.course.chapters.scenarios.goals import CAUSE
from lab.course.chapters.scenarios.intervals import interval
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.rerunning import unreadable

FRESH = "seeds=12 seed=24 keep=none"  # seeds that the notebook does not use
MOST_STEPS = 100


def flip():
    """Find an experiment line in which s1 ends with less chosen mass than s3.

    The line of this notebook ends with s1 above s3. Yours is the same but for optimiser,
    learning rate and number of steps, at most 100: "mlp s1,s3 dpo beta=0.1 OPTIMISER lr=...
    steps=... seeds=24". Return it as a text. The check runs it with 12 seeds that you have not
    seen and asks that the whole 95 % interval of the difference, s1 minus s3, taken seed by
    seed, lies below 0.
    """
    return "mlp s1,s3 dpo beta=0.1 adam lr=0.03 steps=100 seeds=24"


def _the_line_itself():
    return "mlp s1,s3 dpo beta=0.1 adam lr=1e-3 steps=100 seeds=24"


def _plain_descent():
    return "mlp s1,s3 dpo beta=0.1 sgd lr=0.5 steps=100 seeds=24"


def _not_far_enough():
    return "mlp s1,s3 dpo beta=0.1 adam lr=5e-3 steps=100 seeds=24"


def _another_network():
    return "mlp s1,s3 dpo beta=0.1 adam lr=0.03 steps=100 seeds=24 width=8"


def _scenarios_swapped():
    return "mlp s3,s1 dpo beta=0.1 adam lr=1e-3 steps=100 seeds=24"


ELSE_SAYS = "something other than optimiser, learning rate and steps is changed."
ABOVE_SAYS = "s1 is still above s3."
UNSURE_SAYS = "the interval of the difference reaches across 0."
SLOW_SAYS = f"there may be at most {MOST_STEPS} steps."


def _too_long():
    return "mlp s1,s3 dpo beta=0.1 adam lr=0.03 steps=500 seeds=24"


def _flips(cases: list[tuple], outputs: list) -> None:
    try:
        experiment = lab.Experiment.parse(str(outputs[0]))
    except ValueError as problem:
        raise Mistake(f"{outputs[0]!r} is no line: {unreadable(problem)}") from None
    if axes := set(experiment.axes) - {"scenario"}:
        raise Mistake(f"the line has several values of {', '.join(sorted(axes))}; give one of each.")
    optimizer, lr, steps = (experiment.value(name) for name in ("optimizer", "lr", "steps"))
    start = f"mlp s1,s3 dpo beta=0.1 {optimizer} lr={lr} steps={steps} every={steps}"
    own = f"seeds={experiment.value('seeds')} seed={experiment.value('seed')} keep=none"
    asked = lab.Experiment.parse(f"{start} {own}")
    allowed = ("every", "keep")
    if any(getattr(asked, name) != getattr(experiment, name) for name in vars(asked) if name not in allowed):
        raise Mistake(f"{ELSE_SAYS} Asked for is a line like 'mlp s1,s3 dpo beta=0.1 {optimizer} lr=... steps=...'.")
    if steps > MOST_STEPS:
        raise Mistake(f"it has {steps} steps; {SLOW_SAYS}")
    median, low, high = differences(f"{start} {FRESH}")
    told = f"on 12 new seeds s1 ends {median:.3f} [{low:.3f}, {high:.3f}] above s3: "
    if low > 0:
        raise Mistake(told + ABOVE_SAYS)
    if high >= 0:
        raise Mistake(told + UNSURE_SAYS)


def differences(line: str) -> tuple[float, float, float]:
    """Compare the first two scenarios of a line: chosen mass at the end, first minus second, seed by seed.

    Args:
        line: An experiment line with two scenarios.

    Returns:
        The median over seeds and its 95 % interval.
    """
    record = lab.run(line)
    chosen = lab.metrics.over_pairs(lab.metrics.chosen_prob(record), record).isel(step=-1)
    values = chosen.transpose("scenario", ..., "seed").values.reshape(record.sizes["scenario"], -1)
    median, low, high = interval((values[0] - values[1])[None], 0)[:, 0]
    return float(median), float(low), float(high)


EXERCISE = Exercise(
    id="5.5",
    title="Break the ordering",
    minutes=15,
    difficulty=4,
    points=4,
    goal=CAUSE,
    solution=flip,
    cases=lambda rng: [()],
    wrong=(
        Wrong(_the_line_itself, ABOVE_SAYS),
        Wrong(_not_far_enough, UNSURE_SAYS),
        Wrong(_plain_descent, ABOVE_SAYS),
        Wrong(_another_network, ELSE_SAYS),
        Wrong(_scenarios_swapped, ELSE_SAYS),
        Wrong(_too_long, SLOW_SAYS),
    ),
    hints=(
        "Plain descent keeps the order of the table. Which optimiser brought the chosen response down in s1?",
        "Leave Adam, and walk the learning rate up by factors of 3: differences(line) gives what you need.",
        "Around 0.03 Adam moves the network far in its first steps, and s1 ends below s3.",
    ),
    judge=_flips,
)
