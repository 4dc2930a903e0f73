"""Steps as a GPU takes them: nothing in a step waits for the device, and captured blocks of steps are the steps.

There need be no GPU: a recorder of calls stands for CUDA graphs, and a device without numbers for one that is waited
for in vain (`tests/devices.py`). The tests that need one are in tests/test_training_gpu.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

import lab
from lab import optimizers
from lab.comparisons import Online, bradley_terry, population
from lab.estimators import PolicyGradient
from lab.estimators.policy_gradient import KL_TERMS
from lab.objectives import Objective, PairLogProbs
from lab.policies.passes import Passes
from lab.training import Stage, batches, chunks, graphs, margins, plan, rollouts
from lab.training import loop as looping
from lab.training import online as online_weights
from lab.training import tape as taping
from lab.training.graphs import Block
from lab.training.loop import Chunk
from lab.training.margins import MarginChunk, Named
from lab.training.rollouts import RolloutChunk
from lab.training.room import bytes_of_blocks, bytes_of_run
from lab.training.scores import ScoreChunk
from lab.training.tape import shapes
from tests import worlds
from tests.devices import Captures, Held, Recorder, Watched, WatchedUpdates, no_waiting, on_meta
from tests.test_objectives_catalogue import ORACLES
from tests.worlds import BETAS, OBJECTIVES, OTHERS, POLICIES, draw

EVERYTHING = lab.Record(keep=("gradients", "predictions", "parameters"))
RATES = torch.tensor([0.02, 0.1, 0.3], dtype=torch.float64)
OPTIMIZERS = {
    "sgd": lab.SGD(0.1),
    "sgd per run": lab.SGD(RATES),
    "momentum": lab.Momentum(RATES, torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)),
    "adam": lab.Adam(0.01, eps=1e-4),
    "adam per run": lab.Adam(RATES / 10, eps=1e-4),
    "adam of one eps a run": lab.Adam(0.02, eps=torch.tensor([1e-2, 1e-3, 1e-4], dtype=torch.float64)),
}
LOSSES = {
    **OBJECTIVES,
    **{name: objective for name, (objective, _) in ORACLES.items()},
    "alpha per run": lab.Divergence(lab.DPO(BETAS), "alpha", OTHERS),
    "one term": lab.OneTerm(lab.DPO(BETAS), "rejected"),
}
LOSSES = {name: loss for name, loss in LOSSES.items() if not isinstance(loss, lab.objectives.BradleyTerry)}


def world_of(objective: Objective, **more) -> lab.Problem:
    """A world; of equal weights where the objective asks for them."""
    pairs = worlds.preferences()
    if objective.couples_pairs:
        pairs = lab.Preferences(pairs.prompt, pairs.chosen, pairs.rejected)
    return replace(worlds.problem(pairs=pairs), **more)


def blank(world, machine, record, steps, loop="states", device="cpu") -> dict[str, Tensor]:
    """A tape to write."""
    sizes = shapes(world, machine, record, loop).items()
    rows, last = record.states(steps), loop == "margins"
    size = {name: (rows, *each, world.runs) if last else (rows, world.runs, *each) for name, each in sizes}
    return {name: torch.zeros(each, dtype=torch.float64, device=device) for name, each in size.items()}


def walk(policy, objective, optimizer, capture=None, *, steps=11, record=EVERYTHING, batch=0, then=(), world=None):
    """The tape of a chunk's training."""
    world = world or world_of(objective)
    start = worlds.state(policy, world)
    machine = worlds.policy(policy, world)
    tape = blank(world, machine, record, steps + sum(stage.steps for stage in then))
    chunk = Chunk(world, machine, objective, optimizer, start, tape, then, capture)
    with torch.inference_mode():
        reference, broken = chunk.train(steps, record, batch, None)
    return tape | {"reference": reference}, broken


def assert_same(found, expected) -> None:
    assert set(found[0]) == set(expected[0])
    for name, value in expected[0].items():
        torch.testing.assert_close(found[0][name], value, rtol=1e-12, atol=1e-12, equal_nan=True, msg=name)
    assert torch.equal(found[1], expected[1])


@pytest.fixture(autouse=True)
def short_and_by_torch(monkeypatch):
    """Blocks of a few steps, and networks that pass by torch, as on a GPU, where the processor would take NumPy."""
    monkeypatch.setattr(graphs, "LONGEST", 2)
    monkeypatch.setattr(Passes, "small", lambda shapes, terms: False)


# --- Replayed blocks are the steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "one_pass"),
    [*((name, False) for name in OPTIMIZERS), *((name, True) for name in OPTIMIZERS if "adam" in name)],
)
@pytest.mark.parametrize("policy", ["tabular", "loglinear", "mlp-tanh"])
def test_replayed_blocks_are_the_steps_one_by_one(policy, optimizer, one_pass, monkeypatch):
    """11 steps in blocks of 2: one block step by step, four replays, and the rest."""
    if one_pass:
        monkeypatch.setattr(optimizers, "FUSED", 0)
    captures = Captures()
    found = walk(policy, OBJECTIVES["sum per run"], OPTIMIZERS[optimizer], captures)
    assert (captures.captured, captures.replayed) == (1, 4)
    assert_same(found, walk(policy, OBJECTIVES["sum per run"], OPTIMIZERS[optimizer]))


@pytest.mark.parametrize("objective", LOSSES)
def test_replayed_blocks_are_the_steps_for_every_objective(objective):
    captures, record = Captures(), lab.Record()
    found = walk("mlp-tanh", LOSSES[objective], OPTIMIZERS["adam"], captures, record=record)
    assert captures.replayed == 4
    assert_same(found, walk("mlp-tanh", LOSSES[objective], OPTIMIZERS["adam"], record=record))


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 9, 100])
@pytest.mark.parametrize("policy", ["tabular", "mlp-relu"])
def test_replayed_blocks_record_the_same_rows_at_every_stride(policy, every, monkeypatch):
    monkeypatch.setattr(graphs, "LONGEST", 4)
    record, captures = replace(EVERYTHING, every=every), Captures()
    found = walk(policy, OBJECTIVES["dpo + sft"], OPTIMIZERS["adam"], captures, steps=37, record=record)
    assert captures.replayed > 0
    assert_same(found, walk(policy, OBJECTIVES["dpo + sft"], OPTIMIZERS["adam"], steps=37, record=record))


@pytest.mark.parametrize("policy", ["tabular", "mlp-tanh"])
def test_replayed_blocks_go_on_through_stages(policy):
    """Stages that begin off the stride, with the memory of the one before, anew, and with other references."""
    then = (
        Stage(lab.IPO(OTHERS), OPTIMIZERS["adam per run"], 30, reference="stage"),
        Stage(OBJECTIVES["flex per run"], OPTIMIZERS["adam"], 19),
        Stage(lab.DPO(0.4), OPTIMIZERS["momentum"], 21, reference="start"),
    )
    for every in (1, 3):
        options = {"steps": 22, "then": then, "record": replace(EVERYTHING, every=every)}
        captures = Captures()
        found = walk(policy, OBJECTIVES["dpo + sft"], OPTIMIZERS["adam"], captures, **options)
        assert captures.captured == 4 and captures.replayed > 20
        assert_same(found, walk(policy, OBJECTIVES["dpo + sft"], OPTIMIZERS["adam"], **options))


def test_replayed_blocks_are_the_steps_of_runs_with_weights_and_lengths_of_their_own():
    weights = torch.rand(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
    pairs = worlds.preferences()
    world = replace(
        worlds.problem(),
        preferences=lab.Preferences(pairs.prompt, pairs.chosen, pairs.rejected, weights),
        lengths=torch.arange(18).view(3, 6) % 4 + 1,
    )
    for objective in (lab.KTO(BETAS), lab.SimPO(2.0), lab.WPO(lab.DPO(BETAS))):
        found = walk("mlp-tanh", objective, OPTIMIZERS["adam"], Captures(), world=world)
        assert_same(found, walk("mlp-tanh", objective, OPTIMIZERS["adam"], world=world))


def test_a_run_that_breaks_in_a_block_is_found_where_it_breaks():
    """Its row is the same whether anybody looked on the way."""
    far, captures = lab.SGD(torch.tensor([0.1, 1e308, 0.1], dtype=torch.float64)), Captures()
    for every in (1, 2):
        record = lab.Record(every, ())
        found = walk("mlp-relu", lab.IPO(0.1), far, captures, record=record, steps=40)
        expected = walk("mlp-relu", lab.IPO(0.1), far, record=record, steps=40)
        assert torch.equal(found[1], expected[1]) and int(found[1][1]) < 21
        assert int(found[1][0]) == int(found[1][2]) == len(record.steps(40))
        assert captures.replayed > 0


def test_short_stages_and_steps_that_differ_are_taken_one_by_one():
    captures = Captures()
    walk("mlp-relu", lab.DPO(0.1), OPTIMIZERS["adam"], captures, steps=7)
    walk("mlp-relu", lab.DPO(0.1), OPTIMIZERS["adam"], captures, batch=2)
    walk("mlp-relu", lab.DPO(0.1), OPTIMIZERS["adam"], captures, world=online(0))
    assert captures.captured == 0


@dataclass(frozen=True)
class Cosh(Objective):
    """log cosh(u - v) without a closed form of its weights."""

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return log cosh(u - v)."""
        return pairs.log_ratio_margin.cosh().log()


class Own(lab.DPO):
    """An objective that is not the lab's, with a closed form."""


class OwnPolicy(lab.MLP):
    """A policy that is not the lab's."""


class OwnOptimizer(lab.SGD):
    """An optimiser that is not the lab's."""


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"then": (Stage(lab.WPO(lab.OneTerm(lab.IPO(0.1), "chosen")), lab.Adam(0.1), 5),)}, ""),
        ({"batch": 5}, ""),
        ({"batch": 2}, "mini-batches differ from step to step"),
        ({"problem": "online"}, "what is drawn differs from step to step"),
        ({"objective": Cosh()}, "Cosh has no closed form, and automatic differentiation is not captured"),
        ({"objective": lab.WeightedSum((lab.DPO(0.1), Cosh()), (1.0, 1.0))}, "Cosh has no closed form"),
        ({"then": (Stage(lab.WPO(Cosh()), lab.Adam(0.1), 5),)}, "Cosh has no closed form"),
        ({"objective": Own(0.1)}, "Own is not the lab's own, and may wait for the device"),
        ({"policy": OwnPolicy(3, 6, 4)}, "OwnPolicy is not the lab's own"),
        ({"optimizer": OwnOptimizer(0.1)}, "OwnOptimizer is not the lab's own"),
        ({"then": (Stage(lab.DPO(0.1), OwnOptimizer(0.1), 5),)}, "OwnOptimizer is not the lab's own"),
    ],
)
def test_the_plan_says_why_steps_are_not_captured(changed, why):
    given = {"problem": worlds.problem(), "policy": lab.MLP(3, 6, 4), "objective": lab.DPO(0.1)} | changed
    given |= {"problem": online(0)} if "problem" in changed else {}
    found = plan(**({"optimizer": lab.SGD(0.1), "record": lab.Record()} | given))
    assert found.loop == "states" and found.one_by_one.startswith(why) and bool(found.one_by_one) == bool(why)


def test_progress_is_told_by_blocks():
    world, seen = worlds.problem(), []
    machine, start = worlds.policy("mlp-relu", world), worlds.state("mlp-relu", world)
    tape = blank(world, machine, lab.Record(), 50)
    chunk = Chunk(world, machine, lab.DPO(0.1), lab.SGD(0.1), start, tape, capture=Captures())
    with torch.inference_mode():
        chunk.train(50, lab.Record(), 0, seen.append)
    assert seen == sorted(seen) and len(seen) >= 25 and seen[-1] == 1


@pytest.mark.parametrize("every", range(1, 13))
@pytest.mark.parametrize("longest", [1, 3, 4, 8])
def test_a_block_holds_the_recorded_steps_that_it_says(every, longest, monkeypatch):
    monkeypatch.setattr(graphs, "LONGEST", longest)
    block = Block.of(every)
    recorded = set(range(0, 100, every))
    fitting = [step for step in range(60) if block.fits(step, 60)]
    assert 1 <= block.steps <= longest and fitting
    for step in fitting:
        inside = sorted(recorded & set(range(step, step + block.steps)))
        assert inside == ([step + row * every for row in range(block.rows)] if block.rows else [])
    for step in set(range(60)) - set(fitting):
        inside = [at - step for at in sorted(recorded & set(range(step, step + block.steps)))]
        assert step + block.steps > 60 or inside != [row * every for row in range(block.rows)]


def test_a_trial_finds_a_graph_that_does_nothing(monkeypatch):
    for capture, right in ((lambda work, device: Captures()(work), True), (lambda work, device: lambda: None, False)):
        monkeypatch.setattr(graphs, "capture", capture)
        assert graphs.replays(torch.device("cpu")) is right


# --- The recorder that stands for a graph would find what a graph freezes --------------------------------------------


def test_a_number_that_changes_outside_a_capture_is_found():
    """An optimiser that counted its own steps, or was told of them by numbers, would be frozen by a graph."""

    @dataclass(frozen=True)
    class Counting(lab.SGD):
        def advance(self, parameters, gradient, memory, step):
            counted[0] += 1
            parameters.sub_(gradient, alpha=self.lr / counted[0])

    counted = [0]
    expected = walk("mlp-relu", lab.DPO(0.1), Counting(0.1))
    counted = [0]
    found = walk("mlp-relu", lab.DPO(0.1), Counting(0.1), Captures())
    with pytest.raises(AssertionError):
        assert_same(found, expected)


def test_a_tensor_that_is_looked_at_is_found():
    state = torch.ones(3)
    for look in (lambda: bool(state.sum() > 0), lambda: state[state > 0], lambda: float(state[0]), state.unique):
        for watching, said in ((Recorder(), "cannot be captured"), (no_waiting(), "waits for the device")):
            with pytest.raises(AssertionError, match=said), watching:
                look()


def test_numbers_that_are_sent_to_a_device_are_found():
    for send in (torch.tensor, torch.as_tensor):
        with pytest.raises(AssertionError, match="makes numbers on the processor and sends them"), no_waiting():
            send(1.0, device="meta")
    with pytest.raises(AssertionError, match="takes numbers from"), no_waiting():
        torch.ones(3).to("meta")
    with no_waiting():  # a number goes along with the call
        torch.ones(3, device="meta") * torch.tensor(2.0)


# --- Nothing waits for the device ------------------------------------------------------------------------------------


@cache
def online(comparisons: int) -> lab.Problem:
    """A world whose pairs are drawn from the policy."""
    wins = bradley_terry(draw(3, 3, 6, seed=4))
    start = worlds.problem().target_log_prob
    law = Online(wins, comparisons=comparisons, prompt_weight=torch.tensor([1.0, 0.0, 2.0]))
    return lab.Problem(population(start, wins), start, (5, 6, 7), online=law)


LOOPS = {Chunk: "states", RolloutChunk: "rollouts", ScoreChunk: "scores"}


def seen(optimizer: str) -> Watched:
    """That optimiser, watched, on the device without numbers."""
    return Watched(on_meta(OPTIMIZERS[optimizer]))


def watch(loop, *parts, batch=0, record=EVERYTHING):
    """Take six steps on the device without numbers, where none can be waited for."""
    if loop in LOOPS:
        parts = (*parts, blank(*parts[:2], record, 6, LOOPS[loop], "meta"))
    parts = [part if isinstance(part, lab.Problem | Watched) else on_meta(part) for part in parts]
    optimizer = next(part for part in parts if isinstance(part, Watched))
    with optimizer.watching, torch.inference_mode():
        loop(*parts).train(6, record, batch, None)
    assert len(optimizer.moved) == 6


@pytest.fixture
def like_a_gpu(monkeypatch):
    """Let what is drawn on the processor come to the device, as it does there without waiting."""

    def arrived(drawn: Tensor, device: torch.device) -> Tensor:
        return torch.empty(drawn.shape, dtype=drawn.dtype, device=device)

    for module in (batches, online_weights, rollouts):
        monkeypatch.setattr(module, "sent", arrived)
    for module, often in ((looping, 1), (rollouts, 1), (margins, 2)):
        monkeypatch.setattr(module, "CHECK_EVERY", often)  # rows between two looks for broken runs on the processor
    monkeypatch.setattr(Online, "on", lambda law, device: on_meta(law))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", ["tabular", "loglinear", "mlp-tanh"])
def test_no_step_of_whole_parameters_waits(policy, optimizer, like_a_gpu):
    for objective, batch, world in (
        (lab.KTO(BETAS), 2, worlds.problem()),
        (lab.DPO(BETAS), 0, online(0)),
        (OBJECTIVES["sum per run"], 0, online(7)),
    ):
        machine, start = worlds.policy(policy, world), worlds.state(policy, world)
        watch(Chunk, world, machine, objective, seen(optimizer), start, batch=batch)


@pytest.mark.parametrize("objective", LOSSES)
def test_no_step_of_any_objective_waits(objective, like_a_gpu):
    world = world_of(LOSSES[objective], lengths=torch.arange(18).view(3, 6) % 4 + 1)
    machine, start = worlds.policy("mlp-tanh", world), worlds.state("mlp-tanh", world)
    watch(Chunk, world, machine, LOSSES[objective], seen("adam"), start, record=lab.Record())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("pairs", [worlds.preferences(), lab.Preferences.grid(3, 6, 2)], ids=["shared", "apart"])
@pytest.mark.parametrize("batch", [0, 2])
def test_no_step_of_margins_waits(batch, pairs, optimizer, like_a_gpu):
    world = worlds.problem(pairs=pairs)
    named, start = Named.of(world, world.target_log_prob), worlds.state("tabular", world)
    tape = blank(world, lab.Tabular(3, 6), lab.Record(), 6, "margins", "meta")

    def loop(*parts):
        return MarginChunk(*parts, tape)

    watched = WatchedUpdates(on_meta(OPTIMIZERS[optimizer]))
    watch(loop, world, named, OBJECTIVES["dpo per run"], watched, start, batch=batch)


@pytest.mark.parametrize("samples", [0, 5])
@pytest.mark.parametrize("policy", ["tabular", "mlp-tanh"])
def test_no_step_of_rollouts_waits(policy, samples, like_a_gpu):
    world = replace(worlds.problem(), reward=draw(3, 3, 6, seed=4))
    machine, start = worlds.policy(policy, world), worlds.state(policy, world)
    for kl in KL_TERMS:
        for asked in ("all", "data"):
            clip = OTHERS if asked == "all" else 0.2
            method = PolicyGradient(BETAS, samples, 1, clip, "leave_one_out", True, kl, draw(3, 3, 6, seed=5), asked)
            watch(RolloutChunk, world, machine, method, seen("adam per run"), start)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_no_step_of_reward_models_waits(policy, optimizer, like_a_gpu):
    world = worlds.problem()
    machine, start = worlds.policy(policy, world).scorer(world)
    for batch in (0, 2):
        watch(ScoreChunk, world, machine, lab.BradleyTerry(OTHERS, 0.1), seen(optimizer), start, batch=batch)


# --- As many runs at once as memory holds ----------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [(), ("gradients", "predictions", "parameters")], ids=["little", "everything"])
@pytest.mark.parametrize("policy", ["tabular", "mlp-tanh"])
def test_runs_take_no_more_memory_than_is_counted_on(policy, keep, monkeypatch):
    """And not so much less that a GPU would be left empty."""
    for name in ("BLOCK", "BLOCK_OF_A_GPU"):
        monkeypatch.setattr(taping, name, 5 * 40 * 18)  # five rows at once
    reward, law = draw(40, 3, 6, seed=4), PolicyGradient(0.1, 5, 2, 0.2, "group", True, "k3", rollouts="data")
    world = replace(worlds.problem(40), reward=reward)
    machine, record = worlds.policy(policy, world), lab.Record(keep=keep)
    for loop, objective in (
        *((Chunk, objective) for objective in (lab.DPO(0.1), lab.KTO(0.1), lab.WPO(lab.DPO(0.1)))),
        (ScoreChunk, lab.BradleyTerry()),
        (RolloutChunk, law),
    ):
        counted = 40 * bytes_of_run(world, machine, record, 60, loop=LOOPS[loop], size=8) + bytes_of_blocks(8)
        with torch.inference_mode(), Held() as held:
            tape, start = blank(world, machine, record, 60, LOOPS[loop]), worlds.state(policy, world)
            loop(world, machine, objective, lab.Adam(0.01), start, tape).train(60, record, 0, None)
        assert 1.1 * held.most < counted < 8 * held.most, type(objective).__name__


def test_runs_on_a_gpu_are_cut_by_its_memory_and_not_by_the_cache(monkeypatch):
    world, cut = worlds.problem(6), []
    needed = bytes_of_run(world, worlds.policy("mlp-relu", world), lab.Record(), 5, loop="states", size=8)
    job = chunks.Job(
        world, worlds.policy("mlp-relu", world), lab.DPO(0.1), lab.SGD(0.1), (), worlds.state("mlp-relu", world), 5,
        lab.Record(), 0, torch.float64, torch.device("cuda"), None,
    )  # fmt: skip
    for free in (1e12, (4 * needed + bytes_of_blocks(8)) / 0.8 + 1, 1.0):
        monkeypatch.setattr(chunks, "free_bytes", lambda device, free=free: free)
        cut.append([rows.stop - rows.start for rows in job.chunks(job.together("states"))])
    assert cut == [[6], [3, 3], [1] * 6]
