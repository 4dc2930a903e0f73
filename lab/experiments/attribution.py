"""From an experiment to what moved every response along it: each change by the pair and the term behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import lab
from lab import store, theory
from lab.experiments.cached import LIBRARIES
from lab.experiments.experiment import Experiment
from lab.experiments.running import build_pairwise, reference
from lab.experiments.sources import sources, versions

if TYPE_CHECKING:
    import xarray as xr


def attribute(experiment: str | Experiment) -> xr.DataArray:
    """Take a training again and attribute every change of log pi to the pairs and terms that made it.

    Each update is split as `lab.theory.attribute` says, for plain gradient descent, momentum and Adam, and its effect
    taken to first order; the effects are summed from one recorded step to the next. The result is kept in the cache.

    Args:
        experiment: An experiment without looped axes, or its line.

    Returns:
        [axes, seed, step, term, pair, prompt, response] in nats, at the recorded step that a change starts from, as
        `metrics.step_change` of the record is; `metrics.moved_by` reads it. Its sum over term and pair falls short of
        the realised change by what the steps did beyond first order.

    Raises:
        ValueError: If the line is not valid, has looped axes, draws mini-batches or does not compute in float64.
        RuntimeError: If the reference cannot be fitted.
    """
    import xarray as xr

    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    if experiment.looped_axes:
        raise ValueError(
            f"the experiment loops over {', '.join(experiment.looped_axes)}; attribute one of its cells() at a time"
        )
    if experiment.value("batch") or experiment.value("dtype") != "float64":
        raise ValueError(
            f"the experiment has batch={experiment.value('batch')} and dtype={experiment.value('dtype')}; changes are "
            "attributed for the loss of all pairs in float64: leave both words out"
        )
    key = store.key(
        "attribution", str(experiment), lab.__version__, versions(*LIBRARIES), sources("lab.experiments.attribution")
    )
    changes = store.fetch_arrays(key, lambda: {"changes": _compute(experiment)})["changes"]
    axes = build_pairwise(experiment)[-1]
    total, every = experiment.value("steps"), experiment.value("every")
    array = changes.reshape(*(len(values) for values in axes.values()), *changes.shape[1:])
    coordinates = {name: (name, values, {"long_name": name.replace("_", " ")}) for name, values in axes.items()}
    return xr.DataArray(
        array,
        {**coordinates, "step": np.arange(0, total, every), "term": ["chosen", "rejected"]},
        (*axes, "step", "term", "pair", "prompt", "response"),
        "term_change",
        {"long_name": "first-order change of log-probability", "units": "nats", "experiment": str(experiment)},
    )


def _compute(experiment: Experiment) -> np.ndarray:
    problem, policy, objective, optimizer, _ = build_pairwise(experiment)
    found = theory.attribute(
        policy, reference(policy, problem), objective, optimizer, problem,
        steps=experiment.value("steps"), every=experiment.value("every"),
    )  # fmt: skip
    return found.by_term.numpy()
