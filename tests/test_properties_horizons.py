"""The three properties at equal steps, margin and divergence, on planted trajectories and by loops."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab import metrics, properties
from lab.intervals import median_interval
from lab.properties import Horizon
from tests.test_properties import ALL_THREE, FALLING, STEPS, jitter, planted, through

LINE = "loglinear s1,s2 dpo beta=0.1 adam lr=0.05 steps=60 seeds=5 every=4 features=8 keep=none"
ENDS = {"value", "loss_change", "above_start"}


@pytest.fixture(scope="module")
def record():
    """A sweep that falls back: features shared by four prompts, under Adam."""
    return lab.run(LINE)


def test_at_the_last_step_the_numbers_are_those_of_the_whole_record(record):
    at_end = properties.by_seed_at(record, [Horizon("step", 60)]).isel(horizon=0)
    whole = properties.by_seed(record)
    assert set(at_end.data_vars) == ENDS
    for name in ENDS:
        np.testing.assert_array_equal(at_end[name].transpose(*whole[name].dims), whole[name])
    verdicts = properties.verdicts_at(record, [Horizon("step", 60)]).isel(horizon=0)
    np.testing.assert_array_equal(verdicts["verdict"], properties.verdicts(record)["verdict"])
    np.testing.assert_array_equal(verdicts["low"], properties.verdicts(record)["low"])


def test_at_a_recorded_step_the_numbers_are_those_of_a_record_that_ends_there(record):
    for position in (0, 1, 5, 11):
        step = record["step"].values[position]
        there = properties.by_seed_at(record, [Horizon("step", step)]).isel(horizon=0)
        short = properties.by_seed(record.isel(step=slice(position + 1)))
        for name in ENDS:
            np.testing.assert_array_equal(there[name].transpose(*short[name].dims), short[name])


def test_the_turning_point_at_a_step_is_that_of_a_record_that_ends_there(record):
    curves = properties.by_step(record, threshold=2.0)
    for position in (1, 6, 15):
        short = properties.by_seed(record.isel(step=slice(position + 1)), thresholds=properties.Thresholds(drop=2.0))
        np.testing.assert_array_equal(curves["turning"].isel(step=position), short["turning"])
    assert np.isfinite(curves["turning"].isel(step=-1)).any()


def test_a_horizon_between_two_steps_is_read_in_a_straight_line(record):
    curve = properties.by_step(record, threshold=10.0)["value"]
    read = properties.read_at(curve, record, [Horizon("step", 21.0)]).isel(horizon=0)
    np.testing.assert_allclose(read, 0.75 * curve.sel(step=20) + 0.25 * curve.sel(step=24), rtol=1e-12)


def test_at_a_margin_the_drop_is_the_margin_less_twice_the_rise():
    # log π⁺ rises by a, so log π⁻ has fallen by margin - a: the drop is margin - 2a, whatever the run.
    chosen = np.exp(through((0, -2.0), (100, -0.5)) + jitter(0.1) * np.linspace(0, 1, STEPS))
    ds = planted(chosen, FALLING)
    horizon = [Horizon("log_ratio_margin", 30.0)]
    drop = properties.by_seed_at(ds, horizon)["value"].sel(property="drop", horizon="margin 30 nats")
    rise = properties.read_at(metrics.over_pairs(metrics.chosen_log_ratio(ds), ds), ds, horizon).isel(horizon=0)
    np.testing.assert_allclose(drop, 30 - 2 * rise, atol=1e-9)


def test_verdicts_follow_the_fall_as_the_margin_grows():
    ds = planted(ALL_THREE + jitter(0.01), FALLING)
    levels = [Horizon("log_ratio_margin", margin) for margin in (5.0, 30.0, 60.0)]
    found = properties.verdicts_at(ds, levels)
    assert list(found["horizon"].values) == ["margin 5 nats", "margin 30 nats", "margin 60 nats"]
    assert list(found["verdict"].sel(property="degradation").values) == ["absent", "absent", "present"]
    assert list(found["verdict"].sel(property="drop").values) == ["absent", "present", "present"]
    assert (found["reached"] == 1).all() and (found["n"] == 24).all()


def test_a_level_of_the_divergence_is_read_when_the_mean_over_prompts_reaches_it(record):
    way = metrics.kl_from_reference(record).mean("prompt")
    read = properties.read_at(way, record, [Horizon("kl_from_reference", 0.1)])
    np.testing.assert_allclose(read, np.full(read.shape, 0.1), rtol=1e-12)


def test_seeds_that_stay_behind_are_left_out_and_counted():
    slow = np.where(np.arange(24) < 9, 0.1, 1.0)[:, None]
    ds = planted(ALL_THREE + jitter(0.01), np.log(0.45) + slow * (FALLING - np.log(0.45)))
    found = properties.verdicts_at(ds, [Horizon("log_ratio_margin", 60.0)]).isel(horizon=0)
    assert found["reached"] == pytest.approx(15 / 24) and found["n"] == 15
    fall = properties.by_seed_at(ds, [Horizon("log_ratio_margin", 60.0)])["value"].sel(property="degradation")
    there = fall.values[9:, 0]
    assert np.isnan(fall.values[:9]).all() and np.isfinite(there).all()
    row = found.sel(property="degradation")
    np.testing.assert_allclose([row["value"], row["low"], row["high"]], median_interval(there, 0))
    assert row["verdict"] == "present"


def test_fewer_than_half_of_the_seeds_give_no_verdict():
    slow = np.where(np.arange(24) < 13, 0.1, 1.0)[:, None]
    ds = planted(ALL_THREE + jitter(0.01), np.log(0.45) + slow * (FALLING - np.log(0.45)))
    found = properties.verdicts_at(ds, [Horizon("log_ratio_margin", 60.0)])
    assert (found["verdict"] == "not reached").all() and found["value"].isnull().all()
    assert found["reached"].item() == pytest.approx(11 / 24)
    beyond = properties.verdicts_at(ds, [Horizon("step", 1000.0)])
    assert (beyond["verdict"] == "not reached").all() and (beyond["n"] == 0).all()


def test_intervals_of_cells_with_different_seeds_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 24))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[5] = np.nan
    array = xr.DataArray(values, dims=("cell", "seed"))
    found = np.array(properties.interval_of_those_there(array))
    for cell in range(5):
        kept = values[cell][~np.isnan(values[cell])]
        np.testing.assert_allclose(found[:, cell], median_interval(kept, 0))
    assert np.isnan(found[:, 5]).all()
    with pytest.raises(ValueError, match="no dimension 'seed'; keep it"):
        properties.interval_of_those_there(array.rename(seed="run"))


@pytest.mark.parametrize(
    ("quantity", "level", "message"),
    [
        ("loss", 1.0, "the quantity is 'loss'; it must be one of step, log_ratio_margin, kl_from_reference"),
        ("step", -1.0, "the level of step is -1.0; it must be a finite number above 0"),
        ("log_ratio_margin", 0.0, "the level of log_ratio_margin is 0.0"),
        ("kl_from_reference", np.nan, "the level of kl_from_reference is nan"),
    ],
)
def test_a_horizon_is_checked(quantity, level, message):
    with pytest.raises(ValueError, match=message):
        Horizon(quantity, level)


def test_no_horizon_is_refused(record):
    with pytest.raises(ValueError, match="there are no horizons; give at least one"):
        properties.by_seed_at(record, [])
