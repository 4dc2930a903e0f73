"""Tables under losses of the margin alone: advancing only what moves gives what advancing everything gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

import lab
from lab.objectives import Objective, PairLogProbs
from lab.objectives.base import Margins
from lab.training import Stage, chunks, margins, trainer
from lab.training.margins import Named
from lab.training.planning import Plan, plan
from tests import worlds
from tests.test_objectives_catalogue import ORACLES
from tests.worlds import BETAS, OBJECTIVES, OTHERS

RATES = torch.tensor([0.02, 0.1, 0.3], dtype=torch.float64)
OPTIMIZERS = {
    "sgd": lab.SGD(RATES),
    "momentum": lab.Momentum(RATES, torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)),
    "adam": lab.Adam(RATES / 10, eps=1e-4),
    "adam with one eps a run": lab.Adam(RATES / 10, eps=torch.tensor([1e-2, 1e-3, 1e-4], dtype=torch.float64)),
}
PAIRS = {
    "shared responses and roles": worlds.preferences(),
    "apart, several a prompt": lab.Preferences([0, 0, 2, 2], [1, 3, 5, 0], [2, 5, 1, 4], [1.0, 0.2, 2.0, 0.7]),
    "kept roles": lab.Preferences.grid(3, 6, 2, roles="kept"),
    "mixed roles": lab.Preferences.grid(3, 6, 3, roles="mixed"),
    "the same pair twice": lab.Preferences([1, 1], [0, 0], [3, 3], [0.3, 0.7]),
    "a hub": lab.Preferences([0] * 5 + [1], [2] * 5 + [0], [0, 1, 3, 4, 5, 1]),
    "weights of runs": lab.Preferences(
        [0, 2, 2], [1, 0, 3], [2, 4, 1], [[1.0, 2.0, 0.5], [0.0, 1.0, 1.0], [3.0, 0.1, 1.0]]
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cosh(Objective):
    """log cosh(u - v - 1) without a closed form of its weights."""

    @property
    def only_margin(self) -> bool:
        return True

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return log cosh(u - v - 1)."""
        return (pairs.log_ratio_margin - 1).cosh().log()


MARGIN_LOSSES = {
    **{name: objective for name, objective in OBJECTIVES.items() if objective.only_margin},
    **{name: objective for name, (objective, _) in ORACLES.items() if objective.only_margin},
    "cdpo per run": lab.CDPO(BETAS, OTHERS / 2.1),
    "sum per run": lab.WeightedSum((lab.IPO(BETAS), lab.DPO(0.3), lab.SLiC(OTHERS)), (OTHERS, 0.5, 2.0)),
    "by autograd": Cosh(),
}


def train(objective, optimizer, *, pairs="shared responses and roles", runs=3, **options):
    world = worlds.problem(runs, pairs if isinstance(pairs, lab.Preferences) else PAIRS[pairs])
    options = {"steps": 15, "start": worlds.state("tabular", world), **options}
    return lab.train(world, worlds.policy("tabular", world), objective, optimizer, **options)


def both_ways(monkeypatch, *arguments, **options):
    """The record of what moves alone, and that of the whole state."""
    reduced = train(*arguments, **options)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "plan", lambda *_, **__: Plan("states", "to compare"))
        return reduced, train(*arguments, **options)


def assert_equal(one, other, tolerance: float = 1e-12) -> None:
    assert set(one.variables) == set(other.variables)
    for name in one.data_vars:
        assert one[name].dims == other[name].dims and one[name].dtype == other[name].dtype
        np.testing.assert_allclose(one[name], other[name], rtol=tolerance, atol=tolerance, err_msg=str(name))


# --- What moves alone is the whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_the_reduced_record_is_the_full_one_for_any_pairs(pairs, optimizer, monkeypatch):
    for objective in (OBJECTIVES["dpo per run"], OBJECTIVES["slic per run"]):
        assert_equal(*both_ways(monkeypatch, objective, OPTIMIZERS[optimizer], pairs=pairs))


@pytest.mark.parametrize("objective", MARGIN_LOSSES)
def test_the_reduced_record_is_the_full_one_for_every_loss_of_the_margin(objective, monkeypatch):
    for pairs in ("shared responses and roles", "apart, several a prompt"):
        for name in ("momentum", "adam"):
            assert_equal(*both_ways(monkeypatch, MARGIN_LOSSES[objective], OPTIMIZERS[name], pairs=pairs))


@pytest.mark.parametrize("pairs", ["shared responses and roles", "apart, several a prompt"])
@pytest.mark.parametrize("every", [1, 4, 100])
@pytest.mark.parametrize("batch", [0, 2])
def test_batches_strides_and_stages_are_those_of_the_full_way(pairs, every, batch, monkeypatch):
    stages = (
        Stage(lab.IPO(OTHERS), lab.Adam(0.05, eps=1e-4), 7, reference="stage"),
        Stage(OBJECTIVES["slic"], lab.Adam(RATES, eps=1e-4), 6),
        Stage(lab.DPO(0.4), lab.Momentum(RATES), 9, reference="start"),
        Stage(lab.DPO(0.4), lab.Momentum(0.1, 0.2), 5, reference="stage"),
    )
    options = {"then": stages, "batch": batch, "record": lab.Record(every=every), "pairs": pairs}
    assert_equal(*both_ways(monkeypatch, OBJECTIVES["dpo per run"], lab.SGD(RATES), **options))


def test_a_long_training_into_the_tails_stays_that_of_the_full_way(monkeypatch):
    """Log-probabilities down to -300 and below: relative to what they are."""
    for optimizer in (lab.SGD(5e3), lab.Adam(1.0, eps=1e-4)):
        reduced, full = both_ways(monkeypatch, lab.SLiC(1e-3), optimizer, steps=400, runs=2)
        assert float(full.log_prob.min()) < -300
        np.testing.assert_allclose(reduced.log_prob, full.log_prob, rtol=1e-12, atol=1e-12)


def test_float32_is_close_to_the_full_way_and_stays_float32(monkeypatch):
    reduced, full = both_ways(monkeypatch, lab.DPO(BETAS), lab.Momentum(RATES), dtype=torch.float32)
    assert reduced.log_prob.dtype == np.float32
    assert_equal(reduced, full, 2e-4)


@pytest.mark.parametrize("pairs", ["shared responses and roles", "kept roles"])
def test_logits_that_no_pair_names_keep_their_distances_to_the_bit(pairs):
    record = train(lab.DPO(0.3), lab.Adam(0.1), pairs=pairs, steps=50)
    table = trainer_start(record)
    unseen = lab.metrics.unseen_mask(record).values
    for prompt in range(worlds.PROMPTS):
        moved = record.log_prob.values[:, :, prompt, unseen[prompt]] - table[:, None, prompt, unseen[prompt]]
        if moved.shape[-1]:
            np.testing.assert_allclose(moved - moved[..., :1], 0, atol=1e-14)


def trainer_start(record) -> np.ndarray:
    world = worlds.problem(record.sizes["seed"])
    return worlds.state("tabular", world).unflatten(-1, (worlds.PROMPTS, worlds.RESPONSES)).numpy()


# --- Runs do not know of each other ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", ["shared responses and roles", "apart, several a prompt", "a hub"])
@pytest.mark.parametrize("lanes", [1, 20, 10**6])
def test_chunks_change_nothing(pairs, lanes, monkeypatch):
    """To 1e-13: torch takes the last few numbers of an operation one by one, whose exponential rounds otherwise."""
    objective, optimizer = lab.DPO(torch.linspace(0.05, 2, 11).double()), lab.Adam(0.05, eps=1e-4)
    whole = train(objective, optimizer, pairs=pairs, runs=11, batch=2)
    monkeypatch.setattr(chunks, "LANES", lanes)
    monkeypatch.setattr(margins, "BLOCK", 7 * lanes)
    apart = train(objective, optimizer, pairs=pairs, runs=11, batch=2)
    for name in whole.data_vars:
        np.testing.assert_allclose(apart[name], whole[name], rtol=1e-13, atol=1e-13, err_msg=str(name))


# --- The plan --------------------------------------------------------------------------------------------------------


class Decayed(lab.SGD):
    """Moves logits without a gradient."""


@pytest.mark.parametrize(
    ("changes", "loop", "why"),
    [
        ({}, "margins", "moves no logit of a table but those that pairs name"),
        ({"objective": lab.FlexDPO(0.1, 0.2)}, "states", "more than the margin"),
        ({"objective": lab.SFT()}, "states", "more than the margin"),
        ({"then": (Stage(lab.SFT(), lab.SGD(1.0), 3),)}, "states", "more than the margin"),
        ({"optimizer": Decayed(1.0)}, "states", "without a gradient"),
        ({"then": (Stage(lab.DPO(0.1), Decayed(1.0), 3),)}, "states", "without a gradient"),
        ({"record": lab.Record(keep=("parameters",))}, "states", "are kept"),
        ({"record": lab.Record(keep=("predictions",))}, "states", "are kept"),
        ({"objective": lab.BradleyTerry()}, "scores", "no softmax"),
    ],
)
def test_the_plan_says_which_loop_and_why(changes, loop, why):
    world = worlds.problem()
    parts = {"objective": lab.DPO(0.1), "optimizer": lab.SGD(1.0), "then": (), "record": lab.Record(), **changes}
    found = plan(world, worlds.policy("tabular", world), **parts)
    assert found.loop == loop and why in found.why
    machine = plan(world, worlds.policy("mlp-tanh", world), **parts)
    assert machine.loop == (loop if loop == "scores" else "states")


def test_what_moves_is_one_number_a_pair_where_no_response_is_in_two():
    like = torch.empty(0, dtype=torch.float64)
    found = {name: Named.of(worlds.problem(pairs=pairs), like) for name, pairs in PAIRS.items()}
    assert {name for name, named in found.items() if named.apart} == {
        "apart, several a prompt", "kept roles", "mixed roles", "weights of runs"
    }  # fmt: skip
    for name, named in found.items():
        assert named.entries == (len(PAIRS[name]) if named.apart else len(named.cells))
        moves = worlds.draw(named.entries, 4)
        logits = torch.zeros(worlds.PROMPTS * worlds.RESPONSES, 4, dtype=torch.float64)
        logits[named.cells] = named.factor[:, None] * moves[named.entry]
        chosen, rejected = logits[PAIRS[name].flat(worlds.RESPONSES)].chunk(2)
        torch.testing.assert_close(named.margins(moves), chosen - rejected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("objective", MARGIN_LOSSES)
def test_a_margin_stands_for_its_pair(objective):
    """Losses and pushes of what `Margins` shows are those of four log-probabilities with that margin."""
    pairs = PairLogProbs(*(worlds.draw(3, 4, 5, seed=seed) for seed in range(4)))
    margin = Margins.of(pairs.log_ratio_margin)
    for found, expected in (
        (MARGIN_LOSSES[objective].loss(margin), MARGIN_LOSSES[objective].loss(pairs)),
        (MARGIN_LOSSES[objective].response_weights(margin)[0], MARGIN_LOSSES[objective].response_weights(pairs)[0]),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
