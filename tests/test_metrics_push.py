"""The push that is left, against the closed forms of the objectives."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics

BETA = 0.1


@pytest.mark.parametrize(
    ("objective", "share"),
    [
        ("dpo", lambda margin: 2 / (1 + np.exp(BETA * margin))),
        ("ipo", lambda margin: 1 - 2 * BETA * margin),
        ("slic", lambda margin: (BETA * margin < 1).astype(float)),
    ],
)
def test_the_push_left_is_a_function_of_the_log_ratio_margin(objective, share):
    ds = lab.run(f"mlp s1 {objective} beta={BETA} adam lr=0.01 steps=40 seeds=2")
    expected = share(metrics.log_ratio_margin(ds).values)
    left = metrics.remaining_push(ds)
    assert left.dims == ds["response_weight"].dims
    for term in ("chosen", "rejected"):
        np.testing.assert_allclose(left.sel(term=term), expected, atol=1e-12)


def test_a_term_without_a_push_has_none_left():
    ds = lab.run("tabular s1 sft sgd lr=0.1 steps=2 seeds=2")
    left = metrics.remaining_push(ds)
    np.testing.assert_array_equal(left.sel(term="chosen"), 1)
    assert left.sel(term="rejected").isnull().all()
