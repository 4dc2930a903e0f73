"""Runs cut into chunks that fit the cache, each taken through its loop, and their tapes joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lab.cores import Done, Part
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.threads import one_thread, spread
from lab.training.kernels import launch
from lab.training.loop import Chunk, reference_log_prob
from lab.training.margins import MarginChunk, Named, Told
from lab.training.planning import plan_steps
from lab.training.recording import Record, blank, first_broken
from lab.training.rollouts import RolloutChunk
from lab.training.scores import ScoreChunk
from lab.training.stages import Stage
from lab.trajectory import TableLogProb

CHUNK = 2**18  # parameters of the runs that are advanced together: their optimiser state stays in cache
LANES = 2**12  # numbers that move together, where little else is done to them
LOOPS = {"states": Chunk, "rollouts": RolloutChunk, "scores": ScoreChunk}


@dataclass(frozen=True)
class Job:
    """A training of all runs, as `lab.train` was asked for it, with the start and the device settled."""

    problem: Problem
    policy: Policy
    objective: Any
    optimizer: Optimizer
    then: tuple[Stage, ...]
    start: Tensor
    steps: int
    record: Record
    batch: int
    dtype: torch.dtype
    device: torch.device
    progress: Callable[[float], None] | None

    def chunks(self, size: int) -> list[slice]:
        """Cut the runs into as few chunks of at most so many as there can be, of nearly equal size."""
        runs = self.problem.runs
        count = -(-runs // size)
        return [slice(runs * index // count, runs * (index + 1) // count) for index in range(count)]

    def of_runs(self, rows: slice) -> Job:
        """Return the part of some runs, on the device."""
        problem = self.problem
        return replace(
            self,
            problem=replace(
                problem,
                preferences=problem.preferences.of_runs(rows),
                target_log_prob=problem.target_log_prob[rows],
                seeds=problem.seeds[rows],
                online=None if problem.online is None else problem.online.of_runs(rows),
                reward=None if problem.reward is None else problem.reward[rows],
            ),
            policy=self._place(self.policy, rows),
            objective=self._place(self.objective, rows),
            optimizer=self._place(self.optimizer, rows),
            then=self._place(self.then, rows),
            start=self.start[rows].to(self.device, self.dtype),
        )

    def _place(self, spec: Any, rows: slice) -> Any:
        """Take the rows of every per-run tensor in a policy, objective or optimiser, onto the device."""
        if isinstance(spec, Tensor) and spec.ndim:
            if len(spec) != self.problem.runs:
                raise ValueError(
                    f"a per-run value has {len(spec)} entries for {self.problem.runs} runs; give one number or one a "
                    "run"
                )
            mine = spec[rows].to(self.device, self.dtype)
            return mine.item() if mine.numel() == 1 == mine.ndim else mine  # a run alone has numbers, which cost less
        if isinstance(spec, tuple):
            return tuple(self._place(part, rows) for part in spec)
        if is_dataclass(spec) and not isinstance(spec, type):
            values = {field.name: getattr(spec, field.name) for field in fields(spec)}
            return replace(spec, **{name: self._place(value, rows) for name, value in values.items()})
        return spec


def train_chunks(job: Job, loop: str) -> tuple[dict[str, Any], Tensor]:
    """Train all runs by a loop of `lab.training.planning`.

    Returns:
        What the record holds of them, [run, step, ...] or [run, ...] each, and for every run the first recorded row
        that is not finite (the number of rows if none), [run].
    """
    return _margins(job) if loop == "margins" else _states(job, LOOPS[loop])


def _each(job: Job, size: int, train: Callable[[slice, Job], Done]) -> list[Done]:
    """Train chunks of so many runs, several at once where torch may use several threads of the processor."""
    chunks = job.chunks(size)
    finished = dict.fromkeys((rows.start for rows in chunks), 0.0)

    def one(rows: slice, check: Callable[[], None]) -> Done:
        def progress(done: float) -> None:
            check()
            finished[rows.start] = done * (rows.stop - rows.start)
            if job.progress is not None:
                job.progress(min(1.0, sum(finished.values()) / job.problem.runs))

        # Placed outside inference mode: an objective without a closed form differentiates through its settings.
        return train(rows, replace(job.of_runs(rows), progress=progress))

    return _spread(job, one, chunks)


def _spread(job: Job, work: Callable[[Part, Callable[[], None]], Done], parts: Sequence[Part]) -> list[Done]:
    """Spread work over the cores, or give it to the device part by part."""
    if job.device.type == "cpu":
        return spread(work, parts)
    with one_thread():
        return [work(part, lambda: None) for part in parts]


def _states(job: Job, loop: Any) -> tuple[dict[str, Any], Tensor]:
    """Train by a loop that returns a tape of its own for every chunk."""

    def train(rows: slice, part: Job) -> tuple[dict[str, Tensor], Tensor]:
        chunk = loop(
            part.problem, part.policy, part.objective, part.optimizer, part.start, *([part.then] if part.then else [])
        )
        with torch.inference_mode():
            tape, bad = chunk.train(part.steps, part.record, part.batch, part.progress)
        return {name: value.cpu() for name, value in tape.items()}, bad.cpu()

    tapes, broken = zip(*_each(job, max(1, CHUNK // job.policy.parameter_count), train), strict=True)
    tape = {name: torch.cat([t[name] for t in tapes]) if len(tapes) > 1 else tapes[0][name] for name in tapes[0]}
    return {name: value.numpy() for name, value in tape.items()}, torch.cat(broken)


def _margins(job: Job) -> tuple[dict[str, Any], Tensor]:
    """Train into one tape, by a kernel or chunk by chunk; log-probabilities are left to be derived from it."""
    reference_log_prob(job.policy, job.start[:1], job.problem)  # refuses a table of other sizes
    like = job.start.new_empty(0, dtype=job.dtype, device=job.device)
    named = Named.of(job.problem, like)
    runs, pairs = job.problem.runs, len(job.problem.preferences)
    rows = len(job.record.steps(job.steps + sum(stage.steps for stage in job.then)))
    shapes = {"moves": (named.entries,), "loss": (pairs,), "response_weight": (2, pairs)}
    tape = {name: blank(like, rows, *shape, runs) for name, shape in shapes.items()}
    reference = like.new_zeros(1, named.entries, runs)
    by = plan_steps(job.problem, job.objective, job.optimizer, then=job.then, batch=job.batch, device=job.device)
    write = _in_kernel if by.loop == "kernel" else _in_chunks
    broken = write(job, named, tape, reference)
    start = job.start.to(like).unflatten(-1, (job.problem.prompts, job.problem.responses))
    still = (each.cpu().numpy() for each in (start, named.cells, named.entry, named.factor))
    arrays = {name: value.movedim(-1, 0).cpu().numpy() for name, value in (*tape.items(), ("reference", reference))}
    table = TableLogProb(arrays.pop("moves"), *still)
    return {"log_prob": table, "reference_log_prob": table.of(arrays.pop("reference")), **arrays}, broken


def _in_kernel(job: Job, named: Named, tape: dict[str, Tensor], reference: Tensor) -> Tensor:
    """Write the tape in one launch, and return each run's first broken row."""
    part = job.of_runs(slice(None))
    with torch.inference_mode():
        launch(
            part.problem, part.objective, part.optimizer, part.start,
            steps=job.steps, every=job.record.every, written=tape,
        )  # fmt: skip
        found = [first_broken(tape[name].movedim(-1, 0), len(tape["moves"])) for name in ("moves", "loss")]
    return torch.minimum(*found).cpu()


def _in_chunks(job: Job, named: Named, tape: dict[str, Tensor], reference: Tensor) -> Tensor:
    """Write the tape by `MarginChunk`, and where the reference ends up; return each run's first broken row."""
    rows = len(tape["moves"])
    broken = torch.full((job.problem.runs,), rows)

    def train(lanes: slice, part: Job) -> list[Told]:
        mine = {name: value[..., lanes] for name, value in tape.items()}
        chunk = MarginChunk(part.problem, named, part.objective, part.optimizer, part.start, mine, part.then)
        with torch.inference_mode():
            reference[0, :, lanes], told = chunk.train(part.steps, part.record, part.batch, part.progress)
        return told

    @torch.inference_mode()
    def write(block: Told, check: Callable[[], None]) -> bool:
        check()
        return block.write()

    size = max(1, LANES // named.entries)
    told = _each(job, size, train)
    # The chunks are few: their rows are told of block by block, so that no core is idle.
    if not all(_spread(job, write, [block for stages in told for each in stages for block in each.blocks()])):
        for lanes, stages in zip(job.chunks(size), told, strict=True):
            broken[lanes] = stages[-1].first_broken(rows)
    return broken
