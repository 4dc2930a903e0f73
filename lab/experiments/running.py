"""From an experiment to its record: builds the parts that the line names and trains every run at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

import lab
from lab import policies, references, store, trajectory
from lab.experiments.experiment import Experiment
from lab.experiments.losses import build_objective
from lab.experiments.vocabulary import Value
from lab.objectives import Objective
from lab.optimizers import SGD, Adam, Momentum, Optimizer
from lab.policies import MLP, LogLinear, Policy, Tabular
from lab.preferences import Preferences
from lab.problems import Problem, scenario_problem
from lab.rewards import normal_rewards
from lab.training import NonFiniteError, Record, check_device, train


def run(experiment: str | Experiment, *, device: str = "cpu", progress: Callable[[float], None] | None = None) -> Any:
    """Run an experiment and return its record.

    Args:
        experiment: an experiment or its line, such as "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24".
        device: "cpu", "cuda", ...
        progress: called with the finished share in [0, 1].

    Returns:
        An xarray.Dataset of the schema in `lab.trajectory`; its dimensions begin with the swept axes and `seed`.

    Raises:
        ValueError: if the line is not valid (it says what is, and the nearest valid word) or the device is not there.
        NonFiniteError: if a run becomes NaN or infinite: it names line, seed and step and carries what was recorded.
    """
    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    check_device(device)
    cells = list(experiment.cells())
    records: dict[tuple[Value, ...], Any] = {}
    for index, (cell, coordinates) in enumerate(cells):
        share = _share(progress, index, len(cells))
        try:
            records[tuple(coordinates.values())] = _run_cell(cell, str(experiment), device, share)
        except NonFiniteError as error:
            done = zip(cells, records.values(), strict=False)
            error.finished = tuple(record.assign_attrs(experiment=str(cell)) for (cell, _), record in done)
            raise
    if progress:
        progress(1.0)
    return _join(records, list(experiment.looped_axes.items()))


def build(experiment: Experiment) -> tuple[Problem, Policy, Objective, Optimizer, dict[str, list[Any]]]:
    """Build what an experiment without looped axes names.

    Args:
        experiment: the experiment; its batched axes times its seeds are the runs.

    Returns:
        Problem, policy, objective and optimiser of all runs, and the axes whose product is the run dimension.

    Raises:
        ValueError: if the experiment has looped axes, which need one build each.
    """
    if experiment.looped_axes:
        raise ValueError(
            f"the experiment loops over {', '.join(experiment.looped_axes)}; build one of its cells() at a time"
        )
    seeds = range(experiment.value("seed"), experiment.value("seed") + experiment.value("seeds"))
    axes: dict[str, list[Any]] = {name: list(values) for name, values in experiment.batched_axes.items()}
    axes["seed"] = list(seeds)
    columns = dict(zip(axes, zip(*product(*axes.values()), strict=True), strict=True))

    def per_run(name: str) -> list[Any]:
        """One value a run, whether the field is an axis or not."""
        return list(columns[name]) if name in columns else [experiment.value(name)] * len(columns["seed"])

    def hyper(name: str) -> float | Tensor:
        """A number, or one value a run if the field is an axis."""
        return torch.tensor(columns[name], dtype=torch.float64) if name in columns else experiment.value(name)

    sizes: tuple[int, int] = (experiment.value("prompts"), experiment.value("responses"))
    pairs = Preferences.grid(*sizes, experiment.value("pairs"), roles=experiment.value("roles"))
    problem = scenario_problem(
        pairs,
        *sizes,
        scenario=per_run("scenario"),
        on=per_run("on"),
        off=per_run("off"),
        seeds=list(columns["seed"]),
        spread=experiment.value("spread"),
    )
    lengths = (experiment.value("chosen_length"), experiment.value("rejected_length"))
    if lengths != (1, 1):
        problem = replace(problem, lengths=_lengths(pairs, sizes, lengths))
    if experiment.value("truth") == "normal":
        problem = replace(problem, reward=normal_rewards(pairs, *sizes, seeds=problem.seeds))
    return (
        problem,
        _policy(experiment, problem, hyper),
        build_objective(experiment, hyper),
        _optimizer(experiment, hyper),
        axes,
    )


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
    smaller = Problem(problem.preferences, problem.target_log_prob[distinct], tuple(problem.seeds[i] for i in distinct))
    key = store.key(
        "reference", repr(policy), list(smaller.seeds), smaller.target_log_prob.numpy(), torch.__version__,
        references, policies, lab.optimizers, lab.randomness,
    )  # fmt: skip
    fitted = store.fetch_arrays(key, lambda: {"parameters": references.reference_parameters(policy, smaller).numpy()})
    where = {index: row for row, index in enumerate(distinct)}
    return torch.from_numpy(fitted["parameters"])[[where[first[key]] for key in keys]]


def _run_cell(experiment: Experiment, line: str, device: str, progress: Callable[[float], None] | None) -> Any:
    problem, policy, objective, optimizer, axes = build(experiment)
    keep = str(experiment.value("keep"))
    return train(
        problem,
        policy,
        objective,
        optimizer,
        steps=experiment.value("steps"),
        start=reference(policy, problem),
        record=Record(every=experiment.value("every"), keep=() if keep == "none" else tuple(keep.split("+"))),
        batch=experiment.value("batch"),
        dtype={"float64": torch.float64, "float32": torch.float32}[str(experiment.value("dtype"))],
        device=device,
        axes=axes,
        attrs={"experiment": line, "lab_version": lab.__version__},
        progress=progress,
    )


def _policy(experiment: Experiment, problem: Problem, hyper: Callable[[str], float | Tensor]) -> Policy:
    match experiment.value("policy"):
        case "tabular":
            return Tabular(problem.prompts, problem.responses)
        case "loglinear":
            return LogLinear.drawn(problem, features=experiment.value("features"), overlap=hyper("overlap"))
        case "mlp":
            width, activation = experiment.value("width"), experiment.value("activation")
            return MLP(problem.prompts, problem.responses, width, activation)
        case other:
            raise ValueError(f"no policy is built for the word {other!r}; add it to lab.experiments.running")


def _lengths(pairs: Preferences, sizes: tuple[int, int], lengths: tuple[int, int]) -> Tensor:
    """Return the tokens of every response, [prompt, response]: chosen, rejected, and 1 for the others."""
    table = torch.ones(sizes[0] * sizes[1], dtype=torch.float64)
    for places, length in zip(pairs.flat(sizes[1]).tensor_split(2), lengths, strict=True):
        table[places] = float(length)
    return table.view(sizes)


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


def _join(records: dict[tuple[Value, ...], Any], looped: list[tuple[str, tuple[Value, ...]]]) -> Any:
    """Join the cells' records along one looped axis after the other, the innermost first."""
    while looped:
        name, values = looped.pop()
        outer = dict.fromkeys(key[:-1] for key in records)
        records = {key: trajectory.combine([records[(*key, v)] for v in values], name, list(values)) for key in outer}
    return records[()]


def _share(progress: Callable[[float], None] | None, index: int, cells: int) -> Callable[[float], None] | None:
    return None if progress is None else lambda done: progress((index + done) / cells)
