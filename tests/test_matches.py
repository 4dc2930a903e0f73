"""Matches of DPO and PPO: held to plain runs of their lines, to a reading by hand, and to the exact optimum."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab import metrics
from lab.experiments.frontiers import optimal_policies
from lab.experiments.matches import dpo_beside, play

WORLD = "seeds=3 every=10 keep=none prompts=2 responses=4 truth=linear data=sampled"
MODEL = f"tabular open rm adam lr=0.05 steps=40 {WORLD} comparisons=3,6 judge=noisy agreement=0.7,1"
DPO = f"tabular open dpo beta=0.1,1 adam lr=0.02,0.1 steps=40 {WORLD} comparisons=3,6 judge=noisy agreement=0.7,1"
LENGTHS, BUDGETS = (10, 40), (0.05, 5.0)


@pytest.fixture(scope="module")
def played():
    return play(DPO, MODEL, lengths=LENGTHS, budgets=BUDGETS)


def stopped(way, values, budget):
    """Walk along one run to where it first has the KL, straight between two looks."""
    for k in range(1, len(way)):
        if way[k] >= budget:
            share = (budget - way[k - 1]) / (way[k] - way[k - 1])
            return values[k - 1] + share * (values[k] - values[k - 1])
    return values[-1]


def by_hand(record, budget):
    """Read the gain of every run of a record, [..., seed, prompt]."""
    kl = metrics.kl_from_reference(record).mean("prompt")
    gain = metrics.expected_reward(record) - metrics.expected_reward(record).isel(step=0)
    return xr.apply_ufunc(
        lambda way, values: stopped(way, values, budget), kl, gain, vectorize=True,
        input_core_dims=[["step"], ["step"]],
    )  # fmt: skip


def same(found, expected, atol=1e-12):
    np.testing.assert_allclose(found.values, expected.transpose(*found.dims).values, atol=atol)


@pytest.mark.parametrize("budget", BUDGETS)
def test_dpo_is_that_of_its_line_stopped_where_its_kl_gets_to_the_budget(played, budget):
    expected = by_hand(lab.run(DPO), budget)
    same(played["dpo"].sel(budget=budget), expected)


@pytest.mark.parametrize("budget", BUDGETS)
def test_ppo_on_a_model_of_its_own_kind_is_that_of_the_line_with_reward_from_model(played, budget):
    words = "reward_from=model model_steps=10,40 model_lr=0.05"
    line = DPO.replace("dpo", "ppo").replace("lr=0.02,0.1", "lr=0.1") + f" {words}"
    expected = by_hand(lab.run(line).rename(model_steps="length"), budget)
    same(played["ppo"].sel(budget=budget), expected)


def test_a_budget_that_no_run_gets_to_is_read_at_the_last_update(played):
    last = metrics.expected_reward(lab.run(DPO))
    same(played["dpo"].sel(budget=5.0), last.isel(step=-1) - last.isel(step=0))


def test_how_often_the_rewards_are_right_is_the_judges_agreement_on_draws_of_the_reference(played):
    record = lab.run(MODEL)
    world = lab.run(DPO).isel(beta=0, lr=0)
    judged = metrics.judge_agreement(record["score"].sel(step=40), world["reward"], world["reference_log_prob"])
    found = played["ppo_agreement"].sel(length=40).isel(beta=0, budget=0)
    same(found, judged.mean("prompt"))
    implicit = metrics.implicit_rewards(lab.run(DPO)).isel(step=-1)
    own = metrics.judge_agreement(implicit, world["reward"], world["reference_log_prob"]).mean("prompt")
    same(played["dpo_agreement"].sel(budget=5.0), own)


def test_with_all_the_data_and_the_exact_gradient_both_gain_what_the_optimum_gains():
    world = "steps=1500 seeds=2 every=1500 keep=none prompts=2 responses=4 truth=linear"
    line = f"tabular open dpo beta=1 adam lr=0.05 {world}"
    found = play(line, f"tabular open rm adam lr=0.05 {world}", lengths=(1500,), budgets=(50.0,), method="pg")
    best = optimal_policies(lab.run(line), [1.0])
    gain = metrics.expected_reward(best) - metrics.expected_reward(lab.run(line)).isel(step=0, drop=True)
    for name in ("dpo", "ppo"):
        reached = found[name].isel(budget=0, drop=True)
        same(reached.isel(length=0, drop=True) if name == "ppo" else reached, gain.isel(beta=0, drop=True), 1e-3)
    assert (found["dpo_agreement"] > 1 - 1e-9).all() and (found["ppo_agreement"] > 1 - 1e-9).all()


def test_a_model_of_features_beside_a_table_knows_prompts_that_have_no_data():
    world = "steps=600 seeds=4 every=600 keep=none prompts=12 truth=linear held=2"
    model = f"loglinear open rm adam lr=0.05 {world}"
    found = play(f"tabular open dpo beta=0.5 adam lr=0.05 {world}", model, lengths=(600,), budgets=(50.0,), method="pg")
    new = found.isel(prompt=slice(-2, None))
    assert (abs(new["dpo"]) < 1e-9).all() and (new["ppo"].mean("prompt") > 0.3).all()


def test_the_experiment_beside_a_model_has_its_world_and_the_words_that_were_asked_for():
    model = "loglinear open rm adam lr=0.05 steps=250 seeds=40 truth=linear data=sampled comparisons=8 held=1"
    found = dpo_beside(model, policy="mlp", betas=(0.1, 1), rates=(1e-3, 2e-3), steps=70, every=7, dtype="float32")
    assert str(found) == (
        "mlp open dpo beta=0.1,1 adam lr=0.001,0.002 steps=70 seeds=40 every=7 truth=linear data=sampled comparisons=8 "
        "held=1 dtype=float32"
    )


@pytest.mark.parametrize(
    ("dpo", "model", "lengths", "message"),
    [
        (DPO.replace("dpo", "ipo"), MODEL, LENGTHS, "the objective is ipo; this line needs dpo"),
        (DPO, MODEL.replace(" rm ", " dpo "), LENGTHS, "the objective is dpo; this line needs rm"),
        (DPO, MODEL.replace("truth=linear", "truth=normal"), LENGTHS, "the two lines differ in truth; both have"),
        (DPO, MODEL.replace("seeds=3", "seeds=4"), LENGTHS, "the two lines differ in seeds"),
        (DPO, MODEL.replace("lr=0.05", "lr=0.05,0.1"), LENGTHS, "the two lines differ in their axes"),
        (DPO, MODEL, (10,), "DPO has 2 learning rates and the reward model 1 lengths; give as many of both"),
        (DPO, MODEL, (10, 41), r"lengths are \[10, 41\]; they lie in 1 to 40, the model's steps"),
    ],
)
def test_an_unequal_match_is_refused_with_the_cure(dpo, model, lengths, message):
    with pytest.raises(ValueError, match=message):
        play(dpo, model, lengths=lengths)
