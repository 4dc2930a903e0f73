"""The tape: one for all runs, written in place by the processor and fetched from another device."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import lab
from lab.space import MEMORY
from lab.training import Plan, chunks
from lab.training.margins import MarginChunk, Named
from lab.training.tape import Grams, Tape, blocks
from tests import worlds

SHAPES = {"loss": (4,), "response_weight": (2, 4)}


@pytest.mark.parametrize("last", [True, False])
def test_runs_write_into_the_tape_itself(last):
    tape = Tape.blank(SHAPES, 5, 6, torch.empty(0, dtype=torch.float32), MEMORY, last=last)
    for lanes, value in ((slice(0, 4), 1.0), (slice(4, 6), 2.0)):
        for each in tape.of_runs(lanes).values():
            each.fill_(value)
    found = tape.by_run()
    assert {name: each.shape for name, each in found.items()} == {"loss": (6, 5, 4), "response_weight": (6, 5, 2, 4)}
    assert all((each[:4] == 1).all() and (each[4:] == 2).all() for each in found.values()) and tape.rows == 5


@pytest.mark.parametrize("last", [True, False])
def test_what_runs_write_on_another_device_is_fetched(last):
    elsewhere = SimpleNamespace(dtype=torch.float64, device=SimpleNamespace(type="cuda"), new_empty=torch.empty)
    tape = Tape.blank(SHAPES, 5, 6, elsewhere, MEMORY, last=last)
    lanes = slice(2, 6)
    written = tape.of_runs(lanes)
    before = {name: each[lanes].copy() for name, each in tape.by_run().items()}
    for number, each in enumerate(written.values()):
        each.copy_(torch.arange(each.numel()).view(each.shape) + number)
    assert all(each[lanes].tobytes() == before[name].tobytes() for name, each in tape.by_run().items())
    tape.keep(lanes, written)
    for name, each in tape.by_run().items():
        assert (torch.from_numpy(each[lanes]) == written[name].movedim(-1 if last else 1, 0)).all()


def test_blocks_cover_the_rows_once():
    here = torch.device("cpu")
    assert [(each.start, each.stop) for each in blocks(range(3, 10), 2**17 // 3, here)] == [(3, 6), (6, 9), (9, 10)]
    assert blocks(range(2), 2**20, here) == [slice(0, 1), slice(1, 2)] and blocks(range(0), 1, here) == []
    assert blocks(range(3, 10), 2**17 // 3, torch.device("meta")) == [slice(3, 10)]  # a GPU's are larger


@pytest.mark.parametrize("rows", [3, 64, 65, 150])
def test_inner_products_are_told_of_in_their_rows_however_many_wait(rows):
    first = worlds.draw(rows, 2, 2, 7)
    tape = {"parameter_log_norm": torch.zeros(rows + 4, 2, 2).double(), "parameter_cosine": torch.zeros(rows + 4, 2)}
    grams = Grams(tape, 4)
    for row, terms in enumerate(first):
        grams.write(row + 4, terms @ terms.mT, torch.ones(2, 2, 1))
    grams.tell(rows + 4)
    torch.testing.assert_close(tape["parameter_log_norm"][4:], first.norm(dim=-1).log(), rtol=1e-12, atol=1e-12)
    cosine = torch.cosine_similarity(first[:, :, 0], first[:, :, 1], dim=-1).float()
    torch.testing.assert_close(tape["parameter_cosine"][4:], cosine)
    assert not tape["parameter_log_norm"][:4].any()


def test_what_a_kernel_writes_is_recorded(monkeypatch):
    """A stand-in for the kernel writes what the loop would."""

    def launch(problem, objective, optimizer, start, *, steps, every, written):
        chunk = MarginChunk(problem, Named.of(problem, start), objective, optimizer, start, written)
        _, told = chunk.train(steps, lab.Record(every), 0, None)
        assert all(block.write() for each in told for block in each.blocks())

    world = worlds.problem()
    given = (world, worlds.policy("tabular", world), lab.DPO(worlds.BETAS), lab.Adam(0.1))
    expected = lab.train(*given, steps=20, record=lab.Record(3))
    monkeypatch.setattr(chunks, "launch", launch)
    monkeypatch.setattr(chunks, "plan_steps", lambda *given, then, batch, device: Plan("kernel", ""))
    assert lab.train(*given, steps=20, record=lab.Record(3)).identical(expected)
