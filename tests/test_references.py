"""Reference policies: a fit has its target, alone or in a batch, and says so when it misses it."""

from __future__ import annotations

import pytest
import torch

import lab
from lab import references
from lab.problems import scenario_problem
from lab.references import TOLERANCE, fit_reference, reference_parameters
from tests import plain, worlds


def narrow(seeds=(0, 1, 2), **sizes) -> tuple[lab.MLP, lab.Problem]:
    runs = len(seeds)
    target = worlds.draw(runs, 4, 10).log_softmax(-1)[: len(seeds)]
    return lab.MLP(4, 10, 8, **sizes), lab.Problem(lab.Preferences.grid(4, 10), target, tuple(seeds))


def divergence(policy, parameters: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """KL(target || policy) of each run and prompt in nats, by a network written anew."""
    found = torch.stack([plain.log_probs(policy, theta, run) for run, theta in enumerate(parameters)])
    return (target.exp() * (target - found)).sum(-1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_fit_is_within_the_tolerance_in_every_prompt_of_every_run(activation):
    policy, world = narrow(activation=activation)
    kl = divergence(policy, reference_parameters(policy, world), world.target_log_prob)
    assert ((kl >= -1e-15) & (kl <= TOLERANCE)).all()


def test_a_fit_does_not_depend_on_its_batch():
    """To 1e-12: sums over a batch of matrices may be ordered otherwise."""
    policy, world = narrow()
    start = policy.initial(world.seeds)
    together = fit_reference(policy, start, world.target_log_prob)
    alone = fit_reference(policy, start[1:2], world.target_log_prob[1:2])
    torch.testing.assert_close(alone[0], together[1], rtol=1e-12, atol=1e-12)


def test_a_fit_is_the_same_whatever_the_global_seed():
    policy, world = narrow()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = reference_parameters(policy, world)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(reference_parameters(policy, world), first)


def test_a_run_that_misses_is_fitted_further_and_its_neighbour_is_left_alone(monkeypatch):
    policy, world = narrow(seeds=(0, 1))
    start = policy.initial(world.seeds)
    easy = policy.forward(start)[0][:1].log_softmax(-1)  # the first run begins at its target, the second one does not
    target = torch.cat([easy, world.target_log_prob[1:]])
    monkeypatch.setattr(references, "STEPS", 100)
    monkeypatch.setattr(references, "ROUNDS", 1)
    with pytest.raises(RuntimeError, match="in 1 of 2 runs"):
        fit_reference(policy, start, target)
    alone = fit_reference(policy, start[:1], easy)
    monkeypatch.setattr(references, "ROUNDS", 6)
    together = fit_reference(policy, start, target)
    assert (divergence(policy, together, target) <= TOLERANCE).all()
    torch.testing.assert_close(together[0], alone[0], rtol=1e-12, atol=1e-12)


def test_a_fit_that_misses_its_target_says_by_how_much_and_what_to_do(monkeypatch):
    monkeypatch.setattr(references, "STEPS", 5)
    monkeypatch.setattr(references, "ROUNDS", 1)
    policy, world = narrow()
    with pytest.raises(
        RuntimeError,
        match=r"misses its target by 1\.\d+ nats in 3 of 3 runs; allowed are 0.0001: give the policy more width",
    ):
        reference_parameters(policy, world)


def test_a_policy_of_another_size_is_refused():
    _, world = narrow()
    with pytest.raises(ValueError, match=r"the policy has 5 prompts and 10 responses, the problem has 4 and 10; build"):
        reference_parameters(lab.MLP(5, 10, 8), world)


def test_a_closed_form_is_used_where_there_is_one():
    world = worlds.problem()
    table = lab.Tabular(worlds.PROMPTS, worlds.RESPONSES)
    assert torch.equal(reference_parameters(table, world), world.target_log_prob.flatten(1))
    assert not reference_parameters(worlds.policy("loglinear", world), world).any()


def test_the_papers_network_has_every_scenario():
    pairs, names = lab.Preferences.grid(4, 10), ["s1", "s2", "s3", "s4"]
    world = scenario_problem(pairs, 4, 10, scenario=names, on=[0.45] * 4, off=[0.02] * 4, seeds=[3] * 4)
    policy = lab.MLP(4, 10)
    parameters = reference_parameters(policy, world)
    assert (divergence(policy, parameters, world.target_log_prob) <= TOLERANCE).all()
