"""The claims of who wins, on shaped matches: yes and no where they should be, and lines that share their data."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab.claims import winners
from lab.claims.judging import together
from lab.experiments import matches
from lab.experiments.experiment import Experiment
from lab.experiments.matches import LENGTHS, WORLD

BUDGETS = [0.1, 0.3, 1.0, 2.0]
RECORDS = {
    name: xr.Dataset(attrs={"experiment": line}) for name, line in winners.match_lines("tabular", "loglinear").items()
}


def match(lead, known=0.0, cells=1):
    """A match of 40 seeds in which PPO leads by so much in every setting; a lead and knowledge for each cell."""
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal((cells, 2, 40, 3, len(BUDGETS)))
    lead, known = (np.broadcast_to(np.asarray(each, float), cells)[:, None, None, None] for each in (lead, known))
    dims = ("comparisons", "beta", "seed", "prompt", "budget")
    coords = {"comparisons": list(range(cells)), "beta": [0.1, 1.0], "budget": BUDGETS}
    dpo = xr.DataArray(noise, coords, dims)
    right = 0.6 + 0 * dpo.isel(prompt=0, drop=True)
    found = {"dpo": dpo, "ppo": (dpo + lead[..., None]).expand_dims(length=[10]), "dpo_agreement": right}
    found["ppo_agreement"] = (right + known).expand_dims(length=[10])
    ds = xr.Dataset(found)
    return ds.isel(comparisons=0, drop=True) if cells == 1 else ds


@pytest.fixture
def played(monkeypatch):
    """Let `play` return a shaped match, and keep what it was asked for."""
    asked = []

    def set_to(*matches):
        left = list(matches)

        def play(dpo, model, **settings):
            asked.append((dpo, model, settings))
            return left.pop(0) if len(left) > 1 else left[0]

        monkeypatch.setattr(winners, "play", play)
        return asked

    return set_to


@pytest.mark.parametrize(("lead", "answer"), [(0.2, "yes"), (0.0, "no"), (-0.2, "no")])
def test_ppo_leads_only_where_it_earns_more_at_both_kl(played, lead, answer):
    asked = played(match(lead, 0.1))
    evidence = winners.leads(RECORDS)
    assert together(evidence) == answer
    assert evidence[0].value == pytest.approx(lead) and evidence[0].n == 24
    assert evidence[-1].value == pytest.approx(0.1)
    ((dpo, model, settings),) = asked
    assert dpo.value("every") == winners.LOOKS and model == RECORDS["model"].attrs["experiment"]
    assert settings == {"lengths": LENGTHS, "budgets": matches.BUDGETS, "method": "ppo"}


@pytest.mark.parametrize(("lead", "answer"), [(-0.05, "yes"), (0.05, "no")])
def test_ppo_trails_only_where_it_earns_less(played, lead, answer):
    asked = played(match(lead))
    records = {name: xr.Dataset(attrs={"experiment": each}) for name, each in winners.match_lines("mlp", "mlp").items()}
    assert together(winners.trails(records, "pg")) == answer
    assert asked[0][2] == {"lengths": winners.OF_NETWORK, "budgets": matches.BUDGETS, "method": "pg"}


@pytest.mark.parametrize(("lead", "answer"), [(0.0, "yes"), (-0.3, "yes"), (0.2, "no")])
def test_stopping_early_is_no_privilege_only_where_ppo_leads_nowhere(played, lead, answer):
    asked = played(match(lead).assign_coords(budget=[0.5, *winners.SHARP_KL]))
    records = {name: xr.Dataset(attrs={"experiment": line}) for name, line in winners.sharp_lines(0.7).items()}
    assert together(winners.stops_too(records)) == answer
    assert asked[0][2]["budgets"] == winners.SHARP_KL


@pytest.mark.parametrize(("turn", "answer"), [(1, "yes"), (-1, "no")])
def test_the_lead_follows_what_the_model_knows_more(played, turn, answer):
    known = np.array([0.1, 0.0, -0.1])
    records = {name: RECORDS["model"] for name in ("one", "two")}
    played(match(turn * known, known, 3), match(2 * turn * known, 2 * known, 3))
    found = winners.follows(records)
    assert together(found) == answer
    assert [each.value for each in found[1:]] == pytest.approx([0, 0], abs=1e-12)


def test_the_lines_of_a_match_share_their_data_and_have_as_many_settings():
    for claim in winners.CLAIMS[:3]:
        for lines in (claim.lines, *(side.lines for side in claim.sides)):
            both = {**claim.lines, **lines}
            dpo, model = (Experiment.parse(both[name]) for name in ("dpo", "model"))
            assert all(getattr(dpo, name) == getattr(model, name) for name in WORLD), lines
            assert len(dpo.lr) == len(LENGTHS) == len(winners.OF_NETWORK)
            lengths = winners.OF_NETWORK if model.policy == ("mlp",) else LENGTHS
            assert max(lengths) == model.value("steps")
