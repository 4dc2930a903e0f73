"""Predictors of step 0: autograd, closed forms, and the first step that training really takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import lab
from lab import predictors
from lab.policies import Policy
from tests import worlds

PAIRS = worlds.preferences()
NAMES = pytest.mark.parametrize("name", worlds.POLICIES)


def world(name: str) -> tuple[lab.Problem, Policy, torch.Tensor]:
    problem = worlds.problem()
    return problem, worlds.policy(name, problem), worlds.state(name, problem)


def gradients_by_autograd(policy: Policy, parameters: torch.Tensor) -> torch.Tensor:
    """g of both responses of every pair, [run, pair, 2, parameter]."""
    parameters = parameters.clone().requires_grad_()
    log_prob = policy.forward(parameters)[0].log_softmax(-1)
    rows = []
    for prompt, chosen, rejected in zip(PAIRS.prompt, PAIRS.chosen, PAIRS.rejected, strict=True):
        for response in (chosen, rejected):
            total = log_prob[:, prompt, response].sum()  # runs do not touch each other
            rows.append(torch.autograd.grad(total, parameters, retain_graph=True)[0])
    return torch.stack(rows, 1).unflatten(1, (len(PAIRS), 2))


def features(policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(policy, lab.LogLinear)
    return policy.features[:, PAIRS.prompt, PAIRS.chosen], policy.features[:, PAIRS.prompt, PAIRS.rejected]


# --- gradients ----------------------------------------------------------------------------------------------------


@NAMES
def test_every_predictor_of_a_pairs_gradients_is_autograds(name):
    _, policy, parameters = world(name)
    exact = gradients_by_autograd(policy, parameters)
    found = torch.stack(list(predictors.pair_gradients(policy, parameters, PAIRS)), 1)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-12)
    chosen, rejected = exact.unbind(2)
    inner, own = (chosen * rejected).sum(-1), (chosen * chosen).sum(-1)
    cosine = torch.nn.functional.cosine_similarity(chosen, rejected, dim=-1)
    given = (policy, parameters, PAIRS)
    torch.testing.assert_close(predictors.interference(*given), inner / own, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(predictors.own_fall(*given), inner - own, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(predictors.gradient_cosine(*given), cosine, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["loglinear", "mlp-tanh"])
def test_interference_above_1_means_that_a_small_step_on_the_pair_alone_lowers_the_chosen_response(name):
    problem = worlds.problem(runs=24)
    policy = worlds.policy(name, problem)
    start = worlds.state(name, problem)
    for prompt, chosen, rejected in zip(PAIRS.prompt, PAIRS.chosen, PAIRS.rejected, strict=True):
        alone = lab.Preferences([prompt], [chosen], [rejected])
        ds = lab.train(
            replace(problem, preferences=alone), policy, lab.DPO(1.0), lab.SGD(1e-7), steps=1, start=start,
            record=lab.Record(keep=()),
        )  # fmt: skip
        fell = torch.from_numpy(lab.metrics.chosen_log_ratio(ds).isel(step=-1, pair=0).values) < 0
        ratio = predictors.interference(policy, start, alone)[:, 0]
        clear = (ratio - 1).abs() > 1e-4
        assert bool(clear.any()) and torch.equal((ratio > 1)[clear], fell[clear])


@pytest.mark.parametrize("objective", [lab.DPO(0.3), lab.IPO(0.2), lab.AveragedDPO(0.3), lab.SimPO(0.5, 0.3)])
@pytest.mark.parametrize("optimizer", [lab.SGD(1e-7), lab.Adam(1e-9), lab.Momentum(torch.tensor([1e-7, 2e-7, 3e-7]))])
@NAMES
def test_the_first_order_fall_is_what_a_tiny_step_of_training_does(name, objective, optimizer):
    problem, policy, start = world(name)
    lengths = 1.0 + worlds.draw(*problem.target_log_prob.shape[1:], seed=3).abs().round()
    problem = replace(problem, lengths=lengths)
    ds = lab.train(problem, policy, objective, optimizer, steps=1, start=start, record=lab.Record(keep=()))
    realised = -torch.from_numpy(lab.metrics.chosen_log_ratio(ds).isel(step=-1).values)
    gradient = predictors.loss_gradient(policy, start, objective, problem)
    update = predictors.first_update(optimizer, gradient)
    predicted = predictors.first_order_fall(policy, start, problem.preferences, update)
    scale = float(realised.abs().max())
    assert scale > 0
    torch.testing.assert_close(predicted / scale, realised / scale, rtol=1e-4, atol=1e-5)
    if isinstance(optimizer, lab.SGD):
        flow = predictors.first_order_fall(policy, start, problem.preferences, -gradient)
        torch.testing.assert_close(predicted, flow * optimizer.lr)


def test_one_pair_alone_falls_as_its_own_gradients_say():
    problem, policy, start = world("mlp-tanh")
    alone = lab.Preferences([2], [0], [3])
    problem = replace(problem, preferences=alone)
    gradient = predictors.loss_gradient(policy, start, lab.DPO(0.4), problem)
    flow = predictors.first_order_fall(policy, start, alone, -gradient)
    torch.testing.assert_close(flow, 0.4 * 0.5 * predictors.own_fall(policy, start, alone))  # push is beta sigma(0)


@NAMES
def test_what_the_other_pairs_do_is_the_gradient_of_their_loss_alone(name):
    problem, policy, start = world(name)
    objective = lab.IPO(0.7)
    found = predictors.others_fall(policy, start, objective, problem)
    for pair in range(len(PAIRS)):
        rest = [other for other in range(len(PAIRS)) if other != pair]
        others = lab.Preferences(PAIRS.prompt[rest], PAIRS.chosen[rest], PAIRS.rejected[rest], PAIRS.weight[rest])
        gradient = predictors.loss_gradient(policy, start, objective, replace(problem, preferences=others))
        share = float(PAIRS.weight[rest].sum())  # weights are normalised anew where a pair is missing
        exact = predictors.first_order_fall(policy, start, PAIRS, -share * gradient)[:, pair]
        torch.testing.assert_close(found[:, pair], exact, rtol=1e-8, atol=1e-11)


def test_nothing_is_done_to_a_pair_that_is_alone_by_others():
    problem, policy, start = world("mlp-relu")
    problem = replace(problem, preferences=lab.Preferences([2], [0], [3]))
    assert float(predictors.others_fall(policy, start, lab.DPO(0.4), problem).abs().max()) < 1e-12


# --- hidden states ------------------------------------------------------------------------------------------------


def test_ches_of_log_linear_features_is_its_definition():
    problem, policy, parameters = world("loglinear")
    chosen, rejected = features(policy)
    exact = (chosen * rejected).sum(-1) - chosen.norm(dim=-1) ** 2
    torch.testing.assert_close(predictors.ches(policy, parameters, PAIRS), exact)
    lengths = torch.arange(1.0, 19.0, dtype=torch.float64).view(3, 6)
    n, m = lengths[PAIRS.prompt, PAIRS.chosen], lengths[PAIRS.prompt, PAIRS.rejected]
    exact = (chosen * rejected).sum(-1) / (n * m) - chosen.norm(dim=-1) ** 2 / n**2
    found = predictors.normalised_ches(policy, parameters, replace(problem, lengths=lengths))
    torch.testing.assert_close(found, exact)


def test_the_overlap_of_log_linear_features_is_the_one_that_was_asked_for():
    problem = lab.Problem(lab.Preferences.grid(3, 6), worlds.problem().target_log_prob, (0, 1, 2))
    asked = torch.tensor([-0.5, 0.0, 0.9], dtype=torch.float64)
    policy = lab.LogLinear.drawn(problem, features=5, overlap=asked)
    found = predictors.feature_overlap(policy, policy.start(problem), problem.preferences)
    torch.testing.assert_close(found, asked[:, None].expand(-1, 3))


def test_own_fall_is_ches_of_features_centred_by_their_mean_under_the_policy():
    _, policy, parameters = world("loglinear")
    prob = policy.forward(parameters)[0].softmax(-1)
    mean = torch.einsum("rxy,rxyf->rxf", prob, policy.features)
    centred = replace(policy, features=policy.features - mean[:, :, None])
    torch.testing.assert_close(
        predictors.ches(centred, parameters, PAIRS), predictors.own_fall(policy, parameters, PAIRS)
    )


def test_ches_tells_no_pair_from_another_in_a_table_or_where_a_response_is_one_token_of_a_network():
    _, policy, parameters = world("tabular")
    assert torch.equal(predictors.ches(policy, parameters, PAIRS), torch.full((3, 5), -1.0, dtype=torch.float64))
    assert torch.equal(predictors.feature_overlap(policy, parameters, PAIRS), torch.zeros(3, 5, dtype=torch.float64))
    for name in ("mlp-relu", "mlp-tanh"):
        _, policy, parameters = world(name)
        assert torch.equal(predictors.ches(policy, parameters, PAIRS), torch.zeros(3, 5, dtype=torch.float64))
    # The last world is one of tanh: where every ReLU of a prompt is off, H is 0 and has no direction.
    torch.testing.assert_close(
        predictors.feature_overlap(policy, parameters, PAIRS), torch.ones(3, 5, dtype=torch.float64)
    )


@NAMES
def test_without_lengths_both_forms_of_ches_are_one(name):
    problem, policy, parameters = world(name)
    plain = predictors.ches(policy, parameters, PAIRS)
    assert torch.equal(predictors.normalised_ches(policy, parameters, problem), plain)
    ones = replace(problem, lengths=torch.ones(3, 6))
    assert torch.equal(predictors.normalised_ches(policy, parameters, ones), plain)


@pytest.mark.parametrize("name", ["mlp-relu", "mlp-tanh"])
def test_the_fall_through_the_hidden_state_is_autograds(name):
    _, policy, parameters = world(name)
    _, (_, hidden) = policy.forward(parameters)
    rows, bias = policy.split(parameters)[4:]
    exact = []
    for prompt, chosen, rejected in zip(PAIRS.prompt, PAIRS.chosen, PAIRS.rejected, strict=True):
        state = hidden[:, prompt : prompt + 1].clone().requires_grad_()
        log_prob = (state @ rows + bias).log_softmax(-1)[:, 0]
        up = torch.autograd.grad(log_prob[:, chosen].sum(), state, retain_graph=True)[0]
        down = torch.autograd.grad(log_prob[:, rejected].sum(), state)[0]
        exact.append((up * (down - up)).sum((-2, -1)))
    torch.testing.assert_close(predictors.unembedding_fall(policy, parameters, PAIRS), torch.stack(exact, 1))


def test_only_a_network_has_an_unembedding():
    for name in ("tabular", "loglinear"):
        _, policy, parameters = world(name)
        assert bool(predictors.unembedding_fall(policy, parameters, PAIRS).isnan().all())


# --- together -----------------------------------------------------------------------------------------------------


@NAMES
def test_all_predictors_come_together_and_the_start_is_the_policys_own(name):
    problem, policy, parameters = world(name)
    found = predictors.step_zero(problem, policy, lab.DPO(0.1), lab.Adam(1e-3), parameters)
    assert list(found) == list(predictors.PREDICTORS)
    assert {each.shape for each in found.values()} == {(3, 5)}
    log_prob = policy.forward(parameters)[0].log_softmax(-1)
    torch.testing.assert_close(found["chosen_start"], log_prob[:, PAIRS.prompt, PAIRS.chosen])
    torch.testing.assert_close(found["rejected_start"], log_prob[:, PAIRS.prompt, PAIRS.rejected])
    torch.testing.assert_close(found["start_margin"], found["chosen_start"] - found["rejected_start"])
    for key in ("interference", "gradient_cosine", "own_fall", "ches", "unembedding_fall", "feature_overlap"):
        exact = getattr(predictors, key)(policy, parameters, PAIRS)
        torch.testing.assert_close(found[key], exact, equal_nan=True)


def test_swapping_every_pair_keeps_the_cosines_and_turns_the_margin():
    problem, policy, parameters = world("mlp-tanh")
    swapped = replace(problem, preferences=lab.Preferences(PAIRS.prompt, PAIRS.rejected, PAIRS.chosen, PAIRS.weight))
    one, other = (
        predictors.step_zero(each, policy, lab.DPO(0.1), lab.SGD(1.0), parameters) for each in (problem, swapped)
    )
    torch.testing.assert_close(one["gradient_cosine"], other["gradient_cosine"])
    torch.testing.assert_close(one["start_margin"], -other["start_margin"])


def test_what_cannot_be_predicted_is_refused():
    problem, policy, parameters = world("tabular")
    with pytest.raises(ValueError, match=r"KTO reads kl besides its pairs, .* such as DPO"):
        predictors.step_zero(problem, policy, lab.KTO(0.1), lab.SGD(1.0), parameters)
    with pytest.raises(ValueError, match=r"parameters are torch.float32; allowed is torch.float64, .*\.double"):
        predictors.step_zero(problem, policy, lab.DPO(0.1), lab.SGD(1.0), parameters.float())

    with pytest.raises(TypeError, match=r"SGD has no hidden states that are known here; .* say in lab.predictors"):
        predictors.hidden_states(lab.SGD(1.0), parameters)
    with pytest.raises(ValueError, match="reach is 'far'; allowed are 'start', 'pair' and 'all'"):
        predictors.Predictor("a", "1", "far")
