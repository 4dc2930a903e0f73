"""Reward at equal KL against mixtures that are drawn out, and what lies past a peak."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import metrics


def swept(*rows, over="beta"):
    return xr.DataArray(np.array(rows, float), dims=("seed", over))


def start(*values):
    return xr.DataArray(np.array(values, float), dims="seed")


def test_reward_at_kl_is_what_the_best_mixture_of_two_policies_gives():
    rng = np.random.default_rng(3)
    kl, reward = rng.uniform(0, 2, (5, 7)), rng.normal(size=(5, 7))
    levels = [0.0, 0.1, 0.7, 1.5, 3.0]
    found = metrics.reward_at_kl(swept(*kl), swept(*reward), levels, over="beta", start=start(*[0.2] * 5))
    for seed in range(5):
        x, y = np.append(kl[seed], 0.0), np.append(reward[seed], 0.2)
        for level, value in zip(levels, found[seed].values, strict=True):
            best = -np.inf
            for i in range(8):
                for j in range(8):
                    if x[i] <= level:
                        best = max(best, y[i])
                    if x[i] <= level < x[j]:
                        share = (level - x[i]) / (x[j] - x[i])
                        best = max(best, (1 - share) * y[i] + share * y[j])
            assert value == pytest.approx(best, abs=1e-12)


def test_no_mixture_of_policies_has_more_kl_than_the_line_allows():
    rng = np.random.default_rng(0)
    reference, *both = rng.dirichlet(np.ones(6), 3)

    def divergence(p):
        return float((p * np.log(p / reference)).sum())

    for share in np.linspace(0, 1, 11):
        mixed = share * both[0] + (1 - share) * both[1]
        assert divergence(mixed) <= share * divergence(both[0]) + (1 - share) * divergence(both[1]) + 1e-12


def test_the_line_begins_at_the_reference_and_stays_level_past_the_last_policy():
    found = metrics.reward_at_kl(swept([1.0, 2.0]), swept([3.0, 2.0]), [0, 0.5, 1, 9], over="beta", start=start(1.0))
    np.testing.assert_allclose(found.values, [[1.0, 2.0, 3.0, 3.0]])
    worse = metrics.reward_at_kl(swept([1.0, 2.0]), swept([0.5, -1]), [0, 1, 9], over="beta", start=start(1.0))
    np.testing.assert_allclose(worse.values, [[1.0, 1.0, 1.0]])


def test_along_kl_a_reward_may_fall_and_stays_level_past_the_last():
    found = metrics.along_kl(
        swept([2.0, 0.5, 1.0]), swept([1.0, 2.0, 3.0]), [0, 0.25, 0.5, 1, 1.5, 7], over="beta", start=start(1.0)
    )
    np.testing.assert_allclose(found.values, [[1.0, 1.5, 2.0, 3.0, 2.0, 1.0]])


def test_a_run_without_numbers_stays_without():
    found = metrics.reward_at_kl(
        swept([1.0, np.nan], [1.0, 2.0]), swept([1.0, 2.0], [1.0, 2.0]), [1.0], over="beta", start=start(0.0, 0.0)
    )
    np.testing.assert_array_equal(np.isnan(found.values[:, 0]), [True, False])


@pytest.mark.parametrize(
    ("levels", "over", "message"),
    [
        ([-0.1], "beta", "levels are .*; give finite KLs of at least 0, in nats"),
        ([np.nan], "beta", "levels are .*; give finite KLs of at least 0, in nats"),
        ([1.0], "draws", "over is 'draws' and kl has dimensions .*'beta'.*; give one of them"),
    ],
)
def test_levels_and_dimension_have_to_make_sense(levels, over, message):
    with pytest.raises(ValueError, match=message):
        metrics.reward_at_kl(swept([1.0]), swept([1.0]), levels, over=over, start=start(0.0))


def test_the_share_of_the_gain_is_1_for_the_best_and_0_for_the_reference():
    best, first = start(3.0, 2.0), start(1.0, 2.0)
    np.testing.assert_allclose(metrics.share_of_gain(best, best, first).values, [1.0, np.nan])
    np.testing.assert_allclose(metrics.share_of_gain(first, best, first).values, [0.0, np.nan])
    np.testing.assert_allclose(metrics.share_of_gain(start(2.0, 0.0), best, first).values, [0.5, np.nan])


def test_what_lies_past_the_peak_is_read_in_the_order_of_kl():
    kl = swept([3.0, 1.0, 2.0], [3.0, 1.0, 2.0])
    reward = swept([0.5, 1.0, 2.0], [5.0, 1.0, 2.0])
    found = metrics.past_peak(kl, reward, over="beta")
    np.testing.assert_allclose(found["peak_kl"].values, [2.0, 3.0])
    np.testing.assert_allclose(found["lost"].values, [1.5, 0.0])
