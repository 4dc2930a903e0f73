"""Policies ranked by wrong judges: the limits that are known, on small worlds."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab import metrics
from lab.experiments.ranking import at_agreement, line_up, ranked_alike, ranked_at_random, ranked_by_people, true_rates

LINE = "tabular open {} adam lr=0.1 steps=20 every=20 seeds=3 prompts=2 responses=4 truth=normal keep=none"


@pytest.fixture(scope="module")
def records() -> dict[str, xr.Dataset]:
    return {"dpo": lab.run(LINE.format("dpo beta=0.1,1")), "sft": lab.run(LINE.format("sft"))}


@pytest.fixture(scope="module")
def policies(records) -> xr.Dataset:
    return line_up(records)


def test_every_beta_is_a_method_and_the_reference_the_last(records, policies) -> None:
    assert dict(policies["log_prob"].sizes) == {"seed": 3, "method": 4, "prompt": 2, "response": 4}
    for method, expected in enumerate((records["dpo"].sel(beta=0.1), records["dpo"].sel(beta=1), records["sft"])):
        last = expected["log_prob"].isel(step=-1).transpose("seed", "prompt", "response")
        np.testing.assert_array_equal(policies["log_prob"].isel(method=method), last)
    np.testing.assert_allclose(true_rates(policies).isel(method=-1), 0.5, rtol=1e-13)


def test_a_judge_without_errors_ranks_as_the_truth(policies) -> None:
    alike = ranked_alike(policies, [0.0])
    np.testing.assert_allclose(alike["correlation"], 1, rtol=1e-12)
    np.testing.assert_allclose(alike["agreement"], 1, rtol=1e-12)
    np.testing.assert_allclose(ranked_at_random(policies, [1.0], 10**9), 1, rtol=1e-12)


def test_people_rank_as_their_law_says_and_as_the_truth_where_rewards_lie_far_apart(policies) -> None:
    """Labels are then certain; those of rewards that are all but equal are coins."""
    certain, coin = (policies.assign(reward=scale * policies["reward"]) for scale in (1e4, 1e-9))
    np.testing.assert_allclose(ranked_by_people(certain, 10**12), 1, rtol=1e-12)
    assert abs(float(ranked_by_people(coin, 1000).mean())) < 5 / np.sqrt(3 * 60)
    given = (policies["log_prob"], policies["reference_log_prob"], policies["reward"])
    drawn = metrics.labelled_win_rate(*given).mean("prompt")
    expected = metrics.rank_correlation(drawn, true_rates(policies), "method")
    np.testing.assert_allclose(ranked_by_people(policies, 10**15), expected, rtol=1e-12)


def test_a_judge_who_is_right_half_of_the_time_ranks_at_random_and_one_who_is_never_right_turns_the_ranking(
    policies,
) -> None:
    half, never = ranked_at_random(policies, [0.5, 0.0], 10**9).transpose("agreement", "seed").values
    assert abs(half.mean()) < 5 / np.sqrt(3 * 60)  # 60 judges, a correlation of 4 has variance 1/3
    np.testing.assert_allclose(never, -1, rtol=1e-12)


def test_errors_of_a_judges_own_cost_agreement_and_ranking(policies) -> None:
    found = ranked_alike(policies, [0.0, 1.0, 50.0])
    assert (found["agreement"].diff("noise") < 0).all()
    assert (found["correlation"].isel(noise=-1) < 0.6).all()


def test_correlations_are_read_at_an_agreement_seed_by_seed() -> None:
    table = {
        "agreement": (("seed", "noise"), [[1.0, 0.6], [0.9, 0.5]]),
        "correlation": (("seed", "noise"), [[1.0, 0.2], [0.8, 0.0]]),
    }
    alike = xr.Dataset(table, {"seed": [0, 1], "noise": [0.0, 1.0]})
    np.testing.assert_allclose(at_agreement(alike, 0.7), [0.4, 0.4], rtol=1e-12)
    np.testing.assert_allclose(at_agreement(alike, 0.4), [0.2, 0.0], atol=1e-12)
    assert metrics.rank_correlation(alike["agreement"], alike["correlation"], "noise").values.tolist() == [1, 1]
