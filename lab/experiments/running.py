"""From an experiment to its record: builds the parts that the line names and trains every run at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

import lab
from lab import policies, references, store
from lab.estimators import PolicyGradient
from lab.experiments.cells import join, place_cells, share, told_once
from lab.experiments.experiment import Experiment
from lab.experiments.losses import build_objective
from lab.experiments.methods import METHODS, build_method, build_reward_model
from lab.experiments.tables import read_pairs, share_responses
from lab.experiments.vocabulary import Value
from lab.experiments.worlds import build_problem
from lab.objectives import BradleyTerry, Objective
from lab.optimizers import SGD, Adam, Momentum, Optimizer
from lab.policies import MLP, LogLinear, Policy, Tabular
from lab.preferences import Preferences
from lab.problems import Problem
from lab.space import MEMORY
from lab.training import NonFiniteError, Record, Stage, check_device, train

OF_THE_POLICY = ("beta", "ratio_clip")  # axes that a reward model knows nothing of


def run(
    experiment: str | Experiment,
    *,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
    memory: float | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> Any:
    """Run an experiment and return its record.

    Args:
        experiment: an experiment or its line, such as "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24".
        device: "cpu", "cuda", ...
        progress: called with the finished share in [0, 1].
        memory: bytes that the record may take; None means half of the memory that is free. A larger one lies in
            files while it is used, and `lab.RecordOnDisk` warns of it.
        scratch: folder of these files; None means the cache folder.

    Returns:
        An xarray.Dataset of the schema in `lab.trajectory`; its dimensions begin with the swept axes and `seed`.

    Raises:
        ValueError: if the line is not valid (it says what is, and the nearest valid word), the device is not there, or
            neither memory nor disk holds the record.
        NonFiniteError: if a run becomes NaN or infinite: it names line, seed and step and carries what was recorded.
    """
    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    check_device(device)
    cells = list(experiment.cells())
    place = place_cells(experiment, memory, scratch) if len(cells) > 1 else MEMORY
    allowed = memory if place is MEMORY else 0.0
    records: dict[tuple[Value, ...], Any] = {}
    for index, (cell, coordinates) in enumerate(cells):
        advance = share(progress, index, len(cells))
        try:
            with told_once(place):
                records[tuple(coordinates.values())] = _run_cell(
                    cell, str(experiment), device, advance, allowed, scratch
                )
        except NonFiniteError as error:
            done = zip(cells, records.values(), strict=False)
            error.finished = tuple(record.assign_attrs(experiment=str(cell)) for (cell, _), record in done)
            raise
    if progress:
        progress(1.0)
    return join(records, list(experiment.looped_axes.items()), place)


def build(
    experiment: Experiment, *, device: str = "cpu"
) -> tuple[Problem, Policy, Objective | PolicyGradient, Optimizer, dict[str, list[Any]]]:
    """Build what an experiment without looped axes names; of several stages, the first.

    Args:
        experiment: the experiment; its batched axes times its seeds are the runs.
        device: where a reward model is trained, if the line asks for one.

    Returns:
        Problem, policy, objective (or policy gradient, its reward model trained) and optimiser of all runs, and the
        axes whose product is the run dimension.

    Raises:
        ValueError: if the experiment has looped axes, which need one build each.
    """
    if experiment.looped_axes:
        raise ValueError(
            f"the experiment loops over {', '.join(experiment.looped_axes)}; build one of its cells() at a time"
        )
    problem, policy, optimizer, axes, hyper = _parts(experiment)
    objective: Objective | PolicyGradient
    if experiment.value("objective") in METHODS:
        objective = build_method(experiment, hyper, _learned_reward(experiment, axes, device))
    elif experiment.value("objective") == "rm":
        objective = build_reward_model(hyper)
    else:
        objective = build_objective(experiment, hyper)
    return problem, policy, objective, optimizer, axes


def build_later(experiment: Experiment, axes: dict[str, list[Any]]) -> tuple[Stage, ...]:
    """Build the stages after the first.

    Args:
        experiment: the experiment, without looped axes.
        axes: the axes whose product is the run dimension, as `build` returns them.
    """
    _, *later = experiment.stages()
    return tuple(
        Stage(
            build_objective(stage, _hyper(stage, axes)),
            _optimizer(stage, _hyper(stage, axes)),
            stage.value("steps"),
            reference or "before",
        )
        for stage, reference in later
    )


def keeping(experiment: Experiment) -> Record:
    """Return what of a training an experiment keeps, and how often."""
    keep = str(experiment.value("keep"))
    return Record(every=experiment.value("every"), keep=() if keep == "none" else tuple(keep.split("+")))


def build_pairwise(experiment: Experiment) -> tuple[Problem, Policy, Objective, Optimizer, dict[str, list[Any]]]:
    """Build what an experiment names, where its objective is one of preference pairs.

    Raises:
        ValueError: as `build`, and for a policy gradient, a reward model, an open scenario or several stages.
    """
    if experiment.then:
        raise ValueError(
            f"the line goes on 'then {experiment.then[0]}', and this looks at one objective from end to end; give each "
            "stage a line of its own"
        )
    if experiment.scenario == ("open",):
        raise ValueError(
            "the scenario is open, in which every run has pairs of its own, and this looks at fixed pairs; choose s1, "
            "s2, s3 or s4"
        )
    problem, policy, objective, optimizer, axes = build(experiment)
    if isinstance(objective, PolicyGradient | BradleyTerry):
        raise ValueError(
            f"{experiment.value('objective')} is no objective of a policy's pairs, and this looks at their pushes; "
            "choose another objective, such as dpo"
        )
    return problem, policy, objective, optimizer, axes


def reference(policy: Policy, problem: Problem) -> Tensor:
    """Return the reference parameters [run, parameter]; a fit is done once for equal seeds and targets, and cached.

    Raises:
        RuntimeError: if a fit misses its target.
    """
    if policy.start(problem) is not None or not isinstance(policy, MLP):
        return references.reference_parameters(policy, problem)
    keys = [
        (seed, target.numpy().tobytes()) for seed, target in zip(problem.seeds, problem.target_log_prob, strict=True)
    ]
    first = {key: index for index, key in reversed(list(enumerate(keys)))}  # one run for each distinct world
    distinct = sorted(first.values())
    seeds = tuple(problem.seeds[i] for i in distinct)
    smaller = Problem(Preferences([0], [0], [1]), problem.target_log_prob[distinct], seeds)  # pairs play no part
    key = store.key(
        "reference", repr(policy), list(smaller.seeds), smaller.target_log_prob.numpy(), torch.__version__,
        references, policies, lab.optimizers, lab.randomness,
    )  # fmt: skip
    fitted = store.fetch_arrays(key, lambda: {"parameters": references.reference_parameters(policy, smaller).numpy()})
    where = {index: row for row, index in enumerate(distinct)}
    return torch.from_numpy(fitted["parameters"])[[where[first[key]] for key in keys]]


def _run_cell(
    experiment: Experiment,
    line: str,
    device: str,
    progress: Callable[[float], None] | None,
    memory: float | None,
    scratch: str | os.PathLike[str] | None,
) -> Any:
    problem, policy, objective, optimizer, axes = build(experiment, device=device)
    return train(
        problem,
        policy,
        objective,
        optimizer,
        steps=experiment.value("steps"),
        then=build_later(experiment, axes),
        start=None if isinstance(objective, BradleyTerry) else reference(policy, problem),
        record=keeping(experiment),
        batch=experiment.value("batch"),
        dtype={"float64": torch.float64, "float32": torch.float32}[str(experiment.value("dtype"))],
        device=device,
        axes=axes,
        attrs={"experiment": line, "lab_version": lab.__version__},
        progress=progress,
        memory=memory,
        scratch=scratch,
    )


def _parts(
    experiment: Experiment,
) -> tuple[Problem, Policy, Optimizer, dict[str, list[Any]], Callable[[str], float | Tensor]]:
    """Build what does not depend on the objective, the axes, and what gives the value of a key along them."""
    seeds = range(experiment.value("seed"), experiment.value("seed") + experiment.value("seeds"))
    axes: dict[str, list[Any]] = {name: list(values) for name, values in experiment.batched_axes.items()}
    axes["seed"] = list(seeds)
    columns, hyper = _columns(axes), _hyper(experiment, axes)

    def per_run(name: str) -> list[Any]:
        """One value a run, whether the field is an axis or not."""
        return list(columns[name]) if name in columns else [experiment.value(name)] * len(columns["seed"])

    problem = build_problem(experiment, per_run, hyper)
    return problem, _policy(experiment, problem, hyper), _optimizer(experiment, hyper), axes, hyper


def _learned_reward(experiment: Experiment, axes: dict[str, list[Any]], device: str) -> Tensor | None:
    """Train a reward model, of the policy's own kind and by its optimiser, on the pairs; None for the true reward.

    Runs that differ only in what the policy alone reads share one model: it is trained once.
    """
    if experiment.value("reward_from") == "truth":
        return None
    of_the_policy = OF_THE_POLICY + (("lr",) if experiment.model_lr else ())
    shared = [name for name in experiment.batched_axes if name in of_the_policy]
    alone = replace(experiment, **{name: getattr(experiment, name)[:1] for name in shared})
    problem, policy, optimizer, own_axes, hyper = _parts(alone)
    if experiment.model_lr:
        optimizer = replace(optimizer, lr=hyper("model_lr"))  # type: ignore[type-var]
    steps = experiment.value("model_steps")
    trained = train(
        problem, policy, build_reward_model(hyper), optimizer, steps=steps, record=Record(every=steps, keep=()),
        device=device, axes=own_axes,
    )  # fmt: skip
    scores = trained["score"].isel(step=-1).expand_dims({name: axes[name] for name in shared})
    scores = scores.transpose(*axes, "prompt", "response").values
    return torch.from_numpy(scores.reshape(-1, *scores.shape[-2:]).copy())


def _columns(axes: dict[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the value of every run on each axis."""
    return dict(zip(axes, zip(*product(*axes.values()), strict=True), strict=True))


def _hyper(stage: Experiment, axes: dict[str, list[Any]]) -> Callable[[str], float | Tensor]:
    """Return what gives the value of a key: a number, or one value a run if the key is an axis in this stage."""
    columns = _columns(axes)

    def hyper(name: str) -> float | Tensor:
        if len(getattr(stage, name)) > 1:
            return torch.tensor(columns[name], dtype=torch.float64)
        return stage.value(name)

    return hyper


def _policy(experiment: Experiment, problem: Problem, hyper: Callable[[str], float | Tensor]) -> Policy:
    match experiment.value("policy"):
        case "tabular":
            return Tabular(problem.prompts, problem.responses)
        case "loglinear":
            # One cosine for each pair can be set where no two of them share a response.
            shared = bool(experiment.compare) and share_responses(read_pairs(experiment.value("compare")))
            overlap = None if shared or experiment.scenario == ("open",) else hyper("overlap")
            return LogLinear.drawn(problem, features=experiment.value("features"), overlap=overlap)
        case "mlp":
            width, activation = experiment.value("width"), experiment.value("activation")
            return MLP(problem.prompts, problem.responses, width, activation)
        case other:
            raise ValueError(f"no policy is built for the word {other!r}; add it to lab.experiments.running")


def _optimizer(experiment: Experiment, hyper: Callable[[str], float | Tensor]) -> Optimizer:
    match experiment.value("optimizer"):
        case "sgd":
            return SGD(hyper("lr"))
        case "momentum":
            return Momentum(hyper("lr"), hyper("momentum"))
        case "adam":
            return Adam(hyper("lr"), eps=hyper("eps"))
        case other:
            raise ValueError(f"no optimiser is built for the word {other!r}; add it to lab.experiments.running")
