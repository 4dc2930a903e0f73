"""Pareto fronts against brute force, invariances and a case whose probability is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import metrics


def costs(values, dims=("setting", "cost")):
    return xr.DataArray(np.asarray(values, float), dims=dims)


def brute_force(table):
    """The definition, word by word."""
    return [
        not any(
            all(b <= a for a, b in zip(mine, other, strict=True))
            and any(b < a for a, b in zip(mine, other, strict=True))
            for other in table
        )
        for mine in table
    ]


@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_the_front_is_that_of_the_definition(kinds):
    table = np.random.default_rng(kinds).integers(0, 6, (40, kinds)).astype(float)
    assert metrics.non_dominated(costs(table)).values.tolist() == brute_force(table.tolist())


def test_the_front_is_invariant_to_rising_maps_and_to_the_order_of_the_settings():
    random = np.random.default_rng(5)
    table = random.normal(size=(30, 2))
    order = random.permutation(30)
    front = metrics.non_dominated(costs(table)).values
    np.testing.assert_array_equal(metrics.non_dominated(costs(np.exp(3 * table))).values, front)
    np.testing.assert_array_equal(metrics.non_dominated(costs(table[order])).values, front[order])
    np.testing.assert_array_equal(metrics.non_dominated(costs(table.T, ("cost", "setting"))).values, front)


def test_twins_stay_on_the_front_together():
    assert metrics.non_dominated(costs([[1, 2], [1, 2], [2, 2]])).values.tolist() == [True, True, False]


def test_a_setting_without_a_number_is_not_on_the_front_and_beats_none():
    assert metrics.non_dominated(costs([[np.nan, 0], [1, 1], [2, 0.5]])).values.tolist() == [False, True, True]


def test_every_leading_cell_has_its_own_front():
    table = costs([[[1, 2], [2, 3]], [[2, 3], [1, 2]]], ("scenario", "setting", "cost"))
    assert metrics.non_dominated(table).values.tolist() == [[True, False], [False, True]]


def test_frequency_of_the_better_of_two_is_the_chance_that_its_resampled_median_is():
    # Three seeds; the first setting costs less in two of them. Its resampled median is lower if at least two of the
    # three drawn seeds are such: 1 - (1/3)^3 - 3 (2/3)(1/3)^2 = 20/27.
    two = costs([[[0, 0, 2]], [[1, 1, 1]]], ("setting", "cost", "seed"))
    found = metrics.front_frequency(two, resamples=20_000)
    np.testing.assert_allclose(found["frequency"], [20 / 27, 7 / 27], atol=4 * np.sqrt(0.2 / 20_000))
    assert found["on_front"].values.tolist() == [True, False]


def test_settings_that_differ_by_a_constant_are_never_confused():
    noise = np.random.default_rng(3).normal(size=24)
    # The same seeds are drawn for both: the noise is shared, so the worse one never wins.
    pair = costs([[noise], [noise + 1e-6]], ("setting", "cost", "seed"))
    assert metrics.front_frequency(pair, resamples=200)["frequency"].values.tolist() == [1, 0]


def test_equal_seeds_give_equal_frequencies_whatever_the_global_state():
    table = costs(np.random.default_rng(1).normal(size=(6, 2, 9)), ("setting", "cost", "seed"))
    first = metrics.front_frequency(table, resamples=100, seed=4)
    np.random.default_rng().normal()
    xr.testing.assert_identical(first, metrics.front_frequency(table, resamples=100, seed=4))


@pytest.mark.parametrize("prob", [0.0, 0.02, 0.3, 0.9, 1.0])
def test_no_policy_gives_a_response_its_probability_for_less_kl(prob):
    random = np.random.default_rng(0)
    reference = random.dirichlet(np.ones(6))
    rest = random.dirichlet(np.ones(5), 500) * (1 - prob)
    policies = np.concatenate([np.full((500, 1), prob), rest], axis=1)
    policies = np.concatenate([policies, [[prob, *((1 - prob) * reference[1:] / reference[1:].sum())]]])
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.where(policies > 0, policies * np.log(policies / reference), 0).sum(1)
    least = metrics.least_kl(np.array(prob), reference[0])
    assert (kl >= least - 1e-12).all()
    assert kl[-1] == pytest.approx(float(least), abs=1e-12)


def test_the_least_kl_to_a_sure_response_is_its_surprise():
    assert metrics.least_kl(np.array(1.0), 0.02) == pytest.approx(np.log(50), rel=1e-14)


@pytest.mark.parametrize(("prob", "reference"), [(1.2, 0.5), (-0.1, 0.5), (0.5, 0.0), (0.5, 1.0)])
def test_what_is_no_probability_has_no_least_kl(prob, reference):
    with pytest.raises(ValueError, match="Give probabilities, not their logarithms"):
        metrics.least_kl(np.array(prob), reference)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (costs([[1.0]], ("setting", "seed")), {}, r"dimensions \['setting', 'seed'\]; cost is missing"),
        (costs(np.ones((2, 2, 0)), ("setting", "cost", "seed")), {}, "at least one seed"),
        (costs(np.ones((2, 2, 2, 1)), ("setting", "cost", "seed", "beta")), {}, "Select the rest first"),
        (costs(np.ones((2, 2, 2)), ("setting", "cost", "seed")), {"resamples": 0}, "resamples is 0; it must be at"),
    ],
)
def test_what_has_no_front_is_answered_with_the_cure(table, options, message):
    with pytest.raises(ValueError, match=message):
        metrics.front_frequency(table, **options)
