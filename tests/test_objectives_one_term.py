"""One term of a gradient: a stop-gradient held against autograd, and a record that tells of both terms."""

# ruff: noqa: E501 (the table of errors keeps what a reader sees in one piece)
from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import lab
from lab.objectives import PairLogProbs
from tests import plain, worlds
from tests.worlds import OBJECTIVES, POLICIES

EVERYTHING = lab.Record(keep=("gradients", "predictions", "parameters"))
TERMS = ("chosen", "rejected")
OTHERS = {"kto": lab.KTO(0.3), "aot": lab.AOT(0.5), "wpo": lab.WPO(lab.DPO(0.3)), "simpo": lab.SimPO(2.0)}


def seen(**changes) -> PairLogProbs:
    """Pairs of three runs with everything that an objective may ask for."""
    chosen, rejected, first, second = -worlds.draw(4, 3, 5).abs() - 0.1
    confidence = {
        name: worlds.draw(3, 5, seed=i) for i, name in enumerate(("chosen_confidence", "rejected_confidence"))
    }
    kl = worlds.draw(3, 1, seed=9).abs()
    return replace(PairLogProbs(chosen, rejected, first, second, kl=kl, **confidence), **changes)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("name", [*OBJECTIVES, *OTHERS])
def test_the_weights_are_those_of_autograd_with_the_other_log_probability_held_fast(name, term):
    objective, pairs = {**OBJECTIVES, **OTHERS}[name], seen()
    free = getattr(pairs, term).clone().requires_grad_()
    total = objective.loss(replace(pairs, **{term: free})).sum() + 0 * free.sum()  # SFT reads no rejected response
    (expected,) = torch.autograd.grad(total, free)
    found = dict(zip(TERMS, lab.OneTerm(objective, term).response_weights(pairs), strict=True))
    torch.testing.assert_close(found.pop(term), expected, rtol=1e-10, atol=1e-14)
    assert not found.popitem()[1].any()


@pytest.mark.parametrize("name", [*OBJECTIVES, *OTHERS])
def test_what_else_it_says_is_the_whole_objectives(name):
    objective, pairs = {**OBJECTIVES, **OTHERS}[name], seen()
    for term in TERMS:
        alone = lab.OneTerm(objective, term)
        assert torch.equal(alone.loss(pairs), objective.loss(pairs))
        assert alone.whole is objective and objective.whole is objective
        assert lab.OneTerm(alone, "chosen").whole is objective
        assert (alone.needs, alone.couples_pairs) == (objective.needs, objective.couples_pairs)
        for mine, its in zip(alone.betas, objective.betas, strict=True):
            torch.testing.assert_close(torch.as_tensor(mine), torch.as_tensor(its), rtol=0, atol=0, equal_nan=True)
        assert not alone.only_margin


def trained(policy, objective, **options):
    world = worlds.problem()
    settings = {"steps": 4, "record": EVERYTHING, "start": worlds.state(policy, world), **options}
    return lab.train(world, worlds.policy(policy, world), objective, lab.SGD(0.3), **settings)


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_steps_of_the_two_terms_sum_to_that_of_the_whole(policy, batch):
    objective = OBJECTIVES["dpo + sft"]
    moves = [
        np.diff(trained(policy, each, batch=batch).parameters.values, axis=1)[:, 0]
        for each in (objective, *(lab.OneTerm(objective, term) for term in TERMS))
    ]
    np.testing.assert_allclose(moves[1] + moves[2], moves[0], rtol=1e-9, atol=1e-13)
    assert all(np.abs(move).max() > 1e-4 for move in moves[1:])


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_trajectory_is_that_of_autograd_with_the_other_response_detached(policy, term, monkeypatch):
    """The second implementation of tests/plain.py, one pair's other log-probability held fast."""
    whole = plain.pair_loss

    def held(objective, run, chosen, rejected, *starts):
        kept = (chosen, rejected.detach()) if term == "chosen" else (chosen.detach(), rejected)
        return whole(objective, run, *kept, *starts)

    world, objective = worlds.problem(), OBJECTIVES["ipo per run"]
    record = trained(policy, lab.OneTerm(objective, term))
    monkeypatch.setattr(plain, "pair_loss", held)
    for run in range(world.runs):
        log_prob, parameters = plain.train(
            worlds.policy(policy, world), objective, world.preferences, lab.SGD(0.3), worlds.state(policy, world)[run],
            run, 4,
        )  # fmt: skip
        np.testing.assert_allclose(record.log_prob[run], log_prob, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(record.parameters[run], parameters, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_record_tells_of_both_terms_whatever_is_followed(policy, batch):
    """At step 0 the state is the same: so is all that is told of it, but for where the step leads."""
    objective = OBJECTIVES["flex per run"]
    whole = trained(policy, objective, batch=batch)
    for term in TERMS:
        alone = trained(policy, lab.OneTerm(objective, term), batch=batch)
        assert set(alone.variables) == set(whole.variables)
        for name in set(whole.data_vars) - {"linear_change", "realised_change"}:
            first, second = (ds[name].isel(step=0) if "step" in ds[name].dims else ds[name] for ds in (alone, whole))
            np.testing.assert_allclose(first, second, rtol=1e-10, atol=1e-13, err_msg=name)
        moved = alone.realised_change.isel(step=0) - whole.realised_change.isel(step=0)
        assert np.abs(moved).max() > 1e-4
        # A plain step along one term is what is realised, to first order.
        np.testing.assert_allclose(
            alone.linear_change.isel(step=0), alone.predicted_change.sel(term=term).isel(step=0), rtol=1e-8, atol=1e-12
        )


def test_a_table_that_keeps_nothing_takes_the_same_way():
    for term in TERMS:
        for name in ("dpo", "ipo per run"):
            objective = lab.OneTerm(OBJECTIVES[name], term)
            kept, bare = trained("tabular", objective), trained("tabular", objective, record=lab.Record(keep=()))
            np.testing.assert_allclose(kept.log_prob, bare.log_prob, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(kept.response_weight, bare.response_weight, rtol=1e-12, atol=1e-14)


def test_the_chosen_term_alone_lowers_the_unseen_and_the_rejected_one_alone_lifts_it():
    """In a table: d log pi(y) = sum_y' (1[y = y'] - pi(y')) dz, by hand for three responses of one prompt."""
    line = "tabular own dpo beta=0.5 sgd lr={} steps=1 seeds=1 compare=0:0>1 start=0.3/0.2/0.5 terms={}"
    rate, prob = 1e-5, np.array([0.3, 0.2, 0.5])
    for term, named, sign in (("chosen", 0, 1), ("rejected", 1, -1)):
        ds = lab.run(line.format(rate, term))
        move = (ds.log_prob.isel(step=1) - ds.log_prob.isel(step=0)).values[0, 0] / (rate * 0.25)
        logits = sign * ((np.arange(3) == named) - prob)  # response weight beta s(0) = 0.25, through the softmax
        np.testing.assert_allclose(move, logits - prob @ logits, rtol=1e-4)
        assert (move[2] < 0) == (term == "chosen")


def test_terms_may_be_an_axis_of_the_line_and_every_term_is_that_of_its_own_line():
    line = "loglinear s2 dpo beta=0.5 adam lr=0.01 steps=20 seeds=2 terms={}"
    swept = lab.run(line.format("both,chosen,rejected"))
    assert swept.terms.values.tolist() == ["both", "chosen", "rejected"]
    for term in swept.terms.values:
        np.testing.assert_array_equal(swept.log_prob.sel(terms=term), lab.run(line.format(term)).log_prob)
    plain_line = lab.run(line.replace(" terms={}", ""))
    np.testing.assert_array_equal(swept.log_prob.sel(terms="both"), plain_line.log_prob)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: lab.OneTerm(lab.DPO(0.1), "both"), "term is 'both'; allowed are chosen, rejected: the objective itself has both"),
    (lambda: lab.Experiment.parse("tabular s1 ppo sgd lr=1 steps=2 truth=normal terms=chosen"),
     "terms=chosen: terms belongs to any objective but rm, pg, reinforce, rloo, grpo, ppo, and the objective here is ppo. Take"),
    (lambda: lab.Experiment.parse("tabular s1 rm sgd lr=1 steps=2 terms=both"), "terms=both: terms belongs to any objective but"),
    (lambda: lab.Experiment.parse("tabular s1 dpo sgd lr=1 steps=2 terms=chosn"), "terms=chosn: terms is one of both, chosen, rejected. Did you mean chosen?"),
    (lambda: lab.sheets("dpo terms=chosen"), "'terms' is no setting of an objective."),
])  # fmt: skip
def test_what_has_no_terms_is_refused(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_coupled_pairs_are_named_by_the_objective_that_couples_them():
    pairs = lab.Preferences([0, 1], [0, 0], [1, 1], [1.0, 2.0])
    world = worlds.problem(pairs=pairs)
    with pytest.raises(ValueError, match="and AOT compares each pair with all others as equals"):
        lab.train(world, worlds.policy("tabular", world), lab.OneTerm(lab.AOT(0.1), "chosen"), lab.SGD(1.0), steps=1)


def test_its_settings_are_those_of_the_runs():
    assert [field.name for field in fields(lab.OneTerm)] == ["objective", "term"]
    record = trained("tabular", lab.OneTerm(lab.DPO(worlds.BETAS), "chosen"))
    np.testing.assert_array_equal(record.beta_chosen, worlds.BETAS.numpy())
