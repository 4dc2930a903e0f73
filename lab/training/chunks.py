"""Runs cut into chunks that fit the cache, each taken through its loop, and their tapes joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lab.cores import Done, Part
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.space import Place
from lab.threads import one_thread, spread
from lab.training.graphs import capture
from lab.training.kernels import launch
from lab.training.loop import Chunk, reference_log_prob
from lab.training.margins import MarginChunk, Named
from lab.training.planning import Plan, plan_steps
from lab.training.recording import Record, first_broken
from lab.training.rollouts import RolloutChunk
from lab.training.room import SHARE, bytes_of_blocks, bytes_of_run, free_bytes
from lab.training.scores import ScoreChunk
from lab.training.stages import Stage
from lab.training.tape import Tape, shapes
from lab.trajectory import SCHEMA, TableLogProb

CHUNK = 2**18  # parameters of the runs that are advanced together: their optimiser state stays in cache
LANES = 2**14  # numbers that move together, where little else is done to them
LOOPS = {"rollouts": RolloutChunk, "scores": ScoreChunk}


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

    def tape(self, loop: str, place: Place) -> Tape:
        """Allocate what a loop writes."""
        rows = self.record.states(self.steps + sum(stage.steps for stage in self.then))
        like = self.start.new_empty(0, dtype=self.dtype, device=self.device)
        sizes = shapes(self.problem, self.policy, self.record, loop)
        return Tape.blank(sizes, rows, self.problem.runs, like, place, last=loop == "margins")

    def chunks(self, size: int) -> list[slice]:
        """Cut the runs into as few chunks of at most so many as there can be, of nearly equal size."""
        runs = self.problem.runs
        count = -(-runs // size)
        return [slice(runs * index // count, runs * (index + 1) // count) for index in range(count)]

    def together(self, loop: str) -> int:
        """Return at most how many runs a loop advances together."""
        steps = self.steps + sum(stage.steps for stage in self.then)
        return runs_together(loop, self.problem, self.policy, self.record, steps, self.dtype.itemsize, self.device)

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
        if isinstance(spec, Tensor):
            return spec.cpu()  # a number: read there, it holds up no device
        if isinstance(spec, tuple):
            return tuple(self._place(part, rows) for part in spec)
        if is_dataclass(spec) and not isinstance(spec, type):
            values = {field.name: getattr(spec, field.name) for field in fields(spec)}
            return replace(spec, **{name: self._place(value, rows) for name, value in values.items()})
        return spec


def train_chunks(job: Job, chosen: Plan, place: Place) -> tuple[dict[str, Any], Tensor]:
    """Train all runs as planned, and leave what they record in a place.

    Returns:
        What the record holds of them, [run, step, ...] or [run, ...] each, and for every run the first recorded row
        that is not finite (the number of rows if none), [run].
    """
    tape = job.tape(chosen.loop, place)
    return _margins(job, tape) if chosen.loop == "margins" else _states(job, chosen, tape)


def _each(job: Job, size: int, tape: Tape, train: Callable[[slice, Job, dict[str, Tensor]], Done]) -> list[Done]:
    """Train chunks of so many runs, several at once where torch may use several threads of the processor."""
    chunks = job.chunks(size)
    finished = dict.fromkeys((rows.start for rows in chunks), 0.0)

    def one(rows: slice, check: Callable[[], None]) -> Done:
        def progress(done: float) -> None:
            check()
            tape.let_go()
            finished[rows.start] = done * (rows.stop - rows.start)
            if job.progress is not None:
                job.progress(min(1.0, sum(finished.values()) / job.problem.runs))

        # Placed outside inference mode: an objective without a closed form differentiates through its settings.
        done = train(rows, replace(job.of_runs(rows), progress=progress), tape.of_runs(rows))
        tape.let_go()
        return done

    return _spread(job, one, chunks)


def _spread(job: Job, work: Callable[[Part, Callable[[], None]], Done], parts: Sequence[Part]) -> list[Done]:
    """Spread work over the cores, or give it to the device part by part."""
    if job.device.type == "cpu":
        return spread(work, parts)
    with one_thread():
        return [work(part, lambda: None) for part in parts]


def runs_together(
    loop: str, problem: Problem, policy: Policy, record: Record, steps: int, size: int, device: torch.device
) -> int:
    """Return at most how many runs are advanced together: as many as the cache holds, or a GPU's memory.

    Args:
        loop: of `lab.training.planning`.
        problem: gives pairs and sizes.
        policy: gives the number of parameters.
        record: what is kept, and how often.
        steps: updates of all stages.
        size: bytes of a number.
        device: where the runs are advanced.
    """
    if device.type != "cpu":
        needed = bytes_of_run(problem, policy, record, steps, loop=loop, size=size)
        return max(1, int(SHARE * free_bytes(device) - bytes_of_blocks(size)) // needed)
    if loop == "margins":
        return max(1, LANES // Named.of(problem, torch.empty(0)).entries)
    return max(1, CHUNK // policy.parameter_count)


def _states(job: Job, chosen: Plan, tape: Tape) -> tuple[dict[str, Any], Tensor]:
    """Train by a loop of whole states."""
    runs, sizes = job.problem.runs, (job.problem.prompts, job.problem.responses)
    reference = job.start.new_empty(runs, sizes[0] * sizes[1], dtype=job.dtype)
    broken = torch.empty(runs, dtype=torch.int64)
    captured = job.device.type == "cuda" and not chosen.one_by_one

    def train(lanes: slice, part: Job, mine: dict[str, Tensor]) -> None:
        own = (part.problem, part.policy, part.objective, part.optimizer, part.start, mine)
        if chosen.loop == "states":
            chunk = Chunk(*own, part.then, partial(capture, device=part.device) if captured else None)
        else:
            chunk = LOOPS[chosen.loop](*own)
        with torch.inference_mode():
            reference[lanes], broken[lanes] = chunk.train(part.steps, part.record, part.batch, part.progress)
            tape.keep(lanes, mine)

    _each(job, job.together(chosen.loop), tape, train)
    arrays = {**tape.by_run(), "reference_log_prob": reference.numpy()}
    for name, each in arrays.items():
        if SCHEMA[name].dims[-2:] == ("prompt", "response"):
            arrays[name] = each.reshape(*each.shape[:-1], *sizes)
    return arrays, broken


def _margins(job: Job, tape: Tape) -> tuple[dict[str, Any], Tensor]:
    """Write what moves, by a kernel or chunk by chunk; log-probabilities are left to be derived from it."""
    reference_log_prob(job.policy, job.start[:1], job.problem)  # refuses a table of other sizes
    named = Named.of(job.problem, tape.like)
    by = plan_steps(job.problem, job.objective, job.optimizer, then=job.then, batch=job.batch, device=job.device)
    reference, broken = (_in_kernel if by.loop == "kernel" else _in_chunks)(job, named, tape)
    sizes = (job.problem.prompts, job.problem.responses)
    start = job.start.to(job.dtype).unflatten(-1, sizes).numpy()
    named_parts = [each.cpu().numpy() for each in (named.cells, named.entry, named.factor)]
    arrays = tape.by_run()
    moves, moved = arrays.pop("moves"), reference.t()[:, None].numpy()
    log_prob = torch.empty(job.problem.runs, *sizes, dtype=job.dtype).numpy()
    for lanes in job.chunks(max(1, CHUNK // job.policy.parameter_count)):  # tables may be far larger than what moves
        log_prob[lanes] = TableLogProb(moves[lanes], start[lanes], *named_parts).of(moved[lanes])
    return {"log_prob": TableLogProb(moves, start, *named_parts), "reference_log_prob": log_prob, **arrays}, broken


def _in_kernel(job: Job, named: Named, tape: Tape) -> tuple[Tensor, Tensor]:
    """Write the tape in one launch; return where the reference stands, [entry, run], and first broken rows, [run]."""
    part, written = job.of_runs(slice(None)), tape.of_runs(slice(None))
    with torch.inference_mode():
        launch(
            part.problem, part.objective, part.optimizer, part.start,
            steps=job.steps, every=job.record.every, written=written,
        )  # fmt: skip
        found = [first_broken(written[name].movedim(-1, 0), tape.rows) for name in ("moves", "loss")]
        tape.keep(slice(None), written)
    return torch.zeros(named.entries, job.problem.runs, dtype=job.dtype), torch.minimum(*found).cpu()


def _in_chunks(job: Job, named: Named, tape: Tape) -> tuple[Tensor, Tensor]:
    """Write the tape by `MarginChunk`; return where the reference stands, [entry, run], and first broken rows."""
    reference = torch.empty(named.entries, job.problem.runs, dtype=job.dtype)
    broken = torch.full((job.problem.runs,), tape.rows)

    def train(lanes: slice, part: Job, mine: dict[str, Tensor]) -> None:
        chunk = MarginChunk(part.problem, named, part.objective, part.optimizer, part.start, mine, part.then)
        finite = True
        with torch.inference_mode():
            reference[:, lanes], told = chunk.train(part.steps, part.record, part.batch, part.progress)
            for block in (block for stage in told for block in stage.blocks()):
                tape.let_go()
                finite &= block.write()
            tape.keep(lanes, mine)
            if not finite:
                broken[lanes] = told[-1].first_broken(tape.rows).cpu()

    _each(job, job.together("margins"), tape, train)
    tape.let_go()
    return reference, broken
