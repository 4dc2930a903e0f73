"""The three properties on planted trajectories whose verdicts are known, and the audit of step 0."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import properties, trajectory

SEEDS, STEPS = 24, 101
TIME = np.linspace(0, 1, STEPS)
LINE = "mlp s1 dpo beta=0.1 adam lr=0.001 steps=100 seeds=24"


def through(*points):
    """A curve of straight pieces through (step, value), one row a seed."""
    steps, values = zip(*points, strict=True)
    return np.interp(np.arange(STEPS), steps, values)[None].repeat(SEEDS, 0)


def jitter(size, seed=0):
    """One number a seed, spread evenly over ± size and shuffled."""
    return np.random.default_rng(seed).permutation(np.linspace(-size, size, SEEDS))[:, None]


def planted(chosen, log_rejected, loss=None, *, weight=None, line=LINE, stride=1, dtype=np.float64, beta=0.1):
    """A record in which two prompts share the given curves [seed, step]; the rest of the mass is unseen."""
    chosen, log_rejected = np.broadcast_arrays(np.atleast_2d(chosen), np.atleast_2d(log_rejected))
    loss = through((0, np.log(2)), (STEPS - 1, 0.01)) if loss is None else loss
    weight = np.interp(TIME, [0, 1], [0.05, 0.0005]) if weight is None else weight
    unseen = 1 - chosen - np.exp(log_rejected)
    with np.errstate(divide="ignore"):
        rows = [np.log(chosen), log_rejected, np.log(unseen * 0.75), np.log(unseen * 0.25)]
    log_prob = np.stack(rows, -1)[:, :, None].repeat(2, 2)
    seeds, steps = chosen.shape
    shared = np.ones((seeds, steps, 2))
    weights = np.broadcast_to(weight, (seeds, steps))[..., None] * shared
    arrays = {
        "log_prob": log_prob,
        "reference_log_prob": log_prob[:, 0],
        "loss": np.broadcast_to(loss, (seeds, steps))[..., None] * shared,
        "response_weight": np.stack([-weights, weights], 2),
        "beta_chosen": np.full(seeds, beta),
        "beta_rejected": np.full(seeds, beta),
    }
    return trajectory.assemble(
        arrays={name: array.astype(dtype) for name, array in arrays.items()},
        axes={"seed": np.arange(seeds)},
        steps=stride * np.arange(steps),
        pair_prompt=np.array([0, 1]),
        chosen=np.array([0, 0]),
        rejected=np.array([1, 1]),
        pair_weight=np.array([0.5, 0.5]),
        attrs={"experiment": line},
    )


FALLING = through((0, np.log(0.45)), (STEPS - 1, -80))
ALL_THREE = through((0, 0.45), (40, 0.90), (100, 0.60))
NONE = through((0, 0.45), (100, 0.95))
MILD = through((0, np.log(0.45)), (100, np.log(0.02)))


# --- verdicts on planted trajectories -----------------------------------------------------------------------------


def test_all_three_are_present_with_their_numbers():
    found = properties.measure(planted(ALL_THREE + jitter(0.01), FALLING))
    assert found.drop.verdict == found.degradation.verdict == found.dispersion.verdict == "present"
    rise = np.log(0.6 / 0.45)
    assert found.drop.value == pytest.approx(80 + np.log(0.45) - rise, abs=0.05)
    assert found.degradation.value == pytest.approx(0.30, abs=1e-12)
    # u = 1 - π⁺ but for π⁻, which is 1e-14 at the peak of π⁺ and 1e-35 at the end.
    assert found.dispersion.value == pytest.approx(0.30, abs=1e-10)
    assert found.degradation.turning_step == found.dispersion.turning_step == 40
    assert found.drop.n == found.degradation.n == found.dispersion.n == SEEDS
    for finding in (found.drop, found.degradation, found.dispersion):
        assert finding.low <= finding.value <= finding.high
        assert finding.turning_low <= finding.turning_step <= finding.turning_high
    assert found.chosen_gradient_left == pytest.approx(0.01)
    assert found.audit.passed


def test_none_is_present_where_the_chosen_response_only_rises():
    found = properties.measure(planted(NONE + jitter(0.01), MILD))
    assert found.drop.verdict == found.degradation.verdict == found.dispersion.verdict == "absent"
    assert found.degradation.value == 0 and found.degradation.turning_step == np.inf
    assert found.drop.turning_step == np.inf


def test_a_fall_that_buys_an_equal_rise_is_no_drop():
    # Both move by 20 nats: a transfer of mass between two unlikely responses.
    end = -2.0
    chosen = np.exp(through((0, end - 20), (100, end)))
    found = properties.measure(planted(chosen, through((0, end), (100, end - 20))))
    assert found.drop.verdict == "absent"
    assert found.drop.value == pytest.approx(0, abs=1e-12)


def test_a_chosen_response_that_falls_does_not_add_to_the_drop():
    chosen = np.exp(through((0, -1.0), (100, -30.0)))
    found = properties.measure(planted(chosen, through((0, -1.0), (100, -6.0))))
    assert found.drop.value == pytest.approx(5)
    assert found.drop.verdict == "absent"


@pytest.mark.parametrize(
    ("falls", "verdict"),
    [((0.05, 0.05), "present"), ((0.05, 0.03), "present"), ((0.05, 0.0), "inconclusive"), ((0.004, 0.002), "absent")],
)
def test_seeds_that_disagree_leave_a_degradation_open(falls, verdict):
    fall = np.where(np.arange(SEEDS) % 2, *falls)[:, None]
    chosen = through((0, 0.45), (40, 0.9), (100, 0.9)) - fall * np.maximum(np.arange(STEPS) - 40, 0) / 60
    found = properties.measure(planted(chosen, FALLING))
    assert found.degradation.verdict == verdict
    assert found.degradation.value == pytest.approx(np.mean(falls), abs=1e-12)


@pytest.mark.parametrize(("centre", "verdict"), [(4.0, "absent"), (10.0, "inconclusive"), (16.0, "present")])
def test_a_drop_is_held_against_its_threshold(centre, verdict):
    end = -1.0 - centre + jitter(3.0)
    rejected = -1.0 + (end + 1.0) * TIME
    found = properties.measure(planted(np.full((SEEDS, STEPS), 0.3), rejected))
    assert found.drop.verdict == verdict
    assert found.drop.value == pytest.approx(centre, abs=1e-12)
    assert properties.measure(planted(np.full((SEEDS, STEPS), 0.3), rejected),
                              thresholds=properties.Thresholds(drop=1.0)).drop.verdict == "present"  # fmt: skip


def test_a_fall_while_the_loss_rises_is_neither_degradation_nor_dispersion():
    loss = through((0, np.log(2)), (40, 0.1), (100, 0.5))
    found = properties.measure(planted(ALL_THREE, FALLING, loss))
    assert found.degradation.value == pytest.approx(0.3) and found.degradation.verdict == "absent"
    assert found.dispersion.value == pytest.approx(0.3) and found.dispersion.verdict == "absent"
    assert "after which the loss rose by 0.4" in found.degradation.sentence
    assert found.drop.verdict == "present", "which asks nothing of the loss"


def test_a_loss_that_falls_in_some_seeds_only_leaves_them_open():
    loss = through((0, np.log(2)), (40, 0.1), (100, 0.1)) + 0.1 * np.maximum(TIME - 0.4, 0) * np.sign(jitter(1.0))
    found = properties.measure(planted(ALL_THREE, FALLING, loss))
    assert found.degradation.verdict == found.dispersion.verdict == "inconclusive"


def test_a_chosen_response_that_falls_from_the_start_has_its_peak_there():
    found = properties.measure(planted(through((0, 0.45), (100, 0.2)), FALLING))
    assert found.degradation.verdict == "present"
    assert found.degradation.value == pytest.approx(0.25) and found.degradation.turning_step == 0
    assert found.dispersion.value == pytest.approx(0.45 + 0.25)


@pytest.mark.parametrize(("end", "verdict"), [(0.40, "present"), (0.55, "inconclusive"), (0.70, "absent")])
def test_unseen_mass_must_end_above_its_start(end, verdict):
    # Without a rejected response the unseen mass starts at 0.45 and dips to 0.1.
    chosen = through((0, 0.55), (40, 0.90), (100, end)) + jitter(0.05) * np.maximum(TIME - 0.4, 0)
    found = properties.measure(planted(chosen, np.full((SEEDS, STEPS), -60.0)))
    assert found.dispersion.verdict == verdict
    assert found.dispersion.value == pytest.approx(0.90 - end, abs=1e-9)


def test_steps_are_those_that_were_recorded():
    found = properties.measure(planted(ALL_THREE, FALLING, stride=5))
    assert found.degradation.turning_step == 200
    excess = -FALLING[0] + FALLING[0, 0] - np.maximum(np.log(ALL_THREE[0] / 0.45), 0)
    assert found.drop.turning_step == 5 * np.argmax(excess >= 10)


# --- one seed, no numbers, sweeps ---------------------------------------------------------------------------------


def test_one_seed_settles_nothing():
    found = properties.measure(planted(ALL_THREE[:1], FALLING[:1], loss=np.linspace(0.7, 0.1, STEPS)))
    for finding in (found.drop, found.degradation, found.dispersion):
        assert finding.verdict == "inconclusive" and np.isnan(finding.low)
        assert "1 seed, no interval" in finding.sentence and "nan" not in finding.sentence


def test_a_run_without_numbers_settles_nothing():
    ds = planted(ALL_THREE, FALLING)
    ds["log_prob"].values[3, 50:] = np.nan
    found = properties.measure(ds)
    for finding in (found.drop, found.degradation, found.dispersion):
        assert finding.verdict == "inconclusive" and np.isnan(finding.value)
        assert finding.sentence.endswith("Some of the 24 seeds hold no numbers.")


def sweep():
    cells = [planted(ALL_THREE + jitter(0.01), FALLING), planted(NONE, MILD), planted(0.8 * ALL_THREE, MILD)]
    return trajectory.combine(cells, "lr", [0.1, 0.2, 0.3]), cells


def test_a_sweep_holds_the_numbers_of_its_cells():
    swept, cells = sweep()
    table = properties.verdicts(swept)
    assert table["verdict"].dims == ("property", "lr")
    for lr, cell in zip((0.1, 0.2, 0.3), cells, strict=True):
        found = properties.measure(cell)
        assert str(properties.measure(swept.sel(lr=lr)).drop) == str(found.drop)
        for name in ("drop", "degradation", "dispersion"):
            finding, column = getattr(found, name), table.sel(property=name, lr=lr)
            for field in ("value", "low", "high", "threshold", "n", "turning_step", "verdict", "sentence"):
                assert column[field].item() == getattr(finding, field), (name, field)
        assert table["chosen_gradient_left"].sel(lr=lr).item() == found.chosen_gradient_left
    assert table["verdict"].sel(property="drop").values.tolist() == ["present", "absent", "absent"]


def test_measure_asks_for_one_cell():
    with pytest.raises(
        ValueError, match=r"swept over lr; pick one cell, such as ds.sel\(lr=0.1\), or call verdicts\(ds\)"
    ):
        properties.measure(sweep()[0])
    with pytest.raises(ValueError, match=r"no dimension 'seed'; keep it: ds.isel\(seed=\[0\]\), not ds.isel\(seed=0\)"):
        properties.measure(planted(NONE, MILD).isel(seed=0))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_threshold_is_a_positive_number(value):
    with pytest.raises(ValueError, match=f"the threshold of degradation is {value}; it must be a positive number"):
        properties.Thresholds(degradation=value)


def test_a_degenerate_sweep_of_one_cell_can_be_measured():
    swept = trajectory.combine([planted(ALL_THREE, FALLING)], "policy", ["mlp"])
    assert properties.measure(swept).drop.verdict == "present"


# --- the sentences ------------------------------------------------------------------------------------------------


def test_the_sentences_say_all_numbers():
    found = properties.measure(planted(ALL_THREE + jitter(0.01), FALLING))
    audit, drop, degradation, dispersion = str(found).splitlines()
    assert audit.startswith("Step 0: the policy is the reference; loss = log 2; margin = 0; implicit rewards = 0")
    for line, finding, title in (
        (drop, found.drop, "Drastic drop: present."),
        (degradation, found.degradation, "Degradation: present."),
        (dispersion, found.dispersion, "Dispersion: present."),
    ):
        assert line == finding.sentence == str(finding)
        assert line.startswith(title)
        assert f"median of {SEEDS} seeds, 95 % interval" in line and f"threshold {finding.threshold:g}" in line
        assert f"step {finding.turning_step:g}" in line
    assert f"fell {found.drop.value:.1f} nats more than log π⁺ rose" in drop
    assert "π⁺ ended 0.300 below its peak" in degradation
    assert "peak at step 40 (40 to 40), after which the loss fell by 0.41" in degradation
    assert degradation.endswith("|∂L/∂log π⁺| ended at 0.01 of its start.")
    assert "Unseen mass ended 0.300 above its minimum" in dispersion and "above its start" in dispersion


def test_the_sentences_of_absence_read_well():
    found = properties.measure(planted(NONE, through((0, np.log(0.45)), (100, np.log(0.04)))))
    assert "no peak before the end" in found.degradation.sentence
    # Unseen mass goes from 0.10 to 0.01.
    assert " and 0.090 below its start (0.090 to 0.090); no minimum before the end" in found.dispersion.sentence
    assert "past the threshold" not in found.drop.sentence
    less = properties.measure(planted(through((0, 0.02), (100, 0.5)), np.log(np.full((SEEDS, STEPS), 0.3))))
    assert "log π⁻ fell 3.2 nats less than log π⁺ rose" in less.drop.sentence
    assert "95 % interval 3.2 to 3.2, threshold 10 nats" in less.drop.sentence


# --- curves -------------------------------------------------------------------------------------------------------


def test_turning_points_and_crossings():
    steps = np.array([0, 2, 4, 8])
    rows = [[0, 1, 3, 2], [0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1, 1], [0, np.nan, 5, 1]]
    curve = xr.DataArray(np.array(rows, float), dims=("seed", "step"), coords={"step": steps})
    np.testing.assert_array_equal(properties.turning_point(curve), [4, np.inf, 0, 0, np.nan])
    np.testing.assert_array_equal(properties.turning_point(curve, extremum="min"), [0, 0, np.inf, 0, np.nan])
    np.testing.assert_array_equal(properties.crossing(curve, 2.0), [4, 4, 0, np.inf, np.nan])
    moved = properties.turning_point(curve.T)
    np.testing.assert_array_equal(moved, [4, np.inf, 0, 0, np.nan])
    with pytest.raises(ValueError, match="extremum is 'top'; it must be 'max' or 'min'"):
        properties.turning_point(curve, extremum="top")


# --- the audit ----------------------------------------------------------------------------------------------------


def start(line, loss, **options):
    return planted(NONE, MILD, np.full((SEEDS, STEPS), loss), line=line, **options)


def check(audit, name):
    return next(check for check in audit.checks if check.name == name)


@pytest.mark.parametrize(
    ("line", "loss", "words"),
    [
        ("tabular s1 dpo beta=0.1 sgd lr=0.1", np.log(2), "loss = log 2"),
        ("tabular s1 flex beta_rejected=0.08 sgd lr=0.1", np.log(2), "loss = log 2"),
        ("mlp s1 ipo beta=0.1 sgd lr=0.1", 25.0, r"loss = 1/(4β²)"),
        ("mlp s1 slic beta=0.1 sgd lr=0.1", 1.0, "loss = 1"),
        ("mlp s1 dpo beta=0.1 sft_weight=0 sgd lr=0.1", np.log(2), "loss = log 2"),
    ],
)
def test_the_audit_knows_the_loss_at_margin_zero(line, loss, words):
    audit = properties.audit(start(line, loss))
    assert audit.passed and [one.outcome for one in audit.checks] == ["holds"] * 5
    assert str(audit) == (
        f"Step 0: the policy is the reference; {words}; margin = 0; implicit rewards = 0; probabilities sum to 1."
    )
    wrong = properties.audit(start(line, loss * 1.01))
    assert not wrong.passed
    assert f"Step 0, fails: the loss is not {words.removeprefix('loss = ')} (off by 0.01, allowed 1e-09)." in str(wrong)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("mlp s1 sft sgd lr=0.1", "an SFT loss at step 0 is -log π of the chosen response"),
        ("mlp s1 dpo sft_weight=0.5 sgd lr=0.1", "the SFT term adds a part that depends on the chosen response"),
        ("mlp s1 simpo sgd lr=0.1", "the experiment line names no objective whose loss at margin 0 is known"),
        ("", "the experiment line names no objective"),
    ],
)
def test_the_audit_says_why_the_loss_is_not_known(line, reason):
    audit = properties.audit(start(line, 3.3))
    assert audit.passed and check(audit, "loss").outcome == "not applicable"
    assert f"Step 0, not applicable: loss: {reason}" in str(audit)


def test_the_audit_says_that_the_start_is_away_from_the_reference():
    ds = start(LINE, 0.6)
    ds["reference_log_prob"].values[..., 0] -= 0.5
    audit = properties.audit(ds)
    assert [one.outcome for one in audit.checks] == ["fails", "fails", "fails", "fails", "holds"]
    assert "the policy is not the reference (off by 0.5" in str(audit)
    assert "the margin is not 0, because the start is 0.5 nats away from the reference (off by 0.05" in str(audit)
    assert check(audit, "implicit rewards").deviation == pytest.approx(0.05)


def test_the_audit_finds_probabilities_that_do_not_sum_to_one():
    ds = start(LINE, np.log(2))
    ds["log_prob"].values[2, 7, 1, 2] += 0.1
    audit = properties.audit(ds)
    assert not audit.passed and check(audit, "probabilities").outcome == "fails"
    ds["log_prob"].values[2, 7, 1, 2] = np.nan
    assert check(properties.audit(ds), "probabilities").outcome == "holds", "a run without numbers is another matter"


def test_the_audit_without_beta():
    audit = properties.audit(start("tabular s1 sft sgd lr=1", 0.8, beta=np.nan))
    assert audit.passed
    assert check(audit, "margin").outcome == check(audit, "implicit rewards").outcome == "not applicable"
    assert "Step 0, not applicable: margin: the objective has no β." in str(audit)


def test_the_audit_allows_float32_its_rounding():
    single = planted(NONE, MILD, through((0, np.log(2)), (100, 0.1)), dtype=np.float32)
    assert properties.audit(single).passed


def test_the_audit_of_a_sweep_covers_every_cell():
    names, losses = ["dpo", "ipo", "slic", "sft"], [np.log(2), 25.0, 1.0, 0.8]
    cells = [start("x", loss) for loss in losses]
    swept = trajectory.combine(cells, "objective", names)
    audit = properties.audit(swept)
    assert check(audit, "loss").outcome == "holds"
    assert check(audit, "loss").sentence == "loss = log 2 or 1/(4β²) or 1 (in the cells where it is known)"
    assert check(properties.audit(swept.sel(objective="ipo")), "loss").sentence == "loss = 1/(4β²)"
    cells[1]["loss"].values[3] += 1
    assert check(properties.audit(trajectory.combine(cells, "objective", names)), "loss").outcome == "fails"


def test_the_audit_of_an_sft_weight_axis_covers_the_cells_without_it():
    swept = trajectory.combine([start(LINE, np.log(2)), start(LINE, 0.8)], "sft_weight", [0.0, 0.1])
    assert check(properties.audit(swept), "loss").sentence == "loss = log 2 (in the cells where it is known)"
    assert check(properties.audit(swept.sel(sft_weight=0.1)), "loss").outcome == "not applicable"


# --- every seed ---------------------------------------------------------------------------------------------------


def test_the_numbers_of_every_seed_are_those_behind_the_medians():
    falls = np.linspace(0.1, 0.4, SEEDS)
    chosen = np.array([through((0, 0.45), (40, 0.90), (100, 0.90 - fall))[0] for fall in falls])
    ds = planted(chosen, FALLING)
    numbers = properties.by_seed(ds)
    assert set(numbers["value"].dims) == {"property", "seed"}
    fall = numbers.sel(property="degradation")
    np.testing.assert_allclose(fall["value"], falls, atol=1e-12)
    np.testing.assert_array_equal(fall["turning"], 40)
    np.testing.assert_allclose(numbers["above_start"].sel(property="dispersion"), falls, atol=1e-10)
    assert properties.measure(ds).degradation.value == pytest.approx(np.median(falls))
    assert properties.by_seed(sweep()[0])["value"].sel(property="drop").sizes["lr"] == sweep()[0].sizes["lr"]


# --- the summary --------------------------------------------------------------------------------------------------


def test_the_summary_holds_start_and_end_with_intervals():
    table = properties.summary(planted(ALL_THREE + jitter(0.01), FALLING))
    assert table["chosen_prob"].dims == ("moment", "statistic")
    np.testing.assert_allclose(table["chosen_prob"].sel(statistic="median"), [0.45, 0.60], atol=1e-12)
    np.testing.assert_allclose(table["rejected_log_prob"].sel(moment="end"), -80)
    np.testing.assert_allclose(table["unseen_mass"].sel(statistic="median"), [0.10, 0.40], atol=1e-12)
    assert (table["chosen_prob"].sel(statistic="low") < table["chosen_prob"].sel(statistic="high")).all()
    assert properties.summary(sweep()[0])["margin"].dims == ("lr", "moment", "statistic")
    with pytest.raises(ValueError, match=r"no dimension 'seed'; keep it: ds.isel\(seed=\[0\]\)"):
        properties.summary(planted(ALL_THREE, FALLING).isel(seed=0))


# --- real runs ----------------------------------------------------------------------------------------------------


def test_a_table_with_one_pair_shows_no_degradation():
    import lab

    found = properties.measure(lab.run("tabular s1 dpo beta=0.1 sgd lr=0.5 steps=200 seeds=5"))
    assert found.audit.passed
    assert found.degradation.verdict == "absent" and found.degradation.value == 0
