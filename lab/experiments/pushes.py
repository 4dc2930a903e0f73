"""The theory beside a record: the pushes that the written formulas give at every state that a training came through."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from lab.experiments.experiment import Experiment
from lab.experiments.running import build_pairwise
from lab.objectives.view import PairView
from lab.theory.catalogue import formula
from lab.theory.states import place_pairs

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor


def written_pushes(record: xr.Dataset) -> xr.DataArray:
    """Evaluate the formulas of a record's objectives at its states.

    Args:
        record: A record with its experiment line; it may be a selection of steps.

    Returns:
        a⁺ and a⁻, dims and coordinates of the record's `response_weight`, which was computed by the objectives.

    Raises:
        ValueError: If the record has no experiment line, lacks one of its axes, or no closed form is kept of an
            objective.
    """
    import xarray as xr

    if "experiment" not in record.attrs:
        raise ValueError("the record has no experiment line in its attributes; give one that lab.run returned")
    experiment = Experiment.parse(record.attrs["experiment"])
    seeds = range(experiment.value("seed"), experiment.value("seed") + experiment.value("seeds"))
    for name, values in {**experiment.axes, "seed": seeds}.items():
        if set(record[name].values.ravel().tolist()) != set(values) or name not in record.dims:
            raise ValueError(f"the record lacks a part of {name} of its experiment line; give it whole, steps excepted")
    found = xr.zeros_like(record["response_weight"]).assign_attrs(long_name="push, by its formula")
    for cell, coordinates in experiment.cells():
        problem, _, objective, _, axes = build_pairwise(cell)
        part = record.sel({**coordinates, **axes})
        table, reference = (
            _runs(part[name].transpose(*axes, ..., "prompt", "response"), len(axes)).flatten(-2)
            for name in ("log_prob", "reference_log_prob")
        )
        pairs = PairView.of(problem, objective.needs, reference)(table)
        pushes = torch.stack(formula(objective).evaluate(objective, pairs)[1:], 2)
        dims = (*axes, "step", "term", "pair")
        shape = [part.sizes[name] for name in dims]
        here = part["response_weight"].transpose(*dims).copy(data=pushes.reshape(shape).numpy())
        place = {**coordinates, **axes}
        found.loc[place] = here.transpose(*found.loc[place].dims)
    return found


def pushes_at(experiment: str | Experiment, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Evaluate the formula of an objective at any log-ratios: where a training may come through, and where it does not.

    The chosen responses of every prompt get exp(u) times their probability under the reference, the rejected ones
    exp(v) times; the unseen ones share what is left as they do there.

    Args:
        experiment: An experiment without axes, or its line; its first seed is taken.
        u: log-ratio of the chosen responses, nats, [state].
        v: log-ratio of the rejected responses, nats, [state].

    Returns:
        a⁺ and a⁻ of the first pair, [2, state].

    Raises:
        ValueError: If the line is not valid or has axes, two probabilities leave nothing to the unseen responses, or no
            closed form is kept of the objective.
    """
    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    if experiment.axes:
        raise ValueError(f"the experiment has axes ({', '.join(experiment.axes)}); give one value to each")
    problem, _, objective, _, _ = build_pairwise(replace(experiment, seeds=(1,)))
    reference = problem.target_log_prob[:1].expand(len(u), -1, -1)
    starts = PairView.of(problem, frozenset(), reference.flatten(1)).starts
    wanted = (start[:, 0] + torch.as_tensor(ratio) for start, ratio in zip(starts, (u, v), strict=True))
    table = place_pairs(reference, problem.preferences, *wanted)
    view = PairView.of(problem, objective.needs, reference.flatten(1))
    pushes = formula(objective).evaluate(objective, view(table.flatten(1)))[1:]
    return torch.stack(pushes)[:, :, 0].numpy()


def _runs(array: xr.DataArray, axes: int) -> Tensor:
    """Return an array with its first dimensions, the axes of the runs, as one."""
    return torch.from_numpy(array.values.copy()).flatten(0, axes - 1)
