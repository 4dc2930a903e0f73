"""What claims read off a record: one number a seed, from the metrics and the properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import metrics, properties

if TYPE_CHECKING:
    import xarray as xr


def chosen(ds: xr.Dataset) -> xr.DataArray:
    """Read π⁺, averaged over pairs: [..., step]."""
    return metrics.over_pairs(metrics.chosen_prob(ds), ds)


def rejected_log_prob(ds: xr.Dataset) -> xr.DataArray:
    """Read log π⁻, averaged over pairs: [..., step] in nats."""
    return metrics.over_pairs(metrics.rejected_log_prob(ds), ds)


def chosen_end(ds: xr.Dataset) -> xr.DataArray:
    """Read π⁺ at the last step."""
    return chosen(ds).isel(step=-1, drop=True)


def chosen_gained(ds: xr.Dataset) -> xr.DataArray:
    """Read what π⁺ gained from the first to the last step."""
    return chosen_end(ds) - chosen(ds).isel(step=0, drop=True)


def chosen_lost(ds: xr.Dataset) -> xr.DataArray:
    """Read how far π⁺ ends below its peak."""
    return properties.by_seed(ds)["value"].sel(property="degradation", drop=True)


def unseen_gained(ds: xr.Dataset) -> xr.DataArray:
    """Read what the unseen mass gained from the first to the last step."""
    return properties.by_seed(ds)["above_start"].sel(property="dispersion", drop=True)


def dropped(ds: xr.Dataset) -> xr.DataArray:
    """Read by how much log π⁻ fell beyond the rise of log π⁺, in nats."""
    return properties.by_seed(ds)["value"].sel(property="drop", drop=True)


def rejected_end(ds: xr.Dataset) -> xr.DataArray:
    """Read log π⁻ at the last step."""
    return rejected_log_prob(ds).isel(step=-1, drop=True)


def at_level(values: xr.DataArray, progress: xr.DataArray, level: float, *, falling: bool = False) -> xr.DataArray:
    """Read a curve at the moment when another one first reaches a level; NaN where it never does."""
    return metrics.when_reached(values, progress, [level], falling=falling).isel(level=0, drop=True)
