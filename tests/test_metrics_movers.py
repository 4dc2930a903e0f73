"""Who moves a response, read off changes that were made up term by term."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab import metrics
from lab.experiments.attribution import attribute
from tests import worlds

PAIRS = lab.Preferences([0, 0, 2], [1, 1, 0], [2, 4, 3])


def world() -> tuple[xr.Dataset, xr.DataArray]:
    problem = worlds.problem(pairs=PAIRS)
    start = worlds.state("mlp-tanh", problem)
    ds = lab.train(problem, worlds.policy("mlp-tanh", problem), lab.DPO(0.4), lab.SGD(0.05), steps=4, start=start,
                   record=lab.Record(every=2))  # fmt: skip
    drawn = np.random.default_rng(0).normal(size=(3, 2, 2, 3, 3, 6))
    dims = ("seed", "step", "term", "pair", "prompt", "response")
    coords = {"seed": ds.seed, "step": [0, 2], "term": ["chosen", "rejected"]}
    return ds, xr.DataArray(drawn, coords, dims)


@pytest.mark.parametrize("member", ["chosen", "rejected"])
def test_each_response_is_moved_by_its_own_prompt_and_by_the_others(member):
    ds, change = world()
    found = metrics.moved_by(ds, change, member=member)
    assert found.dims == ("seed", "step", "pair", "mover") and list(found.mover.values) == list(metrics.MOVERS)
    for pair, (x, y) in enumerate(zip(ds.pair_prompt.values, ds[member].values, strict=True)):
        at = change.values[..., x, y]  # [seed, step, term, pair]
        mine = ds.pair_prompt.values == x
        expected = [at[:, :, term][..., own].sum(-1) for own in (mine, ~mine) for term in (0, 1)]
        np.testing.assert_allclose(found.isel(pair=pair).values, np.stack(expected, -1), rtol=1e-13)


def test_the_pairs_keep_their_coordinates_and_can_be_averaged():
    ds, change = world()
    found = metrics.moved_by(ds, change)
    mean = metrics.over_pairs(found, ds)
    np.testing.assert_allclose(mean.values, np.average(found.values, axis=2, weights=ds.pair_weight.values))


def test_moved_mass_is_the_sum_of_probability_times_change_over_a_kind():
    ds, change = world()
    found = metrics.mass_moved(ds, change)
    kind, prob = metrics.response_kind(ds).values, np.exp(ds.log_prob.values)
    mean = (prob[:, :-1] + prob[:, 1:]) / 2
    for x in range(3):
        mine = ds.pair_prompt.values == x
        for column, word in enumerate(metrics.KINDS):
            moved = (mean[:, :, None, None, x] * change.values[..., x, :])[..., kind[x] == word].sum(-1)
            expected = [moved[:, :, term][..., own].sum(-1) for own in (mine, ~mine) for term in (0, 1)]
            np.testing.assert_allclose(
                found.isel(prompt=x, kind=column).values, np.stack(expected, -1), rtol=1e-12, atol=1e-15
            )


def test_real_changes_explain_the_record_up_to_the_second_order():
    line = "mlp s1 dpo beta=0.5 sgd lr=0.002 steps=20 every=10 seeds=2 prompts=2 responses=5 width=6 keep=none"
    ds, change = lab.run(line), attribute(line)
    moved = metrics.moved_by(ds, change).sum("mover")
    realised = metrics.step_change(metrics.chosen_log_prob(ds))
    np.testing.assert_allclose(moved.values, realised.values, rtol=0.02, atol=1e-6)
    mass = metrics.mass_moved(ds, change).sum("mover")
    gained = metrics.step_change(metrics.mass_by_kind(ds))
    np.testing.assert_allclose(mass.values, gained.transpose(*mass.dims).values, rtol=0.02, atol=1e-5)


def test_foreign_changes_and_members_are_refused():
    ds, change = world()
    with pytest.raises(ValueError, match=r"member is 'unseen'; allowed are chosen, rejected"):
        metrics.moved_by(ds, change, member="unseen")
    with pytest.raises(ValueError, match=r"the changes are of 2 pairs and the record has 3; take both from one"):
        metrics.moved_by(ds, change.isel(pair=[0, 1]))
    with pytest.raises(ValueError, match=r"the changes start from 1 steps and the record has 3; each is to start"):
        metrics.mass_moved(ds, change.isel(step=[0]))
