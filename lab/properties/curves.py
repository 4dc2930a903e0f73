"""Where a curve turns, and where it crosses a level."""

from __future__ import annotations

import numpy as np
import xarray as xr


def turning_point(curve: xr.DataArray, *, extremum: str = "max") -> xr.DataArray:
    """Find the step at which a curve turns, its highest or lowest point.

    The first of equal ones. A curve whose extremum is its last point has not turned: its step is infinite, as for a
    seed whose turn lies beyond the record, so that a median over seeds counts it as later than all others.

    Args:
        curve: [..., step].
        extremum: "max" or "min".

    Returns:
        Steps [...]; inf where the curve has not turned, NaN where it has a NaN.

    Raises:
        ValueError: If the extremum is neither.

    Source: own definition; tests/test_properties.py.
    """
    if extremum not in ("max", "min"):
        raise ValueError(f"extremum is '{extremum}'; it must be 'max' or 'min'")
    position = extreme_position(curve, extremum)
    steps = curve["step"].values[position.values].astype(np.float64)
    last = curve.sizes["step"] - 1
    return position.copy(data=np.where(position.values == last, np.inf, steps)).where(_finite(curve))


def crossing(curve: xr.DataArray, level: float) -> xr.DataArray:
    """Find the first step at which a curve has reached a level.

    Args:
        curve: [..., step].
        level: In the units of the curve.

    Returns:
        Steps [...]; inf where the level is never reached, NaN where the curve has a NaN.

    Source: own definition; tests/test_properties.py.
    """
    reached = curve >= level
    axis = curve.get_axis_num("step")
    steps = curve["step"].values[np.argmax(reached.values, axis=axis)].astype(np.float64)
    ever = reached.any("step")
    return ever.copy(data=np.where(ever.values, steps, np.inf)).where(_finite(curve))


def extreme_position(curve: xr.DataArray, extremum: str) -> xr.DataArray:
    """Find the position along `step` of the first highest or lowest point: [...]."""
    values = curve.values if extremum == "max" else -curve.values
    return curve.isel(step=0, drop=True).copy(data=np.argmax(values, axis=curve.get_axis_num("step")))


def _finite(curve: xr.DataArray) -> xr.DataArray:
    return ~curve.isnull().any("step")
