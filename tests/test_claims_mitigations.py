"""Every examination of remedies and tuning says yes where it should, and no to records that contradict it."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.claims import mitigations, tuning
from lab.claims.judging import together
from lab.claims.registry import CLAIMS

SHORT = "sgd lr=1 steps=10 seeds=6"
BETAS = "0.01,0.05,0.1,0.2,0.5,1"


@pytest.fixture(scope="module")
def runs():
    """Small tables, whose probabilities the tests overwrite."""
    lines = {
        "dpo": f"tabular s1 dpo beta=0.1 {SHORT}",
        "sft": f"tabular s1 dpo beta=0.1 sft_weight=0,0.001,0.01,0.1,1 {SHORT}",
        "flex": f"tabular s1 flex beta_chosen=0.1 beta_rejected=0.01,0.04 {SHORT}",
        "grid": f"tabular s1 flex beta_chosen={BETAS} beta_rejected={BETAS} {SHORT}",
    }
    return {name: lab.run(line) for name, line in lines.items()}


def ending(ds, chosen, fall=30.0, peak=None):
    """The same record with π⁺ from its start, over a peak in the middle, to `chosen`, and log π⁻ lower by `fall`.

    Both are numbers, or functions of the record's axes and in their order.
    """
    ds = ds.copy(deep=True)
    axes = [dim for dim in ds["log_prob"].dims if dim not in ("seed", "step", "prompt", "response")]
    grids = np.meshgrid(*(ds[axis].values for axis in axes), indexing="ij")
    shape = (*(ds.sizes[axis] for axis in axes), 1, 1)
    end, low = (
        np.broadcast_to(np.asarray(value(*grids) if callable(value) else value, float), shape[:-2]).reshape(shape)
        for value in (chosen, fall)
    )
    share = np.linspace(0, 1, ds.sizes["step"])
    top = np.maximum(end, 0.45) if peak is None else np.full_like(end, peak)
    plus = np.where(share < 0.5, 0.45 + 2 * share * (top - 0.45), top + (2 * share - 1) * (end - top))
    minus = np.log(0.45) - share * low
    rest = np.log((1 - plus - np.exp(minus)).clip(1e-12) / (ds.sizes["response"] - 2))
    table = ds["log_prob"].transpose(*axes, "seed", "step", "prompt", "response").copy()
    table.values[:] = rest[..., None, None]
    for pair, prompt in enumerate(ds["pair_prompt"].values):
        table.values[..., prompt, int(ds["chosen"][pair])] = np.log(plus)
        table.values[..., prompt, int(ds["rejected"][pair])] = minus
    ds["log_prob"] = table
    return ds


def test_a_surplus_is_believed_only_if_it_keeps_and_the_others_lose(runs):
    kept, lost = ending(runs["dpo"], 0.95), ending(runs["dpo"], 0.3)
    data = {name: kept for name in ("sft", "flex", "kto", "orpo")}
    data |= {name: lost for name in ("dpo", "rate", "smoothing", "ipo", "dpop")}
    assert together(mitigations.surplus_keeps(data)) == "yes"
    assert together(mitigations.surplus_keeps(data | {"sft": lost})) == "no"
    assert together(mitigations.surplus_keeps(data | {"ipo": kept})) == "no"


def test_stopping_helps_only_where_there_is_a_high_peak_to_stop_at(runs):
    peaked = {"dpo": ending(runs["dpo"], 0.7, peak=0.97)}
    assert together(mitigations.stopping_keeps(peaked)) == "yes"
    assert together(mitigations.stopping_keeps({"dpo": ending(runs["dpo"], 0.95)})) == "no"
    assert together(mitigations.stopping_keeps({"dpo": ending(runs["dpo"], 0.3, peak=0.6)})) == "no"


def test_domination_needs_both_the_margin_and_the_unseen_mass(runs):
    balanced = {name: ending(runs["dpo"], 0.6, 60.0) for name in mitigations.BALANCED}
    for chosen, fall, answer in ((0.97, 300.0, "yes"), (0.97, 40.0, "no"), (0.5, 300.0, "no")):
        data = balanced | {"flex": ending(runs["flex"], chosen, fall)}
        assert together(mitigations.flex_dominates(data)) == answer


def test_one_balanced_setting_that_is_not_dominated_is_enough(runs):
    balanced = {name: ending(runs["dpo"], 0.6, 60.0) for name in mitigations.BALANCED}
    data = balanced | {"flex": ending(runs["flex"], 0.97, 300.0), "ipo": ending(runs["dpo"], 0.99, 5.0)}
    assert together(mitigations.flex_dominates(data)) == "no"


@pytest.mark.parametrize(("both", "answer"), [(0.016, "yes"), (0.001, "no")])
def test_remedies_that_multiply_do_more_than_the_same_work(runs, both, answer):
    # Alone they divide the unseen mass of 0.4 by 5 and by 10: together 0.008 would be neither more nor less.
    data = {
        "dpo": ending(runs["dpo"], 0.6, 60.0),
        "flex": ending(runs["flex"], 1 - 0.4 / 5, 60.0),
        "sft": ending(runs["sft"], 1 - 0.4 / 10, 60.0),
        "both": ending(runs["sft"], 1 - both, 60.0),
    }
    assert together(mitigations.same_work(data)) == answer


def test_a_weight_travels_if_it_keeps_both_what_the_best_keeps_and_the_margin(runs):
    def mass(weight):
        return np.where(weight >= 0.01, 0.97, 0.6)

    good = ending(runs["sft"], mass, lambda weight: np.where(weight > 0.05, 20.0, 60.0))
    assert together(tuning.weight_travels({"sft": good})) == "yes"
    late = ending(runs["sft"], lambda weight: np.where(weight >= 0.1, 0.97, 0.6), 60.0)
    assert together(tuning.weight_travels({"sft": late})) == "no"
    costly = ending(runs["sft"], mass, lambda weight: np.where(weight > 0.005, 20.0, 60.0))
    assert together(tuning.weight_travels({"sft": costly})) == "no"


def test_a_pilot_run_is_believed_only_if_its_weight_hits_where_the_fixed_one_misses(runs):
    # A table's push at the start is 0.05: the nearest weight of the record is 0.1. A falling π⁺ peaks at the start.
    falling = runs["sft"].copy(deep=True)
    falling["response_weight"].values[:] = 0.05 * np.sign(falling["response_weight"].values)
    high = ending(falling, lambda weight: np.where(weight >= 0.1, 0.97, 0.6), 60.0)
    low = ending(falling, 0.97, lambda weight: np.where(weight > 0.05, 20.0, 60.0))
    assert together(tuning.pilot_finds_better({"high": high, "also": high})) == "yes"
    assert together(tuning.pilot_finds_better({"low": low, "also": low})) == "no"


def test_the_depth_is_that_of_beta_rejected_or_not(runs):
    by_rejected = ending(runs["grid"], 0.5, lambda plus, minus: 7 / minus + 0 * plus)
    by_chosen = ending(runs["grid"], 0.5, lambda plus, minus: 7 / plus + 0 * minus)
    assert together(tuning.depth_is_rejected({"grid": by_rejected})) == "yes"
    assert together(tuning.depth_is_rejected({"grid": by_chosen})) == "no"


def test_a_valley_with_one_arm_is_refused(runs):
    def brake(minus):
        return 0.3 + 0.5 * (minus > 0.4)

    both = ending(runs["grid"], lambda plus, minus: np.where(plus > minus, 0.97, brake(minus)))
    assert together(tuning.two_arms({"grid": both})) == "yes"
    without_surplus = ending(runs["grid"], lambda plus, minus: brake(minus) + 0 * plus)
    assert together(tuning.two_arms({"grid": without_surplus})) == "no"
    without_brake = ending(runs["grid"], lambda plus, minus: np.where(plus > minus, 0.97, 0.3))
    assert together(tuning.two_arms({"grid": without_brake})) == "no"
    scaled = ending(runs["grid"], lambda plus, minus: np.where(plus > minus, 0.97, brake(minus) - 0.2 * (plus < 0.05)))
    assert together(tuning.two_arms({"grid": scaled})) == "no"


@pytest.mark.parametrize("claim", [*mitigations.CLAIMS, *tuning.CLAIMS], ids=lambda claim: claim.name)
def test_every_claim_is_registered_and_rests_on_lines_that_a_figure_runs_too(claim):
    from figures.an_sft_weight_of_a_hundredth_travels import FIGURE as TRAVELS
    from figures.layouts.remedies import ELSEWHERE, MAIN
    from figures.the_valley_in_beta_has_two_arms import FIGURE as VALLEY

    drawn = {*MAIN.values(), *ELSEWHERE.values(), *TRAVELS.lines.values(), *VALLEY.lines.values()}
    known = {str(lab.Experiment.parse(line)) for line in drawn}
    assert CLAIMS[claim.name] is claim
    assert {str(lab.Experiment.parse(line)) for line in claim.all_lines} <= known
