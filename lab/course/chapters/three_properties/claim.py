"""Exercise 4.5: A claim with its conditions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lab.course.chapters.three_properties.goals import SHARING
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.rerunning import rerun, unreadable

if TYPE_CHECKING:
    import xarray as xr

    from lab.experiments.experiment import Experiment

LEAST = 0.01  # chosen mass from which a difference counts, as for the property degradation
OF_OPTIMISERS = {"optimizer", "lr", "momentum", "eps", "steps"}
NOT_COMPARED = {"seeds", "seed", "every", "keep"}


def optimiser_claim():
    """Return evidence for "the optimiser decides how much of the chosen response is left, if ...".

    Write two pairs of experiment lines. Within a pair one line says adam, the other sgd, and only
    their learning rates and steps differ. At the moment when the loss first reaches the level you
    give, the chosen response has more mass under sgd in the first pair: the 95 % interval of the
    difference over 8 seeds lies above 0.01. In the second pair it lies within −0.01 and 0.01. The
    second pair differs from the first in one other word or setting: the condition. Every run has to
    reach the loss; 150 to 600 steps are enough for that.

    Returns:
        A tuple: adam line, sgd line, adam line and sgd line where the condition fails, loss in
            nats.
    """
    adam = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=250"
    sgd = "mlp s1 dpo beta=0.1 sgd lr=0.5 steps=150"
    return adam, sgd, adam + " prompts=1", sgd + " prompts=1", 0.02


def _claim_too_early():
    return *optimiser_claim()[:4], 0.6


def _claim_at_equal_steps():
    adam, _, fails, _, loss = optimiser_claim()
    slow = "mlp s1 dpo beta=0.1 sgd lr=0.01 steps=250"
    return adam, slow, fails, slow + " prompts=1", loss


def _claim_with_two_conditions():
    adam, sgd, *_, loss = optimiser_claim()
    return adam, sgd, adam + " prompts=1 width=32", sgd + " prompts=1 width=32", loss


def _claim_without_limits():
    adam, sgd, *_, loss = optimiser_claim()
    return adam, sgd, adam.replace("beta=0.1", "beta=0.2"), sgd.replace("beta=0.1", "beta=0.2"), loss


def _claim_of_unlike_runs():
    adam, _, fails, _, loss = optimiser_claim()
    other = "mlp s1 dpo beta=0.5 sgd lr=0.5 steps=150"
    return adam, other, fails, other + " prompts=1", loss


def _is_a_claim(cases: list[tuple], outputs: list[Any]) -> None:
    """Rerun the four lines, and compare the chosen mass at equal loss."""
    (output,) = outputs
    if not isinstance(output, tuple | list) or len(output) != 5 or not isinstance(output[4], int | float):
        raise Mistake("return five things in a tuple: four experiment lines and a loss.")
    *lines, loss = output
    parsed = [_parsed(line) for line in lines]
    for adam, sgd in (parsed[:2], parsed[2:]):
        if (adam.optimizer, sgd.optimizer) != (("adam",), ("sgd",)):
            raise Mistake("in each pair the first line says adam and the second one sgd.")
        if _different(adam, sgd) - OF_OPTIMISERS:
            raise Mistake(f"{_UNLIKE} These do: {', '.join(sorted(_different(adam, sgd) - OF_OPTIMISERS))}.")
    condition = _different(parsed[0], parsed[2]) - OF_OPTIMISERS
    if len(condition) != 1:
        raise Mistake(f"{_ONE_CONDITION} Yours differ in {', '.join(sorted(condition)) or 'nothing'}.")
    for (adam_line, sgd_line), decides in zip((lines[:2], lines[2:]), (True, False), strict=True):
        _check_difference(rerun(adam_line), rerun(sgd_line), float(loss), decides)


def _parsed(line: Any) -> Experiment:
    from lab.experiments.experiment import Experiment

    if not isinstance(line, str):
        raise Mistake(f"an experiment line is a text such as 'mlp s1 dpo beta=0.1 adam lr=1e-3 steps=300'; {line!r} is "
                      "none.")  # fmt: skip
    try:
        experiment = Experiment.parse(line)
    except ValueError as problem:
        raise Mistake(f"the line {line!r} cannot be read: {unreadable(problem)}") from None
    if experiment.axes:
        raise Mistake(f"the line {line!r} has several values of {', '.join(experiment.axes)}; give one.")
    return experiment


def _different(one: Experiment, other: Experiment) -> set[str]:
    names = {field.name for field in fields(one)} - NOT_COMPARED
    return {name for name in names if getattr(one, name) != getattr(other, name)}


def _check_difference(adam: xr.Dataset, sgd: xr.Dataset, loss: float, decides: bool) -> None:
    from lab.intervals import interval_over_seeds

    difference = _chosen_at(sgd, loss) - _chosen_at(adam, loss)
    where = "first" if decides else "second"
    missing = int(difference.isnull().sum())
    if missing:
        raise Mistake(f"{_NOT_REACHED} In the {where} pair {missing} of {difference.size} seeds do not.")
    middle, low, high = (float(each) for each in interval_over_seeds(difference))
    found = f"In the {where} pair sgd has {middle:.3f} more [{low:.3f}, {high:.3f}]."
    if decides and not low > LEAST:
        raise Mistake(f"{_NO_DIFFERENCE} {found}")
    if not decides and not (-LEAST < low and high < LEAST):
        raise Mistake(f"{_STILL_DECIDES} {found}")


def _chosen_at(record: xr.Dataset, loss: float) -> xr.DataArray:
    from lab import metrics

    chosen = metrics.over_pairs(metrics.chosen_prob(record), record)
    return metrics.when_reached(chosen, metrics.total_loss(record), [loss], falling=True).isel(level=0, drop=True)


_UNLIKE = "The two lines of a pair may differ in optimiser, learning rate and steps only, else something else decides."
_ONE_CONDITION = "The second pair differs from the first in one word or setting, so that it is clear what matters."
_NOT_REACHED = (
    "Every seed has to reach the loss that you compare at: equal steps are not equal progress. Give more steps, a "
    "larger learning rate or a larger loss."
)
_NO_DIFFERENCE = (
    "At this loss the two optimisers have not parted. Look at the curves: when does the chosen response fall?"
)
_STILL_DECIDES = (
    "In the second pair the optimiser still decides, or 8 seeds cannot tell. Look for what keeps the chosen response "
    "up under both."
)

EXERCISE = Exercise(
    id="4.5", title="A claim with its conditions", minutes=20, difficulty=5, points=5, goal=SHARING,
    solution=optimiser_claim, cases=lambda generator: [()], judge=_is_a_claim,
    wrong=(
        Wrong(_claim_too_early, _NO_DIFFERENCE),
        Wrong(_claim_at_equal_steps, _NOT_REACHED),
        Wrong(_claim_with_two_conditions, _ONE_CONDITION),
        Wrong(_claim_without_limits, _STILL_DECIDES),
        Wrong(_claim_of_unlike_runs, _UNLIKE),
    ),
    hints=(
        "The figure of Adam and plain descent has the first pair. Read off a loss that both reach after the peak.",
        "For the second pair take away what the fall needs. A table has no shared parameters; what else do the four "
        "prompts share?",
        "With prompts=1 nothing else pulls on the parameters. A loss of 0.02 is reached within 250 steps by adam at "
        "lr=1e-3 and within 150 by sgd at lr=0.5.",
    ),
)  # fmt: skip
