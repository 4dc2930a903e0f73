"""Claims on predictors of step 0: yes where the falls follow them, no where the falls are turned or shuffled."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.claims import predictors
from lab.claims.judging import together
from lab.experiments.predicting import PROBLEMS

FEATURES = "loglinear s1,s2 dpo beta=0.1 adam lr=0.01 steps=200 seeds=20 every=5 features=8 overlap=0,0.5,0.9"
NETWORK = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=5 seeds=20 every=5 width=16 prompts=2 responses=4 keep=none"


@pytest.fixture(scope="module")
def features():
    return {"one": lab.run(f"{FEATURES} prompts=1"), "four": lab.run(f"{FEATURES} prompts=4")}


def turned(data, *, late=False):
    """The same records with every chosen response moving the other way: falls become rises; late: in the last state."""
    found = {}
    for name, ds in data.items():
        other = ds.copy(deep=True)
        for prompt, chosen in zip(ds["pair_prompt"].values, ds["chosen"].values, strict=True):
            move = (ds["log_prob"] - ds["reference_log_prob"]).isel(prompt=int(prompt), response=int(chosen))
            move = move.transpose(*other["log_prob"].isel(prompt=0, response=0).dims)
            steps = slice(-1, None) if late else slice(None)
            axis = move.get_axis_num("step")
            picked = tuple(steps if k == axis else slice(None) for k in range(move.ndim))
            other["log_prob"].values[(*picked, int(prompt), int(chosen))] -= 2 * move.values[picked]
        found[name] = other
    return found


def forgotten(data):
    """The same records with chance in the place of the chosen responses' last log-probabilities."""
    found = {}
    for name, ds in data.items():
        other = ds.copy(deep=True)
        last = other["log_prob"].isel(step=-1)  # a view
        rng = np.random.default_rng(0)
        for prompt, chosen in zip(ds["pair_prompt"].values, ds["chosen"].values, strict=True):
            place = last.isel(prompt=int(prompt), response=int(chosen))
            place.values[...] = rng.uniform(-5, 0, place.shape)
        found[name] = other
    return found


def test_ches_is_believed_only_where_falls_follow_it(features):
    assert together(predictors.ches_ranks(features)) == "yes"
    assert together(predictors.ches_ranks(turned(features))) == "no"


def test_ches_is_no_where_it_tells_no_pair_from_another():
    (only,) = predictors.ches_ranks({"network": lab.run(NETWORK)})
    assert only.answer == "no" and only.value == 0


def test_the_first_step_is_believed_only_where_first_steps_follow_it(features):
    assert together(predictors.first_steps(features)) == "yes"
    assert together(predictors.first_steps(turned(features))) == "no"
    found = predictors.first_steps({"network": lab.run(NETWORK)})
    assert together(found) == "yes" and found[0].value > found[1].value


def test_a_late_fall_is_unforeseen_only_if_no_predictor_ranks_it_either_way(features):
    assert together(predictors.late_fall(features)) == "no"
    assert together(predictors.late_fall(turned(features, late=True))) == "no"
    chance = predictors.late_fall(forgotten(features))
    assert all(piece.answer != "no" and piece.value < 0.3 for piece in chance)
    assert chance[0].low <= chance[0].value <= chance[0].high


def test_a_fall_shows_late_only_where_the_end_forgets_how_it_began(features):
    assert together(predictors.shows_late(features)) == "no"
    assert together(predictors.shows_late(forgotten(features))) == "yes"


def test_the_claims_rest_on_the_problems_of_the_figures():
    shared = {line for lines in PROBLEMS.values() for line in lines}
    assert all(set(claim.all_lines) <= shared for claim in predictors.CLAIMS)
