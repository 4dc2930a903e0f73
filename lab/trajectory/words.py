"""The words of an experiment that a record is asked for: its policy, its objective."""

from __future__ import annotations

import re
from collections.abc import Sequence

import xarray as xr


def find_word(ds: xr.Dataset, axis: str, allowed: Sequence[str]) -> xr.DataArray | None:
    """Find which of the allowed words an experiment, or each cell of its sweep, is made of.

    Args:
        ds: A record.
        axis: Name of the axis that the word may be swept along, such as "policy".
        allowed: The words to look for in the experiment line where there is no such axis.

    Returns:
        The words over the axis, or one word without dimensions; None where the line does not settle it.

    Source: own definition; tests/test_trajectory.py.
    """
    if axis in ds.coords:
        return ds[axis].reset_coords(drop=True)
    words = re.split(r"[\s,]+", str(ds.attrs.get("experiment", "")))
    found = [word for word in words if word in allowed]
    return xr.DataArray(found[0]) if len(found) == 1 else None
