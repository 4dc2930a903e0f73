"""The formulas beside records: at every state of a training, and where no training came."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lab
from lab.experiments.losses import CATALOGUE
from lab.experiments.pushes import pushes_at, written_pushes


@pytest.mark.parametrize("policy", ["tabular", "loglinear"])
def test_every_objective_pushes_as_its_formula_says_all_along_a_training(policy):
    """The record's weights come from the objectives' code, the others from the text."""
    record = lab.run(f"{policy} s1 {','.join(CATALOGUE)} beta=0.5 sgd lr=0.2 steps=12 every=4 seeds=2 keep=none")
    written = written_pushes(record)
    assert written.dims == record.response_weight.dims and written.sizes["objective"] == 36
    np.testing.assert_allclose(written, record.response_weight, rtol=1e-9, atol=1e-13)


def test_axes_of_any_order_lengths_and_runs_of_their_own_beta_are_followed():
    record = lab.run("tabular s1,s2 simpo,orpo beta=0.5,1 chosen_length=1,3 sgd lr=0.2 steps=3 seeds=2 keep=none")
    shuffled = record.transpose("seed", ..., "beta")
    for each in (record, shuffled, record.isel(step=[0, 2]), record.isel(seed=[1, 0], beta=[1, 0])):
        written = written_pushes(each)
        assert written.dims == each.response_weight.dims
        np.testing.assert_allclose(written, each.response_weight, rtol=1e-10, atol=1e-14)


def test_a_wrong_record_is_seen():
    record = lab.run("tabular s1 dpo beta=0.5 sgd lr=0.2 steps=3 seeds=2")
    other = record.assign_attrs(experiment=record.attrs["experiment"].replace("dpo beta=0.5", "ipo beta=0.5"))
    assert not np.allclose(written_pushes(other), record.response_weight)


def test_a_record_without_its_line_or_its_axes_is_refused():
    record = lab.run("tabular s1 dpo beta=0.5,1 sgd lr=0.2 steps=3 seeds=2")
    with pytest.raises(ValueError, match="no experiment line in its attributes; give one that lab.run returned"):
        written_pushes(record.assign_attrs(experiment=None).drop_attrs())
    for part in (record.isel(beta=0), record.isel(beta=[1])):
        with pytest.raises(ValueError, match="lacks a part of beta of its experiment line; give it whole, steps exc"):
            written_pushes(part)


def test_pushes_at_chosen_places_are_those_of_the_objective_there():
    """DPO and the paper's SimPO by hand, KTO with the KL of the whole prompt."""
    u, v = np.array([0.0, 0.5, -2.0]), np.array([0.0, -3.0, 0.4])
    dpo = pushes_at("tabular s1 dpo beta=0.5 sgd lr=1 steps=1", u, v)
    np.testing.assert_allclose(dpo[0], -0.5 / (1 + np.exp(0.5 * (u - v))), rtol=1e-12)
    np.testing.assert_allclose(dpo[1], -dpo[0], rtol=1e-12)
    simpo = pushes_at("tabular s1 simpo beta=2 gamma=1 sgd lr=1 steps=1", u, v)
    np.testing.assert_allclose(simpo[0], -2 / (1 + np.exp(2 * (u - v) - 1)), rtol=1e-9)
    p, q = 0.45 * np.exp(u), 0.45 * np.exp(v)
    rest = 1 - p - q
    kl = p * u + q * v + rest * np.log(rest / 0.1)
    x = torch.tensor(0.5 * (u - np.maximum(kl, 0)))
    kto = pushes_at("tabular s1 kto beta=0.5 sgd lr=1 steps=1", u, v)
    np.testing.assert_allclose(kto[0], -(0.25 * torch.sigmoid(x) * torch.sigmoid(-x)).numpy(), rtol=1e-9)


def test_places_that_are_none_and_lines_with_axes_are_refused():
    with pytest.raises(ValueError, match="their probabilities must sum to less than 1"):
        pushes_at("tabular s1 dpo sgd lr=1 steps=1", np.array([0.5]), np.array([0.5]))
    with pytest.raises(ValueError, match=r"the experiment has axes \(beta\); give one value to each"):
        pushes_at("tabular s1 dpo beta=0.1,0.2 sgd lr=1 steps=1", np.zeros(1), np.zeros(1))
