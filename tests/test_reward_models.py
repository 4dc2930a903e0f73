"""Reward models: Bradley-Terry on raw scores, by table, features and network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

import lab
from lab.comparisons import bradley_terry, population
from tests import plain, worlds
from tests.worlds import draw

PROMPTS, RESPONSES, SEEDS = 2, 5, (5, 6, 7)


def world() -> lab.Problem:
    reference, reward = draw(3, PROMPTS, RESPONSES).log_softmax(-1), draw(3, PROMPTS, RESPONSES, seed=1)
    return lab.Problem(population(reference, bradley_terry(reward)), reference, SEEDS, reward=reward)


@pytest.mark.parametrize("settings", [(0.0, 0.0), (0.7, 0.0), (-0.3, 0.2)], ids=["plain", "margin", "centred"])
@pytest.mark.parametrize("name", worlds.POLICIES)
def test_a_step_is_minus_the_rate_times_autograd_s_gradient(name, settings) -> None:
    """Of the loss written out on the network's raw outputs; to 1e-10."""
    problem = worlds.problem()
    network, _ = worlds.policy(name, problem).scorer(problem)
    start = worlds.state(name, problem)
    objective = lab.BradleyTerry(*settings)
    ds = lab.train(
        problem, network, objective, lab.SGD(0.5), steps=1, start=start, record=lab.Record(keep=("parameters",))
    )
    leaf = start.clone().requires_grad_()
    score = torch.stack([plain.logits(network, leaf[run], run) for run in range(problem.runs)]).flatten(1)
    chosen, rejected = score[:, problem.preferences.flat(worlds.RESPONSES)].tensor_split(2, -1)
    margin, center = settings
    losses = -logsigmoid(chosen - rejected - margin) + center * (chosen + rejected) ** 2
    (gradient,) = torch.autograd.grad((losses * problem.preferences.weight).sum(), leaf)
    moved = torch.from_numpy(ds["parameters"].values[:, 1] - ds["parameters"].values[:, 0])
    torch.testing.assert_close(moved, -0.5 * gradient, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ds["loss"].values[:, 0], losses.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["tabular", "loglinear", "mlp-relu"])
def test_a_new_reward_model_scores_every_response_zero(name) -> None:
    problem = worlds.problem()
    ds = lab.train(problem, worlds.policy(name, problem), lab.BradleyTerry(), lab.SGD(0.1), steps=1)
    assert not ds["score"].values[:, 0].any()
    np.testing.assert_allclose(ds["loss"].values[:, 0], np.log(2), rtol=1e-14)


def test_a_reward_model_of_the_whole_population_is_the_true_reward() -> None:
    """Up to a constant a prompt; with centring that constant is fixed too: the mean over the data is 0."""
    problem = world()
    ds = lab.train(
        problem,
        lab.Tabular(PROMPTS, RESPONSES),
        lab.BradleyTerry(),
        lab.Adam(0.03),
        steps=3000,
        record=lab.Record(3000, ()),
    )
    found, true = ds["score"].values[:, -1], problem.reward.numpy()
    np.testing.assert_allclose(
        found - found.mean(-1, keepdims=True), true - true.mean(-1, keepdims=True), rtol=0, atol=1e-5
    )


def test_a_reward_model_is_dpo_of_beta_one_over_an_even_reference() -> None:
    """The same losses and the same policy, step for step: in a table, where both begin at zero logits."""
    problem = world()
    even = torch.full((3, PROMPTS, RESPONSES), 1 / RESPONSES, dtype=torch.float64).log()
    table, rate, kept = lab.Tabular(PROMPTS, RESPONSES), lab.Adam(0.1), lab.Record(keep=())
    model = lab.train(problem, table, lab.BradleyTerry(), rate, steps=30, record=kept)
    dpo = lab.train(lab.Problem(problem.preferences, even, SEEDS), table, lab.DPO(1.0), rate, steps=30, record=kept)
    for name in ("log_prob", "loss", "response_weight", "reference_log_prob"):
        np.testing.assert_allclose(model[name].values, dpo[name].values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(lab.metrics.margin(model).values, lab.metrics.margin(dpo).values, atol=1e-11)


def test_the_two_gradients_of_a_reward_model_are_balanced() -> None:
    """-s(R' - R) and +s(R' - R), whatever the scores are."""
    scores = 5 * draw(4, 7), 5 * draw(4, 7, seed=1)
    pairs = lab.PairLogProbs(*scores, torch.zeros(4, 7), torch.zeros(4, 7))
    chosen, rejected = lab.BradleyTerry().response_weights(pairs)
    torch.testing.assert_close(chosen, -torch.sigmoid(scores[1] - scores[0]))
    torch.testing.assert_close(rejected, -chosen, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["loglinear", "mlp-relu", "mlp-tanh"])
def test_the_terms_of_a_reward_model_in_its_parameters_are_autograd_s(name) -> None:
    """Each term alone, at the first and at the last state, to 1e-10; a mini-batch trains otherwise and records this."""
    problem = worlds.problem()
    network, start = worlds.policy(name, problem).scorer(problem)
    kept = lab.Record(every=2, keep=("gradients", "parameters"))
    ds = lab.train(problem, network, lab.BradleyTerry(), lab.SGD(0.5), steps=4, start=start, record=kept, batch=2)
    for at in (0, -1):
        leaf = torch.from_numpy(ds["parameters"].values[:, at].copy()).requires_grad_()
        score = torch.stack([plain.logits(network, leaf[run], run) for run in range(problem.runs)]).flatten(1)
        chosen, rejected = score[:, problem.preferences.flat(worlds.RESPONSES)].tensor_split(2, -1)
        weight = problem.preferences.weight
        terms = []
        for plus, minus in ((chosen, rejected.detach()), (chosen.detach(), rejected)):
            total = (-logsigmoid(plus - minus) * weight).sum()
            terms.append(torch.autograd.grad(total, leaf, retain_graph=True)[0])
        norms = torch.stack([term.norm(dim=-1).log() for term in terms], -1)
        cosine = torch.nn.functional.cosine_similarity(*terms, dim=-1)
        np.testing.assert_allclose(ds["parameter_log_norm"].values[:, at], norms.numpy(), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(ds["parameter_cosine"].values[:, at], cosine.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["tabular", "mlp-relu"])
def test_no_softmax_stands_between_a_reward_and_the_output_of_its_model(name) -> None:
    problem = worlds.problem()
    ds = lab.train(problem, worlds.policy(name, problem), lab.BradleyTerry(), lab.SGD(0.5), steps=5)
    for measure in (lab.metrics.gradient_log_norm, lab.metrics.gradient_cosine):
        found = measure(ds)
        np.testing.assert_array_equal(found.sel(space="logit").values, found.sel(space="log_probability").values)


def test_the_parameters_of_a_table_of_rewards_are_its_outputs() -> None:
    ds = lab.run("tabular s1 rm sgd lr=1 steps=5 seeds=3")
    found = lab.metrics.gradient_log_norm(ds)
    np.testing.assert_array_equal(found.sel(space="parameter").values, found.sel(space="logit").values)
    np.testing.assert_allclose(found.sel(term="chosen").values[..., 2], found.sel(term="rejected").values[..., 2])
