"""Bootstrap intervals against SciPy's, and against what an interval must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lab.intervals import interval, median_interval


def scipy_interval(values, statistic, **options):
    options = {"n_resamples": 2000, "rng": np.random.default_rng(0)} | options
    ends = stats.bootstrap((values,), statistic, method="percentile", **options).confidence_interval
    return ends.low, ends.high


@pytest.mark.parametrize("n", [2, 3, 5, 8, 20, 24, 25])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_it_is_scipys_interval_draw_by_draw(n, level):
    # Of a sorted sample the drawn ranks are the drawn places, so that equal draws must give equal numbers.
    values = np.sort(np.random.default_rng(n).standard_normal((n, 7)), axis=0)
    median, low, high = median_interval(values, 0, level=level)
    expected = scipy_interval(values, np.median, axis=0, confidence_level=level)
    np.testing.assert_allclose(median, np.median(values, axis=0), rtol=1e-15)
    np.testing.assert_allclose((low, high), expected, rtol=1e-12)


def test_it_agrees_with_scipys_interval_on_samples_in_any_order():
    values = np.random.default_rng(3).standard_normal((24, 40))
    _, low, high = median_interval(values, 0, resamples=20000)
    expected = scipy_interval(values, np.median, axis=0, n_resamples=20000, rng=np.random.default_rng(9))
    ordered = np.sort(values, axis=0)
    gap = np.diff(ordered, axis=0).max(axis=0)
    # Both ends fall on midpoints of neighbours; different draws may choose the next one.
    assert (np.abs(low - expected[0]) <= gap).all() and (np.abs(high - expected[1]) <= gap).all()
    assert np.mean(np.isclose(low, expected[0])) > 0.5


def test_it_is_the_plain_bootstrap_of_the_ranks():
    values = np.sort(np.random.default_rng(1).exponential(size=24))
    drawn = np.random.default_rng(5).integers(0, 24, (500, 24))
    expected = np.quantile(np.median(values[drawn], axis=1), [0.025, 0.975])
    np.testing.assert_allclose(median_interval(values, 0, resamples=500, seed=5)[1:], expected, rtol=1e-12)


def test_it_covers_the_median_about_as_often_as_it_says():
    samples = np.random.default_rng(0).standard_normal((24, 4000))
    _, low, high = median_interval(samples, 0)
    assert 0.92 < np.mean((low <= 0) & (high >= 0)) < 0.98


@given(st.integers(0, 2), st.integers(0, 10**6))
def test_any_axis_and_any_order_of_seeds_give_the_same(axis, seed):
    values = np.random.default_rng(seed).standard_normal((6, 3, 2))
    first = median_interval(values, 0)
    moved = np.moveaxis(np.random.default_rng(seed + 1).permutation(values, axis=0), 0, axis)
    for one, other in zip(first, median_interval(moved, axis), strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_the_ends_lie_around_the_median_and_within_the_sample(values):
    median, low, high = median_interval(np.array(values), 0)
    assert min(values) <= low <= median <= high <= max(values)
    shifted = median_interval(2 * np.array(values) + 1, 0)
    np.testing.assert_allclose(shifted, 2 * np.array([median, low, high]) + 1, rtol=1e-12, atol=1e-12)


def test_a_lower_level_is_a_shorter_interval():
    values = np.random.default_rng(2).standard_normal(24)
    _, low, high = median_interval(values, 0, level=0.5)
    _, lower, higher = median_interval(values, 0, level=0.99)
    assert lower < low < high < higher


def test_infinite_values_have_their_place():
    assert median_interval(np.full(5, -np.inf), 0) == (-np.inf, -np.inf, -np.inf)
    median, low, high = median_interval(np.array([1.0, 2.0, 3.0, np.inf, np.inf]), 0)
    assert (median, low, high) == (3, 1, np.inf)
    assert median_interval(np.array([1.0, np.inf]), 0)[0] == np.inf


def test_a_missing_value_leaves_no_interval_and_no_trace_elsewhere():
    values = np.random.default_rng(2).standard_normal((24, 3))
    whole = median_interval(values, 0)
    values[4, 1] = np.nan
    for with_gap, without in zip(median_interval(values, 0), whole, strict=True):
        assert np.isnan(with_gap[1])
        np.testing.assert_array_equal(with_gap[[0, 2]], without[[0, 2]])


def test_one_seed_has_no_interval():
    median, low, high = median_interval(np.array([[3.0, 4.0]]), 0)
    np.testing.assert_array_equal(median, [3, 4])
    assert np.isnan(low).all() and np.isnan(high).all()
    value, low, high = interval(np.array([3.0]))
    assert value == 3 and np.isnan(low) and np.isnan(high)


def test_equal_seeds_give_equal_intervals_whatever_the_global_seed():
    values = np.random.default_rng(2).standard_normal(24)
    first = median_interval(values, 0), interval(values)
    np.random.seed(1)  # noqa: NPY002 - the global state is what must not matter
    assert (median_interval(values, 0), interval(values)) == first
    assert interval(values, seed=1) != interval(values)


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_the_interval_of_a_scalar_is_scipys(statistic):
    values = np.random.default_rng(4).exponential(size=24)
    value, low, high = interval(values, statistic, level=0.9, resamples=999)
    assert value == statistic(values)
    assert (low, high) == scipy_interval(values, statistic, confidence_level=0.9, n_resamples=999)


def test_equal_values_have_an_interval_without_width():
    assert interval(np.full(5, 2.0)) == (2, 2, 2)
    assert median_interval(np.full(5, 2.0), 0) == (2, 2, 2)


def test_a_scalar_interval_with_a_missing_value_is_missing():
    assert np.isnan(interval(np.array([1.0, np.nan, 2.0]))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: median_interval(np.zeros((0, 3)), 0),
            "there are no values along the axis; an interval needs at least one",
        ),
        (lambda: median_interval(np.zeros(3), 0, level=1.0), "level is 1.0; it must lie between 0 and 1, such as 0.95"),
        (lambda: median_interval(np.zeros(3), 0, resamples=0), "resamples is 0; it must be at least 1, such as 2000"),
        (lambda: interval(np.zeros((3, 2))), r"values have shape \(3, 2\); give one dimension with at least one value"),
        (lambda: interval(np.zeros(0)), "give one dimension with at least one value"),
        (lambda: interval(np.zeros(3), level=95), "level is 95; it must lie between 0 and 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
