"""Who gains the mass: since when, and whether the likelier responses gain more; against SciPy and planted runs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

import lab
from lab import metrics


def record(log_prob: np.ndarray, reference: np.ndarray) -> xr.Dataset:
    """Seeds [seed, step, prompt, response], recorded every five steps; prompt 0 has one pair."""
    return xr.Dataset(
        {
            "log_prob": (("seed", "step", "prompt", "response"), log_prob),
            "reference_log_prob": (("seed", "prompt", "response"), reference),
        },
        coords={
            "step": 5 * np.arange(log_prob.shape[1]),
            "pair_prompt": ("pair", [0]),
            "chosen": ("pair", [0]),
            "rejected": ("pair", [1]),
            "pair_weight": ("pair", [1.0]),
        },
    )


@pytest.fixture
def drawn() -> xr.Dataset:
    """Three seeds, four steps, two prompts, seven responses, all drawn."""
    logits = np.random.default_rng(3).normal(size=(3, 4, 2, 7))
    log_prob = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return record(log_prob, log_prob[:, 0])


def test_a_log_ratio_is_that_of_every_response_and_the_pairs_own_are_among_them(drawn):
    ratio = metrics.log_ratio(drawn)
    assert ratio.dims == drawn["log_prob"].dims
    np.testing.assert_allclose(ratio.isel(step=0), 0, atol=1e-15)
    np.testing.assert_allclose(ratio.isel(prompt=0, response=1), metrics.rejected_log_ratio(drawn).isel(pair=0))


def test_a_gain_counts_from_the_step_that_is_asked_for_in_each_run(drawn):
    since = xr.DataArray([5.0, 15.0, np.inf], dims="seed")
    gain = metrics.mass_gain(drawn, since=since)
    prob = np.exp(drawn["log_prob"].values)
    np.testing.assert_allclose(gain.isel(seed=0), prob[0, 3] - prob[0, 1])
    np.testing.assert_allclose(gain.isel(seed=1), 0, atol=1e-15)
    assert gain.isel(seed=2).isnull().all()
    np.testing.assert_allclose(metrics.mass_gain(drawn, since=xr.zeros_like(since)), metrics.mass_gain(drawn))


def test_a_step_that_was_not_recorded_is_refused(drawn):
    with pytest.raises(
        ValueError, match=r"step 7, which is not recorded.*4 steps from 0 to 15.*Take a step of ds.step"
    ):
        metrics.mass_gain(drawn, since=xr.DataArray([7.0, 5.0, 5.0], dims="seed"))


def test_the_rank_correlation_is_spearmans(drawn):
    among = metrics.unseen_mask(drawn)
    among[1, :3] = False
    expected = []
    for seed in range(3):
        last, start = drawn["log_prob"][seed, -1], drawn["reference_log_prob"][seed]
        rows = [(last[x][among[x]], start[x][among[x]]) for x in range(2)]
        expected.append(np.mean([spearmanr(one - other, other).statistic for one, other in rows]))
    np.testing.assert_allclose(metrics.growth_rank_correlation(drawn, among=among), expected)


@pytest.mark.parametrize(("power", "expected"), [(0.5, 1.0), (-0.5, -1.0)])
def test_rich_get_richer_means_that_growth_rises_with_the_start(drawn, power, expected):
    start = drawn["reference_log_prob"].values
    drawn["log_prob"][:, -1] = start + power * start
    np.testing.assert_allclose(metrics.growth_rank_correlation(drawn), expected)


def test_responses_that_all_grow_alike_or_runs_without_numbers_have_no_correlation(drawn):
    drawn["log_prob"][:, -1] = drawn["reference_log_prob"].values
    drawn["log_prob"][1, -1, 0, 2] = np.nan
    assert metrics.growth_rank_correlation(drawn).isnull().all()


def test_two_responses_are_too_few_to_rank(drawn):
    two = xr.zeros_like(metrics.unseen_mask(drawn))
    two[1, 3:5] = True
    with pytest.raises(ValueError, match=r"no prompt has three responses to compare: \[0, 2\].*Mark more"):
        metrics.growth_rank_correlation(drawn, among=two)


def test_a_table_moves_no_mass_between_unseen_responses():
    ds = lab.run("tabular s1 dpo beta=0.1 sgd lr=10 steps=30 seeds=3")
    unseen = metrics.unseen_mask(ds)
    growth = metrics.log_ratio(ds).isel(step=-1).where(unseen)
    np.testing.assert_allclose(growth.max("response"), growth.min("response"), atol=1e-12)
    assert metrics.growth_rank_correlation(ds).isnull().all(), "what rounding leaves of equal growth has no rank"
