"""Threads: the number of them changes nothing but the time."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import xarray as xr

import lab
from lab import references
from lab.cores import Stopped
from lab.threads import one_thread, spread
from lab.training import chunks
from tests import worlds


@pytest.fixture
def two_threads():
    """Let torch use two threads inside the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_one_thread_is_for_the_block_only():
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_parts_are_computed_at_once_each_on_one_thread_and_come_back_in_order():
    """The first two parts wait for each other: one after the other they would never end."""
    together, threads = threading.Barrier(2, timeout=30), set()

    def work(part, check):
        check()
        threads.add(threading.get_ident())
        if part < 2:
            together.wait()
        return part, torch.get_num_threads()

    assert spread(work, range(7)) == [(part, 1) for part in range(7)]
    assert len(threads) == 2 and threading.get_ident() not in threads
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_one_part_and_one_thread_need_no_other_thread():
    here = threading.get_ident()
    assert spread(lambda part, check: threading.get_ident(), [0]) == [here]
    torch.set_num_threads(1)
    assert spread(lambda part, check: threading.get_ident(), [0, 1, 2]) == [here] * 3


@pytest.mark.usefixtures("two_threads")
def test_a_part_that_fails_stops_the_others():
    begun, given_up = threading.Event(), []

    def work(part, check):
        if part == 1:
            begun.wait(30)
            raise ArithmeticError("part 1")
        begun.set()
        try:
            for _ in range(10_000):
                check()
                time.sleep(0.001)
        except Stopped:
            given_up.append(part)
            raise

    with pytest.raises(ArithmeticError, match="part 1"):
        spread(work, range(10))
    assert given_up == [0] and torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_references_are_fitted_to_the_same_bits_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(references, "CHUNK", 2)
    world = worlds.problem(5)
    network = lab.MLP(worlds.PROMPTS, worlds.RESPONSES, 8, "tanh")
    several = references.reference_parameters(network, world)
    torch.set_num_threads(1)
    assert torch.equal(references.reference_parameters(network, world), several)


TRAININGS = {
    "margins": ("tabular", lab.DPO(worlds.draw(6).exp())),
    "states": ("tabular", lab.FlexDPO(0.1, 0.05)),
    "a loss without a closed form": ("mlp-relu", worlds.OBJECTIVES["dpo + sft"]),
    "a network": ("mlp-tanh", lab.DPO(worlds.draw(6).exp())),
    "scores": ("mlp-tanh", lab.BradleyTerry()),
    "rollouts": ("mlp-tanh", lab.PPO(0.1, samples=3)),
}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", TRAININGS)
def test_training_gives_the_same_bits_on_any_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 80)
    monkeypatch.setattr(chunks, "LANES", 10)
    policy, objective = TRAININGS[name]
    world = replace(worlds.problem(6), reward=worlds.draw(6, worlds.PROMPTS, worlds.RESPONSES))
    start = worlds.state(policy, world)
    used, told = set(), []

    def progress(done):
        used.add(threading.get_ident())
        told.append(done)

    def trained(threads):
        torch.set_num_threads(threads)
        given = dict(steps=60, start=start, batch=0, progress=progress)
        return lab.train(world, worlds.policy(policy, world), objective, lab.Adam(0.01), **given)

    several = trained(2)
    assert threading.get_ident() not in used and 0.8 < max(told) <= 1 and min(told) == 0
    used.clear()
    xr.testing.assert_identical(trained(1), several)
    assert used == {threading.get_ident()}


@pytest.mark.parametrize(
    ("runs", "size", "sizes"), [(103, 51, [34, 34, 35]), (51, 51, [51]), (52, 51, [26, 26]), (3, 1, [1] * 3)]
)
def test_chunks_are_few_and_nearly_equal_so_that_no_thread_waits_for_a_remainder(runs, size, sizes):
    cut = chunks.Job.chunks(SimpleNamespace(problem=SimpleNamespace(runs=runs)), size)
    assert [rows.stop - rows.start for rows in cut] == sizes
    assert [run for rows in cut for run in range(runs)[rows]] == list(range(runs))
