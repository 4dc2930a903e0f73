"""Training: every run at once is every run by itself, and the record says what happened."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import lab
from lab import optimizers
from lab.gradients import decompose
from lab.objectives import Objective, PairLogProbs
from lab.objectives.base import per_run
from lab.training import check_device, chunks
from lab.training.batches import EPOCHS_AHEAD, pair_weights
from tests import plain, worlds
from tests.worlds import BETAS, OBJECTIVES, OTHERS, POLICIES

EVERYTHING = lab.Record(keep=("gradients", "predictions", "parameters"))
RATES = torch.tensor([0.02, 0.1, 0.3], dtype=torch.float64)
OPTIMIZERS = {
    "sgd": lab.SGD(RATES),
    "momentum": lab.Momentum(RATES, torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)),
    "adam": lab.Adam(RATES / 10, eps=1e-4),  # a plain eps divides rounding errors by 1e-8: an error of 1e-17 shows
}


def trained(policy: str, objective: Objective, optimizer: lab.SGD, *, world=None, start=None, **options) -> xr.Dataset:
    world = world or worlds.problem()
    start = worlds.state(policy, world) if start is None else start
    options = {"steps": 12, "record": EVERYTHING, **options}
    return lab.train(world, worlds.policy(policy, world), objective, optimizer, start=start, **options)


def same(first: xr.Dataset, second: xr.Dataset, *, rtol: float = 0, atol: float = 0) -> None:
    """The same variables with the same numbers; to the bit if no tolerance is given."""
    assert set(first.variables) == set(second.variables)
    for name in first.data_vars:
        np.testing.assert_allclose(
            first[name].values, second[name].values, rtol=rtol, atol=atol, equal_nan=True, err_msg=str(name)
        )


# --- Against a second implementation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "optimizer"),
    [*((name, "momentum") for name in OBJECTIVES), ("sum per run", "sgd"), ("flex per run", "adam"), ("dpo", "adam")],
)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_trajectory_is_that_of_autograd_and_torch_optim_one_run_after_the_other(policy, objective, optimizer):
    world, steps = worlds.problem(), 6
    machine, start = worlds.policy(policy, world), worlds.state(policy, world)
    keeps = [EVERYTHING, lab.Record(keep=("parameters",))] if policy == "tabular" else [EVERYTHING]
    for keep in keeps:  # a table that keeps no predictions takes a shorter way
        record = trained(policy, OBJECTIVES[objective], OPTIMIZERS[optimizer], steps=steps, record=keep)
        for run in range(world.runs):
            log_prob, parameters = plain.train(
                machine, OBJECTIVES[objective], world.preferences, OPTIMIZERS[optimizer], start[run], run, steps
            )
            np.testing.assert_allclose(record.log_prob[run], log_prob, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(record.parameters[run], parameters, rtol=1e-9, atol=1e-9)
            total = (record.loss[run] * record.pair_weight).sum("pair")
            for step in range(steps + 1):
                loss = plain.total_loss(OBJECTIVES[objective], world.preferences, log_prob[step], log_prob[0], run)
                assert float(total[step]) == pytest.approx(float(loss), rel=1e-9, abs=1e-12)


def test_a_smooth_network_is_still_that_of_autograd_after_five_hundred_steps_of_adam(monkeypatch):
    """To 1e-9, in its path and in both terms' norms; by the one-pass step, as large networks go."""
    monkeypatch.setattr(optimizers, "FUSED", 0)
    world, steps, optimizer = worlds.problem(), 500, lab.Adam(torch.tensor([1e-3, 3e-3, 1e-2], dtype=torch.float64))
    machine, start = worlds.policy("mlp-tanh", world), worlds.state("mlp-tanh", world)
    record = trained(
        "mlp-tanh", OBJECTIVES["dpo per run"], optimizer, steps=steps, record=replace(EVERYTHING, every=50)
    )
    for run in range(world.runs):
        log_prob, parameters = plain.train(
            machine, OBJECTIVES["dpo per run"], world.preferences, optimizer, start[run], run, steps
        )
        np.testing.assert_allclose(record.log_prob[run], log_prob[::50], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(record.parameters[run], parameters[::50], rtol=1e-9, atol=1e-9)
    for row in range(record.sizes["step"]):
        state = tensor(record.parameters[:, row])
        reference = tensor(record.reference_log_prob)
        found = decompose(machine, state, OBJECTIVES["dpo per run"], world.preferences, reference)
        np.testing.assert_allclose(record.parameter_log_norm[:, row], found.log_norm("parameter"), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(record.parameter_cosine[:, row], found.cosine("parameter"), rtol=0, atol=1e-9)


def test_a_table_of_logits_starts_where_the_problem_says():
    world = worlds.problem()
    record = lab.train(world, lab.Tabular(worlds.PROMPTS, worlds.RESPONSES), lab.DPO(0.1), lab.SGD(1.0), steps=1)
    np.testing.assert_allclose(record.reference_log_prob, world.target_log_prob, rtol=1e-13)
    np.testing.assert_array_equal(record.log_prob[:, 0], record.reference_log_prob)
    np.testing.assert_allclose(record.loss[:, 0], math.log(2), rtol=1e-14)


# --- Runs do not know of each other ---------------------------------------------------------------------------------


def row_of(value, run: int):
    """A setting of one run: every [run, ...] tensor in it cut to that run."""
    if isinstance(value, Tensor) and value.ndim:
        return value[run : run + 1]
    if isinstance(value, tuple):
        return tuple(row_of(part, run) for part in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{name: row_of(getattr(value, name), run) for name in value.__dataclass_fields__})
    return value


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_batch_of_runs_is_the_same_runs_one_by_one(policy, optimizer, batch):
    """Tables to the bit; policies that multiply matrices to 1e-12, since a product of another size sums otherwise."""
    world, objective = worlds.problem(), OBJECTIVES["sum per run"]
    machine, start = worlds.policy(policy, world), worlds.state(policy, world)
    together = trained(policy, objective, OPTIMIZERS[optimizer], batch=batch)
    for run in range(world.runs):
        alone = lab.train(
            lab.Problem(world.preferences, world.target_log_prob[run : run + 1], world.seeds[run : run + 1]),
            row_of(machine, run),
            row_of(objective, run),
            row_of(OPTIMIZERS[optimizer], run),
            steps=12,
            start=start[run : run + 1],
            record=EVERYTHING,
            batch=batch,
        )
        tolerance = 0 if policy == "tabular" else 1e-12
        same(together.isel(seed=[run]), alone, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("policy", POLICIES)
def test_chunks_of_runs_change_nothing(policy, monkeypatch):
    whole = trained(policy, OBJECTIVES["flex per run"], OPTIMIZERS["adam"], batch=2)
    for runs in (1, 2):
        monkeypatch.setattr(chunks, "CHUNK", runs * worlds.policy(policy, worlds.problem()).parameter_count)
        tolerance = 0 if policy == "tabular" else 1e-12
        same(
            trained(policy, OBJECTIVES["flex per run"], OPTIMIZERS["adam"], batch=2),
            whole,
            rtol=tolerance,
            atol=tolerance,
        )


def test_a_policy_larger_than_a_chunk_still_trains(monkeypatch):
    whole = trained("mlp-relu", lab.DPO(0.1), lab.SGD(0.1))
    monkeypatch.setattr(chunks, "CHUNK", 1)
    same(trained("mlp-relu", lab.DPO(0.1), lab.SGD(0.1)), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_seeds_give_equal_bits_whatever_the_global_state(policy):
    """Global seed, default type, number of threads, grad mode: none is read, and none is changed."""
    first = trained(policy, OBJECTIVES["dpo + sft"], lab.Adam(0.01), batch=2)
    torch.manual_seed(1234)
    state, threads, standard = torch.random.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            second = trained(policy, OBJECTIVES["dpo + sft"], lab.Adam(0.01), batch=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(standard)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)
    same(second, first)


def test_training_leaves_what_it_was_given_alone():
    world = worlds.problem()
    machine, start = worlds.policy("loglinear", world), worlds.state("loglinear", world)
    kept = [tensor.clone() for tensor in (start, world.target_log_prob, machine.features, BETAS)]
    trained("loglinear", lab.DPO(BETAS), lab.Momentum(0.5), world=world, start=start)
    for tensor, before in zip((start, world.target_log_prob, machine.features, BETAS), kept, strict=True):
        assert torch.equal(tensor, before)


# --- The record ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 5, 12, 100])
@pytest.mark.parametrize("policy", ["tabular", "mlp-relu"])
def test_recording_less_often_keeps_the_same_states(policy, every):
    """Step 0 first, then every so many, the last one always; what is kept of a step does not depend on the stride."""
    all_ = trained(policy, OBJECTIVES["dpo"], lab.Momentum(0.1), steps=12)
    some = trained(policy, OBJECTIVES["dpo"], lab.Momentum(0.1), steps=12, record=replace(EVERYTHING, every=every))
    assert some.step.values.tolist() == sorted({*range(0, 12, every), 12})
    same(some, all_.sel(step=some.step))


KEEP = [(), ("gradients",), ("predictions",), ("parameters",), ("parameters", "gradients", "predictions")]


@pytest.mark.parametrize("keep", KEEP)
@pytest.mark.parametrize("objective", ["dpo + sft", "ipo per run"])
@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_kept_does_not_change_the_trajectory(policy, objective, keep):
    """To the bit; but a table without predictions takes a shorter way, which rounds otherwise."""
    all_ = trained(policy, OBJECTIVES[objective], lab.Momentum(0.1), batch=2)
    some = trained(policy, OBJECTIVES[objective], lab.Momentum(0.1), batch=2, record=lab.Record(keep=keep))
    expected = {"log_prob", "reference_log_prob", "loss", "response_weight", "beta_chosen", "beta_rejected"}
    if "gradients" in keep and policy != "tabular":
        expected |= {"parameter_log_norm", "parameter_cosine"}
    if "predictions" in keep:
        expected |= {"predicted_change", "linear_change", "realised_change"}
    if "parameters" in keep:
        expected |= {"parameters"}
    assert set(some.data_vars) == expected
    tolerance = 1e-12 if policy == "tabular" and "predictions" not in keep else 0
    same(some, all_[sorted(expected)].assign_attrs(some.attrs), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("every", "optimizer"), [(1, OPTIMIZERS["momentum"]), (5, lab.Adam(0.07))])
@pytest.mark.parametrize("policy", POLICIES)
def test_changes_are_differences_and_first_order_changes_of_the_recorded_states(policy, every, optimizer):
    """realised = next - this; linear = J (next - this) through the softmax; predicted = the same for -lr g_term."""
    world, objective = worlds.problem(), OBJECTIVES["ipo per run"]
    machine = worlds.policy(policy, world)
    record = trained(policy, objective, optimizer, record=replace(EVERYTHING, every=every))
    dense = trained(policy, objective, optimizer)
    for row, step in enumerate(record.step.values.tolist()):
        found = decompose(
            machine, tensor(dense.parameters[:, step]), objective, world.preferences, tensor(record.reference_log_prob)
        )
        for run in range(world.runs):
            theta = tensor(dense.parameters[run, step])
            for term in range(2):
                along = -plain.one(optimizer.lr, run) * found.parameter[run, term]
                np.testing.assert_allclose(
                    record.predicted_change[run, row, term],
                    first_order(machine, theta, along, run),
                    rtol=1e-9,
                    atol=1e-13,
                )
            if step < 12:
                along = tensor(dense.parameters[run, step + 1]) - theta
                np.testing.assert_allclose(
                    record.linear_change[run, row], first_order(machine, theta, along, run), rtol=1e-9, atol=1e-13
                )
        if step < 12:
            realised = dense.log_prob[:, step + 1] - dense.log_prob[:, step]
            np.testing.assert_array_equal(record.realised_change[:, row], realised)
    assert np.isnan(record.linear_change[:, -1]).all() and np.isnan(record.realised_change[:, -1]).all()
    assert np.isfinite(record.linear_change[:, :-1]).all() and np.isfinite(record.predicted_change).all()


def tensor(array: xr.DataArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.values))


def first_order(machine, theta: Tensor, along: Tensor, run: int) -> Tensor:
    return torch.autograd.functional.jvp(lambda at: plain.log_probs(machine, at, run), theta, along)[1]


@pytest.mark.parametrize("batch", [0, 2, 5])
@pytest.mark.parametrize("policy", POLICIES[1:])
def test_recorded_parameters_decompose_to_the_recorded_norms_whatever_the_batch(policy, batch):
    world, objective = worlds.problem(), OBJECTIVES["sum per run"]
    machine = worlds.policy(policy, world)
    record = trained(policy, objective, lab.SGD(0.1), steps=5, batch=batch)
    for row in range(record.sizes["step"]):
        state = tensor(record.parameters[:, row])
        found = decompose(machine, state, objective, world.preferences, tensor(record.reference_log_prob))
        np.testing.assert_allclose(record.parameter_log_norm[:, row], found.log_norm("parameter"), rtol=1e-10)
        np.testing.assert_allclose(record.parameter_cosine[:, row], found.cosine("parameter"), rtol=0, atol=1e-10)
        np.testing.assert_allclose(record.log_prob[:, row], found.log_prob, rtol=1e-12)
        np.testing.assert_allclose(record.response_weight[:, row], found.response_weight, rtol=1e-10)


@pytest.mark.parametrize("policy", POLICIES)
def test_float32_is_recorded_as_float32_and_stays_close(policy):
    wide, narrow = (
        trained(policy, OBJECTIVES["dpo per run"], OPTIMIZERS["momentum"], dtype=dtype)
        for dtype in (torch.float64, torch.float32)
    )
    assert (wide.attrs["dtype"], narrow.attrs["dtype"]) == ("float64", "float32")
    for name in set(wide.data_vars) - {"beta_chosen", "beta_rejected"}:
        assert (wide[name].dtype, narrow[name].dtype) == (np.float64, np.float32), name
    for name in ("log_prob", "loss", "response_weight", "parameters", "linear_change"):
        np.testing.assert_allclose(narrow[name], wide[name], rtol=2e-4, atol=2e-5, err_msg=name)


def test_the_record_says_where_it_comes_from():
    seen = []
    record = trained(
        "tabular",
        lab.FlexDPO(BETAS, 0.2),
        lab.SGD(1.0),
        steps=60,
        progress=seen.append,
        attrs={"experiment": "by hand"},
    )
    assert record.attrs["experiment"] == "by hand" and record.attrs["device"] == "cpu"
    assert record.attrs["torch_version"] == str(torch.__version__)
    assert record.seed.values.tolist() == [5, 6, 7] and record.beta_chosen.values.tolist() == BETAS.tolist()
    assert float(record.beta_rejected) == 0.2
    np.testing.assert_allclose(record.pair_weight, worlds.preferences().weight)
    assert seen == sorted(seen) and 0 <= min(seen) and max(seen) <= 1 and len(seen) >= 3


def test_axes_name_the_product_that_the_runs_are():
    betas = torch.tensor([0.1, 0.1, 0.5, 0.5], dtype=torch.float64)
    target = worlds.problem(2).target_log_prob.repeat(2, 1, 1)
    world = lab.Problem(worlds.preferences(), target, (5, 6, 5, 6))
    record = lab.train(
        world, lab.Tabular(3, 6), lab.DPO(betas), lab.SGD(1.0), steps=3, axes={"beta": [0.1, 0.5], "seed": [5, 6]}
    )
    assert record.log_prob.dims[:2] == ("beta", "seed")
    one = lab.train(worlds.problem(2), lab.Tabular(3, 6), lab.DPO(0.5), lab.SGD(1.0), steps=3)
    np.testing.assert_array_equal(record.log_prob.sel(beta=0.5), one.log_prob)


# --- Mini-batches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_every_pair_is_seen_exactly_once_in_an_epoch(batch):
    """Over more epochs than one draw holds; a step's weights are its pairs' own, normalised."""
    pairs, seeds = worlds.preferences(), (0, 1, 9)
    weights = pair_weights(pairs, batch, seeds, torch.zeros(1, dtype=torch.float64))
    steps_an_epoch, orders = math.ceil(5 / batch), []
    for _ in range(EPOCHS_AHEAD + 3):
        seen = torch.zeros(3, 5, dtype=torch.int64)
        for step in range(steps_an_epoch):
            chosen, rejected = next(weights).view(3, 2, 5).unbind(1)
            assert torch.equal(chosen, rejected)
            inside = chosen > 0
            assert (inside.sum(-1) == min(batch, 5 - step * batch)).all()
            expected = pairs.weight * inside
            torch.testing.assert_close(chosen, expected / expected.sum(-1, keepdim=True), rtol=1e-14, atol=0)
            seen += inside
            if step == 0:
                orders.append(inside)
        assert (seen == 1).all()
    orders = torch.stack(orders)
    assert (orders.float().mean(0) - batch / 5).abs().max() < 0.25, "every pair comes first about equally often"
    assert not torch.equal(orders[:, 0], orders[:, 1]), "seeds differ"
    assert not torch.equal(orders[0], orders[1]) or not torch.equal(orders[1], orders[2]), "epochs differ"
    assert not torch.equal(orders[:3], orders[EPOCHS_AHEAD : EPOCHS_AHEAD + 3]), "no draw is repeated"


def test_a_seed_orders_its_pairs_alike_in_any_batch_of_runs():
    like = torch.zeros(1, dtype=torch.float64)
    together, alone = (pair_weights(worlds.preferences(), 2, seeds, like) for seeds in ((4, 1, 9), (1,)))
    for _ in range(3 * EPOCHS_AHEAD + 5):
        assert torch.equal(next(together)[1], next(alone)[0])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_batch_of_all_pairs_is_the_full_batch(policy):
    same(*(trained(policy, OBJECTIVES["ipo"], lab.Momentum(0.1), batch=batch) for batch in (0, 5)))


def test_a_mini_batch_step_moves_only_its_pairs():
    """A table shares nothing: after one step of one pair, every other prompt is where it was."""
    world = worlds.problem(6, lab.Preferences.grid(3, 6))
    record = lab.train(world, lab.Tabular(3, 6), lab.DPO(0.5), lab.SGD(1.0), steps=1, batch=1)
    moved = (record.log_prob[:, 1] != record.log_prob[:, 0]).any("response")
    assert (moved.sum("prompt") == 1).all() and (moved.sum("seed") > 0).sum() > 1
    full = lab.train(world, lab.Tabular(3, 6), lab.DPO(0.5), lab.SGD(3.0), steps=1)
    np.testing.assert_allclose(record.log_prob[:, 1].where(moved), full.log_prob[:, 1].where(moved), rtol=1e-12)


# --- A run that leaves the numbers ---------------------------------------------------------------------------------


def test_a_run_that_leaves_the_numbers_stops_and_keeps_what_was_recorded():
    line = "tabular s1 ipo beta=0.01 sgd lr=1e6 steps=50 seeds=3"
    with pytest.raises(lab.NonFiniteError) as caught:
        lab.run(line)
    kept = caught.value.trajectory
    step = kept.sizes["step"]
    assert 1 < step < 50
    canonical = "tabular s1 ipo beta=0.01 sgd lr=1000000 steps=50 seeds=3"
    assert str(caught.value) == (
        f"non-finite log-probabilities or loss in: {canonical}, seed 0, step {step}; {step} recorded states before "
        "it are kept in the error's `trajectory`; lower lr"
    )
    assert list(kept.step) == list(range(step)) and kept.sizes["seed"] == 3
    assert kept.attrs["experiment"] == canonical
    for name in ("log_prob", "loss", "response_weight"):
        assert np.isfinite(kept[name]).all(), name


def test_the_error_names_the_cell_of_a_sweep_and_the_first_bad_seed():
    with pytest.raises(lab.NonFiniteError, match=r"lr=1000000\.0, seed 7, step \d+;") as caught:
        lab.run("tabular s1 ipo beta=0.01 sgd lr=1e-3,1e6 steps=60 seeds=2 seed=7")
    assert caught.value.trajectory.sizes["lr"] == 2


def test_a_loss_that_overflows_before_its_log_probabilities_do_is_no_record():
    with pytest.raises(lab.NonFiniteError, match="or loss in"):
        lab.run("tabular s1 ipo beta=0.01 sgd lr=1e6 steps=30 seeds=1")


@pytest.mark.parametrize("every", [1, 7])
def test_the_last_rows_before_a_break_are_finite_wherever_it_falls(every):
    """A look for NaN comes every 50 recorded steps; the cut is exact all the same, and other runs stay as they are."""
    rates = torch.tensor([1e-3, 3.0, 1e-3], dtype=torch.float64)
    with pytest.raises(lab.NonFiniteError, match=r"seed 6, step (\d+);") as caught:
        trained("tabular", lab.IPO(0.1), lab.SGD(rates), steps=2000, record=lab.Record(every=every, keep=()))
    kept = caught.value.trajectory
    broken = int(re.search(r"step (\d+);", str(caught.value))[1])
    assert kept.step.values.tolist() == list(range(0, broken, every)) and broken % every == 0
    assert np.isfinite(kept.loss).all() and np.isfinite(kept.log_prob).all()
    calm = trained(
        "tabular", lab.IPO(0.1), lab.SGD(rates[0].item()), steps=broken, record=lab.Record(every=every, keep=())
    )
    np.testing.assert_array_equal(kept.log_prob[[0, 2]], calm.log_prob.sel(step=kept.step)[[0, 2]])


def test_the_break_is_found_in_whatever_chunk_it_is(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 1)
    rates = torch.tensor([1e-3, 1e-3, 1e6], dtype=torch.float64)
    with pytest.raises(lab.NonFiniteError, match=r"in: this training, seed 7, step \d+; \d+ recorded states") as caught:
        trained("tabular", lab.IPO(0.1), lab.SGD(rates), steps=60)
    assert caught.value.trajectory.sizes["seed"] == 3


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, r"steps is 0; allowed are 1 or more"),
        ({"batch": 6}, r"batch is 6; allowed are 0 \(all pairs\) to 5 \(the number of pairs\)"),
        ({"batch": -1}, r"batch is -1; allowed are 0"),
        ({"dtype": torch.float16}, r"dtype is torch.float16; allowed are torch.float64 and torch.float32"),
        ({"device": "cuda:77"}, r"device is 'cuda:77', which is not there; allowed here are cpu.*: choose one of them"),
        ({"device": "quantum"}, r"device is 'quantum', which is not there; allowed here are cpu"),
        ({"device": "meta"}, r"device is 'meta', which is not there; allowed here are cpu"),
        ({"start": torch.zeros(3, 17)}, r"start has shape \(3, 17\); allowed is \[run, parameter\], here \(3, 18\)"),
        ({"start": torch.full((3, 18), math.nan)}, r"start holds NaN or infinity; parameters must be finite"),
        (
            {"objective": lab.DPO(torch.ones(2))},
            r"a per-run value has 2 entries for 3 runs; give one number or one a run",
        ),
        (
            {"optimizer": lab.SGD(torch.ones(4))},
            r"a per-run value has 4 entries for 3 runs; give one number or one a run",
        ),
        (
            {"objective": lab.WeightedSum((lab.DPO(0.1), lab.IPO(torch.ones(5))), (1.0, 1.0))},
            r"a per-run value has 5 entries for 3 runs",
        ),
        (
            {"policy": lab.Tabular(6, 3)},
            r"the policy has 6 prompts and 3 responses, the problem has 3 and 6; build the",
        ),
    ],
)
def test_bad_trainings_are_refused(change, message):
    settings = {"policy": lab.Tabular(3, 6), "objective": lab.DPO(0.1), "optimizer": lab.SGD(1.0), "steps": 1, **change}
    parts = (settings.pop(name) for name in ("policy", "objective", "optimizer"))
    with pytest.raises(ValueError, match=message):
        lab.train(worlds.problem(), *parts, **settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lab.Record(every=0), r"every is 0; allowed are 1 or more: give the stride between recorded steps"),
        (lambda: lab.Record(keep="gradients"), r"keep is 'gradients'; give a tuple of words, such as \('gradients',\)"),
        (
            lambda: lab.Record(keep=("gradient",)),
            r"keep has 'gradient'; allowed are any of gradients, predictions, par",
        ),
    ],
)
def test_bad_records_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_processor_is_always_there():
    assert check_device("cpu") == torch.device("cpu")


# --- An objective of one's own ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnlyALoss(Objective):
    """DPO without its closed form."""

    beta: float | Tensor

    def loss(self, pairs: PairLogProbs) -> Tensor:
        return -torch.nn.functional.logsigmoid(per_run(self.beta, pairs.chosen) * pairs.log_ratio_margin)


@pytest.mark.parametrize("beta", [0.3, BETAS])
@pytest.mark.parametrize("policy", POLICIES)
def test_an_objective_that_is_only_a_loss_trains_like_its_closed_form(policy, beta):
    world = worlds.problem()
    machine, start = worlds.policy(policy, world), worlds.state(policy, world)
    a, b = (
        lab.train(world, machine, objective, lab.SGD(0.5), steps=10, start=start, record=EVERYTHING)
        for objective in (OnlyALoss(beta), lab.WeightedSum((OnlyALoss(beta),), (OTHERS,)))
    )
    c, d = (
        lab.train(world, machine, objective, lab.SGD(0.5), steps=10, start=start, record=EVERYTHING)
        for objective in (lab.DPO(beta), lab.WeightedSum((lab.DPO(beta),), (OTHERS,)))
    )
    for first, second in ((a, c), (b, d)):
        for name in ("log_prob", "loss", "response_weight", "realised_change", "parameters"):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_a_start_without_a_finite_loss_is_not_blamed_on_the_rate():
    with pytest.raises(
        lab.NonFiniteError, match="step 0; the start itself has no finite loss; .* a larger beta"
    ) as caught:
        lab.run("tabular s1 ipo beta=1e-300 sgd lr=1e-3 steps=3 seeds=1")
    assert caught.value.trajectory is None
