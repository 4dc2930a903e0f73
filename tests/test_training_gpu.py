"""On a GPU: the processor's numbers to 1e-9, steps that wait for nothing, and graphs that are the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from lab.estimators import PolicyGradient
from lab.training import graphs, loop
from lab.training.graphs import capture
from lab.training.loop import Chunk
from lab.training.margins import MarginChunk, Named
from lab.training.rollouts import RolloutChunk
from lab.training.scores import ScoreChunk
from lab.training.update import Update
from tests import worlds
from tests.devices import Watched, WatchedUpdates
from tests.test_training_graphs import EVERYTHING, LOOPS, LOSSES, OPTIMIZERS, blank, online, world_of
from tests.worlds import BETAS, OBJECTIVES, OTHERS, POLICIES, draw

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]
GPU = torch.device("cuda", 0)
LINES = (
    "tabular s1 dpo beta=0.05,0.1 adam lr=0.05 steps=150 seeds=3",
    "tabular s2 dpo sft_weight=0.3 sgd lr=0.5 steps=150 seeds=3 keep=gradients+predictions+parameters",
    "tabular s4 kto momentum lr=0.3 steps=150 seeds=3 every=7",
    "loglinear s3 ipo,simpo adam lr=0.01 steps=150 seeds=3 keep=gradients+predictions+parameters",
    "mlp s1 dpo adam lr=1e-3,3e-3 steps=150 seeds=3 keep=gradients+predictions+parameters",
    "mlp s1 dpo adam lr=1e-3 steps=150 seeds=3 every=100",
    "mlp s2 slic sgd lr=0.05 steps=60 seeds=3 batch=2",
    "mlp s1 sft adam lr=1e-3 steps=140 seeds=2 then dpo beta=0.1 steps=141 reference=stage",
    "loglinear open dpo adam lr=0.03 steps=40 seeds=3 truth=linear sampler=policy refresh=2 data=sampled comparisons=8",
    "loglinear open rm adam lr=0.03 steps=40 seeds=3 truth=linear data=sampled comparisons=16",
    "loglinear open ppo reward_from=model adam lr=0.03 steps=40 seeds=3 keep=none truth=linear data=sampled",
    "mlp open grpo adam lr=1e-3 steps=40 seeds=2 keep=none truth=linear",
)


def assert_same(there, here) -> None:
    assert set(there.variables) == set(here.variables)
    for name in here.data_vars:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-9, atol=1e-9, equal_nan=True, err_msg=str(name))


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Have torch refuse what waits for the device."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# --- The processor's numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", LINES)
def test_an_experiment_has_the_processors_numbers(line):
    there = lab.run(line, device="cuda")
    assert there.attrs["device"] == "cuda"
    assert_same(there, lab.run(line))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_policies_and_optimisers_have_the_processors_numbers(policy, optimizer):
    world = worlds.problem()
    for batch in (0, 2):
        there, here = (
            lab.train(
                world, worlds.policy(policy, world), OBJECTIVES["sum per run"], OPTIMIZERS[optimizer], steps=150,
                start=worlds.state(policy, world), record=replace(EVERYTHING, every=5), batch=batch, device=device,
            )
            for device in ("cuda", "cpu")
        )  # fmt: skip
        assert_same(there, here)


@pytest.mark.parametrize("objective", LOSSES)
def test_objectives_have_the_processors_numbers(objective):
    world = world_of(LOSSES[objective], lengths=torch.arange(18).view(3, 6) % 4 + 1)
    for policy in ("tabular", "mlp-tanh"):
        there, here = (
            lab.train(
                world, worlds.policy(policy, world), LOSSES[objective], OPTIMIZERS["adam"], steps=140,
                start=worlds.state(policy, world), device=device,
            )
            for device in ("cuda", "cpu")
        )  # fmt: skip
        assert_same(there, here)


def test_a_run_that_breaks_is_found_where_the_processor_finds_it():
    world, rates = worlds.problem(), torch.tensor([0.1, 1e308, 0.1], dtype=torch.float64)
    errors = []
    for device in ("cuda", "cpu"):
        with pytest.raises(lab.NonFiniteError) as error:
            lab.train(
                world, worlds.policy("mlp-relu", world), lab.IPO(0.1), lab.SGD(rates), steps=200, device=device,
                start=worlds.state("mlp-relu", world),
            )  # fmt: skip
        errors.append(error.value)
    assert str(errors[0]) == str(errors[1])
    assert_same(errors[0].trajectory, errors[1].trajectory)


# --- No step waits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_no_step_waits_for_the_device(policy, optimizer):
    method = PolicyGradient(BETAS, 5, 1, OTHERS, "group", True, "k3", draw(3, 3, 6, seed=5), "data")
    for kind, objective, world, batch in (
        (Chunk, LOSSES["kto"], worlds.problem(), 0),
        (Chunk, OBJECTIVES["sum per run"], worlds.problem(), 2),
        (Chunk, lab.DPO(BETAS), online(7), 0),
        (ScoreChunk, lab.BradleyTerry(), worlds.problem(), 2),
        (RolloutChunk, method, replace(worlds.problem(), reward=draw(3, 3, 6, seed=4)), 0),
    ):
        machine, start = worlds.policy(policy, world), worlds.state(policy, world)
        watch(kind, world, machine, objective, optimizer, start, batch)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("pairs", [worlds.preferences(), lab.Preferences.grid(3, 6, 2)], ids=["shared", "apart"])
def test_no_step_of_margins_waits_for_the_device(pairs, optimizer):
    world = worlds.problem(pairs=pairs)
    named = Named.of(world, world.target_log_prob.to(GPU))
    tape = blank(world, lab.Tabular(3, 6), lab.Record(), 6, "margins", GPU)

    def kind(problem, _, objective, optimizer, start):
        return MarginChunk(problem, named, objective, optimizer, start, tape)

    for batch in (0, 2):
        start = worlds.state("tabular", world)
        watch(kind, world, None, lab.DPO(BETAS), optimizer, start, batch, kept=WatchedUpdates)


def watch(kind, world, machine, objective, optimizer, start, batch, kept=Watched) -> None:
    """Take six steps, two of which torch watches."""
    job = lab.training.chunks.Job(
        world, machine, objective, OPTIMIZERS[optimizer], (), start, 6, EVERYTHING, batch, torch.float64, GPU, None
    ).of_runs(slice(0, 3))
    watched = kept(job.optimizer, refused)
    with watched.watching, torch.inference_mode():
        tape = [blank(world, machine, EVERYTHING, 6, LOOPS[kind], GPU)] if kind in LOOPS else []
        kind(job.problem, job.policy, job.objective, watched, job.start, *tape).train(6, EVERYTHING, batch, None)
    assert len(watched.moved) == 6


# --- Graphs ----------------------------------------------------------------------------------------------------------


def test_a_capture_computes_nothing_and_its_replays_do():
    state, count = torch.zeros(3, dtype=torch.float64, device=GPU), torch.zeros((), dtype=torch.float64, device=GPU)

    def work() -> None:
        count.add_(1)
        state.add_(count)

    work()
    replay = capture(work, GPU)
    assert state.tolist() == [1] * 3 and float(count) == 1
    with refused():
        replay()
        replay()
    assert state.tolist() == [6] * 3 and float(count) == 3


@pytest.mark.parametrize("every", [1, 5, 40])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_captured_blocks_are_the_steps_one_by_one(policy, optimizer, every, monkeypatch):
    """And neither they nor the steps around them wait."""
    step, taken = Update.__call__, []

    def watched_step(*arguments, **keywords):
        with contextlib.nullcontext() if torch.cuda.is_current_stream_capturing() else refused():
            taken.append(torch.cuda.is_current_stream_capturing())
            step(*arguments, **keywords)

    def watched_capture(work: Callable[[], None]) -> Callable[[], None]:
        replay = capture(work, GPU)

        def watched_replay() -> None:
            with refused():
                replay()

        return watched_replay

    monkeypatch.setattr(Update, "__call__", watched_step)
    world = worlds.problem()
    job = lab.training.chunks.Job(
        world, worlds.policy(policy, world), OBJECTIVES["sum per run"], OPTIMIZERS[optimizer], (),
        worlds.state(policy, world), 300, EVERYTHING, 0, torch.float64, GPU, None,
    ).of_runs(slice(0, 3))  # fmt: skip
    record, tapes = replace(EVERYTHING, every=every), []
    for way in (watched_capture, None):
        tapes.append(blank(world, job.policy, record, 300, device=GPU))
        chunk = Chunk(job.problem, job.policy, job.objective, job.optimizer, job.start, tapes[-1], capture=way)
        with torch.inference_mode():
            chunk.train(300, record, 0, None)
        assert sum(taken) == graphs.Block.of(every).steps  # captured once
    for name, value in tapes[1].items():
        torch.testing.assert_close(tapes[0][name], value, rtol=1e-11, atol=1e-11, equal_nan=True, msg=name)


def test_networks_are_trained_in_captured_blocks(monkeypatch):
    """By `lab.run`, and mini-batches are not."""
    captured = []
    monkeypatch.setattr(
        lab.training.chunks, "capture", lambda work, device: captured.append(device) or capture(work, device)
    )
    lab.run("mlp s1 dpo adam lr=1e-3 steps=200 seeds=2", device="cuda")
    assert len(captured) == 1
    lab.run("mlp s1 dpo adam lr=1e-3 steps=200 seeds=2 batch=2", device="cuda")
    assert len(captured) == 1 and loop.PAYS * graphs.LONGEST <= 200
