"""What a step does, against the closed form of a table."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics


def test_a_table_gives_the_closed_form_of_one_pair():
    ds = lab.run("tabular s3 dpo beta=0.1 sgd lr=5 steps=30 seeds=3 prompts=1 keep=predictions")
    chosen, rejected = (
        metric(ds).isel(pair=0, step=slice(-1)) for metric in (metrics.chosen_prob, metrics.rejected_prob)
    )
    # d log π⁺ = s (1 - π⁺ + π⁻) and d log π⁻ = -s (1 - π⁻ + π⁺).
    expected = (1 - chosen + rejected) / (1 - rejected + chosen)
    rate = metrics.chosen_per_rejected_nat(ds)
    for update in ("gradient", "optimizer"):
        np.testing.assert_allclose(rate.sel(update=update).isel(step=slice(-1)), expected, rtol=1e-9)
    assert rate.isel(step=-1).isnull().all()


def test_only_gradient_descent_follows_the_gradient():
    for optimizer, same in (("sgd lr=0.1", True), ("adam lr=0.001", False)):
        ds = lab.run(f"mlp s1 dpo beta=0.1 {optimizer} steps=20 seeds=2 width=8 keep=predictions")
        rate = metrics.chosen_per_rejected_nat(ds).isel(step=slice(5, -1))
        gradient, update = (rate.sel(update=name).values for name in ("gradient", "optimizer"))
        assert np.allclose(gradient, update, rtol=1e-9) == same


def test_a_record_without_predictions_says_how_to_get_them():
    ds = lab.run("tabular s1 dpo beta=0.1 sgd lr=1 steps=2 seeds=2")
    with pytest.raises(ValueError, match="no predicted_change and no linear_change.*keep=predictions"):
        metrics.chosen_per_rejected_nat(ds)
