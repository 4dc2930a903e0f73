"""The vector field: finite differences of a tiny step, the table's closed form, fixed lines, a theorem."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import lab
from lab.theory import fit_exactly, flow, place_pairs
from tests import plain, worlds

GRID = lab.Preferences.grid(2, 6)


def reference(world: lab.Problem) -> torch.Tensor:
    return world.target_log_prob


@pytest.mark.parametrize("objective", worlds.OBJECTIVES)
@pytest.mark.parametrize("name", worlds.POLICIES)
def test_the_flow_is_what_a_tiny_step_of_plain_gradient_descent_does(name, objective):
    world, loss = worlds.problem(), worlds.OBJECTIVES[objective]
    policy, theta = worlds.policy(name, world), worlds.state(name, world)
    found = flow(policy, theta, loss, world, reference(world))
    for run in range(world.runs):
        gradient = plain.gradient(policy, loss, world.preferences, theta[run], reference(world)[run], run)
        size = 1e-6  # a central difference: its error is of the order of the square
        ahead, behind = (plain.log_probs(policy, theta[run] + sign * size * gradient, run) for sign in (-1, 1))
        assert torch.allclose(found.change[run], (ahead - behind) / (2 * size), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", worlds.POLICIES)
@pytest.mark.parametrize("objective", ["dpo per run", "sum per run"])
def test_the_terms_of_the_pairs_sum_to_the_whole(name, objective):
    world = worlds.problem()
    found = flow(worlds.policy(name, world), worlds.state(name, world), worlds.OBJECTIVES[objective], world,
                 reference(world))  # fmt: skip
    assert torch.allclose(found.by_term.sum((1, 2)), found.change, rtol=1e-9, atol=1e-12)
    assert (found.by_term.abs().flatten(3).amax(-1) > 0).all()


def test_a_term_is_what_the_loss_of_its_pair_alone_does():
    world = worlds.problem()
    policy, theta = worlds.policy("mlp-tanh", world), worlds.state("mlp-tanh", world)
    found, pairs = flow(policy, theta, lab.IPO(0.3), world, reference(world)), world.preferences
    for pair in range(len(pairs)):
        alone = lab.Preferences(pairs.prompt, pairs.chosen, pairs.rejected, torch.eye(len(pairs))[pair])
        single = lab.Problem(alone, world.target_log_prob, world.seeds)
        change = flow(policy, theta, lab.IPO(0.3), single, reference(world)).change
        assert torch.allclose(found.by_term[:, :, pair].sum(1), pairs.weight[pair] * change, rtol=1e-9, atol=1e-12)


def test_in_a_table_the_flow_has_its_closed_form():
    world = worlds.problem()
    table = worlds.state("tabular", world)
    found = flow(worlds.policy("tabular", world), table, lab.DPO(0.7), world, reference(world))
    pi = found.log_prob.exp()
    for run in range(world.runs):
        for x in range(worlds.PROMPTS):
            push = torch.zeros(worlds.RESPONSES, dtype=torch.float64)
            ratio = found.log_prob[run, x] - reference(world)[run, x]
            pairs = world.preferences
            for p, c, r, w in zip(pairs.prompt, pairs.chosen, pairs.rejected, pairs.weight, strict=True):
                if p == x:
                    s = w * 0.7 * torch.sigmoid(-0.7 * (ratio[c] - ratio[r]))
                    push[c] -= s
                    push[r] += s
            centre = torch.eye(worlds.RESPONSES) - torch.ones(worlds.RESPONSES, 1) * pi[run, x]
            assert torch.allclose(found.change[run, x], -centre @ centre.T @ push, rtol=1e-12, atol=1e-15)


def test_in_a_log_linear_policy_the_kernel_is_that_of_the_centred_features():
    world = worlds.problem()
    policy, theta = worlds.policy("loglinear", world), worlds.state("loglinear", world)
    found = flow(policy, theta, lab.SLiC(0.5), world, reference(world))
    pi = found.log_prob.exp()
    centred = policy.features - (pi[..., None] * policy.features).sum(2, keepdim=True)
    for run in range(world.runs):
        score = centred[run].flatten(0, 1)  # d log pi / d theta
        pushes = plain_pushes(lab.SLiC(0.5), world, found.log_prob[run], run)
        assert torch.allclose(found.change[run].flatten(), -score @ (score.T @ pushes), rtol=1e-10, atol=1e-13)


def plain_pushes(objective, world, table, run) -> torch.Tensor:
    """d loss / d log pi by autograd through a second implementation, [prompt * response]."""
    leaf = table.detach().clone().requires_grad_()
    loss = plain.total_loss(objective, world.preferences, leaf, reference(world)[run], run)
    return torch.autograd.grad(loss, leaf)[0].flatten()


def plane(beta: float | None = None) -> tuple[lab.Problem, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A plane of states around a reference, one a run: the problem, the states, log pi(chosen), log pi(rejected)."""
    one = worlds.draw(1, 2, 6).log_softmax(-1)
    chosen, rejected = (
        each.flatten() for each in torch.meshgrid(
            torch.linspace(-6, -1e-4, 9, dtype=torch.float64), torch.linspace(-60, -1e-3, 13, dtype=torch.float64),
            indexing="ij",
        )
    )  # fmt: skip
    inside = torch.logaddexp(chosen, rejected) < -1e-6
    chosen, rejected = chosen[inside], rejected[inside]
    world = lab.Problem(GRID, one.expand(len(chosen), -1, -1), (0,) * len(chosen))
    return world, place_pairs(world.target_log_prob, GRID, chosen, rejected), chosen, rejected


@pytest.mark.parametrize(
    "objective", [lab.DPO(0.1), lab.DPO(2.0), lab.IPO(0.004), lab.SLiC(0.001), lab.CDPO(0.1, 1e-9)]
)
def test_no_state_of_a_table_lowers_the_chosen_response_while_the_loss_asks_for_more_margin(objective):
    world, states, chosen, rejected = plane()
    found = flow(lab.Tabular(2, 6), states.flatten(1), objective, world, world.target_log_prob)
    up, down = found.at_pairs
    # d log pi+ = s (1 - pi+ + pi-) and d log pi_u = s (pi- - pi+), whatever the state.
    push = -pushes(objective, world, states)
    prob = chosen.exp()[:, None], rejected.exp()[:, None]
    assert (push > 0).all() and (up > 0).all() and (down < 0).all()
    assert torch.allclose(up, push * (-torch.expm1(chosen)[:, None] + prob[1]), rtol=1e-12, atol=0)
    unseen = found.change[:, GRID.unseen(2, 6)].unflatten(1, (2, -1))
    assert torch.allclose(unseen, (push * (prob[1] - prob[0]))[..., None].expand_as(unseen), rtol=1e-9, atol=1e-300)


def pushes(objective, world, states) -> torch.Tensor:
    """The weight on the chosen response of every pair by autograd, [run, pair]."""
    leaf = states.detach().clone().requires_grad_()
    total = sum(
        plain_loss(
            objective, leaf[:, x, c] - leaf[:, x, r], world.target_log_prob[:, x, c] - world.target_log_prob[:, x, r]
        )
        for x, c, r in zip(GRID.prompt, GRID.chosen, GRID.rejected, strict=True)
    )
    slope = torch.autograd.grad((total * 0.5).sum(), leaf)[0]
    return torch.stack([slope[:, x, c] for x, c in zip(GRID.prompt, GRID.chosen, strict=True)], 1)


def plain_loss(objective, difference, start) -> torch.Tensor:
    margin = difference - start
    match objective:
        case lab.DPO(beta):
            return plain.logistic(beta * margin)
        case lab.CDPO(beta, smoothing):
            return (1 - smoothing) * plain.logistic(beta * margin) + smoothing * plain.logistic(-beta * margin)
        case lab.IPO(beta):
            return (margin - 1 / (2 * beta)).square()
        case lab.SLiC(beta):
            return (1 - beta * margin).clamp(min=0)


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_ipo_rests_on_the_line_where_the_margin_is_its_target(name):
    beta, world = 0.1, worlds.problem(pairs=GRID_OF_THREE)
    start = reference(world)
    x, c, r = GRID_OF_THREE.prompt, GRID_OF_THREE.chosen, GRID_OF_THREE.rejected
    for chosen in (-0.5, -4.0):
        # The margin of every pair is 1 / (2 beta): both members fixed, at each prompt's own rejected probability.
        wanted = start.clone()
        wanted[:, x, c] += torch.as_tensor(chosen + 1 / (2 * beta), dtype=torch.float64)
        wanted[:, x, r] += chosen
        wanted = wanted.log_softmax(-1)
        policy = worlds.policy(name, world)
        if isinstance(policy, lab.MLP):
            policy = replace(policy, width=12)  # room for any distribution
        policy, theta = fit_exactly(policy, wanted, worlds.draw(world.runs, policy.parameter_count))
        at_rest = flow(policy, theta, lab.IPO(beta), world, start).change.abs().max()
        moving = flow(policy, theta, lab.IPO(2 * beta), world, start)
        assert at_rest < 1e-6 * moving.change.abs().max()
        assert (moving.at_pairs[0] - moving.at_pairs[1]).mean() < 0  # its target lies behind


GRID_OF_THREE = lab.Preferences.grid(worlds.PROMPTS, worlds.RESPONSES)


def test_shared_features_can_lower_the_chosen_response_where_a_table_cannot():
    world = worlds.problem(runs=1, pairs=lab.Preferences([0], [0], [1]))
    features = torch.zeros(1, 3, 6, 2, dtype=torch.float64)
    features[0, 0, 0], features[0, 0, 1] = torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])
    policy = lab.LogLinear(world.target_log_prob, features)
    up, down = flow(policy, torch.zeros(1, 2).double(), lab.DPO(0.1), world, reference(world)).at_pairs
    gradients = features[0, 0, :2] - (world.target_log_prob[0, 0].exp()[:, None] * features[0, 0]).sum(0)
    assert (gradients[0] @ gradients[1] > gradients[0] @ gradients[0]) == bool(up < 0)  # FACTS: the fall's condition
    assert up < 0 and down < 0


def test_objectives_that_look_at_the_whole_table_get_it():
    world = worlds.problem()
    policy, theta = worlds.policy("tabular", world), worlds.state("tabular", world)
    table = policy.forward(theta)[0].log_softmax(-1)
    start, pairs, weight = reference(world), world.preferences, world.preferences.weight
    kl = (table.exp() * (table - start)).sum(-1)[:, pairs.prompt] @ weight
    u, v = ((table - start)[:, pairs.prompt, member] for member in (pairs.chosen, pairs.rejected))
    slope = [torch.sigmoid(z) * torch.sigmoid(-z) for z in (0.3 * (u - kl[:, None]), 0.3 * (v - kl[:, None]))]
    push = torch.zeros_like(table)
    for pair, (x, c, r) in enumerate(zip(pairs.prompt, pairs.chosen, pairs.rejected, strict=True)):
        push[:, x, c] -= weight[pair] * 0.15 * slope[0][:, pair]
        push[:, x, r] += weight[pair] * 0.15 * slope[1][:, pair]
    gradient = push - table.exp() * push.sum(-1, keepdim=True)
    expected = -(gradient - (table.exp() * gradient).sum(-1, keepdim=True))
    assert torch.allclose(flow(policy, theta, lab.KTO(0.3), world, start).change, expected, rtol=1e-10, atol=1e-14)
