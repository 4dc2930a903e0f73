"""Judges: the closed forms of their errors, agreement against a plain sum, ranks against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from lab import metrics

DRAW = np.random.default_rng(3)


def test_random_errors_draw_a_rate_towards_a_half_and_keep_the_order() -> None:
    rate = xr.DataArray([0.1, 0.5, 0.8], dims="method")
    agreement = xr.DataArray([0.5, 0.75, 1.0, 0.0], dims="agreement")
    found = metrics.judged_win_rate(rate, agreement).transpose("agreement", "method")
    for row, right in zip(found.values, agreement.values, strict=True):
        np.testing.assert_allclose(row, right * rate + (1 - right) * (1 - rate), rtol=1e-14)
    assert (np.diff(found.values[1]) > 0).all() and (found.values[0] == 0.5).all()
    for wrong in (1.2, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"agreement is {wrong}; allowed are numbers from 0 to 1"):
            metrics.judged_win_rate(rate, wrong)


def test_counted_rates_have_the_mean_and_the_variance_of_a_share() -> None:
    rate = xr.DataArray(np.full(40_000, 0.3), dims="draw")
    found = metrics.counted(rate, 50, np.random.default_rng(0))
    assert float(found.mean()) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 50 / 40_000))
    assert float(found.var()) == pytest.approx(0.21 / 50, rel=0.05)
    with pytest.raises(ValueError, match="comparisons is 0; allowed are 1 or more"):
        metrics.counted(rate, 0, np.random.default_rng(0))


def test_agreement_is_the_sum_over_couples_of_different_responses() -> None:
    judge, reward, logits = (xr.DataArray(DRAW.standard_normal((2, 3, 4)), dims=("seed", "prompt", "response"))
                             for _ in range(3))  # fmt: skip
    judge[0, 0, 1] = judge[0, 0, 2]
    log_prob = logits - np.log(np.exp(logits).sum("response"))
    found = metrics.judge_agreement(judge, reward, log_prob)
    for seed, prompt in np.ndindex(2, 3):
        j, r, p = (each.values[seed, prompt] for each in (judge, reward, np.exp(log_prob)))
        couples = [(y, z) for y in range(4) for z in range(4) if y != z]
        alike = sum(p[y] * p[z] * (0.5 if j[y] == j[z] else (j[y] > j[z]) == (r[y] > r[z])) for y, z in couples)
        assert float(found[seed, prompt]) == pytest.approx(alike / sum(p[y] * p[z] for y, z in couples), rel=1e-12)


def test_a_labeller_is_right_by_the_logistic_function_of_how_far_rewards_lie_apart() -> None:
    """A plain sum; and the expectation of a judge whose labels are drawn, which the truth agrees with as often."""
    reward, logits = (xr.DataArray(DRAW.standard_normal((2, 4)), dims=("prompt", "response")) for _ in range(2))
    reward[0, 1] = reward[0, 2]
    log_prob = logits - np.log(np.exp(logits).sum("response"))
    found = metrics.labeller_agreement(reward, log_prob)
    for prompt in range(2):
        r, p = reward.values[prompt], np.exp(log_prob.values[prompt])
        couples = [(y, z) for y in range(4) for z in range(4) if y != z]
        right = sum(p[y] * p[z] * max(1 / (1 + np.exp(r[z] - r[y])), 1 / (1 + np.exp(r[y] - r[z]))) for y, z in couples)
        assert float(found[prompt]) == pytest.approx(right / sum(p[y] * p[z] for y, z in couples), rel=1e-12)
    assert float(metrics.labeller_agreement(reward * 0, log_prob)[0]) == pytest.approx(0.5)
    assert float(metrics.labeller_agreement(reward * 1e6, log_prob)[1]) == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_a_noisy_reward_agrees_as_two_normals_do(noise) -> None:
    """Sheppard: two normals of correlation rho have one sign with probability 1 - arccos(rho) / pi."""
    shape = (1, 400, 40)
    reward, error = (xr.DataArray(DRAW.standard_normal(shape), dims=("seed", "prompt", "response")) for _ in range(2))
    even = xr.full_like(reward, -np.log(shape[-1]))
    found = metrics.judge_agreement(reward + noise * error, reward, even).mean()
    assert float(found) == pytest.approx(1 - np.arccos(1 / np.sqrt(1 + noise**2)) / np.pi, abs=0.01)


def test_rank_correlations_are_scipys_with_ties_and_without() -> None:
    first = xr.DataArray(DRAW.standard_normal((5, 9)).round(1), dims=("seed", "method"))
    second = xr.DataArray(DRAW.standard_normal((9, 5)).round(0), dims=("method", "seed"))
    found = metrics.rank_correlation(first, second, "method")
    for seed in range(5):
        expected = stats.spearmanr(first[seed], second[:, seed]).statistic
        assert float(found[seed]) == pytest.approx(expected, abs=1e-12)
    assert metrics.rank_correlation(first, xr.zeros_like(first), "method").isnull().all()
