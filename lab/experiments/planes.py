"""From an experiment to its vector field: how gradient flow moves the pairs, over a plane of states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from lab import store, theory
from lab.experiments.cached import LIBRARIES
from lab.experiments.experiment import Experiment
from lab.experiments.running import build_pairwise, reference
from lab.experiments.sources import sources, versions

if TYPE_CHECKING:
    import xarray as xr

    from lab.policies import Policy


def flow_on_plane(
    experiment: str | Experiment,
    log_chosen: Sequence[float] | np.ndarray,
    log_rejected: Sequence[float] | np.ndarray,
    *,
    around: xr.Dataset | None = None,
) -> xr.Dataset:
    """Compute where gradient flow moves the pairs from every state of a plane.

    In each state all prompts are alike: the chosen response of a prompt has one probability, the rejected one another,
    and the unseen ones share the rest in given proportions (`lab.theory.place_pairs`). The policy is given exactly
    these distributions (`lab.theory.fit_exactly`); its reference stays that of the experiment. Optimiser, rate and
    steps of the line do not matter. A network's parameters are kept in the cache.

    Args:
        experiment: An experiment without axes but its seeds, or its line.
        log_chosen: Values of log π(chosen) [log_chosen] in nats, increasing.
        log_rejected: Values of log π(rejected) [log_rejected] in nats, increasing.
        around: One state of a record of the same policy and seeds, such as `record.isel(step=-1)`: the unseen responses
            have its proportions and a network is moved from its parameters. None is the reference.

    Returns:
        `chosen` and `rejected`, d log π / dt of the pairs' responses per unit of learning rate times steps
        [seed, log_rejected, log_chosen, pair] in nats; NaN where the two probabilities leave nothing to the others.

    Raises:
        ValueError: If the line is not valid or has axes, no state of the plane can be, or `around`
            is no single state, lacks parameters, or has other sizes.
        RuntimeError: If a network cannot be given a state.
    """
    import xarray as xr

    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    if experiment.axes:
        raise ValueError(f"the experiment has the axes {', '.join(experiment.axes)}; give one cell, seeds apart")
    problem, policy, objective, _, axes = build_pairwise(experiment)
    x, y = np.asarray(log_chosen, np.float64), np.asarray(log_rejected, np.float64)
    inside = np.logaddexp(x, y[:, None]) < 0
    if not inside.any():
        raise ValueError("no state of the plane leaves mass to the unseen responses; lower log_chosen or log_rejected")
    start = reference(policy, problem)
    start_log_prob = policy.forward(start)[0].log_softmax(-1)
    sharing, centre = (start_log_prob, start) if around is None else _state(around, start_log_prob, start)
    found = np.full((2, len(axes["seed"]), *inside.shape, len(problem.preferences)), np.nan)
    places = np.argwhere(inside)
    each = torch.ones(problem.runs, dtype=torch.float64)
    states = [
        theory.place_pairs(sharing, problem.preferences, x[column] * each, y[row] * each) for row, column in places
    ]
    for (row, column), (put, parameters) in zip(places, _fitted(policy, states, centre), strict=True):
        flow = theory.flow(put, parameters, objective, problem, start_log_prob)
        found[:, :, row, column] = torch.stack(flow.at_pairs).numpy()
    dims = ("seed", "log_rejected", "log_chosen", "pair")
    units = {"units": "nats"}
    return xr.Dataset(
        {
            name: (dims, values, {"long_name": f"flow of the {name} log-probability", **units})
            for name, values in zip(("chosen", "rejected"), found, strict=True)
        },
        {
            "seed": axes["seed"],
            "log_rejected": ("log_rejected", y, {"long_name": "rejected log-probability", **units}),
            "log_chosen": ("log_chosen", x, {"long_name": "chosen log-probability", **units}),
            "pair_weight": ("pair", problem.preferences.weight.numpy()),
        },
        {"experiment": str(experiment)},
    )


def _state(around: xr.Dataset, log_prob: torch.Tensor, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Read log-probabilities and parameters of one state, and check that they belong to the runs."""
    wanted = {"log_prob": (("seed", "prompt", "response"), log_prob), "parameters": (("seed", "parameter"), start)}
    found = []
    for name, (dims, like) in wanted.items():
        if name not in around or set(around[name].dims) != set(dims):
            has = f"{name} over {list(around[name].dims)}" if name in around else f"no {name}"
            raise ValueError(
                f"`around` has {has}; it must have {name} over {list(dims)}: run with keep=parameters, pick one cell "
                "and one step, and keep the seeds"
            )
        values = around[name].transpose(*dims).values
        if values.shape != tuple(like.shape):
            raise ValueError(
                f"`around` has {name} of shape {values.shape}, the experiment {tuple(like.shape)}; take it from a "
                "record of the same policy, sizes and seeds"
            )
        found.append(torch.from_numpy(np.ascontiguousarray(values)))
    return found[0], found[1]


def _fitted(policy: Policy, states: list[torch.Tensor], start: torch.Tensor) -> list[tuple[Policy, torch.Tensor]]:
    """Give a policy each of the states, those of a network from the cache."""
    if policy.parameters_are_logits or not hasattr(policy, "width"):
        return [theory.fit_exactly(policy, state, start) for state in states]
    wanted = torch.cat(states)
    key = store.key(
        "plane", repr(policy), start.numpy(), wanted.numpy(), versions(*LIBRARIES), sources("lab.theory.states")
    )
    repeated = start.repeat(len(states), 1)
    kept = store.fetch_arrays(key, lambda: {"parameters": theory.fit_exactly(policy, wanted, repeated)[1].numpy()})
    return [(policy, parameters) for parameters in torch.from_numpy(kept["parameters"]).split(len(start))]
