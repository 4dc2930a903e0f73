"""How large the record of an experiment will be, known without running it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from lab.experiments.experiment import Experiment
from lab.experiments.running import build, build_later, keeping
from lab.space import gigabytes
from lab.training import plan
from lab.training.budget import record_bytes


@dataclass(frozen=True)
class RecordSize:
    """The size of a record.

    Args:
        runs: how many runs it has, of all cells of a sweep together.
        states: how many states of each are recorded.
        bytes: what training writes.
        computed: what the log-probabilities take besides, where they are computed when they are looked at: once all of
            them were looked at together.
    """

    runs: int
    states: int
    bytes: int
    computed: int

    def __str__(self) -> str:
        """Write one line, such as '0.123 GB: 24 runs of 501 recorded states'."""
        more = f"; {gigabytes(self.computed)} more once every log-probability is looked at" if self.computed else ""
        return f"{gigabytes(self.bytes)}: {self.runs} runs of {self.states} recorded states{more}"


def record_size(experiment: str | Experiment) -> RecordSize:
    """Say how large the record of an experiment will be; nothing is run.

    Args:
        experiment: an experiment or its line. A sweep is told of as a whole.

    Returns:
        Its size.

    Raises:
        ValueError: if the line is not valid.

    Source: own definition; tests/test_experiment_sizes.py.
    """
    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    sizes = [_of_cell(cell) for cell, _ in experiment.cells()]
    total = [sum(numbers) for numbers in zip(*((s.runs, s.bytes, s.computed) for s in sizes), strict=True)]
    return RecordSize(total[0], sizes[0].states, total[1], total[2])


def _of_cell(cell: Experiment) -> RecordSize:
    # All but the number of runs is that of one seed, whose reward need not be learned well.
    model_steps = (1,) if cell.value("reward_from") == "model" else cell.model_steps
    small = replace(cell, seeds=(1,), model_steps=model_steps)
    problem, policy, objective, optimizer, axes = build(small)
    record, updates = keeping(cell), cell.updates
    loop = plan(problem, policy, objective, optimizer, then=build_later(small, axes), record=record).loop
    size = torch.empty(0, dtype=getattr(torch, str(cell.value("dtype")))).element_size()
    runs, states = cell.value("seeds") * problem.runs, record.states(updates)
    written = record_bytes(problem, policy, record, updates, loop=loop, size=size) // problem.runs
    cells = problem.prompts * problem.responses if loop == "margins" else 0
    return RecordSize(runs, states, runs * written, runs * states * cells * size)
