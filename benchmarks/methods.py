"""Seconds of the methods of RLHF on one figure's lines, timed in turns, for the figure to show."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from figures.machinery.discovery import load
from figures.machinery.settings import FOLDER
from lab import Record, train
from lab.experiments.experiment import Experiment
from lab.experiments.running import build, reference

FIGURE = "frontier_is_reached_without_drawing"
PLACE = FOLDER / "measured" / f"{FIGURE}.json"


def time_methods(lines: Mapping[str, str], rounds: int, done: Callable[[], None]) -> dict[str, dict[str, list[float]]]:
    """Time each line once in every round, so that a slow spell of the machine hits all alike.

    Args:
        lines: Experiment lines by name; a first round is not counted.
        rounds: Rounds that count.
        done: Called after each training.

    Returns:
        Seconds by name and round: "before", in which data are drawn and a reward model is trained, and "training", all
        updates of the policy with nothing recorded. The reference is fitted before and belongs to neither.
    """
    found: dict[str, dict[str, list[float]]] = {name: {"before": [], "training": []} for name in lines}
    for round_ in range(rounds + 1):
        for name, line in lines.items():
            seconds = _once(replace(Experiment.parse(line), every=(Experiment.parse(line).value("steps"),)))
            for part, taken in seconds.items():
                if round_:
                    found[name][part].append(round(taken, 5))
            done()
    return found


def _once(experiment: Experiment) -> dict[str, float]:
    begun = time.perf_counter()
    problem, policy, objective, optimizer, axes = build(experiment)
    built = time.perf_counter()
    start = reference(policy, problem)
    ready = time.perf_counter()
    steps = experiment.value("steps")
    train(problem, policy, objective, optimizer, steps=steps, start=start, axes=axes, record=Record(steps, ()))
    return {"before": built - begun, "training": time.perf_counter() - ready}


def write_methods(machine: Mapping[str, object], rounds: int, done: Callable[[], None], place: Path = PLACE) -> Path:
    """Time the lines of the figure and write what it shows of them.

    Args:
        machine: What it was timed on, without names or dates.
        rounds: Rounds that count.
        done: Called after each training.
        place: Where to.

    Returns:
        The file.
    """
    lines = {name: str(each) for name, each in load(FIGURE, FOLDER).experiments().items()}
    seconds = time_methods(lines, rounds, done)
    place.parent.mkdir(exist_ok=True)
    written = {"machine": {**machine, "threads": 1}, "rounds": rounds, "lines": lines, "seconds": seconds}
    place.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return place
