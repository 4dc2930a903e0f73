"""Running a line: the parts it names are built, each cell of a sweep is its single run, references are fitted once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import lab
from lab import references
from lab.experiments.running import build, reference
from lab.references import TOLERANCE

END = "steps=6 seeds=2"


@pytest.fixture(autouse=True)
def quick_fits(tmp_path, monkeypatch):
    """How well a network is fitted does not matter here, so that a cache of its own holds what 20 steps give."""
    monkeypatch.setenv("DPOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(references, "STEPS", 20)
    monkeypatch.setattr(references, "TOLERANCE", 10.0)


def hold_same(cell: xr.Dataset, single: xr.Dataset, tolerance: float) -> None:
    """Every variable of the single run, with its numbers; what the cell has besides is NaN."""
    for name, values in single.data_vars.items():
        np.testing.assert_allclose(cell[name], values, rtol=tolerance, atol=tolerance, err_msg=str(name))
    assert all(np.isnan(cell[name]).all() for name in set(cell.data_vars) - set(single.data_vars))


# --- Sweeps -----------------------------------------------------------------------------------------------------------

BATCHED = [
    ("tabular {} dpo sgd lr=1", "scenario", ["s1", "s2", "s3", "s4"]),
    ("mlp {} dpo adam lr=1e-3 width=8", "scenario", ["s1", "s4"]),
    ("tabular s1 dpo {} sgd lr=1", "beta", [0.05, 0.1, 2]),
    ("mlp s2 slic {} sgd lr=0.1 width=8", "beta", [0.05, 2]),
    ("tabular s1 flex beta=0.3 {} sgd lr=1", "beta_chosen", [0.1, 0.2]),
    ("loglinear s1 flex beta=0.3 {} sgd lr=1", "beta_rejected", [0.02, 0.2]),
    ("tabular s2 ipo {} sgd lr=0.1", "sft_weight", [0, 0.5]),
    ("tabular s1 dpo adam {}", "lr", [1e-3, 0.1]),
    ("mlp s1 dpo adam width=8 {}", "lr", [1e-4, 1e-3]),
    ("loglinear s1 dpo momentum lr=0.1 {}", "momentum", [0, 0.5, 0.9]),
    ("mlp s1 dpo adam lr=1e-3 width=8 {}", "eps", [1e-8, 0.01]),
    ("tabular s3 dpo sgd lr=1 {}", "on", [0.3, 0.6]),
    ("tabular s3 dpo sgd lr=1 {}", "off", [1e-6, 0.1]),
    ("loglinear s1 dpo sgd lr=1 {}", "overlap", [-1, 0, 0.7]),
]
LOOPED = [
    ("{} s1 dpo sgd lr=0.1 width=8", "policy", ["tabular", "loglinear", "mlp"]),
    ("tabular s1 {} sgd lr=0.1", "objective", ["dpo", "ipo", "slic", "flex", "sft"]),
    ("tabular s1 dpo {} lr=0.1", "optimizer", ["sgd", "momentum", "adam"]),
    ("tabular s1 dpo sgd lr=1 {}", "batch", [0, 1, 3]),
    ("tabular s1 dpo sgd lr=1 {}", "spread", ["drawn", "even"]),
    ("mlp s1 dpo sgd lr=0.1 {}", "width", [8, 9]),
    ("mlp s1 dpo sgd lr=0.1 width=8 {}", "activation", ["relu", "tanh"]),
    ("loglinear s1 dpo sgd lr=1 {}", "features", [4, 16]),
    ("tabular s1 dpo sgd lr=1 {}", "dtype", ["float64", "float32"]),
]
BARE = ("policy", "scenario", "objective", "optimizer")


def write(template: str, axis: str, values: list) -> str:
    words = ",".join(map(str, values))
    return f"{template.format(words if axis in BARE else f'{axis}={words}')} {END}"


@pytest.mark.parametrize(("template", "axis", "values"), BATCHED + LOOPED)
def test_a_cell_of_a_sweep_is_its_single_run(template, axis, values):
    """To the bit in a table, to 1e-12 where matrices are multiplied in other batches or weight 0 adds a term."""
    swept = lab.run(write(template, axis, values))
    assert swept.log_prob.dims == (axis, "seed", "step", "prompt", "response")
    assert swept[axis].values.tolist() == values and swept.seed.values.tolist() == [0, 1]
    tolerance = 0 if template.startswith("tabular") and axis != "sft_weight" else 1e-12
    for value in values:
        alone = template if value not in ("tabular", "loglinear") else template.replace(" width=8", "")
        hold_same(swept.sel({axis: value}), lab.run(write(alone, axis, [value])), tolerance)


def test_axes_stand_in_order_looped_first_and_every_cell_is_right():
    swept = lab.run(f"tabular s1,s4 dpo,ipo beta=0.1,0.5 sgd,adam lr=0.01,0.1 {END}")
    assert swept.log_prob.dims[:6] == ("objective", "optimizer", "scenario", "beta", "lr", "seed")
    assert dict(swept.sizes) == {
        "objective": 2, "optimizer": 2, "scenario": 2, "beta": 2, "lr": 2, "seed": 2,
        "step": 7, "prompt": 4, "response": 10, "pair": 4, "term": 2,
    }  # fmt: skip
    for objective, optimizer, scenario, beta, lr in (
        ("dpo", "sgd", "s1", 0.1, 0.1),
        ("ipo", "adam", "s4", 0.5, 0.01),
        ("dpo", "adam", "s4", 0.1, 0.01),
        ("ipo", "sgd", "s1", 0.5, 0.1),
    ):
        cell = swept.sel(objective=objective, optimizer=optimizer, scenario=scenario, beta=beta, lr=lr)
        hold_same(cell, lab.run(f"tabular {scenario} {objective} beta={beta} {optimizer} lr={lr} {END}"), 0)


def test_the_first_seed_and_their_number_name_the_same_runs():
    whole = lab.run("loglinear s1 dpo sgd lr=1 steps=5 seeds=4")
    part = lab.run("loglinear s1 dpo sgd lr=1 steps=5 seeds=2 seed=2")
    assert part.seed.values.tolist() == [2, 3]
    hold_same(whole.sel(seed=[2, 3]), part, 1e-12)


# --- What a line builds -----------------------------------------------------------------------------------------------


def built(line: str):
    return build(lab.Experiment.parse(f"{line} {END}"))


def test_a_line_builds_what_it_names():
    problem, policy, objective, optimizer, axes = built("mlp s2 dpo beta=0.3 adam lr=1e-3 width=9 activation=tanh")
    assert policy == lab.MLP(4, 10, 9, "tanh") and objective == lab.DPO(0.3) and optimizer == lab.Adam(0.001)
    assert axes == {"seed": [0, 1]} and problem.seeds == (0, 1)
    pairs, prob = problem.preferences, problem.target_log_prob.exp()
    torch.testing.assert_close(prob[:, pairs.prompt, pairs.chosen], torch.full((2, 4), 0.02, dtype=torch.float64))
    torch.testing.assert_close(prob[:, pairs.prompt, pairs.rejected], torch.full((2, 4), 0.45, dtype=torch.float64))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dpo", lab.DPO(0.1)),
        ("ipo beta=0.2", lab.IPO(0.2)),
        ("slic beta=0.2", lab.SLiC(0.2)),
        ("sft", lab.SFT()),
        ("flex beta=0.2", lab.FlexDPO(0.2, 0.2)),
        ("flex beta=0.2 beta_rejected=0.05", lab.FlexDPO(0.2, 0.05)),
        ("flex beta_chosen=0.3 beta_rejected=0.05", lab.FlexDPO(0.3, 0.05)),
        ("dpo sft_weight=0.5", lab.WeightedSum((lab.DPO(0.1), lab.SFT()), (1.0, 0.5))),
    ],
)
def test_an_objectives_words_set_its_numbers(words, expected):
    assert built(f"tabular s1 {words} sgd lr=1")[2] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sgd lr=0.2", lab.SGD(0.2)),
        ("momentum lr=0.2", lab.Momentum(0.2, 0.9)),
        ("momentum lr=0.2 momentum=0.5", lab.Momentum(0.2, 0.5)),
        ("adam lr=0.2", lab.Adam(0.2)),
    ],
)
def test_an_optimisers_words_set_its_numbers(words, expected):
    assert built(f"tabular s1 dpo {words}")[3] == expected


def test_axes_become_one_value_a_run_in_the_order_of_the_record():
    line = "loglinear s1,s2 dpo beta=0.1,0.5 sgd lr=1 overlap=0,0.5 features=4"
    problem, policy, objective, optimizer, axes = built(line)
    assert list(axes) == ["scenario", "beta", "overlap", "seed"] and problem.runs == 16
    assert objective.beta.tolist() == ([0.1] * 4 + [0.5] * 4) * 2 and optimizer == lab.SGD(1.0)
    assert problem.seeds == (0, 1) * 8 and policy.features.shape == (16, 4, 10, 4)
    chosen, rejected = (policy.features[:, 0, y] for y in (0, 5))
    cosine = torch.nn.functional.cosine_similarity(chosen, rejected, dim=-1)
    torch.testing.assert_close(cosine, torch.tensor([0, 0, 0.5, 0.5] * 4, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_line_runs_like_its_parts_put_together_by_hand():
    """Several pairs a prompt, mini-batches, float32, a stride, everything kept, another world."""
    line = (
        "loglinear s2 flex beta=0.2 beta_rejected=0.05 sft_weight=0.1 momentum lr=0.05 momentum=0.5 steps=7 seeds=2 "
        "seed=3 batch=2 every=3 keep=gradients+predictions+parameters prompts=3 responses=6 pairs=2 roles=kept "
        "on=0.4 off=0.1 spread=even features=5 overlap=0.3 dtype=float32"
    )
    record = lab.run(line)
    pairs = lab.Preferences.grid(3, 6, 2, roles="kept")
    prob = torch.zeros(3, 6, dtype=torch.float64)
    prob[pairs.prompt, pairs.chosen], prob[pairs.prompt, pairs.rejected] = 0.05, 0.2
    prob[pairs.unseen(3, 6)] = 0.25
    world = lab.Problem(pairs, prob.log().expand(2, -1, -1), (3, 4))
    by_hand = lab.train(
        world,
        lab.LogLinear.drawn(world, features=5, overlap=0.3),
        lab.WeightedSum((lab.FlexDPO(0.2, 0.05), lab.SFT()), (1.0, 0.1)),
        lab.Momentum(0.05, 0.5),
        steps=7,
        batch=2,
        record=lab.Record(3, ("gradients", "predictions", "parameters")),
        dtype=torch.float32,
    )
    assert record.step.values.tolist() == [0, 3, 6, 7] and record.log_prob.dtype == np.float32
    assert set(record.data_vars) == set(by_hand.data_vars) and record.sizes["pair"] == 6
    hold_same(record, by_hand, 1e-6)
    assert record.attrs["dtype"] == "float32" and record.attrs["lab_version"] == lab.__version__
    assert record.attrs["experiment"] == str(lab.Experiment.parse(line))


def test_a_line_and_its_experiment_are_the_same_run():
    line = f"tabular s1 dpo beta=0.1,0.2 sgd lr=1 {END}"
    seen = []
    one, other = lab.run(line, progress=seen.append), lab.run(lab.Experiment.parse(line))
    assert one.identical(other)
    assert seen == sorted(seen) and seen[-1] == 1 and seen[0] >= 0


def test_progress_goes_on_over_looped_cells():
    seen = []
    lab.run("tabular s1 dpo,ipo sgd,adam lr=0.1 steps=60 seeds=2", progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1 and {0.25, 0.5} & set(seen)


def test_several_pairs_in_mini_batches_in_float32_train_a_network():
    record = lab.run("mlp s1 dpo adam lr=1e-2 steps=30 seeds=2 pairs=2 batch=2 dtype=float32 width=8")
    assert record.log_prob.dtype == np.float32 and np.isfinite(record.log_prob).all()
    assert (record.loss.isel(step=-1).mean("pair") < record.loss.isel(step=0).mean("pair")).all()


def test_keeping_nothing_keeps_the_log_probabilities():
    record = lab.run(f"tabular s1 dpo sgd lr=1 keep=none {END}")
    assert set(record.data_vars) == {
        "log_prob", "reference_log_prob", "loss", "response_weight", "beta_chosen", "beta_rejected",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        (
            f"tabular s1 dpo sgd lr=1 {END}",
            {"device": "cuda:99"},
            r"device is 'cuda:99', which is not there; allowed here are",
        ),
        (f"loglinear s1 dpo sgd lr=1 features=1 {END}", {}, r"features=1: features is a whole number of at least 2"),
        ("tabular s1 dpo sgd lr=1 stesp=5", {}, r"stesp.*steps"),
        (f"tabular s1 dpo beta=0 sgd lr=1 {END}", {}, r"beta=0: beta is a finite number above 0"),
    ],
)
def test_what_cannot_run_says_so(line, options, message):
    with pytest.raises(ValueError, match=message):
        lab.run(line, **options)


def test_a_sweep_of_loops_is_built_one_cell_at_a_time():
    with pytest.raises(ValueError, match=r"the experiment loops over objective; build one of its cells\(\) at a time"):
        built("tabular s1 dpo,ipo sgd lr=1")


# --- References -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fits(quick_fits, monkeypatch) -> list[lab.Problem]:
    """The problems that are fitted from now on."""
    fitted, fit = [], references.reference_parameters

    def watched(policy, problem):
        fitted.append(problem)
        return fit(policy, problem)

    monkeypatch.setattr(references, "reference_parameters", watched)
    return fitted


LINE = "mlp s1 dpo sgd lr=0.1 width=6 steps=2 seeds=2"


@pytest.fixture
def full_fits(fits, monkeypatch) -> list[lab.Problem]:
    """The same, with fits as good as in earnest."""
    monkeypatch.setattr(references, "STEPS", 500)
    monkeypatch.setattr(references, "TOLERANCE", TOLERANCE)
    return fits


def test_a_reference_is_fitted_once_and_read_the_next_time(full_fits):
    first, second = lab.run(LINE), lab.run(LINE.replace("lr=0.1", "lr=0.2").replace("dpo", "ipo"))
    assert len(full_fits) == 1 and full_fits[0].runs == 2
    np.testing.assert_array_equal(first.reference_log_prob, second.reference_log_prob)
    kl = (np.exp(target()) * (target() - first.reference_log_prob.values)).sum(-1)
    assert (kl <= TOLERANCE).all()


def target() -> np.ndarray:
    return build(lab.Experiment.parse(LINE))[0].target_log_prob.numpy()


def test_runs_of_one_world_share_one_fit(full_fits):
    """Three learning rates, two objectives and two seeds are two worlds; each run starts from its own."""
    record = lab.run(LINE.replace("lr=0.1", "lr=0.1,0.2,0.3").replace("dpo", "dpo,ipo"))
    assert [problem.runs for problem in full_fits] == [2] and full_fits[0].seeds == (0, 1)
    assert record.reference_log_prob.dims == ("objective", "lr", "seed", "prompt", "response")
    kl = (np.exp(target()) * (target() - record.reference_log_prob.values)).sum(-1)
    assert (kl <= TOLERANCE).all()
    by_seed = record.reference_log_prob
    np.testing.assert_array_equal(
        by_seed, by_seed.isel(lr=0, objective=0, drop=True).broadcast_like(by_seed).transpose(*by_seed.dims)
    )
    assert not np.array_equal(by_seed.isel(seed=0), by_seed.isel(seed=1))


@pytest.mark.parametrize("change", ["seed=5", "on=0.3", "activation=tanh", "spread=even", "width=7"])
def test_another_world_or_network_is_another_fit(fits, change):
    lab.run(LINE)
    kept = LINE.replace(" width=6", "") if "width" in change else LINE
    lab.run(f"{kept} {change}")
    assert len(fits) == 2


def test_a_damaged_reference_is_fitted_again_with_a_warning(fits, tmp_path):
    first = lab.run(LINE)
    (file,) = (tmp_path / "cache").rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"cannot be read .*; it is computed again"):
        again = lab.run(LINE)
    assert len(fits) == 2 and again.identical(first)
    lab.run(LINE)
    assert len(fits) == 2


@pytest.mark.parametrize("policy", ["tabular", "loglinear"])
def test_a_closed_form_needs_no_cache(fits, tmp_path, policy):
    problem, machine, *_ = build(lab.Experiment.parse(f"{policy} s1 dpo sgd lr=1 {END}"))
    assert torch.equal(reference(machine, problem), machine.start(problem))
    assert not (tmp_path / "cache").exists()


def test_a_break_in_a_looped_sweep_keeps_the_cells_before_it():
    with pytest.raises(lab.NonFiniteError, match="ipo.*seed 0") as caught:
        lab.run("tabular s1 dpo,ipo beta=0.01 sgd lr=1e6 steps=50 seeds=2")
    (before,) = caught.value.finished
    assert before.attrs["experiment"].startswith("tabular s1 dpo") and before.sizes["step"] == 51
    assert caught.value.trajectory.sizes["step"] < 51
