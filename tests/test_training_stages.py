"""Stages of a training: each goes on from the last one's state, memory and draws, and says its own losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lab
from lab.gradients import decompose
from lab.training import Stage, chunks
from tests import plain, worlds
from tests.worlds import BETAS, OBJECTIVES, OTHERS, POLICIES

EVERYTHING = lab.Record(keep=("gradients", "predictions", "parameters"))
RATES = torch.tensor([0.02, 0.1, 0.3], dtype=torch.float64)
OPTIMIZERS = {"sgd": lab.SGD(RATES), "momentum": lab.Momentum(RATES), "adam": lab.Adam(RATES / 10, eps=1e-4)}


def trained(policy, objective, optimizer, steps, *then, **options):
    world = options.pop("world", None) or worlds.problem()
    settings = {"record": EVERYTHING, "start": worlds.state(policy, world), **options}
    return lab.train(world, worlds.policy(policy, world), objective, optimizer, steps=steps, then=then, **settings)


def same(first, second):
    """The same states to the bit; what is derived of them in one pass rounds by how many there are."""
    assert set(first.variables) == set(second.variables) and first.step.equals(second.step)
    for name in first.data_vars:
        tolerance = 1e-13 if name in ("log_prob", "loss", "response_weight") else 0
        np.testing.assert_allclose(first[name].values, second[name].values, rtol=tolerance, err_msg=str(name))


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_going_on_unchanged_is_the_training_that_never_stopped_to_the_bit(policy, optimizer, batch):
    """State, the optimiser's memory and its count of steps, and the order of the mini-batches all go on."""
    objective, rule = OBJECTIVES["sum per run"], OPTIMIZERS[optimizer]
    whole = trained(policy, objective, rule, 11, batch=batch)
    same(trained(policy, objective, rule, 4, Stage(objective, rule, 7), batch=batch), whole)
    parts = (Stage(objective, rule, 1), Stage(objective, rule, 2, "start"), Stage(objective, rule, 4))
    same(trained(policy, objective, rule, 4, *parts, batch=batch), whole)


@pytest.mark.parametrize("keep", [(), ("gradients",)])
@pytest.mark.parametrize("every", [3, 5, 100])
@pytest.mark.parametrize("name", ["dpo per run", "dpo + sft"])
def test_states_are_recorded_on_one_grid_whatever_stages_there_are(name, every, keep):
    """A stage may have no recorded state at all; a table of margins alone takes a shorter way of its own."""
    objective, rule = OBJECTIVES[name], OPTIMIZERS["adam"]
    for policy in ("tabular", "mlp-relu"):
        record = lab.Record(every=every, keep=keep)
        stages = (Stage(objective, rule, 1), Stage(objective, rule, 2), Stage(objective, rule, 5))
        staged = trained(policy, objective, rule, 4, *stages, record=record)
        assert staged.step.values.tolist() == [*range(0, 12, every), 12]
        same(staged, trained(policy, objective, rule, 12, record=record))


def by_hand(machine, world, run, theta, stages):
    """One run in plain torch: log pi [step, prompt, response]; an optimiser of the same kind is the same object."""
    theta = theta.detach().clone().requires_grad_()
    first = reference = plain.log_probs(machine, theta, run).detach()
    tables, stepper = [first], None
    for stage in stages:
        rate = float(plain.one(stage.optimizer.lr, run))
        reference = {"before": reference, "start": first, "stage": tables[-1]}[stage.reference]
        kind = {"SGD": torch.optim.SGD, "Momentum": torch.optim.SGD, "Adam": torch.optim.Adam}
        if stepper is None or stepper.ours is not type(stage.optimizer):
            own = {"eps": stage.optimizer.eps} if isinstance(stage.optimizer, lab.Adam) else {}
            own |= {"momentum": stage.optimizer.momentum} if isinstance(stage.optimizer, lab.Momentum) else {}
            stepper = kind[type(stage.optimizer).__name__]([theta], lr=rate, **own)
            stepper.ours = type(stage.optimizer)
        stepper.param_groups[0]["lr"] = rate
        if isinstance(stage.optimizer, lab.Momentum):
            stepper.param_groups[0]["momentum"] = stage.optimizer.momentum
        for _ in range(stage.steps):
            theta.grad = plain.gradient(machine, stage.objective, world.preferences, theta, reference, run)
            stepper.step()
            tables.append(plain.log_probs(machine, theta, run).detach())
    return torch.stack(tables)


JOURNEYS = {
    "another objective and rate": (
        Stage(lab.DPO(BETAS), lab.Adam(0.02, eps=1e-4), 3), Stage(lab.IPO(0.3), lab.Adam(RATES, eps=1e-4), 4),
    ),
    "another decay of the momentum": (
        Stage(lab.DPO(0.5), lab.Momentum(0.1), 3), Stage(lab.DPO(0.5), lab.Momentum(0.2, 0.5), 4),
    ),
    "memory anew": (
        Stage(lab.DPO(0.5), lab.Adam(0.02, eps=1e-4), 3), Stage(lab.DPO(0.5), lab.SGD(0.3), 2),
        Stage(lab.DPO(0.5), lab.Adam(0.02, eps=1e-4), 4),
    ),
    "sft first, and its end the reference": (
        Stage(lab.SFT(), lab.SGD(0.3), 3), Stage(lab.DPO(0.5), lab.Momentum(RATES), 3, "stage"),
        Stage(lab.DPO(BETAS), lab.Momentum(RATES), 2), Stage(lab.IPO(0.4), lab.SGD(0.1), 2, "start"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("journey", JOURNEYS)
@pytest.mark.parametrize("policy", POLICIES)
def test_stages_are_those_of_autograd_and_torch_optim_with_new_settings(policy, journey):
    world, (first, *later) = worlds.problem(), JOURNEYS[journey]
    record = trained(policy, first.objective, first.optimizer, first.steps, *later)
    for run in range(world.runs):
        start = worlds.state(policy, world)[run]
        tables = by_hand(worlds.policy(policy, world), world, run, start, (first, *later))
        np.testing.assert_allclose(record.log_prob[run], tables, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("policy", ["tabular", "mlp-tanh"])
def test_a_state_is_told_of_by_the_stage_that_leaves_from_it(policy):
    """At the seam that is the later stage: its loss, its weights, its gradients. Betas and reference are the last's."""
    world = worlds.problem()
    machine = worlds.policy(policy, world)
    first, *later = JOURNEYS["sft first, and its end the reference"][:3]
    record = trained(policy, first.objective, first.optimizer, first.steps, *later)
    starts = [record.log_prob[:, 0], *[record.log_prob[:, 3]] * 2]
    stage_of = [0] * 3 + [1] * 3 + [2] * 3
    for step, stage in enumerate(stage_of):
        objective = (first, *later)[stage].objective
        theta, reference = torch.from_numpy(record.parameters[:, step].values), torch.from_numpy(starts[stage].values)
        found = decompose(machine, theta, objective, world.preferences, reference)
        np.testing.assert_allclose(record.response_weight[:, step], found.response_weight, rtol=1e-9, atol=1e-13)
        if policy != "tabular":
            np.testing.assert_allclose(record.parameter_log_norm[:, step], found.log_norm("parameter"), rtol=1e-9)
        for run in range(world.runs):
            table = torch.from_numpy(record.log_prob[run, step].values)
            total = plain.total_loss(objective, world.preferences, table, reference[run], run)
            assert float((record.loss[run, step] * record.pair_weight).sum()) == pytest.approx(float(total), rel=1e-9)
    np.testing.assert_allclose(record.reference_log_prob, record.log_prob[:, 3], rtol=1e-12)
    np.testing.assert_array_equal(record.beta_chosen, BETAS.numpy())
    np.testing.assert_allclose(record.realised_change[:, :-1], record.log_prob.diff("step"), rtol=1e-9, atol=1e-12)


def test_the_terms_may_be_followed_one_after_the_other():
    world, objective = worlds.problem(), OBJECTIVES["flex per run"]
    parts = [lab.OneTerm(objective, term) for term in ("chosen", "rejected")]
    record = trained("mlp-relu", parts[0], lab.SGD(0.2), 2, Stage(parts[1], lab.SGD(0.2), 2))
    machine = worlds.policy("mlp-relu", world)
    for step in range(4):
        theta = torch.from_numpy(record.parameters[:, step].values)
        found = decompose(machine, theta, objective, world.preferences, torch.from_numpy(record.log_prob[:, 0].values))
        move = (record.parameters[:, step + 1] - record.parameters[:, step]).values
        np.testing.assert_allclose(move, -0.2 * found.parameter[:, step // 2].numpy(), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_chunks_of_runs_take_their_own_settings_through_all_stages(policy, monkeypatch):
    stages = (Stage(OBJECTIVES["sum per run"], OPTIMIZERS["momentum"], 3), Stage(lab.IPO(OTHERS), lab.SGD(RATES), 3))
    whole = trained(policy, lab.DPO(BETAS), OPTIMIZERS["adam"], 3, *stages, batch=2)
    monkeypatch.setattr(chunks, "CHUNK", worlds.policy(policy, worlds.problem()).parameter_count)
    apart = trained(policy, lab.DPO(BETAS), OPTIMIZERS["adam"], 3, *stages, batch=2)
    for name in whole.data_vars:
        np.testing.assert_allclose(apart[name], whole[name], rtol=1e-10, atol=1e-12, err_msg=str(name))


def test_progress_is_that_of_all_stages():
    seen: list[float] = []
    trained("tabular", lab.DPO(0.5), lab.SGD(0.1), 50, Stage(lab.DPO(0.1), lab.SGD(0.1), 50), progress=seen.append)
    assert seen == sorted(seen) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("steps", [30, 200])
@pytest.mark.parametrize("stage", [0, 1])
def test_a_run_that_leaves_the_numbers_in_any_stage_keeps_what_was_recorded(stage, steps):
    """The wild stage breaks; the record ends before it does, and begins with what a calm training has."""
    calm, wild = lab.SGD(1e-3), lab.SGD(torch.tensor([1e-3, 1e6, 1e-3], dtype=torch.float64))
    first, second = (wild, calm) if stage == 0 else (calm, wild)
    shares: list[float] = []
    options = {"record": lab.Record(keep=()), "progress": shares.append}
    with pytest.raises(lab.NonFiniteError, match=r"seed 6, step (\d+);") as caught:
        trained("tabular", lab.IPO(0.1), first, steps, Stage(lab.IPO(0.1), second, 500), **options)
    if steps == 200:  # of fewer wild steps only the loss overflows, and the table goes on
        assert max(shares) < (steps * stage + 150) / (steps + 500), "no step is taken long after"
    kept = caught.value.trajectory
    assert np.isfinite(kept.loss).all() and np.isfinite(kept.log_prob).all()
    assert (kept.step.values == np.arange(kept.sizes["step"])).all()
    assert (kept.sizes["step"] > steps) == (stage == 1)
    alone = trained("tabular", lab.IPO(0.1), calm, kept.sizes["step"] - 1, record=lab.Record(keep=()))
    np.testing.assert_array_equal(kept.log_prob[[0, 2]], alone.log_prob[[0, 2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stage(lab.DPO(0.1), lab.SGD(1.0), 0), "steps of a stage is 0; allowed are 1 or more"),
        (
            lambda: Stage(lab.DPO(0.1), lab.SGD(1.0), 1, "end"),
            "reference of a stage is 'end'; allowed are before, start, stage",
        ),
        (
            lambda: trained("tabular", lab.DPO(0.1), lab.SGD(1.0), 1, Stage(lab.BradleyTerry(), lab.SGD(1.0), 1)),
            "BradleyTerry has a loop of its own and no stages; train it alone, and give what it ends with as the next",
        ),
        (
            lambda: trained("tabular", lab.PPO(0.1), lab.SGD(1.0), 1, Stage(lab.DPO(0.1), lab.SGD(1.0), 1)),
            "PPO has a loop of its own and no stages",
        ),
        (
            lambda: trained("tabular", lab.DPO(0.1), lab.SGD(1.0), 1, Stage(lab.AOT(0.1), lab.SGD(1.0), 1)),
            "and AOT compares each pair with all others as equals",
        ),
        (
            lambda: trained("tabular", lab.DPO(0.1), lab.SGD(1.0), 1, Stage(lab.DPO(torch.ones(2)), lab.SGD(1.0), 1)),
            "a per-run value has 2 entries for 3 runs",
        ),
    ],
)
def test_bad_stages_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
