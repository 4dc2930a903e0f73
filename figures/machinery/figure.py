"""What a figure file states (`Figure`) and what its drawing gives back (`Drawing`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.experiments.experiment import Experiment

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd
    import xarray as xr

    from figures.machinery.page import Page

COLUMNS = ("panel", "series", "x", "y")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A drawn figure and everything that goes with it.

    Args:
        figure: The picture.
        alt: What it shows, for a reader who cannot see it; its numbers come from the data.
        data: Exactly what is plotted, in long form: panel, series, x, y and whatever else belongs to a point.
        numbers: Key numbers by name, each (value, tolerance), for `--check`.

    Raises:
        ValueError: If one of them is missing or empty.
    """

    figure: matplotlib.figure.Figure
    alt: str
    data: pd.DataFrame
    numbers: Mapping[str, tuple[float, float]]

    def __post_init__(self) -> None:
        if len(self.alt.split()) < 8:
            raise ValueError(
                f"alt is '{self.alt}'; a reader who cannot see the picture needs a sentence or two with its numbers. "
                "Write what it shows, with values taken from the data."
            )
        missing = [name for name in COLUMNS if name not in self.data]
        if missing or self.data.empty:
            raise ValueError(
                f"data has {len(self.data)} rows and columns {list(self.data)}; it needs {list(COLUMNS)} and at least "
                "one row. Make it with lab.plots.table(...)."
            )
        if not self.numbers:
            raise ValueError("numbers is empty; give at least one key number as {name: (value, tolerance)}.")
        for name, (value, tolerance) in self.numbers.items():
            if not math.isfinite(value) or not (math.isfinite(tolerance) and tolerance > 0):
                raise ValueError(
                    f"the key number '{name}' is {value} with tolerance {tolerance}; the value must be finite and the "
                    "tolerance finite and above 0."
                )


@dataclass(frozen=True, eq=False)
class Figure:
    """What a figure shows and from which experiments.

    Args:
        title: Its message in one sentence; stands over the picture.
        paper: Which figure of which paper it regenerates or extends; empty for none.
        lines: Experiment line by the name under which `draw` gets its record.
        draw: Takes the records and the page, returns the drawing.

    Raises:
        ValueError: If a line is no experiment, or title or lines are empty.
    """

    title: str
    paper: str
    lines: Mapping[str, str]
    draw: Callable[[Mapping[str, xr.Dataset], Page], Drawing]

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise ValueError("title is empty; write the figure's message in one sentence.")
        if not self.lines:
            raise ValueError("lines is empty; give at least one experiment as {name: line}.")
        for line in self.lines.values():
            Experiment.parse(line)

    def experiments(self) -> dict[str, Experiment]:
        """Read the lines.

        Returns:
            The experiments by name.
        """
        return {name: Experiment.parse(line) for name, line in self.lines.items()}
