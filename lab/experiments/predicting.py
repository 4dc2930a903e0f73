"""From an experiment to what could have been said of its pairs before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lab.experiments.experiment import Experiment
from lab.experiments.running import build, reference
from lab.predictors import PREDICTORS, step_zero

if TYPE_CHECKING:
    import xarray as xr


def predict(experiment: str | Experiment) -> xr.Dataset:
    """Compute every predictor of the fall of the chosen response at step 0 of an experiment.

    Nothing is trained. A predictor is computed in float64 whatever number type the line trains in, and for the loss of
    all pairs whatever its batch.

    Args:
        experiment: An experiment or its line.

    Returns:
        By the names of `lab.predictors.PREDICTORS`, each [axes, seed, pair] with the coordinates that the record of
        `lab.run` has; an axis that does not change the start, such as the learning rate, stands there all the same.

    Raises:
        ValueError: If the line is not valid, or its objective reads more than pairs.
        RuntimeError: If the reference cannot be fitted.
    """
    import xarray as xr

    experiment = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    looped = dict(experiment.looped_axes)
    found: dict[tuple[object, ...], xr.Dataset] = {
        tuple(coordinates.values()): _cell(cell) for cell, coordinates in experiment.cells()
    }
    while looped:
        name, values = looped.popitem()
        outer = dict.fromkeys(key[:-1] for key in found)
        axis = xr.Variable(name, list(values), {"long_name": name.replace("_", " ")})
        found = {key: xr.concat([found[(*key, value)] for value in values], axis) for key in outer}
    return found[()].assign_attrs(experiment=str(experiment))


def _cell(experiment: Experiment) -> xr.Dataset:
    import xarray as xr

    problem, policy, objective, optimizer, axes = build(experiment)
    values = step_zero(problem, policy, objective, optimizer, reference(policy, problem))
    sizes = [len(each) for each in axes.values()]
    pairs = problem.preferences
    return xr.Dataset(
        {
            name: (
                (*axes, "pair"),
                values[name].numpy().reshape(*sizes, len(pairs)),
                {"long_name": about.long_name, "units": about.units},
            )
            for name, about in PREDICTORS.items()
        },
        {
            **{name: (name, each, {"long_name": name.replace("_", " ")}) for name, each in axes.items()},
            "pair_prompt": ("pair", pairs.prompt.numpy()),
            "chosen": ("pair", pairs.chosen.numpy()),
            "rejected": ("pair", pairs.rejected.numpy()),
            "pair_weight": ("pair", np.asarray(pairs.weight)),
        },
    )
