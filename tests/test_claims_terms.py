"""The claims on single pushes, on SFT as a stage and on labels: yes where it should be, no to what contradicts them."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics
from lab.claims import labels, stages, terms
from lab.claims.judging import together
from lab.claims.registry import CLAIMS
from lab.experiments.experiment import Experiment

SHORT = "sgd lr=1 steps=10 seeds=6 keep=none"


@pytest.fixture(scope="module")
def runs():
    """Small tables: probabilities of the first two are overwritten, the rewards of the last are learned in earnest."""
    world = "tabular open rm sgd lr=10 steps=400 seeds=6 every=20 keep=none truth=normal data=sampled comparisons=16"
    lines = {
        "terms": f"tabular s1 dpo beta=0.1 {SHORT} terms=both,chosen,rejected",
        "dpo": f"tabular s1 dpo beta=0.1 {SHORT}",
        "pushed": "tabular s1 dpo beta=0.1 sgd lr=200 steps=100 seeds=6 every=10 keep=none",
        "once": f"{world} repeats=1",
        "often": f"{world} repeats=32",
    }
    return {name: lab.run(line) for name, line in lines.items()}


def shaped(ds, ends, peaks=None):
    """The record with a falling loss and π⁺ from 0.45 over a peak to an end, each a number or one for each term."""
    ds = ds.copy(deep=True)
    axes = ds["log_prob"].shape[:-3]
    end, peak = (np.broadcast_to(np.reshape(each, (-1, *[1] * (len(axes) - 1))), axes)[..., None]
                 for each in (ends, np.maximum(ends, 0.45) if peaks is None else peaks))  # fmt: skip
    share = np.linspace(0, 1, ds.sizes["step"])
    plus = np.where(share < 0.5, 0.45 + 2 * share * (peak - 0.45), peak + (2 * share - 1) * (end - peak))
    ds["log_prob"].values[:] = np.log((1 - plus) / (ds.sizes["response"] - 1))[..., None, None]
    for prompt, chosen in zip(ds["pair_prompt"].values, ds["chosen"].values, strict=True):
        ds["log_prob"].values[..., prompt, chosen] = np.log(plus)
    ds["reference_log_prob"].values[:] = ds["log_prob"].isel(step=0).values
    ds["loss"].values[:] = np.geomspace(0.69, 1e-3, ds.sizes["step"])[:, None]
    return ds


# Ends and peaks of both pushes, of the chosen one alone and of the rejected one alone.
FALLS, PEAKS = (0.6, 0.99, 0.25), (0.9, 0.99, 0.9)


@pytest.mark.parametrize(
    ("ends", "peaks", "answer"),
    [
        (FALLS, PEAKS, "yes"),
        ((0.6, 0.99, 0.95), (0.9, 0.99, 0.95), "no"),
        ((0.6, 0.5, 0.25), (0.9, 0.9, 0.9), "no"),
        ((0.6, 0.25, 0.99), (0.9, 0.9, 0.99), "no"),
    ],
)
def test_the_fall_is_the_rejected_pushs_only_if_it_falls_alone_and_the_chosen_one_does_not(runs, ends, peaks, answer):
    assert together(terms.rejected_push_makes_it({"dpo": shaped(runs["terms"], ends, peaks)})) == answer


def test_a_fall_in_nats_is_counted_from_the_start_and_for_the_right_push(runs):
    data = {"dpo": shaped(runs["terms"], (0.6, 0.99, 1e-6))}
    evidence = terms.rejected_push_lowers_it(data)
    assert together(evidence) == "yes"
    assert [each.value for each in evidence] == pytest.approx([np.log(0.45 / 1e-6), np.log(0.45 / 0.99)])
    for ends in ((0.6, 1e-6, 0.99), (0.6, 0.99, 0.4), (0.6, 0.4, 1e-6)):
        assert together(terms.rejected_push_lowers_it({"dpo": shaped(runs["terms"], ends)})) == "no"


def test_a_table_whose_push_lives_or_whose_response_falls_is_refused(runs):
    gone = runs["pushed"]
    evidence = terms.table_loses_its_push({"table": gone, "mlp": gone})
    assert together(evidence) == "yes"
    # β σ(-m) over β σ(0), with the margin that the record has.
    margin = metrics.over_pairs(metrics.margin(gone), gone).isel(step=-1).median()
    assert evidence[0].value == pytest.approx(2 / (1 + np.exp(float(margin))))
    assert together(terms.table_loses_its_push({"table": runs["dpo"], "mlp": gone})) == "no"
    assert together(terms.table_loses_its_push({"table": shaped(gone, 0.5, 0.9), "mlp": gone})) == "no"


@pytest.mark.parametrize(
    ("first", "peak", "alone", "answer"),
    [(0.6, 0.8, 0.3, "yes"), (0.95, 0.95, 0.3, "no"), (0.3, 0.8, 0.3, "no"), (0.2, 0.8, 0.6, "no")],
)
def test_sft_first_helps_without_a_cure_only_if_it_ends_higher_and_falls(runs, first, peak, alone, answer):
    data = {"first": shaped(runs["dpo"], first, peak), "dpo": shaped(runs["dpo"], alone)}
    assert together(stages.helps_but_does_not_cure(data)) == answer


def test_dpo_alone_takes_as_many_updates_as_both_stages_together():
    for side in (stages.CLAIMS[0], *stages.CLAIMS[0].sides):
        if not side.lines:
            continue
        first, alone = (Experiment.parse(side.lines[name]) for name in ("first", "dpo"))
        parts = [stage for stage, _ in first.stages()]
        assert [stage.value("objective") for stage in parts] == ["sft", "dpo"] and first.updates == alone.updates
        assert {(stage.value("optimizer"), stage.value("lr")) for stage in (*parts, alone)} == {
            (alone.value("optimizer"), alone.value("lr"))
        }
        assert first.value("width") == alone.value("width") and first.value("activation") == alone.value("activation")


def test_a_single_label_is_believed_for_certain_and_many_are_not(runs):
    once, often = (labels.grows_too_sure({"model": runs[name]}) for name in ("once", "often"))
    assert together(once) == "yes" and [each.answer for each in often] == ["no", "no", ""]


def test_calibration_that_is_not_lost_or_rewards_that_do_not_spread_are_refused(runs):
    ds = runs["once"]
    assert together(labels.grows_too_sure({"model": ds.isel(step=slice(2))})) == "no"  # the least is the last
    true = ds.copy(deep=True)
    logits = true["reference_log_prob"] + true["reward"] / true["beta_chosen"]
    true["log_prob"].values[:] = (logits - np.log(np.exp(logits).sum("response"))).expand_dims(
        step=ds["step"]
    ).transpose(*ds["log_prob"].dims)  # fmt: skip
    error, spread, _ = labels.grows_too_sure({"model": true})
    assert (error.answer, spread.answer) == ("no", "no") and spread.value == pytest.approx(1)
    assert error.value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("claim", [*terms.CLAIMS, *stages.CLAIMS, *labels.CLAIMS], ids=lambda claim: claim.name)
def test_every_claim_is_registered(claim):
    assert CLAIMS[claim.name] is claim


def test_the_figure_draws_the_runs_of_the_claim():
    from figures.the_rejected_push_makes_the_fall import FIGURE

    assert str(FIGURE.experiments()["dpo"]) == str(
        Experiment.parse(CLAIMS["the_rejected_push_makes_the_fall"].lines["dpo"])
    )
