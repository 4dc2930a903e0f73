"""A number over seeds, written out for the cells of a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.intervals import interval_over_seeds

if TYPE_CHECKING:
    import xarray as xr


def over_seeds(values: xr.DataArray, places: int = 2) -> str:
    """Write the median over seeds and its 95 % bootstrap interval: 0.59 [0.52, 0.66].

    Args:
        values: One number a seed, [seed].
        places: Digits behind the point.

    Raises:
        ValueError: There are other dimensions than seed.
    """
    if values.dims != ("seed",):
        raise ValueError(f"the values have dimensions {list(values.dims)}; write one of [seed]. Select first.")
    median, low, high = (f"{float(each):.{places}f}".replace("-", "−") for each in interval_over_seeds(values))
    return f"{median} [{low}, {high}]"
