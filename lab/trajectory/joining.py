"""Records of a looped axis joined into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lab.space import MEMORY, Place
from lab.trajectory.schema import RESERVED, SCHEMA, axis_values, drop_constant, validate
from lab.trajectory.streaming import stacked


def combine(datasets: Sequence[xr.Dataset], dim: str, values: Sequence[object], *, place: Place = MEMORY) -> xr.Dataset:
    """Join records along a new named dimension.

    A variable that only some of them have is filled with NaN for the others. An attribute that differs holds
    all its values in order, separated by "; ".

    Args:
        datasets: Records of equal steps, prompts, responses, pairs and axes.
        dim: Name of the new dimension, such as "policy".
        values: Its coordinate, one value a record.
        place: Where what grows with the steps lies.

    Returns:
        The joined record; the new dimension comes first.

    Raises:
        ValueError: If the numbers of records and values differ, or the records do not agree in shape.

    Source: own definition; tests/test_trajectory.py.
    """
    if not datasets or len(datasets) != len(values):
        raise ValueError(f"{len(datasets)} records and {len(values)} values for '{dim}'; give one value a record")
    first = datasets[0]
    for value, dataset in zip(values, datasets, strict=True):
        validate(dataset)
        if dim in dataset.dims:
            raise ValueError(f"the record of {dim}={value} already has a dimension '{dim}'; join along another")
        _check_agreement(first, dataset, f"{dim}={values[0]}", f"{dim}={value}")
    joined: dict[str, xr.Variable] = {}
    for name in SCHEMA:
        present = [dataset[name].variable for dataset in datasets if name in dataset.data_vars]
        if not present:
            continue
        sizes: dict = {}
        for variable in sorted(present, key=lambda variable: variable.ndim, reverse=True):
            sizes.update({key: size for key, size in variable.sizes.items() if key not in sizes})
        absent = xr.Variable((), present[0].dtype.type(np.nan))
        parts = [dataset[name].variable if name in dataset.variables else absent for dataset in datasets]
        joined[name] = stacked([part.set_dims(sizes).transpose(*sizes) for part in parts], dim, place)
        joined[name].attrs = dict(present[0].attrs)
        if not SCHEMA[name].dims:
            joined[name] = drop_constant(joined[name])
    coords = {name: coord.variable for name, coord in first.coords.items()}
    weights = [dataset["pair_weight"].variable for dataset in datasets]
    if any(not weight.equals(weights[0]) for weight in weights):
        sizes = {key: size for key, size in first["log_prob"].sizes.items() if key not in RESERVED}
        sizes["pair"] = first.sizes["pair"]
        coords["pair_weight"] = xr.Variable.concat([weight.set_dims(sizes) for weight in weights], dim)
        coords["pair_weight"].attrs = dict(weights[0].attrs)
    coords[dim] = xr.Variable(dim, axis_values(dim, values), {"long_name": dim.replace("_", " ")})
    result = xr.Dataset(joined, coords, _join_attrs(datasets))
    validate(result)
    return result


def _check_agreement(first: xr.Dataset, other: xr.Dataset, first_name: str, other_name: str) -> None:
    mine, theirs = dict(first["log_prob"].sizes), dict(other["log_prob"].sizes)
    if "parameter" in first.dims and "parameter" in other.dims:
        mine["parameter"], theirs["parameter"] = first.sizes["parameter"], other.sizes["parameter"]
    if mine != theirs:
        raise ValueError(
            f"the records differ in shape: {first_name} has {mine}, {other_name} has {theirs}; "
            "only records of the same shape can be joined; keep them apart"
        )
    for name in dict.fromkeys((*first.coords, *other.coords)):
        if name == "pair_weight" and {"pair"} < {*first[name].dims, *other[name].dims}:
            continue  # the runs have data of their own anyway
        if not (name in first.coords and name in other.coords and first[name].variable.equals(other[name].variable)):
            raise ValueError(
                f"the records of {first_name} and {other_name} differ in '{name}'; "
                "only records of the same pairs, steps and axes can be joined; keep them apart"
            )


def _join_attrs(datasets: Sequence[xr.Dataset]) -> dict:
    keys = dict.fromkeys(key for dataset in datasets for key in dataset.attrs)
    attrs = {}
    for key in keys:
        found = list(dict.fromkeys(dataset.attrs[key] for dataset in datasets if key in dataset.attrs))
        attrs[key] = found[0] if len(found) == 1 else "; ".join(str(value) for value in found)
    return attrs
