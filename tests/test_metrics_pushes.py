"""The pushes on chosen and rejected: closed forms of the objectives, and the split into a balanced part and SFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lab
from lab import metrics
from lab.objectives import PairLogProbs

ADAM = "adam lr=0.01 steps=40 seeds=2"
BETA = 0.1


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("dpo beta=0.3", 0.0),
        ("ipo beta=0.3", 0.0),
        ("flex beta=0.1 beta_rejected=0.02", np.log(5)),
        ("flex beta=0.1 beta_rejected=0.8", -np.log(8)),
        ("sft", np.inf),
    ],
)
def test_the_ratio_of_the_pushes_is_that_of_the_betas(objective, expected):
    ds = lab.run(f"mlp s1 {objective} {ADAM}")
    np.testing.assert_allclose(metrics.log_push_ratio(ds), expected, atol=1e-12)


def test_an_added_sft_term_makes_the_chosen_push_the_stronger_the_later():
    ds = lab.run(f"mlp s1 dpo beta=0.1 sft_weight=0.01 {ADAM}")
    push = 0.1 / (1 + np.exp(0.1 * metrics.log_ratio_margin(ds)))
    np.testing.assert_allclose(metrics.log_push_ratio(ds), np.log((push + 0.01) / push), rtol=1e-10)


def test_the_logit_gradient_is_a_balanced_part_and_an_sft_term_with_the_surplus():
    generator = torch.Generator().manual_seed(1)
    logits, start = torch.randn(2, 1, 6, generator=generator, dtype=torch.float64)
    objective = lab.FlexDPO(0.1, 0.03)
    logits.requires_grad_()
    log_prob = logits.log_softmax(-1)
    reference = start.log_softmax(-1)
    pairs = PairLogProbs(log_prob[:, :1], log_prob[:, 1:2], reference[:, :1], reference[:, 1:2])
    (gradient,) = torch.autograd.grad(objective.loss(pairs).sum(), logits)
    chosen, rejected = (abs(weight.detach()) for weight in objective.response_weights(pairs))
    first, second = torch.eye(6, dtype=torch.float64)[:2]
    balanced = rejected * (second - first)
    surplus = (chosen - rejected) * (log_prob.detach().exp() - first)
    torch.testing.assert_close(gradient, balanced + surplus, rtol=1e-12, atol=1e-15)


def test_the_total_push_is_the_area_under_the_response_weights():
    ds = lab.run(f"mlp s1 flex beta=0.1 beta_rejected=0.05 {ADAM} every=4")
    total = metrics.total_push(ds)
    assert total.dims == ("seed", "term", "pair")
    weight = np.moveaxis(np.abs(ds["response_weight"].values), ds["response_weight"].get_axis_num("step"), 0)
    steps = ds["step"].values
    area = sum((steps[k + 1] - steps[k]) * (weight[k] + weight[k + 1]) / 2 for k in range(len(steps) - 1))
    np.testing.assert_allclose(total, area)
    np.testing.assert_allclose(total.sel(term="chosen"), 2 * total.sel(term="rejected"))


def test_a_push_that_turns_back_counts_against():
    ds = lab.run("tabular s1 ipo beta=0.1 sgd lr=0.1 steps=1 seeds=2")
    ds["response_weight"].values[:] = np.abs(ds["response_weight"].values)
    assert (metrics.total_push(ds).sel(term="chosen") < 0).all()
    assert (metrics.total_push(ds).sel(term="rejected") > 0).all()


@pytest.mark.parametrize(
    ("objective", "share"),
    [
        ("dpo", lambda margin: 2 / (1 + np.exp(BETA * margin))),
        ("ipo", lambda margin: 1 - 2 * BETA * margin),
        ("slic", lambda margin: (BETA * margin < 1).astype(float)),
    ],
)
def test_the_push_left_is_a_function_of_the_log_ratio_margin(objective, share):
    ds = lab.run(f"mlp s1 {objective} beta={BETA} adam lr=0.01 steps=40 seeds=2")
    expected = share(metrics.log_ratio_margin(ds).values)
    left = metrics.remaining_push(ds)
    assert left.dims == ds["response_weight"].dims
    for term in ("chosen", "rejected"):
        np.testing.assert_allclose(left.sel(term=term), expected, atol=1e-12)


def test_a_term_without_a_push_has_none_left():
    ds = lab.run("tabular s1 sft sgd lr=0.1 steps=2 seeds=2")
    left = metrics.remaining_push(ds)
    np.testing.assert_array_equal(left.sel(term="chosen"), 1)
    assert left.sel(term="rejected").isnull().all()
