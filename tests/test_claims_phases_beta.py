"""The claims about β say yes where they should, and no when they are shown records that contradict them."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.claims import phases_beta as claims

SHORT = "seeds=6 prompts=1 responses=3 keep=none"


def answers(evidence):
    return [each.answer for each in evidence if each.answer]


@pytest.fixture(scope="module")
def swept():
    betas = ",".join(f"{beta:.3g}" for beta in np.geomspace(0.02, 2, 16))
    return lab.run(f"tabular s1 dpo beta={betas} sgd lr=0.5 steps=2000 every=20 {SHORT.replace('6', '2')}")


def test_the_leader_has_a_margin_of_two_nats_under_dpo_and_not_under_another_loss(swept):
    late = [each for each in claims.leading_beta({"dpo": swept}) if each.answer]
    assert [each.answer for each in late[1:]] == ["yes", "yes"]  # at time 10 steps of 0.5 are too long for the law
    other = swept.assign_coords(beta=2 * swept["beta"], beta_chosen=2 * swept["beta_chosen"])
    assert set(answers(claims.leading_beta({"dpo": other}))[1:]) == {"no"}


@pytest.fixture(scope="module")
def placed():
    rate, betas = claims.RATE, claims.BETAS
    inside = {f"inside {b:g}": f"tabular s1 dpo beta={b:g} sgd lr={rate / b:g} steps=40 {SHORT}" for b in betas}
    outside = f"tabular s1 dpo beta=1 sgd lr={','.join(f'{rate * b:g}' for b in betas)} steps=40 {SHORT}"
    return {name: lab.run(line) for name, line in {**inside, "outside": outside}.items()}


def test_a_larger_beta_brakes_inside_and_drives_outside(placed):
    assert answers(claims.places(placed)) == ["yes", "yes"]
    turned = {f"inside {b:g}": placed[f"inside {c:g}"] for b, c in zip(claims.BETAS, claims.BETAS[::-1], strict=True)}
    rates = placed["outside"]["lr"].values
    assert answers(claims.places({**turned, "outside": placed["outside"].assign_coords(lr=rates[::-1])})) == [
        "no",
        "no",
    ]


def test_a_larger_beta_is_ahead_early_under_sgd_and_late_only_if_the_labels_are_turned(swept):
    assert answers(claims.never_further({"dpo": swept}))[0] == "no"
    adam = lab.run(f"tabular s1 dpo beta=0.1,0.5,1 adam lr=0.3 steps=60 {SHORT}")
    assert answers(claims.never_further({"dpo": adam})) == ["yes", "yes"]
    turned = adam.assign_coords(beta=adam["beta"].values[::-1])
    assert answers(claims.never_further({"dpo": turned})) == ["no", "no"]


def test_a_factor_is_nothing_only_where_both_runs_end_alike():
    line = f"tabular s1 dpo beta=1 adam lr=0.1 steps=40 {SHORT}"
    one, same, other = (lab.run(each) for each in (line, f"{line} eps=2e-7", line.replace("0.1", "0.03")))
    assert answers(claims.factor_is_nothing({"one": one, "factor": same})) == ["yes"]
    assert answers(claims.factor_is_nothing({"one": one, "factor": other})) == ["no"]


def test_a_table_does_not_fall_before_step_500_and_a_run_turned_round_does():
    table = lab.run(f"tabular s1 dpo beta=0.1 sgd lr=0.1 steps=600 every=20 {SHORT}")
    assert answers(claims.five_hundred({"dpo": table})) == ["no", "no"]
    turned = table.copy(deep=True)
    turned["log_prob"].values[:] = table["log_prob"].isel(step=slice(None, None, -1)).values
    assert answers(claims.five_hundred({"dpo": turned})) == ["yes", "yes"]


def test_the_cost_at_an_equal_margin_is_that_of_the_beta_that_lost_mass_besides():
    table = lab.run(f"tabular s1 dpo beta=0.1,0.2 sgd lr=20 steps=40 {SHORT}")
    assert answers(claims.equal_margin({"dpo": table})) == ["no"]
    costly = table.copy(deep=True)
    # The third response takes a growing share from both others alike: the margin stays as it is.
    given = np.log1p(-np.linspace(0, 0.4, table.sizes["step"]))[:, None, None]
    both = [int(table["chosen"][0]), int(table["rejected"][0])]
    larger = costly["log_prob"].sel(beta=0.2)
    larger[..., both] = larger[..., both] + given
    third = ({0, 1, 2} - set(both)).pop()
    larger[..., third] = np.log1p(-np.exp(larger[..., both]).sum("response"))
    costly["log_prob"].loc[{"beta": 0.2}] = larger
    assert answers(claims.equal_margin({"dpo": costly})) == ["yes"]
    assert answers(claims.equal_margin({"dpo": costly.assign_coords(beta=[0.2, 0.1])})) == ["no"]
