"""States that were not trained: pairs moved to given probabilities, and policies put into given distributions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import lab
from lab.references import reference_parameters
from lab.theory import fit_exactly, place_pairs
from tests import worlds

# Two pairs of prompt 0 share their chosen response; prompt 1 has none.
PAIRS = lab.Preferences([0, 0, 2], [1, 1, 0], [2, 4, 3])
LOG_CHOSEN = torch.tensor([-0.01, -3.0, -1.0], dtype=torch.float64)
LOG_REJECTED = torch.tensor([-40.0, -0.2, -1.0], dtype=torch.float64)


def reference() -> torch.Tensor:
    return worlds.problem(pairs=PAIRS).target_log_prob


def test_the_pairs_of_a_prompt_share_the_probabilities_that_were_asked_for():
    table = place_pairs(reference(), PAIRS, LOG_CHOSEN, LOG_REJECTED)
    assert torch.allclose(table.logsumexp(-1), torch.zeros(3, 3, dtype=torch.float64), atol=1e-14)
    assert torch.allclose(table[:, 0, 1], LOG_CHOSEN) and torch.allclose(table[:, 2, 0], LOG_CHOSEN)
    for response in (2, 4):
        assert torch.allclose(table[:, 0, response], LOG_REJECTED - math.log(2))
    assert torch.allclose(table[:, 2, 3], LOG_REJECTED)


def test_unseen_responses_keep_their_proportions_and_a_prompt_without_pairs_its_distribution():
    start = reference()
    table = place_pairs(start, PAIRS, LOG_CHOSEN, LOG_REJECTED)
    shift = (table - start)[:, 0, [0, 3, 5]]
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-13)
    assert torch.equal(table[:, 1], start[:, 1])


def roomy(name: str, world: lab.Problem):
    """A policy that can have any distribution, and parameters to start from."""
    policy = worlds.policy(name, world)
    if isinstance(policy, lab.MLP):
        policy = replace(policy, width=12)
    return policy, worlds.draw(world.runs, policy.parameter_count, seed=1)


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_every_policy_takes_on_a_distribution_to_rounding(name):
    world = worlds.problem(pairs=PAIRS)
    wanted = place_pairs(world.target_log_prob, PAIRS, LOG_CHOSEN, LOG_REJECTED)
    policy, start = roomy(name, world)
    policy, parameters = fit_exactly(policy, wanted, start)
    assert torch.allclose(policy.forward(parameters)[0].log_softmax(-1), wanted, rtol=1e-9, atol=1e-9)


def test_a_network_stays_where_it_is_if_it_has_the_distribution_already():
    world = worlds.problem()
    network = lab.MLP(worlds.PROMPTS, worlds.RESPONSES, 4)
    start = worlds.state("mlp-relu", world)
    assert torch.equal(fit_exactly(network, network.forward(start)[0].log_softmax(-1), start)[1], start)


def test_a_small_change_is_made_by_the_shortest_change_of_the_parameters():
    network = lab.MLP(worlds.PROMPTS, worlds.RESPONSES, 8, "tanh")
    start = worlds.draw(1, network.parameter_count, seed=3)
    before = network.forward(start)[0]
    change = 1e-5 * worlds.draw(1, worlds.PROMPTS, worlds.RESPONSES, seed=4)
    moved = fit_exactly(network, (before + change).log_softmax(-1), start)[1] - start
    by_logit = torch.autograd.functional.jacobian(lambda theta: network.forward(theta)[0].flatten(), start)[:, 0]
    centring = torch.block_diag(*[torch.eye(worlds.RESPONSES).double() - 1 / worlds.RESPONSES] * worlds.PROMPTS)
    shortest = torch.linalg.pinv(centring @ by_logit, rtol=1e-10) @ centring @ change.flatten()
    assert torch.allclose(moved[0], shortest, rtol=1e-3, atol=1e-9)


def test_a_log_linear_policy_keeps_its_features():
    world = worlds.problem(pairs=PAIRS)
    policy = worlds.policy("loglinear", world)
    wanted = place_pairs(world.target_log_prob, PAIRS, LOG_CHOSEN, LOG_REJECTED)
    assert torch.equal(fit_exactly(policy, wanted, reference_parameters(policy, world))[0].features, policy.features)


def test_a_network_without_room_says_by_how_much_it_misses():
    world = worlds.problem(runs=1)
    network = lab.MLP(worlds.PROMPTS, worlds.RESPONSES, 1, "tanh")  # one unit cannot serve three prompts
    with pytest.raises(
        RuntimeError, match=r"misses its distribution by .* nats; allowed are 1e-09: give it more width"
    ):
        fit_exactly(network, world.target_log_prob, worlds.draw(1, network.parameter_count))


@pytest.mark.parametrize(
    ("pairs", "chosen", "message"),
    [
        (PAIRS, 0.0, r"state 0 has log_chosen=0 and log_rejected=-1; their probabilities must sum to less than 1"),
        (lab.Preferences([0, 0], [1, 2], [2, 3]), -1.0, r"chosen in one pair and rejected in another .* leave one of"),
        (lab.Preferences([0] * 3, [0, 2, 4], [1, 3, 5]), -1.0, r"no unseen response .* give it more responses"),
    ],
)
def test_states_that_cannot_be_are_refused(pairs, chosen, message):
    one = torch.full((3,), -1.0, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        place_pairs(reference(), pairs, torch.full_like(one, chosen), one)
