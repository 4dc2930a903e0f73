"""Recordings of tables that stay on the device, by plain torch: equal to the metrics of the record."""

from __future__ import annotations

import pytest
import torch

import lab
from lab.training import record_tables, tables
from lab.training.planning import IN_KERNEL
from tests import worlds
from tests.recorded import OPTIMIZERS, PAIRS, assert_close, from_record, losses

EVEN = ["one a prompt", "two a prompt, in any order", "no response unseen", "positive weights of runs"]


@pytest.mark.parametrize("pairs", EVEN)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_recordings_are_what_the_metrics_compute_of_the_record(pairs, optimizer):
    world = worlds.problem(3, PAIRS[pairs])
    for objective in (lab.DPO(worlds.BETAS), lab.IPO(0.4)):
        found = record_tables(world, objective, OPTIMIZERS[optimizer], steps=9, every=4)
        assert_close(found, from_record(world, objective, OPTIMIZERS[optimizer], steps=9, every=4), 1e-11)


@pytest.mark.parametrize("kind", [*IN_KERNEL, "a sum"])
def test_every_loss_of_the_margin_is_recorded(kind):
    world = worlds.problem(3, PAIRS["two a prompt, in any order"])
    for objective in (lab.WeightedSum((lab.DPO(0.1), lab.IPO(0.2)), (1.0, 0.3)),) if kind == "a sum" else losses(kind):
        found = record_tables(world, objective, lab.SGD(1.0), steps=9)
        assert_close(found, from_record(world, objective, lab.SGD(1.0), steps=9), 1e-10)


@pytest.mark.parametrize("pairs", EVEN[:2])
def test_recordings_hold_far_out_where_squares_underflow(pairs):
    world = worlds.problem(3, PAIRS[pairs])
    for rate in (6e3, 1e5):
        expected = from_record(world, lab.SLiC(1e-3), lab.SGD(rate), steps=30)
        assert float(expected["rejected_log_prob"].min()) < -100
        assert_close(record_tables(world, lab.SLiC(1e-3), lab.SGD(rate), steps=30), expected, 1e-10)


@pytest.mark.parametrize("lanes", [1, 7, 10**6])
def test_chunks_change_nothing(lanes, monkeypatch):
    world = worlds.problem(5, PAIRS["one a prompt"])
    rates = torch.linspace(0.1, 1, 5, dtype=torch.float64)
    whole = record_tables(world, lab.DPO(rates), lab.Adam(rates), steps=6)
    monkeypatch.setattr(tables, "LANES", lanes)
    for name, value in record_tables(world, lab.DPO(rates), lab.Adam(rates), steps=6).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-13, atol=1e-13)


def test_training_begins_where_it_is_told_to_and_runs_stand_last_in_memory():
    world = worlds.problem(3, PAIRS["one a prompt"])
    start = worlds.state("tabular", world, 3.0)
    found = record_tables(world, lab.DPO(0.3), lab.SGD(1.0), steps=2, start=start)
    log_prob = start.unflatten(1, (worlds.PROMPTS, worlds.RESPONSES)).log_softmax(-1)
    pairs = world.preferences
    torch.testing.assert_close(found["chosen_log_prob"][:, 0], log_prob[:, pairs.prompt, pairs.chosen])
    assert {value.stride(0) for value in found.values()} == {1}


def test_float32_is_float32():
    world = worlds.problem(3, PAIRS["one a prompt"])
    found = record_tables(world, lab.DPO(0.3), lab.SGD(1.0), steps=5, dtype=torch.float32)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert_close(found, from_record(world, lab.DPO(0.3), lab.SGD(1.0), steps=5), 1e-4)


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ("a response is in two pairs", {"pairs": lab.Preferences([0, 0, 1, 1, 2, 2], [1] * 6, [2] * 6)}),
        ("the prompts have 2, 0, 2 pairs", {"pairs": PAIRS["several of unequal weight"]}),
        ("a run gives a pair the weight 0", {"pairs": PAIRS["weights of runs"]}),
        ("depends on more than the margin", {"objective": lab.SFT()}),
        ("steps is 0", {"steps": 0}),
        ("every is 0", {"every": 0}),
        ("dtype is torch.float16", {"dtype": torch.float16}),
        (r"start has shape \(3, 4\); allowed is \[run, prompt \* response\], here \(3, 18\)",
         {"start": torch.zeros(3, 4)}),
        ("device is 'cuda:99'", {"device": "cuda:99"}),
        ("the record takes .* are allowed; record every 25 steps", {"steps": 100, "memory": 3 * 17 * 8 * 5}),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_refused_with_a_reason(match, options):
    world = worlds.problem(3, options.pop("pairs", PAIRS["one a prompt"]))
    objective = options.pop("objective", lab.DPO(0.1))
    with pytest.raises(ValueError, match=match):
        record_tables(world, objective, lab.SGD(1.0), **{"steps": 5, **options})
