"""Records that memory does not hold: taken a few steps at a time from where they lie to where they go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lab.space import Place, let_go, reserve

if TYPE_CHECKING:
    import h5netcdf

BLOCK = 2**25  # bytes of a variable that are in memory at once
OVERHEAD = 1.01  # a file's bytes for each byte of its numbers, at most


def moved(variable: xr.Variable, place: Place) -> xr.Variable:
    """Return a variable whose numbers lie in a place, with no copy of all of them in memory."""
    numbers = place.array(variable.shape, variable.dtype)
    fill(numbers, variable)
    return xr.Variable(variable.dims, numbers, variable.attrs)


def stacked(variables: Sequence[xr.Variable], dim: str, place: Place) -> xr.Variable:
    """Stack variables of equal sizes along a new first dimension, with one copy of their numbers."""
    if "step" not in variables[0].dims:
        return xr.Variable.concat(list(variables), dim)
    dtype = np.result_type(*(each.dtype for each in variables))
    numbers = place.array((len(variables), *variables[0].shape), dtype)
    for out, variable in zip(numbers, variables, strict=True):
        fill(out, variable)
    return xr.Variable((dim, *variables[0].dims), numbers)


def fill(out: np.ndarray | h5netcdf.Variable, variable: xr.Variable) -> None:
    """Write the numbers of a variable with steps into what has its shape, in memory or in a file."""
    axis, size = variable.dims.index("step"), variable.sizes["step"]
    at_once = max(1, BLOCK * size // max(1, variable.nbytes))
    for first in range(0, size, at_once):
        steps = slice(first, min(first + at_once, size))
        out[(slice(None),) * axis + (steps,)] = variable.isel(step=steps).values
        if isinstance(out, np.ndarray):
            let_go([out])


def long_variables(dataset: xr.Dataset) -> list[str]:
    """Return the variables that grow with the steps."""
    return [str(name) for name, each in dataset.data_vars.items() if "step" in each.dims]


def write(dataset: xr.Dataset, path: Path) -> None:
    """Write a record to a new netCDF file.

    Args:
        dataset: A record.
        path: The file.

    Raises:
        OSError: If its disk has not got the space: it is asked for beforehand, for HDF5 does not survive a disk that
            fills up while it writes.
    """
    import h5netcdf  # which takes a quarter of a second

    names = long_variables(dataset)
    rest = dataset.drop_vars(names).drop_encoding()
    floats = [name for name, variable in rest.variables.items() if variable.dtype.kind == "f"]
    content = rest.to_netcdf(None, engine="h5netcdf", encoding={name: {"_FillValue": None} for name in floats})
    with open(path, "xb") as file:
        file.write(content)
        reserve(file.fileno(), int(OVERHEAD * (len(content) + dataset.nbytes)))
    with h5netcdf.File(path, "r+") as file:
        for dim, size in dataset.sizes.items():
            if dim not in file.dimensions:
                file.dimensions[str(dim)] = size
        for name in names:
            variable = dataset[name].variable
            written = file.create_variable(name, variable.dims, variable.dtype)
            written.attrs.update(variable.attrs)
            fill(written, variable)
