"""Curves read as they run: the mean of the last states, and how far a curve lies below its peak so far."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label


def running_mean(array: xr.DataArray, states: int) -> xr.DataArray:
    """Average a curve over the last recorded states, so that the noise of mini-batches does not make its peaks.

    m_k = mean of a_(k - states + 1) ... a_k; at the start, of the states that there are

    A peak of it is at most that of the curve: a fall from it understates.

    Args:
        array: [..., step, ...].
        states: How many recorded states are averaged, at least 1.

    Returns:
        The same dimensions and units; NaN from a NaN on for as long as it is averaged over.

    Raises:
        ValueError: If `states` is below 1 or there is no dimension `step`.

    Source: definition; tests/test_metrics_running.py.
    """
    if states < 1 or "step" not in array.dims:
        raise ValueError(
            f"states is {states} and the array has dimensions {list(array.dims)}; average over 1 state or more of a "
            "curve with the dimension 'step'"
        )
    values = np.moveaxis(np.asarray(array.values, np.float64), array.get_axis_num("step"), 0)
    mean = np.stack([values[max(0, k + 1 - states) : k + 1].mean(0) for k in range(len(values))])
    averaged = array.copy(data=np.moveaxis(mean, 0, array.get_axis_num("step")))
    name = str(array.name or "array")
    return label(averaged, name, str(array.attrs.get("long_name", name)), str(array.attrs.get("units", "1")))


def below_peak(array: xr.DataArray) -> xr.DataArray:
    """Compute how far a curve lies below its highest point so far.

    max over s <= t of a(s), minus a(t)

    Args:
        array: [..., step, ...].

    Returns:
        The same dimensions and units, at least 0; NaN from a NaN on.

    Raises:
        ValueError: If there is no dimension `step`.

    Source: definition; tests/test_metrics_running.py.
    """
    if "step" not in array.dims:
        raise ValueError(f"the array has dimensions {list(array.dims)}; a peak so far needs the dimension 'step'")
    highest = np.maximum.accumulate(array.values, axis=array.get_axis_num("step"))
    name = str(array.name or "array")
    fall = array.copy(data=highest - array.values)
    return label(
        fall,
        f"{name}_below_peak",
        f"fall of the {array.attrs.get('long_name', name)}",
        str(array.attrs.get("units", "1")),
    )
