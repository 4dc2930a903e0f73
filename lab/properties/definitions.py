"""The three definitions as curves: what each property is worth if the training were to end at that step."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab import metrics
from lab.properties.curves import crossing

NAMES = ("drop", "degradation", "dispersion")


def by_step(ds: xr.Dataset, *, threshold: float) -> xr.Dataset:
    """Compute the number behind each property, and its conditions, at every recorded step of every run.

    drop(t) = -Δlog π⁻(t) - max(Δlog π⁺(t), 0) since step 0, averaged over pairs
    degradation(t) = max over s <= t of π⁺(s) - π⁺(t), the loss having gone down since that peak
    dispersion(t) = u(t) - min over s <= t of u(s), the loss having gone down since, and u(t) above u(0)

    π⁺ is averaged over pairs and u over prompts before the extremum is searched.

    Args:
        ds: A record, swept or not.
        threshold: From where on the drop counts as drastic, in nats, for its turning step.

    Returns:
        Over [property, axes..., seed, step]: value; turning, its step, inf where the curve has not turned by then; and
        the conditions loss_change (since the turning point, nats) and above_start, NaN where a property has none.

    Source: own definition; tests/test_properties.py, tests/test_properties_horizons.py.
    """
    names = xr.DataArray(list(NAMES), dims="property", name="property")
    parts = (_drop(ds, threshold), _degradation(ds), _dispersion(ds))
    return xr.concat([part.transpose(..., "step") for part in parts], names)


def _drop(ds: xr.Dataset, threshold: float) -> xr.Dataset:
    chosen, rejected = metrics.chosen_log_prob(ds), metrics.rejected_log_prob(ds)
    rise = (chosen - chosen.isel(step=0, drop=True)).clip(min=0)
    excess = metrics.over_pairs(rejected.isel(step=0, drop=True) - rejected - rise, ds)
    passed = crossing(excess, threshold)
    turning = passed.where(~(passed > ds["step"]), np.inf).transpose(*excess.dims)
    none = xr.full_like(excess, np.nan)
    return xr.Dataset({"value": excess, "turning": turning, "loss_change": none, "above_start": none})


def _degradation(ds: xr.Dataset) -> xr.Dataset:
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    fall, conditions = _since(-chosen, metrics.total_loss(ds))
    return xr.Dataset({"value": fall, **conditions, "above_start": xr.full_like(fall, np.nan)})


def _dispersion(ds: xr.Dataset) -> xr.Dataset:
    unseen = metrics.over_prompts(metrics.unseen_mass(ds), ds)
    gain, conditions = _since(unseen, metrics.total_loss(ds))
    return xr.Dataset({"value": gain, **conditions, "above_start": unseen - unseen.isel(step=0, drop=True)})


def _since(curve: xr.DataArray, loss: xr.DataArray) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
    """Measure how far a curve stands above its lowest point so far, where that was, and the loss since then."""
    curve = curve.transpose(..., "step")
    values, losses = curve.values, loss.transpose(*curve.dims).values
    here = np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    least = np.minimum.accumulate(values, axis=-1)
    lower = np.ones(values.shape, bool)
    lower[..., 1:] = values[..., 1:] < least[..., :-1]
    at = np.maximum.accumulate(np.where(lower, here, 0), axis=-1)
    turning = np.where(at == here, np.inf, curve["step"].values[at])
    # A run without numbers somewhere has no turning point at any step.
    turning = np.where(np.isnan(values).any(-1, keepdims=True), np.nan, turning)
    change = losses - np.take_along_axis(losses, at, -1)
    return curve.copy(data=values - least), {
        "turning": curve.copy(data=turning),
        "loss_change": curve.copy(data=np.where(np.isnan(least), np.nan, change)),
    }
