"""The bench of remedies: comparable first steps under plain SGD, and doses that are the families' own."""

from __future__ import annotations

import pytest

import lab
from figures.layouts.remedies import FAMILIES, MAIN, REMEDIES


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.label)
def test_the_first_step_on_the_chosen_response_is_as_long_as_that_of_dpo(remedy):
    # The push at the start depends on the start probabilities alone, not on the policy: a table has it.
    ds = lab.run(f"tabular s1,s2 {remedy.words} sgd lr=1 steps=1 seeds=2")
    push = abs(ds["response_weight"].sel(term="chosen").isel(step=0))
    assert 0.024 <= float(push.max()) * remedy.rate <= 0.031


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.label)
def test_a_remedy_is_the_same_objective_on_every_ground(remedy):
    """Its dose picks one cell of its family, whose objective is the one that its words name."""
    family = lab.Experiment.parse(MAIN[remedy.family])
    elsewhere = [lab.Experiment.parse(line) for line in remedy.lines().values()]
    for name in ("objective", "beta", "beta_chosen", "beta_rejected", "sft_weight", "smoothing", "penalty", "shift"):
        values = getattr(family, name)
        if name in remedy.dose:
            assert remedy.dose[name] in values
            values = (remedy.dose[name],)
        assert [getattr(each, name) for each in elsewhere] == [values, values], name


def test_every_axis_of_a_family_but_the_scenario_is_its_dose():
    for name in FAMILIES:
        axes = set(lab.Experiment.parse(MAIN[name]).axes) - {"scenario"}
        doses = {axis for remedy in REMEDIES if remedy.family == name for axis in remedy.dose}
        assert axes == doses and len(axes) <= 1
