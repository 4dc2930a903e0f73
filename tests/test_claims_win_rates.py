"""The claims of win rates on shaped records: they say yes where they should and no to what contradicts them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab.claims import win_rates
from lab.claims.judging import together
from lab.experiments.frontiers import optimal_policies

LINE = "tabular open {} adam lr=0.05 steps=2 every=2 seeds=20 keep=none"
WORLD = "prompts=4 truth=normal data=sampled comparisons=8"


@pytest.fixture(scope="module")
def runs() -> dict[str, xr.Dataset]:
    words = {"dpo": "dpo beta=0.05,2", "ppo": "ppo beta=0.05,2 reward_from=model model_steps=100"}
    return {name: lab.run(f"{LINE.format(word)} {WORLD}") for name, word in words.items()}


def one(runs: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    return {name: ds.isel(beta=0, drop=True) for name, ds in runs.items()}


def sharp(ds: xr.Dataset, strength: float, by: str = "reward") -> xr.Dataset:
    """The same record with a policy that tilts the reference to a reward, or away from it."""
    tilted = ds["reference_log_prob"] + strength * ds[by]
    tilted = tilted - np.log(np.exp(tilted).sum("response"))
    return ds.assign(log_prob=tilted.broadcast_like(ds["log_prob"]).transpose(*ds["log_prob"].dims))


def test_only_the_optimum_is_the_optimum() -> None:
    ds = lab.run(f"{LINE.format('dpo beta=0.5')} prompts=4 truth=normal")
    best = optimal_policies(ds, [win_rates.WHOLE_BETA])["log_prob"].isel(beta=0, drop=True)
    there = ds.assign(log_prob=best.broadcast_like(ds["log_prob"]).transpose(*ds["log_prob"].dims))
    assert together(win_rates.equivalence({"dpo": there})) == "yes"
    assert together(win_rates.equivalence({"dpo": sharp(ds, 1.9)})) == "no"


def test_cold_policies_are_compared_by_what_they_like_best(runs) -> None:
    data = one(runs)
    good, bad = sharp(data["dpo"], 5), sharp(data["ppo"], -5)
    assert together(win_rates.cold({"dpo": good, "ppo": bad})) == "yes"
    assert together(win_rates.cold({"dpo": bad, "ppo": good})) == "no"


def test_heat_costs_a_faint_policy_more_than_a_sharp_one(runs) -> None:
    data = one(runs)
    faint, firm = sharp(data["ppo"], 0.5), sharp(data["dpo"], 100)
    assert together(win_rates.heat({"dpo": firm, "ppo": faint})) == "yes"
    assert together(win_rates.heat({"dpo": faint, "ppo": firm})) == "no"


def test_heat_is_asked_of_both_betas(runs) -> None:
    strengths = 1 / runs["dpo"]["beta"]
    data = {name: sharp(ds, 5 * strengths) for name, ds in runs.items()}
    assert together(win_rates.heat_by_beta(data)) == "yes"
    assert together(win_rates.heat_by_beta({**data, "ppo": sharp(runs["ppo"], 5 / strengths)})) != "yes"


def test_keeping_up_with_best_of_128_asks_for_as_good_a_policy(runs) -> None:
    data = one(runs)
    assert together(win_rates.best_of_128({**data, "dpo": sharp(data["dpo"], 50)})) == "yes"
    assert together(win_rates.best_of_128({**data, "dpo": sharp(data["dpo"], -50)})) == "no"


def test_new_prompts_are_the_last_ones() -> None:
    world = f"prompts={win_rates.HELD + 2} held={win_rates.HELD} truth=normal data=sampled comparisons=8"
    dpo = lab.run(f"{LINE.format('dpo beta=0.1')} {world}")
    data = {"rm": lab.run(f"{LINE.format('rm')} {world}"), "ppo": dpo, "everywhere": sharp(dpo, 50)}
    seen = xr.DataArray(np.arange(win_rates.HELD + 2) < 2, dims="prompt")
    on_new = dpo.assign(log_prob=sharp(dpo, 50)["log_prob"].where(~seen, dpo["log_prob"]))
    on_seen = dpo.assign(log_prob=sharp(dpo, 50)["log_prob"].where(seen, dpo["log_prob"]))
    assert together(win_rates.new_prompts({**data, "dpo": on_new})) == "yes"
    assert together(win_rates.new_prompts({**data, "dpo": on_seen})) == "no"
    assert together(win_rates.new_prompts_drawn_for({**data, "dpo": on_new})) == "no"


def test_a_judge_stands_in_where_policies_lie_far_apart_and_not_where_they_lie_together(runs) -> None:
    spread = np.linspace(-1, 1, 12)
    along = xr.DataArray(spread, dims="beta", coords={"beta": spread})
    ds = runs["dpo"].isel(beta=0, drop=True)
    many = ds.assign(log_prob=ds["log_prob"].expand_dims(beta=spread))
    far = win_rates.stands_in({"dpo": sharp(many, 5 * along)})
    assert together(far) == "yes" and far[2].value > 0.95
    people = lab.metrics.labeller_agreement(ds["reward"], ds["reference_log_prob"]).mean("prompt").median()
    assert far[-1].value == pytest.approx(float(people))
    # Policies that tilt to noise lie close together: repeated errors then rank them by the judge's own reward.
    draws = np.random.default_rng(0).standard_normal((12, *ds["reward"].shape))
    noise = xr.DataArray(draws, dims=("beta", *ds["reward"].dims), coords={"beta": spread})
    near = win_rates.stands_in({"dpo": sharp(many.assign(noise=noise), 2.0, "noise")})
    assert [each.answer for each in near][:2] == ["yes", "no"]


def test_a_ranking_that_no_error_of_a_judge_can_turn_denies_that_repeated_errors_spoil_it(runs) -> None:
    """Policies between the best response and the worst are far apart; those that tilt to noise lie close together."""
    spread = np.linspace(-1, 1, 12)
    along = xr.DataArray(spread, dims="beta", coords={"beta": spread})
    ds = runs["dpo"].isel(beta=0, drop=True)
    many = ds.assign(log_prob=ds["log_prob"].expand_dims(beta=spread))
    assert together(win_rates.judges({"dpo": sharp(many, 3 * along)})) == "no"
    draws = np.random.default_rng(0).standard_normal((12, *ds["reward"].shape))
    noise = xr.DataArray(draws, dims=("beta", *ds["reward"].dims), coords={"beta": spread})
    found = win_rates.judges({"dpo": sharp(many.assign(noise=noise), 2.0, "noise")})
    assert together(found) == "yes" and found[0].value == pytest.approx(found[1].value - found[2].value, abs=0.1)
