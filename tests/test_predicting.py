"""Predictions of an experiment line: they stand beside its record, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lab
from lab import predictors
from lab.experiments.predicting import predict

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
