"""The benchmark of a GPU: its limit, and that it says so where there is none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from benchmarks.gpu import command
from benchmarks.gpu.bounds import COSTS, Card, limit, network_bound, table_bound
from benchmarks.gpu.workloads import networks, tables
from benchmarks.race.cases import Case

# As the drivers tell of them: clocks in kHz, the bus in bits.
A100 = SimpleNamespace(
    name="A100", major=8, minor=0, multi_processor_count=108, clock_rate=1_410_000, memory_clock_rate=1_215_000,
    memory_bus_width=5120, shared_memory_per_multiprocessor=167_936,
)  # fmt: skip
H100 = SimpleNamespace(
    name="H100", major=9, minor=0, multi_processor_count=132, clock_rate=1_980_000, memory_clock_rate=2_619_000,
    memory_bus_width=5120, shared_memory_per_multiprocessor=233_472,
)  # fmt: skip
TABLES = Case("A", "sgd", 1_000_000, 500)
NETWORKS = Case("B", "adam", 16_384, 500)


@pytest.mark.parametrize(
    ("properties", "float64", "matrix", "bandwidth"),
    [(A100, 9.7e12, 19.5e12, 1555e9), (H100, 33.5e12, 67e12, 3.35e12)],
)
def test_a_cards_peaks_are_those_of_its_data_sheet(properties, float64, matrix, bandwidth):
    card = Card.of(properties)
    assert 2 * card.arithmetic == pytest.approx(float64, rel=0.01)
    assert 2 * card.arithmetic * card.matrix == pytest.approx(matrix, rel=0.01)
    assert card.bandwidth == pytest.approx(bandwidth, rel=0.01)


def test_a_card_of_no_data_centre_has_few_float64_units():
    assert Card.of(SimpleNamespace(**{**vars(H100), "minor": 1})).float64 == 2


def test_a_table_writes_22_numbers_and_takes_16_exponentials_10_logarithms_and_8_quotients_a_step():
    card = Card.of(H100)
    bound = table_bound(card, TABLES)
    assert bound["memory"] * card.bandwidth == pytest.approx(22 * 8 * 501e6)
    functions = 16 * COSTS["exp"] + 10 * COSTS["log"] + 8 * COSTS["quotient"]
    assert bound["arithmetic"] * card.arithmetic == pytest.approx(functions * 501e6)
    twice = table_bound(card, replace(TABLES, runs=2_000_000))
    assert {name: 2 * seconds for name, seconds in bound.items()} == pytest.approx(twice)


def test_a_network_is_limited_by_arithmetic_on_the_chip_and_by_memory_beside_it():
    card = Card.of(H100)
    near, far = (network_bound(replace(card, near=size), NETWORKS, 10**9) for size in (233_472, 48_000))
    assert limit(near)[0] == "arithmetic" and limit(far)[0] == "memory"
    assert far["memory"] == far["stepwise"] == near["stepwise"]
    state = 3 * 8 * (4 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10)
    assert far["memory"] * card.bandwidth == pytest.approx(10**9 + 2 * state * 16_384 * 500)
    assert near["memory"] * card.bandwidth == pytest.approx(10**9)


def test_the_limit_leaves_the_comparison_out():
    assert limit({"memory": 1.0, "arithmetic": 2.0, "stepwise": 9.0}) == ("arithmetic", 2.0)


def test_both_workloads_train_on_any_device_and_say_what_they_wrote():
    assert tables(Case("A", "sgd", 5, 3), "cpu")() == 22 * 8 * 5 * 4
    assert networks(Case("B", "adam", 2, 2), "cpu")() > 2 * 3 * 40 * 8


def test_without_a_gpu_the_command_says_so_and_shows_that_it_is_ready(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "find_spec", lambda name: None)  # this process may hold Triton without its interpreter
    done = CliRunner().invoke(command.main, [])
    assert done.exit_code == 0 and "no GPU" in done.output and "nothing was timed" in done.output


@pytest.mark.parametrize(
    ("options", "match"), [(["--write"], "torch sees no GPU"), (["--write", "--only", "A"], "both workloads in full")]
)
def test_only_whole_measurements_are_kept(options, match, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(command.main, options)
    assert done.exit_code == 2 and match in done.output


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("case", [Case("A", "sgd", 10_000, 50), Case("B", "adam", 64, 20)], ids=lambda case: case.name)
def test_on_a_gpu_no_training_beats_the_limit(case):
    found = command.measure(case, Card.of(torch.cuda.get_device_properties(0)), 5)
    assert 0 < found["share"] < 1 and found["bytes"] > 0
