"""Runs at the same progress instead of at the same step: what was so when the loss or the margin reached a level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lab.metrics.probabilities import label


def when_reached(
    values: xr.DataArray, progress: xr.DataArray, levels: Sequence[float] | np.ndarray, *, falling: bool = False
) -> xr.DataArray:
    """Read a quantity at the moment when another one first reaches each level.

    With k the first step at which progress_k >= level, linearly between the steps k - 1 and k.

    Args:
        values: The quantity to read, [..., step].
        progress: What is to reach the levels, [..., step], of the same dimensions; in any order.
        levels: The levels [level], in the units of `progress`.
        falling: Whether progress means to fall, as a loss does: the first step at which progress_k <= level.

    Returns:
        [..., level] in the units of `values`; NaN where a run never reaches the level.

    Raises:
        ValueError: If the two have other dimensions than each other, or no steps.

    Source: own definition; tests/test_metrics_levels.py.
    """
    if set(values.dims) != set(progress.dims) or "step" not in values.dims:
        raise ValueError(
            f"values have dimensions {list(values.dims)} and progress {list(progress.dims)}; both need the same ones, "
            "'step' among them. Average over pairs or prompts first, with over_pairs or over_prompts."
        )
    leading = [dim for dim in values.dims if dim != "step"]
    values, progress = xr.align(values, progress, join="exact")
    read = np.asarray(values.transpose(*leading, "step").values, np.float64)
    sign = -1.0 if falling else 1.0
    way = sign * np.asarray(progress.transpose(*leading, "step").values, np.float64)
    # A run that falls back has reached the level all the same; NaN reaches nothing.
    farthest = np.fmax.accumulate(way, axis=-1)
    columns = []
    for level in sign * np.asarray(levels, np.float64):
        reached = farthest >= level
        after = np.argmax(reached, axis=-1, keepdims=True)
        before = np.maximum(after - 1, 0)
        start, end = (np.take_along_axis(way, at, -1) for at in (before, after))
        first, second = (np.take_along_axis(read, at, -1) for at in (before, after))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(after == before, 1.0, (level - start) / (end - start))
        column = np.where(share == 1.0, second, first + share * (second - first))
        columns.append(np.where(reached.any(-1, keepdims=True), column, np.nan))
    found = xr.DataArray(
        np.concatenate(columns, axis=-1) if columns else np.empty((*read.shape[:-1], 0)),
        dims=(*leading, "level"),
        coords={**{dim: values[dim] for dim in leading if dim in values.coords}, "level": np.asarray(levels, float)},
    )
    found["level"].attrs = {
        "long_name": progress.attrs.get("long_name", str(progress.name or "level")),
        "units": progress.attrs.get("units", "1"),
    }
    name, units = str(values.name or "values"), str(values.attrs.get("units", "1"))
    return label(found, name, str(values.attrs.get("long_name", name)), units)
