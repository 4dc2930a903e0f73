"""Run an experiment line that a student hands in, when it is small enough for a check."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.course.exercise import Mistake

if TYPE_CHECKING:
    import xarray as xr

MOST_WORK = {"tabular": 200_000, "loglinear": 60_000, "mlp": 12_000}  # runs times steps


def unreadable(problem: ValueError) -> str:
    """Say what is wrong with an experiment line, without the list of all words that there are.

    Args:
        problem: What reading the line raised.

    Returns:
        Its sentences up to that list.
    """
    return str(problem).partition(" Valid words:")[0]


def rerun(line: Any, seeds: int = 8, must_say: str = "") -> xr.Dataset:
    """Run a line with the check's own seeds, recording log-probabilities only.

    Args:
        line: An experiment line, such as "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500". What it says of seeds, `keep`
            and `every` is replaced.
        seeds: Number of seeds.
        must_say: Words that the line must contain, such as "mlp s1 dpo"; what it may not change.

    Returns:
        The record, with about a hundred steps.

    Raises:
        Mistake: It is no line, asks for too much, changes what it may not, or breaks.
    """
    import lab

    if not isinstance(line, str):
        raise Mistake(f"it gives {line!r}; asked for is an experiment line, a text such as 'mlp s1 dpo beta=0.1 ...'.")
    try:
        experiment = lab.Experiment.parse(line)
    except ValueError as problem:
        raise Mistake(f"the line {line!r} cannot be read: {unreadable(problem)}") from None
    missing = sorted(set(must_say.split()) - set(str(experiment).split()) - set(line.split()))
    if missing:
        raise Mistake(f"the line {line!r} does not say {', '.join(missing)}, which the task fixes.")
    steps = max(experiment.steps)
    cells = math.prod(len(values) for values in experiment.axes.values())
    most = min(MOST_WORK[policy] for policy in experiment.policy)
    if cells * seeds * steps > most:
        raise Mistake(
            f"the line asks for {cells * seeds * steps:,} updates ({cells} cells, {seeds} seeds, {steps:,} steps); "
            f"this check runs at most {most:,}. Use fewer steps."
        )
    every = max(1, steps // 100)
    small = replace(experiment, seeds=(seeds,), seed=(0,), keep=("none",), every=(every,))
    try:
        return lab.run(small)
    except (ValueError, ArithmeticError, RuntimeError) as problem:
        raise Mistake(f"the line {line!r} does not run: {str(problem)[:300]}") from None
