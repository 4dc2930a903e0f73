"""The exact policies beside a record: held to what the record's own training tends to."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics
from lab.experiments.frontiers import (
    at_equal_kl,
    best_of_n_policies,
    lines,
    optimal_policies,
    share_over_steps,
    updates_until,
)

LINE = "tabular open dpo beta=0.5,1 adam lr=0.05 steps=600 seeds=3 every=600 prompts=2 responses=4 truth=normal"


@pytest.fixture(scope="module")
def trained():
    return lab.run(LINE)


def test_dpo_on_the_whole_population_reaches_the_optimum_of_each_beta(trained):
    found = optimal_policies(trained, [0.5, 1.0])
    assert found["log_prob"].dims == ("seed", "beta", "prompt", "response")
    end = trained["log_prob"].isel(step=-1).transpose(*found["log_prob"].dims)
    np.testing.assert_allclose(found["log_prob"].values, end.values, atol=1e-4)


def test_the_metrics_read_the_exact_policies_and_no_policy_of_the_record_crosses_them(trained):
    best = optimal_policies(trained, np.geomspace(0.01, 20, 300))
    kl, reward = (each(best).mean("prompt") for each in (metrics.kl_from_reference, metrics.expected_reward))
    own_kl, own = (each(trained).mean("prompt") for each in (metrics.kl_from_reference, metrics.expected_reward))
    first = own.isel(step=0, beta=0, drop=True)
    for beta in (0.5, 1.0):
        level = own_kl.sel(beta=beta).isel(step=-1)
        for seed in range(3):
            bound = metrics.reward_at_kl(
                kl.isel(seed=[seed]), reward.isel(seed=[seed]), [float(level[seed])], over="beta",
                start=first.isel(seed=[seed]),
            )  # fmt: skip
            assert float(own.sel(beta=beta).isel(step=-1, seed=seed)) <= float(bound.squeeze()) + 1e-4


def test_best_of_one_is_the_reference_and_best_of_many_the_best_response(trained):
    found = best_of_n_policies(trained, [1, 1e6])
    reference = trained["reference_log_prob"].isel(beta=0, drop=True).transpose("seed", "prompt", "response")
    np.testing.assert_allclose(found["log_prob"].sel(draws=1).values, reference.values, atol=1e-12)
    chosen = found["log_prob"].sel(draws=1e6).values.argmax(-1)
    truth = trained["reward"].isel(beta=0, drop=True).transpose("seed", "prompt", "response").values
    np.testing.assert_array_equal(chosen, truth.argmax(-1))


def test_the_learned_reward_picks_where_it_is_asked_to():
    ds = lab.run(LINE.replace("dpo", "pg") + " data=sampled comparisons=3 reward_from=model model_steps=50")
    found = best_of_n_policies(ds, [1e9], by="learned_reward")
    score = ds["learned_reward"].isel(beta=0, drop=True).transpose("seed", "prompt", "response").values
    picked = found["log_prob"].isel(draws=0).values
    np.testing.assert_array_equal(picked == picked.max(-1, keepdims=True), score == score.max(-1, keepdims=True))
    assert metrics.expected_reward(found).dims == ("seed", "draws", "prompt")


def test_axes_of_the_world_stay_and_one_of_the_same_name_is_refused():
    ds = lab.run(LINE.replace("steps=600", "steps=1").replace("every=600", "every=1") + " sharpness=0.5,2")
    found = optimal_policies(ds, [1.0])
    assert set(found["log_prob"].dims) == {"sharpness", "seed", "beta", "prompt", "response"}
    with pytest.raises(ValueError, match="the world of the record differs along beta, which is to be swept; pick one"):
        optimal_policies(ds.isel(beta=[0]).assign_coords(beta=[0.5]).drop_vars("beta").isel(beta=0)
                         .rename(sharpness="beta"), [1.0])  # fmt: skip


def test_a_record_without_the_reward_is_refused_with_the_cure(trained):
    with pytest.raises(ValueError, match="by is 'learned_reward' and the record has reward; choose one of reward, lea"):
        optimal_policies(trained, [1.0], by="learned_reward")
    with pytest.raises(ValueError, match="the record has neither; choose .* truth=normal gives the first"):
        best_of_n_policies(trained.drop_vars("reward"), [1])


def test_a_training_to_the_optimum_ends_with_all_of_its_gain_and_arrives_once(trained):
    share = share_over_steps(trained.sel(beta=0.5, drop=True), 0.5)
    np.testing.assert_allclose(share.isel(step=[0, -1]).values.T.reshape(-1, 3), [[0] * 3, [1] * 3], atol=1e-4)
    # Two records, 600 updates apart, and a straight line between them.
    np.testing.assert_allclose(updates_until(share, 0.25).values, 150, atol=0.1)
    assert np.isinf(updates_until(share, 1.5).values).all()


def test_every_line_of_a_comparison_reads_and_shares_its_labels_out():
    for policy in ("tabular", "mlp"):
        for data in ("population", "sampled"):
            for name, line in lines(policy, data).items():
                parsed = lab.Experiment.parse(line)
                assert parsed.value("seeds") == 24 and parsed.value("policy") == policy, name
    online = lab.Experiment.parse(lines("tabular", "sampled")["online"])
    rounds = online.value("steps") / online.value("refresh")
    given = lab.Experiment.parse(lines("tabular", "sampled")["dpo"]).value("comparisons")
    assert rounds * online.value("comparisons") == given
    with pytest.raises(ValueError, match="policy is 'loglinear' and data 'sampled'; policies are tabular, mlp"):
        lines("loglinear", "sampled")


def test_at_equal_kl_the_population_gives_all_of_the_gain_and_best_of_n_less():
    small = lines("tabular", "population", seeds=2)
    data = {name: lab.run(f"{line} prompts=2 responses=4") for name, line in small.items() if name in ("dpo", "ppo")}
    found = at_equal_kl(data, [0.3])
    assert set(found) == {"dpo", "ppo", "best_of_n"}
    for name, each in found.items():
        assert each.dims == ("seed", "level") and (each <= 1 + 1e-6).all(), name
    assert (found["dpo"] > 0.97).all() and (found["best_of_n"] < found["dpo"]).all()
