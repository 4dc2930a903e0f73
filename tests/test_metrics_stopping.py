"""The stopping rule against a walk through the definition, and on curves whose stop is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import metrics

STEPS = np.arange(0, 100, 5)


def curve(*rows):
    return xr.DataArray(np.array(rows, float), dims=("seed", "step"), coords={"step": STEPS[: len(rows[0])]})


def walk(values, patience):
    """Stop as one who sees the log line by line would."""
    best, since = -np.inf, 0
    for place, value in enumerate(values):
        best, since = (value, 0) if value > best else (best, since + 1)
        if since == patience:
            return place
    return len(values) - 1


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_the_rule_sees_only_the_past(patience):
    rows = np.random.default_rng(patience).integers(0, 9, (50, 20))
    expected = [STEPS[walk(row, patience)] for row in rows]
    np.testing.assert_array_equal(metrics.patience_stop(curve(*rows), patience=patience), expected)


def test_a_single_peak_is_left_after_the_patience():
    peak = curve(-np.abs(STEPS - 40.0))
    assert metrics.patience_stop(peak, patience=3).item() == 55


def test_a_curve_that_rises_throughout_is_never_stopped():
    assert metrics.patience_stop(curve(np.log1p(STEPS)), patience=1).item() == STEPS[-1]


def test_a_plateau_counts_as_not_rising():
    assert metrics.patience_stop(curve(np.minimum(STEPS, 30)), patience=2).item() == 40


def test_a_rising_map_of_the_curve_changes_nothing():
    rows = curve(*np.random.default_rng(0).normal(size=(9, 20)))
    np.testing.assert_array_equal(
        metrics.patience_stop(rows, patience=2), metrics.patience_stop(np.exp(rows), patience=2)
    )


def test_a_run_that_is_not_a_number_has_no_stop():
    stops = metrics.patience_stop(curve([0, np.nan, 1, 2], [0, 1, 2, 3]), patience=1)
    np.testing.assert_array_equal(stops, [np.nan, STEPS[3]])


@pytest.mark.parametrize(
    ("values", "patience", "message"),
    [
        (curve([1, 2]), 0, "patience is 0; it must be at least 1"),
        (curve([1, 2]).isel(step=0), 1, "needs at least one step"),
    ],
)
def test_what_cannot_be_stopped_is_answered_with_the_cure(values, patience, message):
    with pytest.raises(ValueError, match=message):
        metrics.patience_stop(values, patience=patience)
