"""Running means and falls, against loops over the definition."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import metrics

CURVE = xr.DataArray(
    np.random.default_rng(0).normal(size=(3, 9, 2)),
    dims=("seed", "step", "pair"),
    coords={"step": np.arange(0, 90, 10)},
    name="chosen_prob",
    attrs={"long_name": "probability of the chosen response", "units": "1"},
)


@pytest.mark.parametrize("states", [1, 3, 20])
def test_a_running_mean_averages_the_last_states(states):
    found = metrics.running_mean(CURVE, states)
    assert found.dims == CURVE.dims and found.attrs == CURVE.attrs
    for k in range(9):
        expected = CURVE.isel(step=slice(max(0, k + 1 - states), k + 1)).mean("step")
        np.testing.assert_allclose(found.isel(step=k), expected, rtol=1e-14)


def test_a_running_mean_knows_where_the_step_stands():
    turned = metrics.running_mean(CURVE.transpose("pair", "seed", "step"), 4)
    np.testing.assert_array_equal(turned.transpose(*CURVE.dims), metrics.running_mean(CURVE, 4))


def test_a_fall_is_the_distance_to_the_highest_point_so_far():
    found = metrics.below_peak(CURVE)
    for k in range(9):
        expected = CURVE.isel(step=slice(0, k + 1)).max("step") - CURVE.isel(step=k)
        np.testing.assert_array_equal(found.isel(step=k), expected)
    assert found.attrs["long_name"] == "fall of the probability of the chosen response"


def test_a_rising_curve_never_falls_and_a_falling_one_falls_from_its_start():
    ramp = xr.DataArray(np.arange(5.0), dims="step")
    assert not metrics.below_peak(ramp).any()
    np.testing.assert_array_equal(metrics.below_peak(-ramp), ramp)


def test_averaged_noise_makes_a_smaller_peak():
    """A curve without a turn but with noise seems to fall; its running mean falls by less."""
    noise = xr.DataArray(np.random.default_rng(1).normal(size=(200, 64)), dims=("seed", "step"))
    raw, smooth = (metrics.below_peak(each).isel(step=-1).mean() for each in (noise, metrics.running_mean(noise, 16)))
    assert smooth < 0.5 * raw


def test_a_missing_number_stays_missing():
    curve = xr.DataArray([0.0, np.nan, 1.0, 2.0, 3.0], dims="step")
    assert np.isnan(metrics.running_mean(curve, 2)).values.tolist() == [False, True, True, False, False]
    assert np.isnan(metrics.below_peak(curve)).values.tolist() == [False, True, True, True, True]


def test_what_has_no_steps_is_refused():
    with pytest.raises(ValueError, match="average over 1 state or more of a curve with the dimension 'step'"):
        metrics.running_mean(CURVE.isel(step=0), 2)
    with pytest.raises(ValueError, match="states is 0"):
        metrics.running_mean(CURVE, 0)
    with pytest.raises(ValueError, match="a peak so far needs the dimension 'step'"):
        metrics.below_peak(CURVE.isel(step=0))
