"""The factors of a step: each against its definition, their product against autograd, real steps and the flow."""

from __future__ import annotations

import pytest
import torch

import lab
from lab.theory import flow, influence
from tests import plain, worlds

LOSS = lab.WeightedSum((lab.FlexDPO(0.4, 0.2), lab.SFT()), (1.0, 0.3))


def at_a_state(name: str):
    world = worlds.problem()
    policy, theta = worlds.policy(name, world), worlds.state(name, world)
    return world, policy, theta, influence(policy, theta, LOSS, world, world.target_log_prob)


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_the_kernel_is_the_product_of_the_logits_derivatives(name):
    _, policy, theta, found = at_a_state(name)
    for run in range(len(theta)):
        rows = torch.autograd.functional.jacobian(
            lambda each, run=run: plain.logits(policy, each, run).flatten(), theta[run]
        )
        assert torch.allclose(found.kernel[run], rows @ rows.T, rtol=1e-10, atol=1e-12)


def test_in_a_table_the_kernel_is_the_identity():
    found = at_a_state("tabular")[-1]
    assert torch.equal(found.kernel, torch.eye(18).double().expand(3, -1, -1))


def test_the_softmax_factor_is_the_derivative_of_log_softmax_and_has_the_known_norm():
    _, policy, theta, found = at_a_state("tabular")
    logits = policy.forward(theta)[0]
    for run in range(3):
        for x in range(worlds.PROMPTS):
            derivative = torch.autograd.functional.jacobian(lambda z: z.log_softmax(-1), logits[run, x])
            assert torch.allclose(found.softmax[run, x], derivative, atol=1e-14)
    prob = logits.softmax(-1)
    squared = worlds.RESPONSES - 2 + worlds.RESPONSES * prob.square().sum(-1)
    assert torch.allclose(found.softmax.square().sum((-2, -1)), squared, rtol=1e-12)


def test_the_residual_is_the_derivative_of_the_loss_in_the_logits():
    world, policy, theta, found = at_a_state("tabular")
    for run in range(3):
        leaf = theta[run].clone().requires_grad_()
        table = plain.log_probs(policy, leaf, run)
        total = plain.total_loss(LOSS, world.preferences, table, world.target_log_prob[run], run)
        gradient = torch.autograd.grad(total, leaf)[0].view(worlds.PROMPTS, -1)
        assert torch.allclose(found.residual[run].sum((0, 1)), gradient, rtol=1e-10, atol=1e-13)


def test_a_residual_stands_on_the_prompt_of_its_pair_alone_and_sums_to_nothing():
    world, *_, found = at_a_state("mlp-tanh")
    for pair, prompt in enumerate(world.preferences.prompt.tolist()):
        others = [x for x in range(worlds.PROMPTS) if x != prompt]
        assert not found.residual[:, :, pair, others].any()
        assert (found.residual[:, :, pair, prompt].abs().amax(-1) > 0).all()
    assert found.residual.sum(-1).abs().max() < 1e-14


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_the_product_of_the_factors_is_the_flow(name):
    world, policy, theta, found = at_a_state(name)
    other = flow(policy, theta, LOSS, world, world.target_log_prob)
    assert torch.allclose(found.total, other.change, rtol=1e-9, atol=1e-12)
    for pair in range(len(world.preferences)):
        for row, term in enumerate(("chosen", "rejected")):
            assert torch.allclose(found.change(pair, term), other.by_term[:, row, pair], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_the_matrix_says_who_moves_whom(name):
    world, *_, found = at_a_state(name)
    matrix, pairs = found.who_moves_whom, world.preferences
    assert matrix.shape == (3, 2, 5, 2, 5)
    for mover in range(5):
        for row, term in enumerate(("chosen", "rejected")):
            change = found.change(mover, term)
            for column, member in enumerate((pairs.chosen, pairs.rejected)):
                assert torch.allclose(matrix[:, column, :, row, mover], change[:, pairs.prompt, member], atol=1e-14)


def test_in_a_table_no_prompt_moves_another():
    world, *_, found = at_a_state("tabular")
    prompt = world.preferences.prompt
    elsewhere = (prompt[:, None] != prompt)[None, None, :, None, :].expand_as(found.who_moves_whom)
    assert not found.who_moves_whom[elsewhere].any()
    assert found.who_moves_whom[~elsewhere].abs().min() > 0


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_the_error_of_the_prediction_falls_with_the_square_of_the_step(name):
    world, policy, theta, found = at_a_state(name)
    table = policy.forward(theta)[0].log_softmax(-1)
    errors = []
    for rate in (4e-3, 2e-3, 1e-3):
        # Training's own step: it starts at the state, and its reference is taken from there, so that log-ratios are 0.
        record = lab.train(world, policy, LOSS, lab.SGD(rate), steps=1, start=theta)
        at_start = influence(policy, theta, LOSS, world, table).total
        realised = torch.from_numpy((record.log_prob.diff("step").isel(step=0)).values)
        errors.append(float((realised - rate * at_start).abs().max()))
    assert errors[0] > 1e-9
    for larger, smaller in zip(errors[:-1], errors[1:], strict=True):
        assert 3.5 < larger / smaller < 4.5


@pytest.mark.parametrize(
    ("pair", "term", "message"),
    [
        (0, "unseen", r"term is 'unseen'; allowed are chosen, rejected"),
        (5, "chosen", r"pair is 5; allowed are 0 to 4"),
        (-1, "chosen", r"pair is -1; allowed are 0 to 4"),
    ],
)
def test_an_unknown_pusher_is_refused(pair, term, message):
    with pytest.raises(ValueError, match=message):
        at_a_state("tabular")[-1].change(pair, term)
