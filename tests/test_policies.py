"""Policies: logits against a second implementation, and the two sides of their derivative against autograd."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lab
from tests import plain, worlds
from tests.worlds import POLICIES, draw

TERMS = 2


@pytest.mark.parametrize("name", POLICIES)
def test_logits_are_those_of_a_network_written_anew(name):
    world = worlds.problem()
    machine, theta = worlds.policy(name, world), worlds.state(name, world)
    logits, _ = machine.forward(theta)
    assert logits.shape == (world.runs, world.prompts, world.responses)
    assert theta.shape == (world.runs, machine.parameter_count)
    for run in range(world.runs):
        torch.testing.assert_close(logits[run], plain.logits(machine, theta[run], run), rtol=1e-12, atol=1e-13)
    prob = logits.softmax(-1)
    torch.testing.assert_close(prob.sum(-1), torch.ones_like(prob[..., 0]), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", POLICIES)
def test_pullback_and_pushforward_are_the_jacobian_from_either_side(name):
    """v J against vjp, J v against jvp, and <v J, u> = <v, J u>."""
    world = worlds.problem()
    machine, theta = worlds.policy(name, world), worlds.state(name, world)
    _, memory = machine.forward(theta)
    direction = draw(world.runs, TERMS, machine.parameter_count, seed=7)
    pull = draw(world.runs, TERMS, world.prompts, world.responses, seed=8)
    forward, backward = machine.pushforward(theta, memory, direction), machine.pullback(theta, memory, pull)
    assert forward.shape == pull.shape and backward.shape == direction.shape
    inner = (forward * pull).sum((-2, -1))
    torch.testing.assert_close(inner, (direction * backward).sum(-1), rtol=1e-11, atol=1e-12)
    for run in range(world.runs):
        for term in range(TERMS):

            def logits(parameters, run=run):
                return plain.logits(machine, parameters, run)

            _, tangent = torch.autograd.functional.jvp(logits, theta[run], direction[run, term])
            _, cotangent = torch.autograd.functional.vjp(logits, theta[run], pull[run, term])
            torch.testing.assert_close(forward[run, term], tangent, rtol=1e-11, atol=1e-12)
            torch.testing.assert_close(backward[run, term], cotangent, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", POLICIES)
def test_one_term_and_several_terms_are_the_same_map(name):
    world = worlds.problem()
    machine, theta = worlds.policy(name, world), worlds.state(name, world)
    _, memory = machine.forward(theta)
    direction = draw(world.runs, 3, machine.parameter_count, seed=7)
    together = machine.pushforward(theta, memory, direction)
    for term in range(3):
        alone = machine.pushforward(theta, memory, direction[:, term : term + 1])
        torch.testing.assert_close(alone[:, 0], together[:, term], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", POLICIES)
def test_inner_products_of_terms_are_those_of_their_gradients(name):
    world = worlds.problem()
    machine, theta = worlds.policy(name, world), worlds.state(name, world)
    _, memory = machine.forward(theta)
    pull = draw(world.runs, 3, world.prompts, world.responses, seed=8)
    rows = machine.pullback(theta, memory, pull)
    gram = machine.gram(theta, memory, pull)
    torch.testing.assert_close(gram, torch.einsum("rsp,rtp->rst", rows, rows), rtol=1e-12, atol=1e-12)


def test_pushes_that_all_but_cancel_in_a_network_without_active_units_keep_their_size():
    """Then only the last bias moves, by the sum over prompts, however large each prompt's push is."""
    machine = lab.MLP(2, 3, 4, "relu")
    theta = -torch.ones(1, machine.parameter_count, dtype=torch.float64)
    logits, memory = machine.forward(theta)
    assert (memory[1] == 0).all() and (logits == -1).all()
    pull = torch.tensor([[1.0, 0.0, 0.0], [1e-12 - 1, 0.0, 0.0]], dtype=torch.float64)[None, None]
    left = float(pull.sum())
    assert float(machine.gram(theta, memory, pull)) == pytest.approx(left**2, rel=1e-12)


@pytest.mark.parametrize("name", POLICIES)
def test_passes_in_a_workspace_are_those_in_fresh_memory_step_after_step(name):
    world = worlds.problem()
    machine, space = worlds.policy(name, world), lab.policies.Workspace()
    for seed, terms in ((1, 1), (2, 2), (3, 1)):
        theta = worlds.state(name, world, seed=seed)
        pull = draw(world.runs, terms, world.prompts, world.responses, seed=seed)
        logits, memory = machine.forward(theta)
        there, kept = machine.forward(theta, space)
        assert torch.equal(there, logits)
        assert torch.equal(machine.pullback(theta, kept, pull, space), machine.pullback(theta, memory, pull))
        assert torch.equal(machine.gram(theta, kept, pull, space), machine.gram(theta, memory, pull))


def test_a_workspace_gives_a_block_again_for_its_name_and_shape_only():
    space, like = lab.policies.Workspace(), torch.zeros(2)
    block = space.block("front", like, 3, 4)
    assert block.shape == (3, 4) and space.block("front", like, 3, 4) is block
    others = [
        space.block("behind", like, 3, 4),
        space.block("front", like, 4, 3),
        space.block("front", like.int(), 3, 4),
    ]
    assert len({each.data_ptr() for each in (block, *others)}) == 4 and others[2].dtype == torch.int32


def test_only_the_table_has_logits_for_parameters():
    world = worlds.problem()
    flags = {name: worlds.policy(name, world).parameters_are_logits for name in POLICIES}
    assert flags == {"tabular": True, "loglinear": False, "mlp-relu": False, "mlp-tanh": False}


@pytest.mark.parametrize("name", ["tabular", "loglinear"])
def test_a_closed_form_start_is_the_target(name):
    world = worlds.problem()
    machine = worlds.policy(name, world)
    log_prob = machine.forward(machine.start(world))[0].log_softmax(-1)
    torch.testing.assert_close(log_prob, world.target_log_prob, rtol=1e-14, atol=1e-14)


def test_a_start_is_a_copy_that_training_may_change():
    world = worlds.problem()
    lab.Tabular(worlds.PROMPTS, worlds.RESPONSES).start(world).zero_()
    assert not (world.target_log_prob == 0).any()


def test_the_network_has_the_stated_size_and_seeded_weights_within_their_bounds():
    network = lab.MLP(4, 10)
    assert network.parameter_count == 5130
    first, again = network.initial((3, 4)), network.initial((4, 3, 3))
    assert first.dtype == torch.float64 and torch.equal(first, again[[1, 0]]) and torch.equal(again[1], again[2])
    assert not torch.equal(first[0], first[1])
    for piece, inputs in zip(network.split(first), (4, 4, 64, 64, 64, 64), strict=True):
        bound = inputs**-0.5
        assert piece.abs().max() <= bound and (piece.numel() < 100 or piece.abs().max() > 0.95 * bound)
        assert piece.numel() < 1000 or abs(piece.mean()) < 0.05 * bound


def test_seeded_weights_know_no_global_state():
    network = lab.MLP(4, 10, 8)
    before = network.initial((0, 1))
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    standard = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        assert torch.equal(network.initial((0, 1)), before)
    finally:
        torch.set_default_dtype(standard)
    assert torch.equal(torch.random.get_rng_state(), state)


@given(overlap=st.floats(-1, 1), features=st.integers(2, 12))
def test_features_of_a_pair_have_the_cosine_asked_for(overlap, features):
    """Every pair of disjoint responses; lengths stay those of the draw."""
    pairs = lab.Preferences.grid(4, 10, 2)
    world = lab.Problem(pairs, torch.zeros(2, 4, 10, dtype=torch.float64).log_softmax(-1), (0, 1))
    phi = lab.LogLinear.drawn(world, features=features, overlap=overlap).features
    plain_phi = lab.LogLinear.drawn(world, features=features, overlap=0.0).features
    chosen, rejected = phi[:, pairs.prompt, pairs.chosen], phi[:, pairs.prompt, pairs.rejected]
    cosine = torch.nn.functional.cosine_similarity(chosen, rejected, dim=-1)
    torch.testing.assert_close(cosine, torch.full_like(cosine, overlap), rtol=0, atol=1e-9)
    torch.testing.assert_close(phi.norm(dim=-1), plain_phi.norm(dim=-1), rtol=1e-12, atol=0)


def test_overlap_may_differ_from_run_to_run():
    world = worlds.problem(2, lab.Preferences.grid(worlds.PROMPTS, worlds.RESPONSES))
    together = lab.LogLinear.drawn(world, features=6, overlap=torch.tensor([0.0, 0.8], dtype=torch.float64)).features
    alone = lab.LogLinear.drawn(world, features=6, overlap=0.8).features
    assert torch.equal(together[1], alone[1]) and not torch.equal(together[0], alone[0])


def features(value: float = 0.0) -> torch.Tensor:
    return torch.full((2, 3, 6, 4), value, dtype=torch.float64)


OFFSET = torch.zeros(2, 3, 6, dtype=torch.float64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lab.MLP(4, 10, 0), r"width is 0; allowed are 1 or more"),
        (lambda: lab.MLP(4, 10, activation="gelu"), r"activation is 'gelu'; allowed are relu, tanh"),
        (lambda: lab.LogLinear(OFFSET, features()[:, :2]), r"shape \(2, 2, 6, 4\) and the offset \(2, 3, 6\); allowed"),
        (
            lambda: lab.LogLinear(OFFSET, features(math.nan)),
            r"the features table holds NaN or infinity; all must be finite",
        ),
        (lambda: lab.LogLinear(OFFSET * math.nan, features()), r"the offset holds NaN or infinity; all must be finite"),
        (lambda: lab.LogLinear.drawn(worlds.problem(), features=1), r"features is 1; allowed are 2 or more"),
        (lambda: lab.LogLinear.drawn(worlds.problem(), overlap=1.2), r"overlap is 1.2; a cosine lies between -1 and 1"),
        (lambda: lab.LogLinear.drawn(worlds.problem(), overlap=math.nan), r"overlap is nan; a cosine lies"),
        (
            lambda: lab.LogLinear.drawn(worlds.problem(), overlap=torch.zeros(2)),
            r"overlap has shape \(2,\) for 3 runs; give a number or one a run",
        ),
    ],
)
def test_bad_policies_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [lambda: lab.Tabular(0, 3), lambda: lab.Tabular(2, 1), lambda: lab.MLP(0, 3)])
def test_a_policy_without_a_choice_is_refused(make):
    with pytest.raises(ValueError, match="allowed are at least 1 prompt and 2 responses: give the problem's sizes"):
        make()
