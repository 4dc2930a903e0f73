"""Changes of a line: one word set to another value, or a new stage begun, and the words without a place taken out."""

from __future__ import annotations

from dataclasses import replace

from lab.experiments.experiment import Experiment
from lab.experiments.stages import Step, without_strangers, write_stages
from lab.experiments.vocabulary import STAGED, WORDS, Value


def with_word(experiment: Experiment, name: str, text: str) -> Experiment:
    """Set one word of an experiment; of its last stage, if stages may differ in it.

    Args:
        experiment: the experiment.
        name: the word's field, such as "beta".
        text: its value as a line writes it, "" to leave it out.

    Returns:
        The experiment with that word; words that its objective, policy or scenario does not take are left out.

    Raises:
        TypeError, ValueError: as `Experiment`.
    """
    given = (_typed(name, text),) if text else WORDS[name].default
    steps = _steps(experiment)
    changed = [-1] if name in STAGED else range(len(steps))
    for index in changed:
        values = without_strangers(steps[index].values | {name: given}, {})
        steps[index] = steps[index]._replace(values=values)
    return _joined(steps)


def branched(experiment: Experiment, step: int) -> Experiment:
    """Begin a new stage at a step: it goes on as the run did there, until one of its words is changed.

    Args:
        experiment: the experiment.
        step: where the stage begins, after the first update and before the last.

    Returns:
        The experiment of as many updates as before, whose last stage begins at the step.

    Raises:
        ValueError: if the step is not inside the run.
    """
    total = experiment.updates
    if not 0 < step < total:
        raise ValueError(f"a branch at step {step} leaves nothing on one side; move the cursor to 1 to {total - 1}")
    kept: list[Step] = []
    begun = 0
    for each in _steps(experiment):
        length = int(each.values["steps"][0])
        here = min(length, step - begun)
        kept.append(each._replace(values=each.values | {"steps": (here,)}))
        begun += here
        if begun == step:
            break
    return _joined([*kept, Step(kept[-1].values | {"steps": (total - step,)}, "")])


def seams(experiment: Experiment) -> tuple[int, ...]:
    """Return the steps at which the stages after the first begin."""
    found, begun = [], 0
    for stage, _ in experiment.stages():
        found.append(begun)
        begun += int(stage.value("steps"))
    return tuple(found[1:])


def last_stage(experiment: Experiment) -> Experiment:
    """Return the last stage as an experiment of its own."""
    *_, (stage, _) = experiment.stages()
    return stage


def _typed(name: str, text: str) -> Value:
    word = WORDS[name]
    kind = {"whole": int, "real": float}.get(word.kind, str)
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name}={text}: {name} is {word.allowed}. Give one.") from None


def _steps(experiment: Experiment) -> list[Step]:
    return [Step(_values(stage), reference) for stage, reference in experiment.stages()]


def _joined(steps: list[Step]) -> Experiment:
    first, *later = steps
    alone = Experiment(**first.values)  # type: ignore[arg-type]
    return replace(alone, then=write_stages(first.values, later))


def _values(experiment: Experiment) -> dict[str, tuple[Value, ...]]:
    return {name: getattr(experiment, name) for name in WORDS}
