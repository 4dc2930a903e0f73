"""A panel of a vector field: where the chosen response falls, which way the flow goes, and the ways of real runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

FALLS = "Oranges"


@dataclass(frozen=True, eq=False)
class Plane:
    """A vector field over log π⁺ and log π⁻, of every pair of every seed.

    Args:
        x: log π⁺ [x], nats.
        y: log π⁻ [y], nats.
        chosen: Its flow [seed and pair, y, x].
        rejected: Its flow [seed and pair, y, x].
    """

    x: np.ndarray
    y: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray

    @classmethod
    def of(cls, flow: xr.Dataset) -> Plane:
        """Take what `lab.experiments.planes.flow_on_plane` returns."""
        arrays = [flow[name].transpose("seed", "pair", "log_rejected", "log_chosen") for name in ("chosen", "rejected")]
        flat = (each.values.reshape(-1, *each.shape[2:]) for each in arrays)
        return cls(flow["log_chosen"].values, flow["log_rejected"].values, *flat)

    @property
    def falling(self) -> np.ndarray:
        """Share of pairs and seeds in which the chosen response falls, [y, x]; NaN where there is no state."""
        return np.where(np.isfinite(self.chosen), self.chosen < 0, np.nan).mean(0)

    @property
    def share(self) -> float:
        """The same over all states."""
        return float(np.nanmean(self.falling))

    @property
    def direction(self) -> tuple[np.ndarray, np.ndarray]:
        """Median flow of both log-probabilities, each [y, x]; NaN where there is no state."""
        there = np.isfinite(self.falling)
        right, up = (np.median(np.nan_to_num(each), 0) for each in (self.chosen, self.rejected))
        return np.where(there, right, np.nan), np.where(there, up, np.nan)


def draw_plane(plane: Plane, ax: Axes) -> None:
    """Shade the states where the chosen response falls, and draw the median direction of the flow in each."""
    some = np.where(plane.falling > 0, plane.falling, np.nan)
    image = ax.pcolormesh(plane.x, plane.y, some, cmap=FALLS, vmin=0, vmax=1.3, shading="nearest", zorder=0)
    image.set_rasterized(True)
    width, height = np.ptp(plane.x), np.ptp(plane.y)
    right, up = plane.direction
    plots.arrows(plane.x, plane.y, right / width, up / height, ax, color="#6F6F6F", width=0.008)


def draw_ways(ds: xr.Dataset, ax: Axes, role: plots.Role, *, pair: int) -> pd.DataFrame:
    """Draw the way of one pair in every run as a thin line with a dot at its end; return what was drawn."""
    chosen, rejected = (
        metric(ds).isel(pair=pair).transpose("seed", "step").values
        for metric in (metrics.chosen_log_prob, metrics.rejected_log_prob)
    )
    for x, y in zip(chosen, rejected, strict=True):
        plots.path(x, y, ax, role=role, faint=True)
    seeds, steps = np.indices(chosen.shape)
    return pd.DataFrame(
        {"seed": seeds.ravel(), "step": ds["step"].values[steps.ravel()], "x": chosen.ravel(), "y": rejected.ravel()}
    )


def table_of(plane: Plane) -> pd.DataFrame:
    """Everything that `draw_plane` draws: a row for each state, with its share of falling seeds and its direction."""
    x, y = (each.ravel() for each in np.meshgrid(plane.x, plane.y))
    right, up = (each.ravel() for each in plane.direction)
    frame = pd.DataFrame({"x": x, "y": y, "falling": plane.falling.ravel(), "dx": right, "dy": up})
    return frame[frame["falling"].notna()]
