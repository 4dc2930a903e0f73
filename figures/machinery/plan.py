"""What one call has to do: which figures are out of date, and which experiments they wait for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from figures.machinery.answer import Answer, attempt
from figures.machinery.discovery import load
from figures.machinery.freshness import State, state
from figures.machinery.settings import Settings
from lab.experiments.cached import cached_path
from lab.experiments.experiment import Experiment

# Rough seconds, measured on one core, only to weigh the parts of the progress bar against each other.
DRAWING = 5.0
STEP_OF_A_RUN = {"mlp": 2e-4, "loglinear": 5e-5, "tabular": 3e-5}


@dataclass(frozen=True)
class Plan:
    """What is to be done for one figure.

    Args:
        name: The figure.
        state: Where it stands.
        waits_for: Canonical lines of the experiments that are not in the cache.
        cached: Canonical lines of those that are.
        broken: What is wrong with its file; None when it could be read.
    """

    name: str
    state: State
    waits_for: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    broken: Answer | None = None


def plan(names: Iterable[str], settings: Settings) -> list[Plan]:
    """Look at every figure.

    Args:
        names: The figures.
        settings: What was asked for.

    Returns:
        A plan for each, in the same order.
    """
    return [_plan(name, settings) for name in names]


def cost(line: str) -> float:
    """Estimate how long an experiment takes, in seconds.

    Args:
        line: Its line.

    Returns:
        Seconds, right to a factor of a few.
    """
    experiment = Experiment.parse(line)
    cells = 1
    for values in experiment.axes.values():
        cells *= len(values)
    each = max(STEP_OF_A_RUN[policy] for policy in experiment.policy)
    return 1.0 + cells * int(experiment.value("seeds")) * int(experiment.value("steps")) * each


def _plan(name: str, settings: Settings) -> Plan:
    made: list[Plan] = []

    def look() -> tuple[str, str]:
        figure = load(name, settings.folder)
        where = {str(each): cached_path(each, device=settings.device) for each in settings.experiments(figure).values()}
        waits = tuple(line for line, place in where.items() if settings.force or not place.is_file())
        there = tuple(line for line in where if line not in waits)
        made.append(Plan(name, state(name, figure, settings), waits, there))
        return "done", ""

    answer = attempt(look, where=lambda: "")
    return made[0] if made else Plan(name, State("failed", (answer.text,)), broken=answer)
