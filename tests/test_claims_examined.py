"""Every examination says yes where it should, and no when it is shown records that contradict its claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lab
from lab.claims import causes, exact_results, flex, gradients, objectives, scenarios, sft, three_properties
from lab.claims.judging import judge, measures, together
from lab.claims.registry import CLAIMS
from lab.claims.report import read_verdicts
from lab.claims.writing import bold

ROOT = Path(__file__).resolve().parent.parent
SHORT = "sgd lr=5 steps=8 seeds=6"


@pytest.fixture(scope="module")
def runs():
    """Small records that are known to behave: a table never lowers the chosen response, IPO stops."""
    lines = {
        "dpo": "tabular s1 dpo beta=0.1 sgd lr=100 steps=400 seeds=6",
        "ipo": "tabular s1 ipo beta=0.3 sgd lr=1 steps=400 seeds=6",
        "features": "loglinear s1 dpo beta=0.1 adam lr=0.1 steps=300 seeds=6 features=6",
        "scenarios": f"tabular s1,s2,s3,s4 dpo beta=0.1 {SHORT}",
        "flex": f"tabular s1 flex beta_chosen=0.1 beta_rejected=0.02,0.04,0.08,0.1,0.2,0.4,1 {SHORT}",
        "sft": f"tabular s1 dpo beta=0.1 sft_weight=0.1 {SHORT}",
    }
    return {name: lab.run(line) for name, line in lines.items()}


def shaped(ds, chosen, log_rejected=-30.0, peak=None):
    """The same record with a falling loss, π⁺ from 0.45 over a peak to `chosen`, and log π⁻ to `log_rejected`.

    Both are numbers or arrays over the record's axis, or over its seeds where it has none.
    """
    ds = ds.copy(deep=True)
    shape = ds["log_prob"].shape[:-3]
    share = np.linspace(0, 1, ds.sizes["step"])
    end = np.broadcast_to(np.asarray(chosen, float).reshape(-1, *[1] * (len(shape) - 1)), shape)[..., None]
    low = np.broadcast_to(np.asarray(log_rejected, float).reshape(-1, *[1] * (len(shape) - 1)), shape)[..., None]
    top = end if peak is None else np.full_like(end, peak)
    rise = np.where(share < 0.5, 0.45 + 2 * share * (top - 0.45), top + (2 * share - 1) * (end - top))
    fall = np.log(0.45) + share * (low - np.log(0.45))
    rest = np.log((1 - rise - np.exp(fall)).clip(1e-12) / (ds.sizes["response"] - 2))
    log_prob = np.broadcast_to(rest[..., None, None], ds["log_prob"].shape).copy()
    for pair, prompt in enumerate(ds["pair_prompt"].values):
        log_prob[..., prompt, int(ds["chosen"][pair])] = np.log(rise)
        log_prob[..., prompt, int(ds["rejected"][pair])] = fall
    ds["log_prob"].values[:] = log_prob
    ds["loss"].values[:] = np.geomspace(np.log(2), 1e-3, ds.sizes["step"])[:, None]
    return ds


def along(ds, by_beta, otherwise):
    """One value for each β⁻ of a sweep."""
    return [by_beta.get(float(beta), otherwise) for beta in ds["beta_rejected"].values]


# --- the three properties and the gradients -----------------------------------------------------------------------


def test_the_three_properties_are_told_from_their_absence(runs):
    ds = runs["dpo"]
    falling = {"dpo": shaped(ds, 0.6, -80, peak=0.9)}
    rising = {"dpo": shaped(ds, 0.999, -4)}
    for examine in (three_properties.rejected_falls, three_properties.chosen_falls, three_properties.unseen_grows):
        assert together(examine(falling)) == "yes"
        assert together(examine(rising)) == "no"


def test_the_ratio_law_is_broken_by_unequal_gradients_and_by_equal_signs(runs):
    assert together(gradients.ratio_law(runs)) == "yes"
    for factor in (1 + 1e-6, -1.0):
        broken = runs["dpo"].copy(deep=True)
        broken["response_weight"].loc[{"term": "chosen"}] *= factor
        assert together(gradients.ratio_law({"dpo": broken})) == "no"


def test_gradients_vanish_explode_and_dominate_by_space(runs):
    at_once = {"dpo": runs["dpo"].isel(step=[0, 1])}
    assert together(gradients.chosen_vanishes(runs)) == "yes"
    assert together(gradients.chosen_vanishes(runs, "logit")) == "yes"
    assert together(gradients.chosen_vanishes({"dpo": runs["flex"].isel(beta_rejected=2)})) == "no"
    assert together(gradients.rejected_explodes(runs)) == together(gradients.rejected_dominates(runs)) == "yes"
    for space in ("log_probability", "logit"):
        assert together(gradients.rejected_explodes(runs, space)) == "no"
    assert together(gradients.rejected_dominates(at_once, "log_probability")) == "no"


# --- scenarios ----------------------------------------------------------------------------------------------------


def test_scenarios_are_compared_by_each_measure_and_swapping_them_swaps_the_answers(runs):
    worst_last = shaped(runs["scenarios"], [0.9, 0.7, 0.8, 0.6], peak=0.95)
    for examine in (scenarios.s1_least, scenarios.off_policy_chosen_worst):
        found = examine({"dpo": worst_last})
        assert together(found) == "yes" and list(measures(found)) == list(scenarios.MEASURES)
        names = worst_last["scenario"].values[::-1]
        assert together(examine({"dpo": worst_last.assign_coords(scenario=names)})) == "no"


def test_measures_that_disagree_are_seen(runs):
    # s1 ends highest, and lost most on the way there.
    curves = shaped(runs["scenarios"], [0.6, 0.5, 0.5, 0.5], peak=0.9)
    low = shaped(runs["scenarios"], [0.6, 0.5, 0.5, 0.5], peak=0.6)
    mixed = curves.copy(deep=True)
    mixed["log_prob"].loc[{"scenario": ["s2", "s3", "s4"]}] = low["log_prob"].sel(scenario=["s2", "s3", "s4"])
    found = measures(scenarios.s1_least({"dpo": mixed}))
    assert found["chosen mass at the end"] == "yes" and found["chosen mass lost from its peak"] == "no"


# --- Flex-DPO and the SFT term ------------------------------------------------------------------------------------


def test_flex_dpo_is_held_against_dpo_with_the_right_sign(runs):
    ds = runs["flex"]
    up = {"flex": shaped(ds, along(ds, {0.08: 0.8}, 0.6), along(ds, {0.08: -20}, -30))}
    down = {"flex": shaped(ds, along(ds, {0.08: 0.4}, 0.6), along(ds, {0.08: -40}, -30))}
    for examine in (flex.flex_helps, flex.flex_disperses_less, flex.flex_drops_less, flex.slows, flex.best_inside):
        assert together(examine(up)) == "yes", examine
        assert together(examine(down)) == "no", examine
    assert together(flex.slows(up, step=4)) == "yes" and together(flex.slows(down, step=4)) == "no"
    assert flex.slows_at_margin(down)[0].need == "above 0"


def test_a_valley_is_told_from_a_hill(runs):
    ds = runs["flex"]
    valley = flex.valley({"flex": shaped(ds, along(ds, {0.2: 0.4, 0.4: 0.3}, 0.7))})
    assert together(valley) == "yes" and valley[-1].what == "chosen mass at the lowest point, β⁻ = 0.4"
    assert together(flex.valley({"flex": shaped(ds, along(ds, {0.2: 0.7}, 0.5))})) == "no"


def test_the_balance_is_refuted_by_a_larger_beta_that_does_not_help(runs):
    ds = runs["flex"]
    sweep = shaped(ds, along(ds, {0.08: 0.8}, 0.6), -200)
    data = {"flex": sweep, "raised": shaped(runs["sft"], 0.8), "lowered": shaped(runs["sft"], 0.55)}
    first, second = flex.shifts_balance(data)[:2]
    assert first.answer == second.answer == "yes"
    data = {"flex": sweep, "raised": shaped(runs["sft"], 0.6), "lowered": shaped(runs["sft"], 0.8)}
    first, second = flex.shifts_balance(data)[:2]
    assert first.answer == second.answer == "no"


def test_the_sft_term_is_held_against_dpo_with_the_right_sign(runs):
    better, worse = shaped(runs["sft"], 0.9, -20), shaped(runs["sft"], 0.6, -30)
    for examine in (sft.sft_helps, sft.sft_disperses_less, sft.sft_drops_less):
        assert together(examine({"sft": better, "dpo": worse})) == "yes"
        assert together(examine({"sft": worse, "dpo": better})) == "no"


# --- siblings -----------------------------------------------------------------------------------------------------


def test_a_loss_that_stops_is_told_from_one_that_does_not(runs):
    assert together(objectives.stops({"sibling": runs["ipo"]})) == "yes"
    assert together(objectives.ipo_stops({"sibling": runs["ipo"]})) == "yes"
    assert together(objectives.stops({"sibling": runs["dpo"]})) == "no"
    assert together(objectives.stops({"sibling": shaped(runs["ipo"], 0.5, peak=0.9)})) == "no"


def test_a_stop_is_what_dpo_lacks_only_if_its_peak_is_high(runs):
    sibling = shaped(runs["scenarios"], [0.9, 0.5, 0.5, 0.5])
    for peak, end, answer in ((0.95, 0.5, "yes"), (0.7, 0.5, "no"), (0.95, 0.95, "no")):
        data = {"dpo": shaped(runs["dpo"], end, peak=peak), "ipo": sibling, "slic": sibling}
        assert together(objectives.never_stops(data)) == answer


# --- exact results and causes -------------------------------------------------------------------------------------


def test_the_margin_law_fails_where_the_flow_is_another():
    line = "tabular s1 dpo beta=0.1,0.5 {} steps=300 seeds=3 prompts=1"
    assert together(exact_results.margin_law({"dpo": lab.run(line.format("sgd lr=0.1"))})) == "yes"
    assert together(exact_results.margin_law({"dpo": lab.run(line.format("adam lr=0.1"))})) == "no"


def test_the_crossings_are_those_of_the_law_and_no_others():
    ds = lab.run(exact_results.FINE.replace("seeds=24", "seeds=2"))
    found = exact_results.betas_cross({"dpo": ds})
    assert len(found) == 4 and together(found) == "yes"
    faster = ds.assign_attrs(experiment=ds.attrs["experiment"].replace("lr=0.1", "lr=0.11"))
    assert together(exact_results.betas_cross({"dpo": faster})) == "no"


@pytest.mark.parametrize(("small", "large"), list(exact_results.CROSSINGS))
def test_the_stated_crossings_are_roots_of_the_law(small, large):
    """Log-ratio margins m/β are level where m + e^m = 1 + 2β²t holds for both β at the same t."""
    from scipy.optimize import brentq

    def moved(beta, time):
        return brentq(lambda m: m + np.exp(m) - 1 - 2 * beta**2 * time, 0, 50) / beta

    time = brentq(lambda t: moved(small, t) - moved(large, t), 1, 5000)
    assert exact_results.CROSSINGS[small, large] == pytest.approx(time, rel=1e-3)


def test_shared_features_break_what_a_table_obeys(runs):
    assert together(exact_results.table_never_lowers({"dpo": runs["dpo"]})) == "yes"
    assert together(exact_results.table_never_lowers({"dpo": runs["features"]})) == "no"


def test_interference_with_the_wrong_sign_foresees_nothing():
    ds = lab.run(exact_results.OVERLAP.replace("seeds=24", "seeds=6").replace("steps=1000", "steps=200"))
    assert together(exact_results.interference_decides({"dpo": ds})) == "yes"
    # As if the rejected term always took back more than the chosen term gives.
    ds["parameter_cosine"] = -1 + 0 * ds["parameter_cosine"]
    ds["parameter_log_norm"].loc[{"term": "rejected"}] += 10
    assert together(exact_results.interference_decides({"dpo": ds})) == "no"


def test_causes_are_refuted_by_records_in_the_wrong_place(runs):
    falls, rises = shaped(runs["dpo"], 0.5, peak=0.9), shaped(runs["dpo"], 0.95)
    features = falls.expand_dims(features=[16, 128])
    data = {"mlp": falls, "features": features, "table": rises, "one prompt": rises}
    assert together(causes.shared_parameters(data)) == "yes"
    assert together(causes.shared_parameters({**data, "table": falls})) == "no"
    assert together(causes.optimiser_decides({"adam": falls, "sgd": rises, "momentum": rises})) == "yes"
    assert together(causes.optimiser_decides({"adam": rises, "sgd": falls, "momentum": falls})) == "no"


def test_room_is_compared_at_equal_loss(runs):
    little, much = shaped(runs["dpo"], 0.5), shaped(runs["dpo"], 0.9)
    sweep = lab.run("loglinear s1 dpo beta=0.1 sgd lr=50 steps=400 seeds=6 features=16,128")
    data = {"16, Adam": little, "128, Adam": much, "16, SGD": little, "64, SGD": much}
    both = {"features, Adam": shaped(sweep, [0.5, 0.9]), "features, SGD": shaped(sweep, [0.5, 0.9])}
    assert together(causes.room({**data, **both})) == "yes"
    both = {"features, Adam": shaped(sweep, [0.9, 0.5]), "features, SGD": shaped(sweep, [0.9, 0.5])}
    assert together(causes.room({**data, **both})) == "no"


# --- the committed verdicts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["margin_law", "betas_cross", "table_never_lowers_the_chosen", "interference_decides"])
def test_the_committed_verdicts_on_exact_results_hold_today(name):
    committed = read_verdicts((ROOT / "CLAIMS.md").read_text(encoding="utf-8"))
    assert bold(judge(CLAIMS[name], lab.run).verdict) == committed[name] == "**holds**"
