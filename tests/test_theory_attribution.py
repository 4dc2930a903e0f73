"""A training split by what moved it: the states are training's, the parts are exact, the rest is of second order."""

from __future__ import annotations

import pytest
import torch

import lab
from lab.optimizers import Optimizer
from lab.theory import attribute, flow
from tests import worlds

RATES = torch.tensor([1e-3, 3e-3, 2e-3], dtype=torch.float64)
OPTIMIZERS = {
    "sgd": lab.SGD(RATES),
    "momentum": lab.Momentum(RATES, torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)),
    "adam": lab.Adam(RATES),
}
LOSS = lab.WeightedSum((lab.FlexDPO(0.4, 0.2), lab.SFT()), (1.0, 0.3))


def split(name: str, optimizer, objective=LOSS, **more):
    world = worlds.problem()
    policy, start = worlds.policy(name, world), worlds.state(name, world)
    return attribute(policy, start, objective, optimizer, world, **more), (world, policy, start)


@pytest.mark.parametrize("name", worlds.POLICIES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_states_are_those_of_the_training(name, optimizer):
    found, (world, policy, start) = split(name, OPTIMIZERS[optimizer], steps=20, every=7)
    record = lab.train(world, policy, LOSS, OPTIMIZERS[optimizer], steps=20, start=start, record=lab.Record(every=7))
    assert torch.allclose(found.log_prob, torch.from_numpy(record.log_prob.values), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", worlds.POLICIES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_parts_sum_to_the_first_order_change_of_the_optimisers_own_update(name, optimizer):
    found, (world, policy, start) = split(name, OPTIMIZERS[optimizer], steps=12)
    keep = lab.Record(keep=("predictions",))
    record = lab.train(world, policy, LOSS, OPTIMIZERS[optimizer], steps=12, start=start, record=keep)
    first_order = torch.from_numpy(record.linear_change.values)[:, :-1]
    assert torch.allclose(found.by_term.sum((2, 3)), first_order, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", worlds.POLICIES)
def test_a_step_of_plain_gradient_descent_is_split_as_the_flow_is(name):
    found, (world, policy, start) = split(name, lab.SGD(RATES), steps=1)
    expected = flow(policy, start, LOSS, world, policy.forward(start)[0].log_softmax(-1)).by_term
    rate = RATES.view(-1, 1, 1, 1, 1)
    assert torch.allclose(found.by_term[:, 0], rate * expected, rtol=1e-10, atol=1e-14)


def test_intervals_add_up_the_steps_within_them():
    each, _ = split("mlp-tanh", lab.Adam(1e-3), steps=8)
    wide, _ = split("mlp-tanh", lab.Adam(1e-3), steps=8, every=3)
    sums = torch.stack([each.by_term[:, a:b].sum(1) for a, b in ((0, 3), (3, 6), (6, 8))], 1)
    assert torch.allclose(wide.by_term, sums, rtol=1e-10, atol=1e-14)
    assert torch.equal(wide.log_prob, each.log_prob[:, [0, 3, 6, 8]])


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_term_that_no_longer_pushes_still_moves_what_its_memory_holds(optimizer):
    # SLiC's hinge is met for good after some steps: gradients are 0 from then on, updates are not.
    world = worlds.problem(pairs=lab.Preferences([0], [1], [2]))
    policy, start = worlds.policy("tabular", world), worlds.state("tabular", world)
    hinge = lab.SLiC(100.0)
    rule = {"momentum": lab.Momentum(0.1, 0.9), "adam": lab.Adam(0.1)}[optimizer]
    found = attribute(policy, start, hinge, rule, world, steps=6)
    weights = lab.train(world, policy, hinge, rule, steps=6, start=start).response_weight.values
    assert (weights[:, 0] != 0).all() and not weights[:, 2:].any()
    assert (found.by_term[:, 3:, 0, 0, 0, 1] > 0).all()


def test_the_error_of_the_sum_falls_with_the_step_at_equal_training_time():
    left = []
    for halvings in (0, 1, 2):
        found, _ = split("mlp-tanh", lab.SGD(0.02 / 2**halvings), steps=10 * 2**halvings, every=10 * 2**halvings)
        realised = found.log_prob[:, -1] - found.log_prob[:, 0]
        left.append(float((found.by_term.sum((2, 3))[:, 0] - realised).abs().max()))
    assert left[0] > 1e-6
    for larger, smaller in zip(left[:-1], left[1:], strict=True):
        assert 1.8 < larger / smaller < 2.2


def test_an_optimiser_that_cannot_be_split_and_no_steps_are_refused():
    class Other(Optimizer):
        lr = 0.1

        def memory(self, parameters):
            return ()

        def update(self, gradient, memory, step):
            return -self.lr * gradient.sign()

    with pytest.raises(ValueError, match=r"the optimiser is Other; its update can be split for SGD, Momentum, Adam"):
        split("tabular", Other(), steps=1)
    with pytest.raises(ValueError, match=r"steps is 0 and every is 1; allowed are 1 or more"):
        split("tabular", lab.SGD(0.1), steps=0)
