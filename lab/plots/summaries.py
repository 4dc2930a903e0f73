"""What a picture shows of many seeds: median, bootstrap interval and every seed, ready to draw and to tabulate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Summary:
    """A quantity over seeds, summarised along one dimension.

    The same object is drawn and written to the table beside the picture, so that the table holds exactly what is
    plotted.

    Args:
        x: Positions [x], or words.
        median: Median over seeds [x].
        low, high: Ends of the 95 % bootstrap interval of the median [x].
        seeds: Every seed [seed, x]; empty where there are none to show.
        seed: The seeds' own numbers [seed].
        x_name, y_name: What the positions and the values are.
        units: Unit of the values, such as nats.
    """

    x: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: np.ndarray
    seed: np.ndarray
    x_name: str = ""
    y_name: str = ""
    units: str = ""

    def __post_init__(self) -> None:
        for name in ("x", "median", "low", "high"):
            if np.shape(getattr(self, name)) != np.shape(self.x) or np.ndim(self.x) != 1:
                raise ValueError(
                    f"{name} has shape {np.shape(getattr(self, name))} and x has {np.shape(self.x)}; x, median, low "
                    "and high need one dimension of the same length. Reduce the values to it first."
                )
        if np.shape(self.seeds) != (len(self.seed), len(self.x)):
            raise ValueError(
                f"seeds has shape {np.shape(self.seeds)}; it must be [seed, x] = ({len(self.seed)}, {len(self.x)}). "
                "Transpose it, or leave both seed and seeds empty."
            )

    @property
    def count(self) -> int:
        """Number of seeds."""
        return len(self.seed)


def over_seeds(values: xr.DataArray, *, x: str = "step", level: float = 0.95) -> Summary:
    """Summarise a quantity over its seeds.

    Args:
        values: A quantity [seed, x] in any order; its long_name and units name the axis.
        x: The dimension that stays, such as "step", "response" or a swept axis.
        level: Level of the interval.

    Returns:
        Median, percentile bootstrap interval of the median, and every seed.

    Raises:
        ValueError: If the quantity has other dimensions than seed and x; the cure is named.
    """
    from lab.intervals import median_interval

    if set(values.dims) != {"seed", x}:
        extra = [str(dim) for dim in values.dims if dim not in ("seed", x)]
        cure = f"Select or average over {', '.join(extra)} first." if extra else f"Give x= one of {list(values.dims)}."
        cure = cure if "seed" in values.dims else "Keep the seeds: ds.isel(seed=[0]), not ds.isel(seed=0)."
        raise ValueError(f"{values.name} has dimensions {list(values.dims)}; a summary needs ['seed', '{x}']. {cure}")
    every = values.transpose("seed", x)
    array = np.asarray(every.values, np.float64)
    median, low, high = median_interval(array, 0, level=level)
    coordinate = every[x]
    return Summary(
        x=np.asarray(coordinate.values),
        median=np.asarray(median),
        low=np.asarray(low),
        high=np.asarray(high),
        seeds=array,
        seed=np.asarray(every["seed"].values),
        x_name=str(coordinate.attrs.get("long_name", x.replace("_", " "))),
        y_name=str(values.attrs.get("long_name", values.name or "")),
        units=str(values.attrs.get("units", "")),
    )


def table(drawn: Mapping[tuple[str, str], Summary]) -> pd.DataFrame:
    """Write what is drawn as one long table.

    Args:
        drawn: (panel, series) to the summary drawn there.

    Returns:
        Columns panel, series, seed, x, y, low, high, n. A row with a seed is that seed's own value; a row without
        one is the median over the n seeds, with its interval.

    Raises:
        ValueError: If nothing was drawn.
    """
    import pandas as pd

    parts = []
    for (panel, series), summary in drawn.items():
        size = len(summary.x)
        parts.append(
            pd.DataFrame(
                {
                    "panel": panel,
                    "series": series,
                    "seed": pd.array([pd.NA] * size, dtype="Int64"),
                    "x": summary.x,
                    "y": summary.median,
                    "low": summary.low,
                    "high": summary.high,
                    "n": summary.count,
                }
            )
        )
        if summary.count:
            parts.append(
                pd.DataFrame(
                    {
                        "panel": panel,
                        "series": series,
                        "seed": pd.array(np.repeat(summary.seed, size), dtype="Int64"),
                        "x": np.tile(summary.x, summary.count),
                        "y": summary.seeds.ravel(),
                        "n": 1,
                    }
                )
            )
    if not parts:
        raise ValueError("nothing was drawn: the table would be empty. Give at least one (panel, series).")
    return pd.concat(parts, ignore_index=True)
