"""Win rates and temperatures: against plain sums, and the limits that are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab import metrics

LINE = "tabular open dpo beta=0.5 adam lr=0.1 steps=6 every=3 seeds=3 prompts=2 responses=4 truth=normal"


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return lab.run(f"{LINE} data=sampled comparisons=5")


def test_a_win_rate_is_the_sum_over_all_couples_of_responses(ds) -> None:
    found = metrics.win_rate(ds["log_prob"], ds["reference_log_prob"], ds["reward"])
    assert found.dims == ("seed", "step", "prompt")
    policy, other, reward = np.exp(ds["log_prob"].values), np.exp(ds["reference_log_prob"].values), ds["reward"].values
    for seed, step, prompt in np.ndindex(found.shape):
        expected = sum(
            policy[seed, step, prompt, y] * other[seed, prompt, z]
            * (float(reward[seed, prompt, y] > reward[seed, prompt, z]) + 0.5 * (y == z))
            for y in range(4) for z in range(4)
        )  # fmt: skip
        assert float(found[seed, step, prompt]) == pytest.approx(expected, rel=1e-12)


def test_a_rate_of_drawn_labels_is_the_sum_over_all_couples_of_responses(ds) -> None:
    found = metrics.labelled_win_rate(ds["log_prob"], ds["reference_log_prob"], ds["reward"])
    assert found.dims == ("seed", "step", "prompt")
    policy, other, reward = np.exp(ds["log_prob"].values), np.exp(ds["reference_log_prob"].values), ds["reward"].values
    for seed, step, prompt in np.ndindex(found.shape):
        expected = sum(
            policy[seed, step, prompt, y] * other[seed, prompt, z]
            / (1 + np.exp(reward[seed, prompt, z] - reward[seed, prompt, y]))
            for y in range(4) for z in range(4)
        )  # fmt: skip
        assert float(found[seed, step, prompt]) == pytest.approx(expected, rel=1e-12)
    # Labels of rewards that lie far apart are certain: the rate is then the win rate.
    sure = metrics.labelled_win_rate(ds["log_prob"], ds["reference_log_prob"], 1e5 * ds["reward"])
    np.testing.assert_allclose(sure, metrics.win_rate(ds["log_prob"], ds["reference_log_prob"], ds["reward"]))


def test_equal_policies_win_half_of_the_time(ds) -> None:
    found = metrics.win_rate(ds["log_prob"], ds["log_prob"], ds["reward"])
    np.testing.assert_allclose(found.values, 0.5, rtol=1e-13)
    there, back = (metrics.win_rate(a, b, ds["reward"]) for a, b in (_two(ds), _two(ds)[::-1]))
    np.testing.assert_allclose((there + back).values, 1, rtol=1e-13)


def _two(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    return ds["log_prob"].isel(step=0, drop=True), ds["log_prob"].isel(step=-1, drop=True)


def test_the_best_response_beats_all_but_itself(ds) -> None:
    best = xr.where(ds["reward"] == ds["reward"].max("response"), 0.0, -np.inf)
    share = np.exp(ds["reference_log_prob"]).where(best == 0).sum("response")
    found = metrics.win_rate(best, ds["reference_log_prob"], ds["reward"])
    np.testing.assert_allclose(found.values, (1 - share / 2).values, rtol=1e-12)


def test_the_win_rate_against_the_chosen_is_the_sum_over_the_pairs(ds) -> None:
    """A plain sum over the pairs."""
    reward, weight = ds["reward"].values, ds["pair_weight"].values
    prompts, chosen = ds["pair_prompt"].values, ds["chosen"].values
    found = metrics.win_rate_against_chosen(ds["log_prob"], ds)
    assert found.dims == ("seed", "step")
    prob = np.exp(ds["log_prob"].values)
    for seed, step in np.ndindex(found.shape):
        expected = 0.0
        for pair, (x, c) in enumerate(zip(prompts, chosen, strict=True)):
            above = (reward[seed, x] > reward[seed, x, c]) + 0.5 * (reward[seed, x] == reward[seed, x, c])
            expected += weight[seed, pair] * (prob[seed, step, x] * above).sum()
        assert float(found[seed, step]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("truth", ["truth=normal", "truth=none"])
def test_fixed_pairs_are_judged_too_and_a_missing_reward_is_an_error(truth) -> None:
    ds = lab.run(f"tabular s1,s2 dpo sgd lr=1 steps=2 seeds=2 {truth}")
    if truth == "truth=none":
        with pytest.raises(ValueError, match="the record has no true reward to judge by; run the"):
            metrics.win_rate_against_chosen(ds["log_prob"], ds)
        return
    only = xr.where(xr.zeros_like(ds["reference_log_prob"]) == 1, 0.0, -np.inf)
    for x, c in zip(ds["pair_prompt"].values, ds["chosen"].values, strict=True):
        only[..., x, c] = 0.0
    np.testing.assert_allclose(metrics.win_rate_against_chosen(only, ds).values, 0.5, rtol=1e-13)


def test_a_temperature_divides_the_logits_and_zero_takes_the_likeliest(ds) -> None:
    log_prob = ds["log_prob"].isel(step=-1)
    found = metrics.tempered(log_prob, [0.0, 0.5, 1.0, 1e9])
    assert found.dims == ("seed", "prompt", "temperature", "response")
    prob = np.exp(found.values)
    np.testing.assert_allclose(prob.sum(-1), 1, rtol=1e-12)
    assert (prob[..., 0, :].argmax(-1) == log_prob.values.argmax(-1)).all() and (prob[..., 0, :].max(-1) == 1).all()
    squared = np.exp(2 * log_prob.values)
    np.testing.assert_allclose(prob[..., 1, :], squared / squared.sum(-1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(prob[..., 2, :], np.exp(log_prob.values), rtol=1e-12)
    np.testing.assert_allclose(prob[..., 3, :], 0.25, rtol=1e-7)


def test_ties_share_at_temperature_zero() -> None:
    log_prob = xr.DataArray(np.log([0.4, 0.4, 0.2]), dims="response")
    assert np.exp(metrics.tempered(log_prob, [0]).values[0]).tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("given", [[-1.0], [np.nan], [np.inf]])
def test_temperatures_that_are_none_are_refused(ds, given) -> None:
    with pytest.raises(ValueError, match="give finite numbers of at least 0"):
        metrics.tempered(ds["log_prob"], given)


def test_the_order_of_the_axes_of_the_weights_changes_nothing(ds) -> None:
    """Weights with an axis that the reward lacks, in front of the seeds or behind them."""
    weight = ds["pair_weight"] * xr.DataArray([1.0, 2.0], dims="more")
    front, behind = (
        metrics.win_rate_against_chosen(ds["log_prob"], ds.assign(pair_weight=weight.transpose(*dims)))
        for dims in (("more", "seed", "pair"), ("seed", "more", "pair"))
    )
    expected = metrics.win_rate_against_chosen(ds["log_prob"], ds)
    for found in (front, behind):
        xr.testing.assert_allclose(found.isel(more=1).transpose(*expected.dims), expected)
