"""True and learned reward side by side: shaped sweeps, and a world whose learned reward is the true one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab.experiments.over_optimisation import SIZES, both_rewards, climbing_lines, learned_past_peak, share_lost

LINE = "tabular open {} beta=0.5,1,2 adam lr=0.1 steps=1500 seeds=2 every=1500 prompts=2 responses=4 truth=normal"


@pytest.fixture(scope="module")
def found():
    return both_rewards(lab.run(LINE.format("dpo")), lab.run(LINE.format("pg") + " reward_from=model"))


def sweep(kl, true, learned):
    return xr.Dataset(
        {name: (("seed", "point"), np.array([each], float))
         for name, each in (("kl", kl), ("true", true), ("learned", learned))},
        {"point": [0.1, 0.2, 0.3]},
    )  # fmt: skip


def test_with_the_whole_population_the_learned_gain_is_the_true_gain(found):
    for each in found.values():
        np.testing.assert_allclose(each["learned"].values, each["true"].values, atol=1e-3)
        assert (share_lost(each) < 1e-3).all()


def test_dpo_and_ppo_on_the_population_end_alike_and_best_of_one_gains_nothing(found):
    for name in ("kl", "true"):
        np.testing.assert_allclose(found["dpo"][name].values, found["ppo"][name].values, atol=1e-3)
        np.testing.assert_allclose(found["best_of_n"][name].sel(point=1).values, 0, atol=1e-12)


def test_what_is_lost_is_a_share_of_the_largest_gain_wherever_it_lies():
    # In the order of KL the true gains are 1, 4, 3, the learned ones 1, 5, 9.
    shaped = sweep([3.0, 1.0, 2.0], [3.0, 1.0, 4.0], [9.0, 1.0, 5.0])
    assert share_lost(shaped).item() == pytest.approx(0.25) and learned_past_peak(shaped).item() == pytest.approx(4.0)
    rising = sweep([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert share_lost(rising).item() == 0 and learned_past_peak(rising).item() == 0


def test_a_record_without_a_learned_reward_is_refused():
    record = lab.run(LINE.format("dpo").replace("steps=1500", "steps=1").replace("every=1500", "every=1"))
    with pytest.raises(ValueError, match="by is 'learned_reward' and the record has reward"):
        both_rewards(record, record)


def test_lines_to_climb_by_share_their_world_and_their_data():
    for policy in ("tabular", "mlp"):
        dpo, ppo = (lab.Experiment.parse(line) for line in climbing_lines(policy, 2).values())
        assert dpo.comparisons == ppo.comparisons == SIZES and dpo.beta == ppo.beta
        assert (dpo.value("objective"), ppo.value("objective")) == ("dpo", "ppo")
        assert ppo.value("reward_from") == "model" and dpo.value("sharpness") == ppo.value("sharpness") == 2
    one = lab.Experiment.parse(climbing_lines("mlp", 1, sizes=(8,), seeds=20)["ppo"])
    assert one.value("comparisons") == 8 and one.value("seeds") == 20
    with pytest.raises(ValueError, match="policy is 'loglinear'; the policies are tabular, mlp"):
        climbing_lines("loglinear", 1)
