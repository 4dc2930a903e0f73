"""The kernel by Triton's interpreter, on any processor; `tests/test_training_kernels.py` runs it in its own process.

The interpreter is chosen by the environment when Triton is imported, hence the process.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lab
from lab.training import NonFiniteError, Plan, chunks, record_tables, tables
from lab.training.kernels import launch
from lab.training.kernels.losses import LOSSES
from lab.training.margins import MarginChunk, Named
from lab.training.planning import IN_KERNEL
from tests import worlds
from tests.recorded import OPTIMIZERS, PAIRS, assert_close, from_record, losses

# NumPy tells of overflows that a device passes over: exp(1000) is infinite, and log 0 minus infinity.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
APART = PAIRS["several of unequal weight"]
TAPE = {"moves": (), "loss": (), "response_weight": (2,)}


def both(world, objective, optimizer, *, steps=9, every=2, dtype=torch.float64):
    """The tapes of the plain loop and of the kernel."""
    start, record = world.target_log_prob.flatten(1).to(dtype), lab.Record(every=every)
    shape = (len(record.steps(steps)), len(world.preferences), world.runs)
    plain, kernel = (
        {name: start.new_full((*shape[:1], *term, *shape[1:]), 7.0) for name, term in TAPE.items()} for _ in range(2)
    )
    with torch.inference_mode():
        chunk = MarginChunk(world, Named.of(world, start), objective, optimizer, start, plain)
        for told in chunk.train(steps, record, 0, None)[1]:
            told.write()
        launch(world, objective, optimizer, start, steps=steps, every=every, written=kernel)
    return plain, kernel


def assert_same(found, tolerance):
    plain, kernel = found
    for name in TAPE:
        torch.testing.assert_close(kernel[name], plain[name], rtol=tolerance, atol=tolerance, msg=name)


def by_kernel(monkeypatch, module) -> None:
    monkeypatch.setattr(module, "plan_steps", lambda *_, **__: Plan("kernel", "to test it"))


def test_the_plan_and_the_kernel_know_the_same_losses():
    assert set(LOSSES) == set(IN_KERNEL)
    for kind, names in IN_KERNEL.items():
        assert {"beta", *names} == set(kind.__dataclass_fields__)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", IN_KERNEL)
def test_the_kernel_writes_the_tape_of_the_plain_loop(kind, optimizer):
    world = worlds.problem(3, APART)
    _, per_run = losses(kind)
    assert_same(both(world, per_run, OPTIMIZERS[optimizer], steps=7), 1e-12)


@pytest.mark.parametrize("runs", [1, 2, 31, 33, 130])
@pytest.mark.parametrize("every", [1, 4, 7, 100])
def test_any_number_of_runs_and_any_stride_leave_no_place_unwritten(runs, every):
    world = worlds.problem(runs, APART)
    rate = torch.linspace(0.1, 2, runs, dtype=torch.float64)
    assert_same(both(world, lab.DPO(rate), lab.Adam(rate, eps=1e-4), steps=7, every=every), 1e-12)


def test_more_pairs_than_a_block_holds_are_taken_by_further_ones():
    target = worlds.draw(3, 7, 4).log_softmax(-1)
    world = lab.Problem(lab.Preferences.grid(7, 4, 2), target, (0, 1, 2))
    assert_same(both(world, lab.IPO(0.4), lab.Momentum(0.3)), 1e-12)


def test_weights_of_runs_are_the_runs_own():
    world = worlds.problem(3, PAIRS["weights of runs"])
    assert_same(both(world, lab.DPO(worlds.BETAS), lab.SGD(1.0)), 1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_float32_stays_as_close_as_its_rounding(optimizer):
    world = worlds.problem(3, APART)
    found = both(world, lab.CDPO(0.5, 0.1), OPTIMIZERS[optimizer], dtype=torch.float32)
    assert_same(found, 2e-5)


def test_losses_of_far_margins_neither_overflow_nor_lose_their_digits():
    world = worlds.problem(3, APART)
    rates = torch.tensor([1e-9, 40.0, 3e3], dtype=torch.float64)
    for kind in IN_KERNEL:
        for objective in losses(kind):
            assert_same(both(world, objective, lab.SGD(rates), steps=3), 1e-12)


def test_a_loss_that_has_all_but_vanished_keeps_its_digits():
    plain, kernel = both(worlds.problem(3, APART), lab.DPO(1.0), lab.SGD(300.0))
    assert 0 < float(plain["loss"].min()) < 1e-20
    torch.testing.assert_close(kernel["loss"], plain["loss"], rtol=1e-11, atol=0)


@pytest.mark.parametrize("every", [1, 4])
def test_a_training_by_the_kernel_is_the_plain_one(every, monkeypatch):
    world = worlds.problem(3, APART)
    arguments = (world, worlds.policy("tabular", world), lab.DPO(worlds.BETAS), lab.Adam(0.1, eps=1e-4))
    plain = lab.train(*arguments, steps=11, record=lab.Record(every=every))
    by_kernel(monkeypatch, chunks)
    kernel = lab.train(*arguments, steps=11, record=lab.Record(every=every))
    assert set(plain.variables) == set(kernel.variables)
    for name in plain.data_vars:
        np.testing.assert_allclose(kernel[name], plain[name], rtol=1e-12, atol=1e-12, err_msg=str(name))


def test_a_training_by_the_kernel_fails_where_the_plain_one_does(monkeypatch):
    world, rates = worlds.problem(3, APART), torch.tensor([0.1, 1e200, 1e100], dtype=torch.float64)

    def failure() -> NonFiniteError:
        with pytest.raises(NonFiniteError, match="seed 6, step ") as caught:
            lab.train(world, worlds.policy("tabular", world), lab.IPO(0.5), lab.SGD(rates), steps=30)
        return caught.value

    plain = failure()
    by_kernel(monkeypatch, chunks)
    kernel = failure()
    assert str(kernel) == str(plain)
    np.testing.assert_allclose(kernel.trajectory.log_prob, plain.trajectory.log_prob, rtol=1e-12)


@pytest.mark.parametrize("pairs", ["one a prompt", "two a prompt, in any order", "no response unseen"])
@pytest.mark.parametrize("kind", IN_KERNEL)
def test_the_recordings_are_those_of_the_metrics(kind, pairs, monkeypatch):
    world = worlds.problem(3, PAIRS[pairs])
    by_kernel(monkeypatch, tables)
    for objective in losses(kind):
        found = record_tables(world, objective, lab.Adam(0.3, eps=1e-4), steps=5, every=2)
        assert_close(found, from_record(world, objective, lab.Adam(0.3, eps=1e-4), steps=5, every=2), 1e-10)


@pytest.mark.parametrize("runs", [1, 33, 130])
def test_the_recordings_leave_no_run_out(runs, monkeypatch):
    world = worlds.problem(runs, PAIRS["one a prompt"])
    by_kernel(monkeypatch, tables)
    found = record_tables(world, lab.DPO(0.2), lab.Momentum(0.3), steps=3)
    assert_close(found, from_record(world, lab.DPO(0.2), lab.Momentum(0.3), steps=3), 1e-10)


@pytest.mark.parametrize("rate", [2e4, 1e5])
@pytest.mark.parametrize("pairs", ["one a prompt", "two a prompt, in any order"])
def test_the_recordings_hold_far_out_where_squares_underflow(rate, pairs, monkeypatch):
    world = worlds.problem(3, PAIRS[pairs])
    by_kernel(monkeypatch, tables)
    objective, optimizer = lab.SLiC(1e-3), lab.SGD(rate)
    expected = from_record(world, objective, optimizer, steps=20)
    assert float(expected["rejected_log_prob"].min()) < -100
    assert_close(record_tables(world, objective, optimizer, steps=20), expected, 1e-10)


def test_float32_recordings_stay_as_close_as_their_rounding(monkeypatch):
    world = worlds.problem(3, PAIRS["two a prompt, in any order"])
    by_kernel(monkeypatch, tables)
    found = record_tables(world, lab.DPO(0.2), lab.Momentum(0.3), steps=9, dtype=torch.float32)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert_close(found, from_record(world, lab.DPO(0.2), lab.Momentum(0.3), steps=9), 1e-4)
