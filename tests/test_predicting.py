"""Predictions of an experiment line: they stand beside its record, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import spearmanr

import lab
from lab import predictors
from lab.experiments import predicting
from lab.experiments.predicting import by_setting, follow, foresee, predict

LINE = "loglinear s1,s3 dpo beta=0.1,0.4 sgd lr=1e-5 steps=1 seeds=3 seed=7 features=4,6 overlap=0.2,0.9"


def test_predictions_have_the_axes_of_the_record():
    found, ds = predict(LINE), lab.run(LINE)
    fall = -lab.metrics.chosen_log_ratio(ds).isel(step=-1, drop=True)
    for name, each in found.items():
        assert each.dims == fall.dims and each.attrs["long_name"] == predictors.PREDICTORS[str(name)].long_name
        for dim in fall.dims:
            if dim != "pair":
                np.testing.assert_array_equal(each[dim].values, fall[dim].values)
    for name in ("pair_prompt", "chosen", "rejected", "pair_weight"):
        np.testing.assert_array_equal(found[name].values, ds[name].values)
    assert found.attrs["experiment"] == ds.attrs["experiment"]


def test_each_prediction_stands_at_the_run_it_is_of():
    # A step of this size is its own first-order term, and differs from run to run.
    found, ds = predict(LINE), lab.run(LINE)
    fall = -lab.metrics.chosen_log_ratio(ds).isel(step=-1, drop=True)
    assert len(np.unique(fall.values.round(12))) > 0.9 * fall.size
    np.testing.assert_allclose(found["step_fall"].values, fall.values, rtol=1e-4, atol=1e-11)
    np.testing.assert_allclose(found["feature_overlap"].sel(overlap=0.9), 0.9)
    start = ds["reference_log_prob"].isel(prompt=0).sel(response=0, features=6, scenario="s3").values
    np.testing.assert_allclose(found["chosen_start"].isel(pair=0).sel(features=6, scenario="s3").values, start)


def test_several_looped_axes_are_joined_like_the_record():
    line = "tabular,mlp s1 dpo beta=0.1 sgd,adam lr=1e-6 steps=1 seeds=2 prompts=2 responses=4"
    found, ds = predict(line), lab.run(line)
    assert found["ches"].dims == lab.metrics.chosen_log_ratio(ds).isel(step=0).dims
    fall = -lab.metrics.chosen_log_ratio(ds).isel(step=-1, drop=True)
    np.testing.assert_allclose(found["step_fall"].values, fall.values, rtol=1e-3, atol=1e-13)
    assert (found["ches"].sel(policy="tabular") == -1).all() and (found["ches"].sel(policy="mlp") == 0).all()


def test_lengths_of_the_line_count():
    line = "loglinear s1 simpo beta=2 sgd lr=0.1 steps=1 seeds=2 chosen_length=2 rejected_length=5"
    found = predict(line)
    overlap, ches, normalised = (found[name] for name in ("feature_overlap", "ches", "normalised_ches"))
    assert (abs(overlap) < 1e-12).all()  # with <H+, H-> = 0 only the square is left
    np.testing.assert_allclose(normalised, ches / 4)


def test_the_number_type_of_the_line_does_not_matter():
    line = "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=1 seeds=2 prompts=2 responses=4"
    one, other = predict(line), predict(line + " dtype=float32")
    assert one["interference"].dtype == np.float64
    assert all(one[name].equals(other[name]) for name in one)
    torch.testing.assert_close(
        torch.from_numpy(one["start_margin"].values).mean().item(), np.log(0.02 / 0.45), rtol=0.02, atol=0.0
    )


def test_a_bad_line_is_refused():
    with pytest.raises(ValueError, match="KTO reads kl besides its pairs"):
        predict("loglinear s1 kto beta=0.1 sgd lr=0.1 steps=1 seeds=2")
    with pytest.raises(ValueError, match="policy"):
        predict("s1 dpo beta=0.1 sgd lr=0.1 steps=1 seeds=2")


def table(**sizes):
    """Numbers that say where they belong: digits are the indices along the dimensions in alphabetical order."""
    values = xr.DataArray(0.0)
    for power, dim in enumerate(sorted(sizes)):
        values = values + xr.DataArray(10.0**power * np.arange(sizes[dim]), dims=dim)
    return xr.Dataset({"x": values.transpose(*sizes)}).assign_coords(seed=range(sizes["seed"]))


def test_settings_of_several_tables_stand_one_after_the_other_and_missing_pairs_are_empty():
    one, other = table(beta=2, seed=3, scenario=4, pair=2), table(seed=3, pair=1)
    found = by_setting([one, other])
    assert dict(found.sizes) == {"setting": 9, "seed": 3, "pair": 2}
    assert found["line"].values.tolist() == [0] * 8 + [1]
    assert found["x"].isel(setting=8, pair=1).isnull().all() and found["x"].isnull().sum() == 3
    np.testing.assert_array_equal(found["x"].isel(setting=8, pair=0), other["x"].isel(pair=0))
    rows = {tuple(found["x"].isel(setting=k).values.ravel()) for k in range(8)}
    cells = [one["x"].isel(beta=b, scenario=s).transpose("seed", "pair") for b in range(2) for s in range(4)]
    assert rows == {tuple(cell.values.ravel()) for cell in cells}


def test_the_order_of_dimensions_puts_no_number_in_another_setting():
    one = table(beta=2, seed=3, overlap=4, features=2, pair=2)
    turned = one.transpose("overlap", "pair", "features", "seed", "beta")
    assert turned["x"].dims != one["x"].dims
    for inside in ((), ("overlap",), ("overlap", "beta")):
        xr.testing.assert_equal(by_setting([one], inside=inside), by_setting([turned], inside=inside))
    found = by_setting([one], inside=("overlap",))
    assert dict(found.sizes) == {"setting": 4, "seed": 3, "pair": 8}
    digits = found["x"].isel(seed=0).values.astype(int)
    for k in range(4):  # digits from the right: beta, features, overlap, pair
        assert len(set(digits[k] % 100)) == 1 and len(set(digits[k] // 100)) == 8


def test_what_was_foreseen_is_spearmans_correlation_of_predictions_and_falls():
    lines = [
        "loglinear s1,s2 dpo beta=0.1 adam lr=0.02 steps=20 seeds=20 every=5 features=6 overlap=0,0.8 prompts=2",
        "loglinear s3 dpo beta=0.1 adam lr=0.02 steps=20 seeds=20 every=5 features=4 overlap=0.3,0.6 prompts=1",
    ]
    records = [lab.run(line) for line in lines]
    found = foresee(records, early=5, margin=0.2, resamples=20)
    groups = []
    for line, ds in zip(lines, records, strict=True):
        before, after = predict(line)["ches"], -lab.metrics.chosen_log_ratio(ds).isel(step=-1)
        for scenario in ("s1", "s2") if "scenario" in before.dims else (None,):
            cut = {} if scenario is None else {"scenario": scenario}
            x, y = (each.sel(cut).transpose("overlap", "seed", "pair").values.ravel() for each in (before, after))
            groups.append((x, y))
    within = np.mean([spearmanr(x, y)[0] for x, y in groups])
    pooled = spearmanr(np.concatenate([x for x, _ in groups]), np.concatenate([y for _, y in groups]))[0]
    row = found.sel(predictor="ches", outcome="end")
    np.testing.assert_allclose(row.value.sel(comparison=["within", "pooled"]).values, [within, pooled], atol=1e-12)
    assert row.cells.values.tolist() == [3, 1]
    assert found.value.sel(predictor="step_fall", outcome="first_steps", comparison="within") > 0.9
    start = found.sel(predictor=["chosen_start", "rejected_start", "start_margin"])
    assert start.value.sel(comparison="within").isnull().all() and (start.cells.sel(comparison="within") == 0).all()
    assert start.value.sel(comparison="pooled").notnull().all()


def test_the_problems_on_which_predictors_are_judged_are_many():
    for (policy, optimizer), lines in predicting.PROBLEMS.items():
        problems = 0
        for line in lines:
            experiment = lab.Experiment.parse(line)
            assert experiment.policy == (policy,) and experiment.optimizer == (optimizer,)
            assert predicting.EARLY % experiment.value("every") == 0
            problems += experiment.value("seeds") * int(np.prod([len(v) for v in experiment.axes.values()]))
        assert problems >= 384
    assert set(predicting.MARGIN) == {policy for policy, _ in predicting.PROBLEMS}


def test_the_fall_so_far_is_read_at_shares_of_the_typical_margin():
    line = "loglinear s1,s2 dpo beta=0.1 sgd lr=5 steps=60 seeds=20 every=2 features=6 overlap=0,0.8 prompts=1"
    ds = lab.run(line)
    found = follow([ds], shares=(0.05, 0.5, 1.5), resamples=20)
    way, fall = lab.metrics.log_ratio_margin(ds), -lab.metrics.chosen_log_ratio(ds)
    typical = np.median(way.isel(step=-1))
    end = fall.isel(step=-1).transpose("scenario", "overlap", "seed", "pair").values
    for share in (0.05, 0.5, 1.5):
        there = lab.metrics.when_reached(fall, way, [share * typical]).isel(level=0)
        there = there.transpose("scenario", "overlap", "seed", "pair").values
        known = np.isfinite(there)
        exact = np.mean([spearmanr(end[k][known[k]], there[k][known[k]])[0] for k in range(2)])
        row = found.sel(share=share)
        assert row.value.item() == pytest.approx(exact, abs=1e-12) and row.low <= row.value <= row.high
        assert row.absent.item() == pytest.approx(1 - known.mean())
    assert found.absent.values[0] < 0.1 < found.absent.values[2]
    assert found.value.values[0] < found.value.values[1]
