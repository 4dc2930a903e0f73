"""Tables whose recordings stay on the device: what is looked at most, of every state of a million runs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lab.objectives import Objective
from lab.optimizers import Optimizer
from lab.policies import Tabular
from lab.problems import Problem
from lab.threads import spread
from lab.training.budget import check_budget
from lab.training.chunks import LANES, Job
from lab.training.kernels import launch
from lab.training.kernels.observing import observe, recorded_shapes, still
from lab.training.margins import MarginChunk, Named
from lab.training.planning import plan, plan_steps
from lab.training.recording import Record, blank
from lab.training.trainer import check_device

SHARE = 0.9  # of a GPU's free memory: nothing else is computed there
ON_DEVICE = 2**18  # numbers that move together on a GPU without a kernel, where a step costs its calls


def record_tables(
    problem: Problem,
    objective: Objective,
    optimizer: Optimizer,
    *,
    steps: int,
    every: int = 1,
    start: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    memory: float | None = None,
) -> dict[str, Tensor]:
    """Train every run of a table under a loss of the margin, and leave on the device what it went through.

    Each recording is what the function of that name in `lab.metrics` computes of the record of `lab.train`, with
    (sum of A^2)^(1/2) in the logits alone for "gradient_log_norm". A run that leaves the numbers is NaN from there on.

    Args:
        problem: pairs, none of which share a response and equally many of each prompt, and the runs.
        objective: a loss of the margin alone; hyper-parameters are numbers or [run].
        optimizer: SGD, Momentum or Adam; its settings are numbers or [run].
        steps: number of updates, at least 1.
        every: record each so many steps; the first and the last state are always recorded.
        start: logits of the reference, where training starts, [run, prompt * response]; None means the target's.
        dtype: torch.float64 or torch.float32.
        device: "cpu", "cuda", ...; on a GPU one kernel takes all steps, where `lab.training.plan_steps` says so.
        memory: bytes that the recordings may take; None means nine tenths of what is free on a GPU, else half.

    Returns:
        On the device, in nats or natural logs, views of memory in which the runs stand last: "chosen_log_prob" and
        "rejected_log_prob" [run, step, pair], "log_unseen_mass" [run, step, prompt], "pair_gradient_log_magnitude"
        [run, step, term, pair] and "gradient_log_norm" [run, step, term].

    Raises:
        ValueError: for steps < 1, pairs or an objective that are not as above, a start of another shape, a device that
            is not there, and recordings that do not fit into memory.

    Source: own derivation; tests/test_training_tables.py.
    """
    device, record, policy = check_device(device), Record(every, ()), Tabular(problem.prompts, problem.responses)
    chosen = plan(problem, policy, objective, optimizer, record=record)
    if chosen.loop != "margins":
        raise ValueError(
            f"recordings on the device are those of tables under a loss of the margin, and here {chosen.why}; use "
            "lab.train and lab.metrics"
        )
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed are 1 or more")
    if dtype not in (torch.float64, torch.float32):
        raise ValueError(f"dtype is {dtype}; allowed are torch.float64 and torch.float32")
    start = policy.start(problem) if start is None else start
    if start.shape != (problem.runs, policy.parameter_count):
        raise ValueError(f"start has shape {tuple(start.shape)}; allowed is [run, prompt * response], here "
                         f"({problem.runs}, {policy.parameter_count})")  # fmt: skip
    rows, sizes = len(record.steps(steps)), recorded_shapes(problem)
    if device.type == "cuda" and memory is None:
        # What torch keeps of earlier results, and gives out again, is free too.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        memory = SHARE * (torch.cuda.mem_get_info(device)[0] + kept)
    numbers = sum(map(math.prod, sizes.values()))
    check_budget(rows * problem.runs * numbers * dtype.itemsize, rows, steps, problem.runs, memory)
    job = Job(problem, policy, objective, optimizer, (), start, steps, record, 0, dtype, device, None)
    like = torch.empty(0, dtype=dtype, device=device)
    written = {name: blank(like, rows, *shape, problem.runs) for name, shape in sizes.items()}
    if plan_steps(problem, objective, optimizer, device=device).loop == "kernel":
        with torch.inference_mode():
            _by_kernel(job, written)
    else:
        _by_torch(job, written)
    return {name: value.movedim(-1, 0) for name, value in written.items()}


def _by_kernel(job: Job, written: dict[str, Tensor]) -> None:
    start = job.start.to(job.device, job.dtype)
    launch(
        job.problem, job.objective, job.optimizer, start,
        steps=job.steps, every=job.record.every, written=written, tables=still(job.problem, start),
    )  # fmt: skip


def _by_torch(job: Job, written: dict[str, Tensor]) -> None:
    named = Named.of(job.problem, next(iter(written.values())))

    def train(lanes: slice, check: Callable[[], None]) -> None:
        part = job.of_runs(lanes)  # outside inference mode, as in `lab.training.chunks`
        with torch.inference_mode():
            like, pairs = part.start, len(part.problem.preferences)
            moves = blank(like, len(written["chosen_log_prob"]), pairs, len(like))
            chunk = MarginChunk(part.problem, named, part.objective, part.optimizer, like, {"moves": moves})
            chunk.train(part.steps, part.record, 0, lambda _: check())
            push = part.objective.margin_slope(moves.permute(2, 0, 1)).permute(1, 2, 0)
            weight = part.problem.preferences.weight.to(like).view(-1, pairs).t()
            found = observe(still(part.problem, like), moves, push, weight)
            for name, value in found.items():
                written[name][..., lanes].copy_(value)

    size = (LANES if job.device.type == "cpu" else ON_DEVICE) // len(job.problem.preferences)
    spread(train, job.chunks(max(1, size)))
