"""Learned rewards against the true one: couples counted one by one, and a reward model that is DPO on another clock."""

from __future__ import annotations

from itertools import combinations, product
from math import exp

import numpy as np
import pytest

import lab
from lab import metrics

SAMPLED = "truth=linear data=sampled comparisons=6 held=1 prompts=3 responses=5"


@pytest.fixture(scope="module")
def ds():
    return lab.run(
        f"tabular open dpo beta=0.3,0.7 sgd lr=3 steps=6 seeds=4 every=2 {SAMPLED} judge=noisy agreement=0.8"
    )


def kind(cell, x, i, j) -> str:
    """What the data of one run say about a couple, read pair by pair."""
    pairs = zip(*(cell[name].values for name in ("pair_prompt", "chosen", "rejected", "pair_weight")), strict=True)
    named = [{int(c), int(r)} for prompt, c, r, weight in pairs if prompt == x and weight > 0]
    return "new prompts" if not named else "compared" if {i, j} in named else "not compared"


@pytest.mark.parametrize("which", metrics.COUPLES)
def test_couples_are_counted_one_by_one(ds, which) -> None:
    accuracy, error = metrics.couple_accuracy(ds, which), metrics.calibration_error(ds, which)
    mask = metrics.couple_mask(ds, which)
    assert accuracy.dims == error.dims == ("beta", "seed", "step")
    for b, s, step in np.ndindex(*accuracy.shape):
        run = {"beta": b, "seed": s}
        cell = ds.isel(run, missing_dims="ignore")
        beta, now, first, true = (cell[name].values for name in ("beta", "log_prob", "reference_log_prob", "reward"))
        right, off, marked = [], [], []
        for x, (i, j) in product(range(3), combinations(range(5), 2)):
            marked.append(kind(cell, x, i, j) == which)
            if not marked[-1]:
                continue
            learned = float(beta) * ((now[step, x, i] - first[x, i]) - (now[step, x, j] - first[x, j]))
            truth = true[x, i] - true[x, j]
            right.append(0.5 if learned == 0 else float(learned * truth > 0))
            off.append(abs(1 / (1 + exp(-learned)) - 1 / (1 + exp(-truth))))
        np.testing.assert_array_equal(mask.isel(run, missing_dims="ignore").values.ravel(), marked)
        assert accuracy.values[b, s, step] == pytest.approx(np.mean(right), abs=1e-12)
        assert error.values[b, s, step] == pytest.approx(np.mean(off), abs=1e-12)


def test_every_couple_is_of_one_kind(ds) -> None:
    total = sum(metrics.couple_mask(ds, which).astype(int) for which in metrics.COUPLES)
    assert (total == 1).all() and total.sizes["couple"] == 10


def test_the_start_knows_nothing_and_the_truth_everything(ds) -> None:
    for which in metrics.COUPLES:
        np.testing.assert_array_equal(metrics.couple_accuracy(ds, which).isel(step=0).values, 0.5)
    whole = lab.run("tabular open rm adam lr=0.05 steps=1500 every=1500 seeds=3 prompts=2 responses=4 truth=normal")
    assert (metrics.couple_accuracy(whole, "compared").isel(step=-1) == 1).all()
    assert (metrics.calibration_error(whole, "compared").isel(step=-1) < 1e-4).all()
    assert metrics.couple_accuracy(whole, "not compared").isnull().all()


@pytest.mark.parametrize(
    ("policy", "optimizer", "dpo_rate", "share"),
    [("loglinear", "sgd", 10.0, 0.04), ("tabular", "sgd", 10.0, 0.04), ("loglinear", "momentum", 1.0, 0.04)],
)
def test_a_linear_reward_model_is_dpo_s_implicit_reward_on_another_clock(policy, optimizer, dpo_rate, share) -> None:
    """Step for step, for any data: the model's rate is beta^2 times DPO's under gradient descent."""
    noisy = f"steps=40 every=10 seeds=3 {SAMPLED} judge=noisy agreement=0.7"
    dpo = lab.run(f"{policy} open dpo beta=0.2 {optimizer} lr={dpo_rate} {noisy}")
    model = lab.run(f"{policy} open rm {optimizer} lr={share * dpo_rate:g} {noisy}")
    implicit, explicit = metrics.implicit_rewards(dpo), model["score"]
    centred = [each - each.mean("response") for each in (implicit, explicit)]
    np.testing.assert_allclose(centred[0].values, centred[1].values, rtol=1e-9, atol=1e-10)
    assert float(abs(centred[1]).max()) > 0.1  # they did learn something
    for which in ("not compared", "new prompts"):
        left, right = (metrics.calibration_error(each, which).values for each in (dpo, model))
        np.testing.assert_allclose(left, right, rtol=1e-9)


def test_under_adam_the_clock_differs_by_beta() -> None:
    tail = f"steps=40 every=10 seeds=3 {SAMPLED} eps=1e-14"
    dpo, model = (
        lab.run(f"loglinear open dpo beta=0.2 adam lr=0.05 {tail}"),
        lab.run(f"loglinear open rm adam lr=0.01 {tail}"),
    )
    implicit, explicit = metrics.implicit_rewards(dpo), model["score"]
    np.testing.assert_allclose(
        (implicit - implicit.mean("response")).values, (explicit - explicit.mean("response")).values, atol=1e-7
    )


def test_fixed_pairs_have_couples_too() -> None:
    ds = lab.run("tabular s1 dpo sgd lr=1 steps=2 seeds=2 truth=normal")
    mask = metrics.couple_mask(ds, "compared")
    assert mask.dims == ("prompt", "couple") and int(mask.sum()) == 4
    assert (metrics.couple_accuracy(ds, "compared").isel(step=-1) == 1).all()


def test_what_cannot_be_judged_is_refused(ds) -> None:
    with pytest.raises(ValueError, match="asked for as 'unseen'; allowed are compared, not compared, new prompts"):
        metrics.couple_accuracy(ds, "unseen")
    with pytest.raises(ValueError, match="no true reward to judge by; run the experiment with truth=normal"):
        metrics.couple_accuracy(ds.drop_vars("reward"))
    flex = lab.run("tabular s1 flex beta_chosen=0.1 beta_rejected=0.05 sgd lr=1 steps=1 seeds=2")
    with pytest.raises(ValueError, match="no one implicit reward; run an objective with one beta"):
        metrics.implicit_rewards(flex)
