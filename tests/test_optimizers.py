"""Optimisers: one run after the other against torch.optim, all runs at once here."""

from __future__ import annotations

import math

import pytest
import torch

import lab
from lab import optimizers
from tests import plain
from tests.worlds import draw

STEPS, RUNS, PARAMETERS = 50, 3, 7
RATES = torch.tensor([1e-3, 0.1, 2.0], dtype=torch.float64)
DECAYS = torch.tensor([0.0, 0.5, 0.99], dtype=torch.float64)

OPTIMIZERS = {
    "sgd": lab.SGD(0.1),
    "sgd per run": lab.SGD(RATES),
    "momentum": lab.Momentum(0.1),
    "momentum per run": lab.Momentum(RATES, DECAYS),
    "adam": lab.Adam(0.01),
    "adam per run": lab.Adam(RATES),
    "adam of other decays": lab.Adam(RATES, beta1=0.3, beta2=0.5, eps=1e-3),
    "adam of one eps a run": lab.Adam(RATES, eps=torch.tensor([1e-8, 1e-3, 1.0], dtype=torch.float64)),
    "adam without momentum": lab.Adam(0.01, beta1=0.0),
}


def theirs(optimizer, parameters: torch.Tensor, run: int) -> torch.optim.Optimizer:
    rate = float(plain.one(optimizer.lr, run))
    match optimizer:
        case lab.SGD():
            return torch.optim.SGD([parameters], lr=rate)
        case lab.Momentum():
            return torch.optim.SGD([parameters], lr=rate, momentum=float(plain.one(optimizer.momentum, run)))
    betas = (optimizer.beta1, optimizer.beta2)
    return torch.optim.Adam([parameters], lr=rate, betas=betas, eps=float(plain.one(optimizer.eps, run)), foreach=False)


@pytest.mark.parametrize("one_pass_from", [optimizers.FUSED, 0], ids=["several passes", "one pass"])
@pytest.mark.parametrize("scale", [1.0, 1e-9], ids=["gradients near 1", "gradients below eps"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_is_that_of_torch_optim(name, scale, one_pass_from, monkeypatch):
    """To 1e-12 over 50 steps, gradients given; some are zero, and some stay far below Adam's eps."""
    monkeypatch.setattr(optimizers, "FUSED", one_pass_from)
    optimizer, gradients = OPTIMIZERS[name], scale * draw(STEPS, RUNS, PARAMETERS)
    gradients[:, :, 0] = 0
    start = draw(RUNS, PARAMETERS, seed=1)
    state, memory = start.clone(), optimizer.memory(start)
    advanced, advancing = start.clone(), optimizer.memory(start)
    ours = []
    for step, gradient in enumerate(gradients, 1):
        given = gradient.clone()
        state = state + optimizer.update(gradient, memory, step)
        optimizer.advance(advanced, gradient, advancing, step)
        assert torch.equal(gradient, given), "the gradient itself is left alone"
        torch.testing.assert_close(advanced, state, rtol=1e-13, atol=1e-13)
        # Behind what is remembered there may be room to compute in.
        assert all(torch.equal(*parts) for parts in zip(advancing[:2], memory[:2], strict=True))
        ours.append(state)
    for run in range(RUNS):
        parameters = start[run].clone().requires_grad_()
        stepper = theirs(optimizer, parameters, run)
        for step in range(STEPS):
            parameters.grad = gradients[step, run].clone()
            stepper.step()
            torch.testing.assert_close(ours[step][run], parameters.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("one_pass_from", [optimizers.FUSED, 0], ids=["several passes", "one pass"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_counted_by_a_tensor_is_the_step_counted_by_a_number(name, one_pass_from, monkeypatch):
    """To 1e-15 relative, for steps up to 100,000: a graph of a GPU can hold no number that changes."""
    monkeypatch.setattr(optimizers, "FUSED", one_pass_from)
    optimizer, start, gradient = OPTIMIZERS[name], draw(RUNS, PARAMETERS), draw(RUNS, PARAMETERS, seed=2)
    for step in (*range(1, 60), 999, 10_000, 100_000):
        given = [tuple(part + 0.1 for part in optimizer.memory(start)) for _ in range(4)]
        counted = torch.tensor(float(step), dtype=torch.float64)
        found, expected = optimizer.update(gradient, given[0], counted), optimizer.update(gradient, given[1], step)
        torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)
        moved, plainly = start.clone(), start.clone()
        optimizer.advance(moved, gradient, given[2], counted)
        optimizer.advance(plainly, gradient, given[3], step)
        torch.testing.assert_close(moved, plainly, rtol=1e-15, atol=0)
        assert counted == step
        for one, other in ((0, 1), (2, 3)):
            assert all(torch.equal(*parts) for parts in zip(given[one], given[other], strict=True))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if "per run" in name])
def test_a_value_for_each_run_is_that_run_with_one_value(name):
    together, gradients, start = OPTIMIZERS[name], draw(5, RUNS, PARAMETERS), draw(RUNS, PARAMETERS)
    memory = together.memory(start)
    updates = [together.update(gradient, memory, step) for step, gradient in enumerate(gradients, 1)]
    for run in range(RUNS):
        values = [float(plain.one(getattr(together, field), run)) for field in vars(together)]
        alone = type(together)(*values)
        memory = alone.memory(start[run : run + 1])
        for step, gradient in enumerate(gradients, 1):
            assert torch.equal(alone.update(gradient[run : run + 1], memory, step)[0], updates[step - 1][run])


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: lab.SGD(0), ValueError, r"lr is 0; allowed are finite numbers > 0"),
        (lambda: lab.SGD(-1.0), ValueError, r"lr is -1; allowed are finite numbers > 0"),
        (lambda: lab.Momentum(math.nan), ValueError, r"lr is nan; allowed are finite numbers > 0"),
        (lambda: lab.Adam(math.inf), ValueError, r"lr is inf; allowed are finite numbers > 0"),
        (lambda: lab.Adam(torch.tensor([0.1, 0.0])), ValueError, r"lr is 0; allowed are finite numbers > 0"),
        (
            lambda: lab.Adam([0.1, 0.2]),
            TypeError,
            r"lr is a list; give a number, or a torch.Tensor with one value a run",
        ),
        (lambda: lab.Momentum(0.1, 1.0), ValueError, r"momentum is 1.0; allowed are numbers in \[0, 1\)"),
        (lambda: lab.Momentum(0.1, -0.5), ValueError, r"momentum is -0.5; allowed are finite numbers >= 0"),
        (lambda: lab.Momentum(0.1, math.nan), ValueError, r"momentum is nan; allowed are finite numbers >= 0"),
        (lambda: lab.Adam(0.1, beta1=1.0), ValueError, r"Adam's beta1, beta2 are 1.0, 0.999; allowed are .* \[0, 1\)"),
        (lambda: lab.Adam(0.1, beta2=math.nan), ValueError, r"Adam's beta1, beta2 are 0.9, nan; allowed"),
        (lambda: lab.Adam(0.1, eps=0.0), ValueError, r"eps is 0; allowed are finite numbers > 0"),
    ],
)
def test_bad_settings_are_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
