"""True rewards: drawn so that they agree with the pairs, carried into the record, summed over the policy."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from lab import metrics
from lab.rewards import normal_rewards
from tests import worlds

LINE = "tabular s1,s4 dpo beta=0.1,1 sgd lr=1 steps=4 seeds=3 every=2 pairs=2"


def test_the_chosen_response_of_every_pair_has_the_larger_reward() -> None:
    pairs = lab.Preferences.grid(6, 10, 3)
    reward = normal_rewards(6, 10, seeds=tuple(range(50)), agreeing=pairs)
    assert reward.shape == (50, 6, 10) and reward.dtype == torch.float64
    assert bool((reward[:, pairs.prompt, pairs.chosen] > reward[:, pairs.prompt, pairs.rejected]).all())


def test_an_exchange_is_all_that_is_done_to_standard_normal_draws() -> None:
    """Means 1/sqrt(pi), -1/sqrt(pi) and 0, variances 1 - 1/pi, 1 - 1/pi and 1, within five standard errors."""
    pairs = lab.Preferences.grid(4, 10)
    reward = normal_rewards(4, 10, seeds=tuple(range(4000)), agreeing=pairs)
    better, worse = reward[:, pairs.prompt, pairs.chosen], reward[:, pairs.prompt, pairs.rejected]
    rest = reward[:, pairs.unseen(4, 10)]
    expected = ((better, 1 / math.sqrt(math.pi), 1 - 1 / math.pi), (worse, -1 / math.sqrt(math.pi), 1 - 1 / math.pi),
                (rest, 0.0, 1.0))  # fmt: skip
    for values, mean, variance in expected:
        assert float(values.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / values.numel()))
        assert float(values.var()) == pytest.approx(variance, abs=5 * math.sqrt(3 / values.numel()))


def test_a_seed_has_its_rewards_whatever_the_other_seeds_and_the_global_seed_are() -> None:
    pairs = lab.Preferences.grid(4, 10)
    alone = normal_rewards(4, 10, seeds=(7,), agreeing=pairs)
    torch.manual_seed(3)
    together = normal_rewards(4, 10, seeds=(1, 7, 2, 7), agreeing=pairs)
    assert torch.equal(together[1], alone[0]) and torch.equal(together[3], alone[0])
    assert not torch.equal(together[0], alone[0])


def test_pairs_that_share_a_response_are_refused() -> None:
    with pytest.raises(ValueError, match="two pairs of a prompt share a response; rewards are drawn for"):
        normal_rewards(worlds.PROMPTS, worlds.RESPONSES, seeds=(0,), agreeing=worlds.preferences())


def test_the_expected_reward_is_the_sum_over_all_responses() -> None:
    ds = lab.run(f"{LINE} truth=normal")
    assert set(ds["reward"].dims) == {"scenario", "beta", "seed", "prompt", "response"}
    found = metrics.expected_reward(ds)
    assert found.dims == ("scenario", "beta", "seed", "step", "prompt")
    by_hand = np.einsum("abstpr,abspr->abstp", np.exp(ds["log_prob"].values), ds["reward"].values)
    np.testing.assert_allclose(found.values, by_hand, rtol=1e-13)


def test_a_true_reward_judges_and_never_trains() -> None:
    """The same log-probabilities to the bit, with and without it; the seed alone decides on the rewards."""
    without, judged = lab.run(LINE), lab.run(f"{LINE} truth=normal")
    np.testing.assert_array_equal(without["log_prob"].values, judged["log_prob"].values)
    first = judged["reward"].isel(scenario=0, beta=0)
    np.testing.assert_array_equal(judged["reward"].values, first.broadcast_like(judged["reward"]).values)
    assert "reward" not in without


def test_a_record_with_rewards_is_saved_and_read_back(tmp_path) -> None:
    ds = lab.run("mlp s1 dpo adam lr=1e-3 steps=2 seeds=2 width=4 truth=normal")
    lab.save(ds, tmp_path / "judged.nc")
    assert lab.load(tmp_path / "judged.nc").identical(ds)


def test_a_missing_reward_is_an_error_that_says_how_to_have_one() -> None:
    with pytest.raises(ValueError, match=re.escape("the record has no true reward: its problem has none. Run the")):
        metrics.expected_reward(lab.run(LINE))


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (torch.zeros(3, 3), r"reward has shape (3, 3); allowed is [run, prompt, response], here (3, 3, 6)"),
        (torch.full((3, 3, 6), torch.inf), "reward holds NaN or infinity; all must be finite: correct it"),
    ],
)
def test_rewards_of_another_shape_or_without_bounds_are_refused(reward, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(worlds.problem(), reward=reward)
