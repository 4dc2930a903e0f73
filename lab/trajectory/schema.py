"""The record's schema: which variables a trajectory holds, their dimensions and units, and the check of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from lab.trajectory.derived import TableLogProb
from lab.trajectory.lazy import lazy_variable

FORMAT = "dpolab-trajectory"
SCHEMA_VERSION = 1


class Variable(NamedTuple):
    """One row of the schema: the dimensions that follow the axes, and the words for a plot's axis."""

    dims: tuple[str, ...]
    long_name: str
    units: str


SCHEMA: dict[str, Variable] = {
    "log_prob": Variable(("step", "prompt", "response"), "log-probability", "nats"),
    "reference_log_prob": Variable(("prompt", "response"), "reference log-probability", "nats"),
    "loss": Variable(("step", "pair"), "loss of a pair", "nats"),
    "response_weight": Variable(("step", "term", "pair"), "response weight ∂L/∂log π", "1"),
    "beta_chosen": Variable((), "β of the chosen response", "1"),
    "beta_rejected": Variable((), "β of the rejected response", "1"),
    "score": Variable(("step", "prompt", "response"), "reward of the model", "1"),
    "learned_reward": Variable(("prompt", "response"), "learned reward", "1"),
    "reward": Variable(("prompt", "response"), "true reward", "1"),
    "parameter_log_norm": Variable(("step", "term"), "log norm of the parameter gradient", "log(nats/parameter)"),
    "parameter_cosine": Variable(("step",), "cosine of the two parameter gradients", "1"),
    "predicted_change": Variable(
        ("step", "term", "prompt", "response"), "predicted change of log-probability by a term", "nats"
    ),
    "linear_change": Variable(("step", "prompt", "response"), "first-order change of log-probability", "nats"),
    "realised_change": Variable(("step", "prompt", "response"), "realised change of log-probability", "nats"),
    "parameters": Variable(("step", "parameter"), "parameter", "1"),
}
REQUIRED = ("log_prob", "reference_log_prob", "loss", "response_weight", "beta_chosen", "beta_rejected")
TERMS = ("chosen", "rejected")
RESERVED = ("step", "prompt", "response", "pair", "term", "space", "parameter")
PAIR_COORDS = {
    "pair_prompt": "prompt of the pair",
    "chosen": "chosen response",
    "rejected": "rejected response",
    "pair_weight": "weight of the pair",
}


def assemble(
    *,
    arrays: Mapping[str, np.ndarray | TableLogProb],
    axes: Mapping[str, Sequence[object] | np.ndarray],
    steps: np.ndarray,
    pair_prompt: np.ndarray,
    chosen: np.ndarray,
    rejected: np.ndarray,
    pair_weight: np.ndarray,
    attrs: Mapping[str, str],
) -> xr.Dataset:
    """Build the record of an experiment from the arrays of its runs.

    `run` is the product of the axes in C order: run = ((axis_1 · n_2 + axis_2) · n_3 + ...) + seed.
    A beta keeps only the axes it varies over.

    Args:
        arrays: By the names of SCHEMA; each [run, *the variable's dimensions]; log-probabilities in nats. What is
            derived is computed when it is looked at.
        axes: Coordinate values of each swept axis in order; the last one is `seed`.
        steps: Recorded steps [step], increasing from 0.
        pair_prompt: Prompt of each pair [pair].
        chosen: Chosen response of each pair [pair].
        rejected: Rejected response of each pair [pair].
        pair_weight: Weight of each pair [pair], summing to 1, or that of each run's pairs [run, pair].
        attrs: Provenance: experiment, lab_version, torch_version, device, dtype.

    Returns:
        The record, as `validate` wants it. The arrays are not copied.

    Raises:
        ValueError: If an array is not in the schema, does not fit the axes, or the record is not valid.

    Source: own definition; tests/test_trajectory.py.
    """
    if not axes or list(axes)[-1] != "seed":
        raise ValueError(f"axes are {list(axes)}; the last one must be 'seed'; put it there")
    clash = [name for name in axes if name in RESERVED or name in SCHEMA or name in PAIR_COORDS]
    clash = [name for name in clash if name not in ("beta_chosen", "beta_rejected")]
    if clash:
        raise ValueError(f"axes {clash} carry names that the record keeps for itself; rename them")
    lengths = tuple(len(values) for values in axes.values())
    runs = int(np.prod(lengths))
    variables: dict[str, xr.Variable] = {}
    for name, array in arrays.items():
        if name not in SCHEMA:
            raise ValueError(f"unknown variable '{name}'; a record holds {', '.join(SCHEMA)}")
        dims, long_name, units = SCHEMA[name]
        if array.ndim != 1 + len(dims) or array.shape[0] != runs:
            raise ValueError(
                f"'{name}' has shape {array.shape}; it must be [run, {', '.join(dims)}] with {runs} runs, "
                f"the product of the axes {dict(zip(axes, lengths, strict=True))}"
            )
        words = {"long_name": long_name, "units": units}
        if isinstance(array, TableLogProb):
            variables[name] = lazy_variable((*axes, *dims), array, lengths, words)
            continue
        shaped = xr.Variable((*axes, *dims), array.reshape(lengths + array.shape[1:]), words)
        variables[name] = shaped if dims else drop_constant(shaped)
    coords: dict[str, xr.Variable] = {"step": xr.Variable("step", np.asarray(steps, np.int64), {"long_name": "step"})}
    for name, values in axes.items():
        coords[name] = xr.Variable(name, axis_values(name, values), {"long_name": name.replace("_", " ")})
    coords["term"] = xr.Variable("term", np.array(TERMS))
    pairs = (pair_prompt, chosen, rejected, pair_weight)
    for (name, long_name), values in zip(PAIR_COORDS.items(), pairs, strict=True):
        dtype = np.float64 if name == "pair_weight" else np.int64
        dims, array = ("pair",), np.asarray(values, dtype)
        if array.ndim == 2:
            dims, array = (*axes, "pair"), array.reshape(*lengths, -1)
        coords[name] = xr.Variable(dims, array, {"long_name": long_name})
    # A swept beta is an axis of that name; its coordinate is then the variable, and holds the same numbers.
    variables = {name: variable for name, variable in variables.items() if name not in axes}
    dataset = xr.Dataset(variables, coords, {**attrs, "format": FORMAT, "schema": SCHEMA_VERSION})
    validate(dataset)
    return dataset


def validate(dataset: xr.Dataset) -> None:
    """Check that a dataset is a record of this schema.

    Args:
        dataset: Any dataset.

    Raises:
        ValueError: If it is not a record, is one of another schema version, or breaks the schema.

    Source: own definition; tests/test_trajectory.py.
    """
    if dataset.attrs.get("format") != FORMAT:
        raise ValueError(
            f"this dataset is not a record of the lab: its attribute 'format' is {dataset.attrs.get('format')!r}, "
            f"not '{FORMAT}'; make one with lab.run(...)"
        )
    if dataset.attrs.get("schema") != SCHEMA_VERSION:
        raise ValueError(
            f"this record has schema version {dataset.attrs.get('schema')}, this lab reads version {SCHEMA_VERSION}; "
            "run its experiment line again"
        )
    variables = dataset.variables  # a DataArray of each would cost more than the checks
    needed = (*REQUIRED, "step", "term", *PAIR_COORDS)
    missing = [name for name in needed if name not in variables]
    if missing:
        raise ValueError(f"the record lacks {', '.join(missing)}; it needs {', '.join(needed)}")
    axes = {str(dim) for dim in variables["log_prob"].dims if dim not in RESERVED}
    for name, (dims, _, _) in SCHEMA.items():
        if name not in variables:
            continue
        found = set(map(str, variables[name].dims))
        if not set(dims) <= found <= set(dims) | axes:
            has = variables[name].dims
            raise ValueError(f"'{name}' has dimensions {has}; it needs {dims}, and of the others only {sorted(axes)}")
        if not np.issubdtype(variables[name].dtype, np.floating):
            raise ValueError(f"'{name}' has type {variables[name].dtype}; it needs float64 or float32")
    steps = variables["step"].values
    if steps.ndim != 1 or not steps.size or steps[0] != 0 or (np.diff(steps) <= 0).any():
        raise ValueError(f"steps are {steps}; they must increase from 0, the state before the first update")
    if tuple(variables["term"].values) != TERMS:
        raise ValueError(f"terms are {dataset['term'].values.tolist()}; they must be {list(TERMS)}")
    for name, dim in (("pair_prompt", "prompt"), ("chosen", "response"), ("rejected", "response")):
        values = variables[name].values
        if (values < 0).any() or (values >= dataset.sizes[dim]).any():
            raise ValueError(f"{name} is {values}; each must be a {dim}, 0 .. {dataset.sizes[dim] - 1}")
    weights = variables["pair_weight"].values
    of_runs = [dim for dim in variables["pair_weight"].dims if dim != "pair"]
    if not set(of_runs) <= axes:
        raise ValueError(f"pair_weight has dimensions {dataset['pair_weight'].dims}; besides pair only {sorted(axes)}")
    sums = variables["pair_weight"].sum("pair").values
    if not (weights >= 0).all() or not (abs(sums - 1) <= 1e-6).all():
        raise ValueError(f"pair_weight is {weights}; the weights must be 0 or more and sum to 1; divide by their sum")


def axis_values(name: str, values: Sequence[object] | np.ndarray) -> np.ndarray:
    """Check and convert the coordinate values of an axis."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iufUb" or len(np.unique(array)) != array.size:
        raise ValueError(f"axis '{name}' has values {array.tolist()}; give different numbers or different words")
    return array


def drop_constant(variable: xr.Variable) -> xr.Variable:
    """Keep only the axes along which the values differ (NaN equals NaN: SFT has no beta)."""
    for dim in variable.dims:
        first = variable.isel({dim: 0})
        if np.array_equal(variable.values, first.set_dims(variable.sizes).values, equal_nan=True):
            variable = first
    return variable
