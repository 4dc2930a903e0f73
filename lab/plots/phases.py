"""A quantity over two axes: its median and interval in every cell, to be drawn as a phase diagram and written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Phases:
    """A quantity over seeds, summarised in every cell of two axes.

    The same object is drawn and written to the table beside the picture.

    Args:
        x: Positions of the columns [x], increasing.
        y: Positions of the rows [y], increasing.
        median: Median over seeds [y, x]; NaN leaves a cell empty.
        low, high: Ends of the 95 % bootstrap interval of the median [y, x]; NaN where there is none.
        n: Number of seeds in a cell.
        x_name, y_name: What the axes hold.
        name: What the quantity is.
        units: Its unit, such as nats.

    Raises:
        ValueError: If the shapes do not fit or an axis does not increase.
    """

    x: np.ndarray
    y: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    x_name: str = ""
    y_name: str = ""
    name: str = ""
    units: str = ""

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            axis = np.asarray(getattr(self, name), float)
            if axis.ndim != 1 or len(axis) < 2 or not (np.diff(axis) > 0).all():
                raise ValueError(
                    f"{name} is {np.array2string(axis, threshold=6)}; an axis of a map needs two or more numbers that "
                    "increase. Sort it first, and give words to cell_map()."
                )
        for name in ("median", "low", "high"):
            if np.shape(getattr(self, name)) != (len(self.y), len(self.x)):
                raise ValueError(
                    f"{name} has shape {np.shape(getattr(self, name))}; it must be [y, x] = "
                    f"({len(self.y)}, {len(self.x)}). Transpose it."
                )

    def straddles(self, threshold: float) -> np.ndarray:
        """Return the cells [y, x] whose interval holds the threshold: on which side they lie is open."""
        return (self.low <= threshold) & (threshold <= self.high)


def map_over_seeds(values: xr.DataArray, *, x: str, y: str, level: float = 0.95) -> Phases:
    """Summarise a quantity over its seeds in every cell of two axes.

    Args:
        values: A quantity [seed, y, x] in any order; its long_name and units name it, those of the axes' coordinates
            name the axes.
        x: The dimension across, such as "step" or "lr".
        y: The dimension upwards, such as "beta".
        level: Level of the interval.

    Returns:
        Median and percentile bootstrap interval of the median, both axes sorted.

    Raises:
        ValueError: If the quantity has other dimensions than seed, x and y; the cure is named.

    Source: lab.intervals.median_interval; tests/test_plots_phases.py.
    """
    from lab.intervals import median_interval

    if set(values.dims) != {"seed", x, y} or x == y:
        raise ValueError(
            f"{values.name} has dimensions {list(values.dims)}; a phase diagram needs ['seed', '{y}', '{x}']. Select "
            "or average over others first, and keep the seeds: ds.isel(seed=[0]), not ds.isel(seed=0)."
        )
    every = values.transpose("seed", y, x).sortby([x, y])
    median, low, high = median_interval(np.asarray(every.values, np.float64), 0, level=level)
    return Phases(
        x=np.asarray(every[x].values, np.float64),
        y=np.asarray(every[y].values, np.float64),
        median=np.asarray(median),
        low=np.asarray(low),
        high=np.asarray(high),
        n=every.sizes["seed"],
        x_name=_name(every[x], x),
        y_name=_name(every[y], y),
        name=str(values.attrs.get("long_name", values.name or "")),
        units=str(values.attrs.get("units", "")).removeprefix("1"),
    )


def phase_table(drawn: Mapping[tuple[str, str], Phases]) -> pd.DataFrame:
    """Write drawn maps as one long table.

    Args:
        drawn: (panel, series) to the map drawn there.

    Returns:
        Columns panel, series, x, y, value, low, high, n: one row a cell, its median over n seeds with the interval.

    Raises:
        ValueError: If nothing was drawn.
    """
    import pandas as pd

    if not drawn:
        raise ValueError("nothing was drawn: the table would be empty. Give at least one (panel, series).")
    parts = []
    for (panel, series), each in drawn.items():
        x, y = np.meshgrid(each.x, each.y)
        columns = {"x": x, "y": y, "value": each.median, "low": each.low, "high": each.high}
        flat = {name: column.ravel() for name, column in columns.items()}
        parts.append(pd.DataFrame({"panel": panel, "series": series, **flat, "n": each.n}))
    return pd.concat(parts, ignore_index=True)


def _name(coordinate: xr.DataArray, dimension: str) -> str:
    name = str(coordinate.attrs.get("long_name", dimension.replace("_", " ")))
    units = str(coordinate.attrs.get("units", "")).removeprefix("1")
    return f"{name} ({units})" if units else name
