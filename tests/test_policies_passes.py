"""A network's passes by NumPy against the same passes by torch, which automatic differentiation checks elsewhere."""

from __future__ import annotations

import math

import pytest
import torch

import lab
from lab.gradients import measure_gram, norms_and_cosine, scaled_gram
from lab.policies import Workspace
from lab.policies.passes import SHARED, Passes
from tests.worlds import draw

RUNS, PROMPTS, RESPONSES, WIDTH = 4, 3, 5, 7


def network(activation: str = "tanh") -> tuple[lab.MLP, torch.Tensor]:
    machine = lab.MLP(PROMPTS, RESPONSES, WIDTH, activation)
    return machine, draw(RUNS, machine.parameter_count, seed=1)


def pulls(terms: int, seed: int = 2) -> torch.Tensor:
    return draw(RUNS, terms, PROMPTS, RESPONSES, seed=seed)


@pytest.fixture
def by_torch(monkeypatch):
    """Return what computes something with passes by torch."""

    def compute(work):
        with monkeypatch.context() as patch:
            patch.setattr(Passes, "small", staticmethod(lambda *_: False))
            return work()

    return compute


def all_passes(machine, theta, pull, space=None):
    logits, memory = machine.forward(theta, space)
    found = [logits, *memory, machine.pullback(theta, memory, pull, space), machine.gram(theta, memory, pull, space)]
    return [each.clone() for each in found]


@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-13), (torch.float32, 1e-4)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_both_libraries_compute_the_same_passes(activation, dtype, within, terms, by_torch):
    machine, theta = network(activation)
    given = (machine, theta.to(dtype), pulls(terms).to(dtype))
    ours, theirs = all_passes(*given), by_torch(lambda: all_passes(*given))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other, rtol=within, atol=within)


def test_numpy_takes_only_what_it_computes_on_one_thread_and_without_autograd(monkeypatch):
    taken = []
    monkeypatch.setattr(Passes, "forward", lambda self, flat: taken.append(self.shapes) or (flat, flat, flat))
    small, theta = network()
    small.forward(theta)
    assert taken == [small.shapes]
    small.forward(theta.clone().requires_grad_())
    small.forward(theta.to(torch.bfloat16))
    wide = lab.MLP(PROMPTS, RESPONSES, math.isqrt(SHARED), "tanh")
    wide.forward(draw(1, wide.parameter_count))
    assert taken == [small.shapes]
    assert Passes.small(small.shapes, 2) and not Passes.small(small.shapes, SHARED)


def test_autograd_follows_the_parameters_through_a_forward_pass():
    machine, theta = network()
    leaf, pull = theta.clone().requires_grad_(), pulls(1)
    logits, _ = machine.forward(leaf)
    (gradient,) = torch.autograd.grad((logits * pull[:, 0]).sum(), leaf)
    _, memory = machine.forward(theta)
    torch.testing.assert_close(machine.pullback(theta, memory, pull)[:, 0], gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["tabular", "mlp-relu", "mlp-tanh", "mlp by torch"])
def test_a_pull_is_the_sum_of_the_terms_whether_or_not_they_are_measured(name, by_torch):
    if name == "tabular":
        machine, theta = lab.Tabular(PROMPTS, RESPONSES), draw(RUNS, PROMPTS * RESPONSES)
    else:
        machine, theta = network("relu" if name == "mlp-relu" else "tanh")

    def pulled():
        _, memory = machine.forward(theta)
        pull = pulls(2)
        plain, nothing = machine.pull(theta, memory, pull)
        measured, gram = machine.pull(theta, memory, pull, measured=True)
        assert nothing is None and torch.equal(plain, measured)
        torch.testing.assert_close(plain, machine.pullback(theta, memory, pull).sum(1), rtol=1e-12, atol=1e-13)
        return gram, scaled_gram(machine, theta, memory, pull)

    gram, expected = by_torch(pulled) if name == "mlp by torch" else pulled()
    assert (gram is None) == (name in ("tabular", "mlp by torch"))
    if gram is not None:
        for one, other in zip(measure_gram(*gram), measure_gram(*expected), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e-200, 3e-160, 1.0, 1e200])
def test_terms_are_measured_where_their_squares_under_or_overflow(size):
    """The chosen term may be 1e-200 and the rejected one 1e200; their rows, taken near 1, say what comes out."""
    machine, theta = network()
    _, memory = machine.forward(theta)
    near = pulls(2)
    sizes = torch.tensor([size, 1 / size], dtype=torch.float64)
    gradient, gram = machine.pull(theta, memory, near * sizes.view(1, 2, 1, 1), measured=True)
    log_norm, cosine = measure_gram(*gram)
    rows = machine.pullback(theta, memory, near)
    expected, angle = norms_and_cosine(rows)
    torch.testing.assert_close(log_norm, expected + sizes.log(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(cosine, angle, rtol=1e-12, atol=1e-12)
    largest = sizes.max()
    both = (rows * (sizes / largest)[:, None]).sum(1)
    torch.testing.assert_close(gradient / largest, both, rtol=1e-12, atol=1e-12)


def test_a_term_that_pushes_nothing_has_no_norm_and_changes_nothing():
    machine, theta = network()
    _, memory = machine.forward(theta)
    pull = pulls(2)
    pull[1:, 1] = 0
    gradient, gram = machine.pull(theta, memory, pull, measured=True)
    log_norm, cosine = measure_gram(*gram)
    assert log_norm[1:, 1].isneginf().all() and cosine[1:].isnan().all()
    assert log_norm[:, 0].isfinite().all() and log_norm[0].isfinite().all() and cosine[0].isfinite()
    alone = machine.pullback(theta, memory, pull[:, :1])[:, 0]
    torch.testing.assert_close(gradient[1:], alone[1:], rtol=1e-13, atol=1e-14)


def test_a_pull_leaves_the_gradient_of_the_step_alone_while_terms_are_looked_at():
    """In one workspace a step's gradient must outlive what else is computed of the state, which it moves at last."""
    machine, theta = network()
    space, pull = Workspace(), pulls(2)
    _, memory = machine.forward(theta, space)
    gradient, _ = machine.pull(theta, memory, pull, space, measured=True)
    before = gradient.clone()
    machine.pullback(theta, memory, pulls(2, seed=9), space)
    machine.gram(theta, memory, pulls(2, seed=9), space)
    machine.forward(theta)
    assert torch.equal(gradient, before)


def test_a_run_is_computed_alike_in_any_company():
    machine, theta = network()
    together = all_passes(machine, theta, pulls(2))
    alone = all_passes(machine, theta[2:3].clone(), pulls(2)[2:3].clone())
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one[2:3], other)
