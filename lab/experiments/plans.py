"""How an experiment will be trained: loop, chunks, threads, graphs and the size of its record, known without a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from lab.experiments.experiment import Experiment
from lab.experiments.running import build, build_later, keeping
from lab.objectives import Objective
from lab.training import Plan, check_device, plan
from lab.training.budget import record_bytes
from lab.training.chunks import runs_together
from lab.training.graphs import PAYS, Block
from lab.training.planning import plan_steps

ONE_BY_ONE = "one by one"
GPU = torch.device("cuda")  # a plan speaks of one also where there is none


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of one cell of a sweep.

    Args:
        line: the cell's line.
        engine: which loop trains, and why.
        kernel: by what a GPU takes the steps of the loop "margins", and why; None for another loop.
        device: where.
        runs: how many runs there are.
        together: at most how many of them are advanced together.
        threads: how many chunks of runs are trained at once.
        steps: updates of the longest stage.
        every: the stride of recorded states.
        states: recorded states of a run.
        bytes: what training writes.
    """

    line: str
    engine: Plan
    kernel: Plan | None
    device: torch.device
    runs: int
    together: int
    threads: int
    steps: int
    every: int
    states: int
    bytes: int

    @property
    def chunks(self) -> int:
        """Return how many chunks the runs are cut into."""
        return -(-self.runs // self.together)

    @property
    def graphs(self) -> str:
        """Say how a GPU takes the steps."""
        block = Block.of(self.every).steps
        if self.kernel is not None:
            return "all in one kernel" if self.kernel.loop == "kernel" else f"{ONE_BY_ONE}: {self.kernel.why}"
        if self.engine.one_by_one:
            return f"{ONE_BY_ONE}: {self.engine.one_by_one}"
        if self.steps < PAYS * block:
            return f"{ONE_BY_ONE}: {self.steps} of them are too few to repay a capture"
        return f"captured in blocks of {block} as CUDA graphs"

    def __str__(self) -> str:
        """Write the plan, in lines of a word and what is known of it."""
        here = self.device.type == "cpu"
        where = "the processor" if here else torch.cuda.get_device_name(self.device)
        cut = "all at once" if self.chunks == 1 else f"in {self.chunks} chunks of at most {self.together}"
        if here and self.chunks > 1:
            cut += f", {self.threads} at a time" if self.threads > 1 else ", one after the other"
        steps = self.graphs
        if here and steps.startswith(ONE_BY_ONE):
            steps = f"{ONE_BY_ONE}, on a GPU too{steps.removeprefix(ONE_BY_ONE)}"
        elif here:
            steps = f"{ONE_BY_ONE}; on a GPU {steps}"
        return "\n".join(
            (
                self.line,
                f"  loop    {self.engine.loop}: {self.engine.why}",
                f"  runs    {self.runs} on {where}, {cut}",
                f"  steps   {steps}",
                f"  record  {self.states} states of each run, {self.bytes / 1e6:.3g} MB in all",
            )
        )


def training_plans(experiment: str | Experiment, *, device: str = "cpu") -> tuple[TrainingPlan, ...]:
    """Say how an experiment will be trained; nothing is.

    Args:
        experiment: an experiment or its line.
        device: "cpu", "cuda", ...

    Returns:
        The plan of each cell that is trained by itself.

    Raises:
        ValueError: if the line is not valid, or the device is not there.

    Source: own definition; tests/test_experiment_plans.py.
    """
    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    where = check_device(device)
    return tuple(_of_cell(cell, where) for cell, _ in experiment.cells())


def _of_cell(cell: Experiment, device: torch.device) -> TrainingPlan:
    # All but the number of runs is that of one seed, whose reward need not be learned well.
    model_steps = (1,) if cell.value("reward_from") == "model" else cell.model_steps
    small = replace(cell, seeds=(1,), model_steps=model_steps)
    problem, policy, objective, optimizer, axes = build(small)
    then = build_later(small, axes)
    record = keeping(cell)
    engine = plan(problem, policy, objective, optimizer, then=then, record=record, batch=cell.value("batch"))
    size = torch.empty(0, dtype=getattr(torch, str(cell.value("dtype")))).element_size()
    runs = cell.value("seeds") * problem.runs
    together = min(runs, runs_together(engine.loop, problem, policy, record, cell.updates, size, device))
    kernel = None
    if engine.loop == "margins" and isinstance(objective, Objective):
        kernel = plan_steps(problem, objective, optimizer, then=then, batch=cell.value("batch"), device=GPU)
    return TrainingPlan(
        line=str(cell),
        engine=engine,
        kernel=kernel,
        device=device,
        runs=runs,
        together=together,
        threads=min(torch.get_num_threads(), -(-runs // together)),
        steps=max(stage.value("steps") for stage, _ in cell.stages()),
        every=record.every,
        states=record.states(cell.updates),
        bytes=record_bytes(problem, policy, record, cell.updates, loop=engine.loop, size=size) * cell.value("seeds"),
    )
