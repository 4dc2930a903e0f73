"""Training of all runs of a problem: chunks of runs through the step loop, joined into one record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lab import trajectory
from lab.estimators import PolicyGradient
from lab.objectives import BradleyTerry, Objective
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.references import reference_parameters
from lab.training.budget import place_record, record_bytes
from lab.training.chunks import Job, train_chunks
from lab.training.planning import plan
from lab.training.recording import NonFiniteError, Record
from lab.training.stages import Stage
from lab.trajectory import TableLogProb

EVERYTHING = Record()


def train(
    problem: Problem,
    policy: Policy,
    objective: Objective | PolicyGradient,
    optimizer: Optimizer,
    *,
    steps: int,
    then: Sequence[Stage] = (),
    start: Tensor | None = None,
    record: Record = EVERYTHING,
    batch: int = 0,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    axes: Mapping[str, Sequence[object]] | None = None,
    attrs: Mapping[str, str] | None = None,
    progress: Callable[[float], None] | None = None,
    memory: float | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> Any:
    """Train every run of a problem at once and return the record.

    Args:
        problem: pairs, target distributions and seeds; its runs are the batch.
        policy: the policy; tensors in it are [run, ...].
        objective: the objective of the pairs, or a policy gradient, which draws its own responses: the pairs are then
            only what the record speaks of; hyper-parameters are numbers or [run].
        optimizer: the optimiser; its learning rate is a number or [run].
        steps: number of updates, at least 1; of the first stage where others follow.
        then: stages that follow, of objectives of pairs. A recorded state is told of by the stage that leaves from it;
            the record's betas and reference are those of the last stage.
        start: parameters of the reference policy, where training starts, [run, parameter]; None computes them by
            `lab.references.reference_parameters`; a reward model begins at scores of 0.
        record: what to keep and how often.
        batch: pairs in each step, drawn without replacement within an epoch by the run's seed; 0 uses all pairs.
        dtype: torch.float64 or torch.float32.
        device: "cpu", "cuda", ...
        axes: names and values whose product is the run dimension, `seed` last; None means {"seed": problem.seeds}.
        attrs: provenance, kept in the record.
        progress: called with the finished share in [0, 1].
        memory: bytes that the record may take; None means half of the memory that is free. A larger one lies in files
            while it is used, and `lab.RecordOnDisk` warns of it.
        scratch: folder of these files; None means the cache folder.

    Returns:
        An xarray.Dataset of the schema in `lab.trajectory`.

    Raises:
        ValueError: for steps < 1, a batch size out of range, a device that is not there, a per-run value whose length
            differs from the number of runs, a record that neither memory nor disk holds, batches or unequal weights
            with an objective that couples pairs, or stages with a policy gradient or a reward model.
        OSError: if the folder of the files cannot be written, or its disk has filled up meanwhile.
        NonFiniteError: if a run becomes NaN or infinite: it names the run and carries the record up to there.
    """
    device = check_device(device)
    if dtype not in (torch.float64, torch.float32):
        raise ValueError(f"dtype is {dtype}; allowed are torch.float64 and torch.float32")
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed are 1 or more")
    if not 0 <= batch <= len(problem.preferences):
        raise ValueError(
            f"batch is {batch}; allowed are 0 (all pairs) to {len(problem.preferences)} (the number of pairs)"
        )
    if isinstance(objective, PolicyGradient):
        if batch:
            raise ValueError(
                f"batch is {batch} with a policy gradient, which draws its own; allowed is 0: give samples"
            )
    for each in (objective, *(stage.objective for stage in then)):
        if then and isinstance(each, PolicyGradient | BradleyTerry):
            raise ValueError(
                f"{type(each).__name__} has a loop of its own and no stages; train it alone, and give what it ends "
                "with as the next training's start"
            )
        if not isinstance(each, PolicyGradient):
            _check_coupling(each, problem, batch)
    total = steps + sum(stage.steps for stage in then)
    if isinstance(objective, BradleyTerry):
        policy, blank = policy.scorer(problem)
        start = blank if start is None else start
    if start is None:
        start = reference_parameters(policy, problem)
    if start.shape != (problem.runs, policy.parameter_count):
        raise ValueError(f"start has shape {tuple(start.shape)}; allowed is [run, parameter], here "
                         f"({problem.runs}, {policy.parameter_count})")  # fmt: skip
    if not bool(torch.isfinite(start).all()):
        raise ValueError("start holds NaN or infinity; parameters must be finite: correct them")
    axes = axes or {"seed": list(problem.seeds)}
    chosen = plan(problem, policy, objective, optimizer, then=then, record=record, batch=batch)
    needed = record_bytes(problem, policy, record, total, loop=chosen.loop, size=dtype.itemsize)
    place = place_record(needed, record.states(total), total, problem.runs, memory=memory, scratch=scratch)
    job = Job(problem, policy, objective, optimizer, tuple(then), start, steps, record, batch, dtype, device, progress)
    tape, first_bad = train_chunks(job, chosen, place)
    betas = then[-1].objective.betas if then else objective.betas
    for name, beta in zip(("beta_chosen", "beta_rejected"), betas, strict=True):
        tape[name] = torch.as_tensor(beta, dtype=torch.float64).expand(problem.runs).numpy()
    if problem.reward is not None:
        tape["reward"] = problem.reward.numpy()
    if isinstance(objective, PolicyGradient) and objective.reward is not None:
        tape["learned_reward"] = objective.reward.numpy()
    pairs = problem.preferences

    def assemble(rows: int) -> Any:
        return trajectory.assemble(
            arrays={name: _cut(name, value, rows) for name, value in tape.items()},
            axes=axes,
            steps=torch.tensor(record.steps(total)[:rows]).numpy(),
            pair_prompt=pairs.prompt.numpy(),
            chosen=pairs.chosen.numpy(),
            rejected=pairs.rejected.numpy(),
            pair_weight=pairs.weight.numpy(),
            attrs={
                "experiment": "",
                "torch_version": str(torch.__version__),  # a subclass of str, which netCDF cannot write
                "device": device.type,
                "dtype": str(dtype).removeprefix("torch."),
                **(attrs or {}),
            },
        )

    recorded = record.steps(total)
    good = int(first_bad.min())
    if good == len(recorded):
        return assemble(good)
    run = int(first_bad.argmin())
    line = (attrs or {}).get("experiment") or "this training"
    where = zip(axes.items(), torch.unravel_index(torch.tensor(run), [len(v) for v in axes.values()]), strict=True)
    cell = "".join(f"{name}={values[int(index)]}, " for (name, values), index in where if name != "seed")
    raise NonFiniteError(
        f"non-finite log-probabilities or loss in: {line}, {cell}seed {problem.seeds[run]}, step {recorded[good]}; "
        + (
            f"{good} recorded states before it are kept in the error's `trajectory`; lower lr"
            if good
            else "the start itself has no finite loss; give the objective less extreme settings, such as a larger beta"
        ),
        assemble(good) if good else None,
    )


def check_device(device: str | torch.device) -> torch.device:
    """Return the device, or raise ValueError naming the devices that are there."""
    there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or (found.type != "cpu" and f"{found.type}:{found.index or 0}" not in there):
        raise ValueError(
            f"device is {str(device)!r}, which is not there; allowed here are {', '.join(there)}: choose one of them"
        )
    return found


def _check_coupling(objective: Objective, problem: Problem, batch: int) -> None:
    """Raise ValueError if the objective couples pairs and they are not all there with one weight."""
    if not objective.couples_pairs:
        return
    weight, name = problem.preferences.weight, type(objective.whole).__name__
    if batch not in (0, len(problem.preferences)):
        raise ValueError(f"batch is {batch}, and {name} compares each pair with all others; allowed is 0, all pairs")
    if not torch.allclose(weight, weight[..., :1], rtol=1e-9):
        shown = [round(w, 6) for w in weight.reshape(-1, len(problem.preferences))[0].tolist()]
        raise ValueError(
            f"the pair weights are {shown}, and {name} compares each pair with all others as equals; give Preferences "
            "equal weights"
        )


def _cut(name: str, value: Any, rows: int) -> Any:
    """Keep the first recorded rows of what has them."""
    if isinstance(value, TableLogProb):
        return value.until(rows)
    return value[:, :rows] if "step" in trajectory.SCHEMA[name].dims else value
