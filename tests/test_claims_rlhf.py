"""Every examination of reward models and PPO says yes where it should, and no to records that contradict it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab.claims import rlhf
from lab.claims.judging import measures, together
from lab.claims.registry import CLAIMS

OPEN = "truth=normal data=sampled comparisons=4 prompts=3 responses=6"


@pytest.fixture(scope="module")
def fixed():
    """Tables on the same fixed pairs."""
    tail = "seeds=6 every=10 keep=none"
    return {
        "dpo": lab.run(f"tabular s1 dpo beta=0.1 adam lr=0.3 steps=200 {tail}"),
        "rm": lab.run(f"tabular s1 rm adam lr=0.03 steps=200 {tail}"),
        "ppo": lab.run(f"tabular s1 ppo beta=0.1 reward_from=model model_steps=50 adam lr=0.1 steps=100 {tail}"),
    }


@pytest.fixture(scope="module")
def drawn():
    """Tables on drawn comparisons, whose rewards the tests overwrite."""
    tail = f"sgd lr=1 steps=4 seeds=6 keep=none {OPEN}"
    return {
        "dpo": lab.run(f"tabular open dpo beta=0.5 {tail}"),
        "rm": lab.run(f"tabular open rm {tail}"),
        "betas": lab.run(f"tabular open dpo beta=0.1,1 {tail}"),
    }


def rewarding(ds, shares):
    """The same record whose implicit reward at each step is a share of the true reward."""
    share = xr.DataArray(np.asarray(shares, float), dims="step")
    return ds.assign(
        log_prob=(ds["reference_log_prob"] + share * ds["reward"] / ds["beta_chosen"]).transpose(*ds["log_prob"].dims)
    )


def falling(ds):
    """The same record whose chosen response rises and falls while the loss goes down; the unseen ones gain."""
    share = np.linspace(0, 1, ds.sizes["step"])
    plus, minus = np.where(share < 0.5, 0.45 + share, 0.95 - 1.2 * (share - 0.5)), 0.45 * np.exp(-80 * share)
    table = ds["log_prob"].transpose("seed", "step", "prompt", "response").copy(deep=True)
    table.values[:] = np.log((1 - plus - minus).clip(1e-9) / 8)[None, :, None, None]
    for prompt, c, r in zip(ds["pair_prompt"].values, ds["chosen"].values, ds["rejected"].values, strict=True):
        table.values[:, :, prompt, c], table.values[:, :, prompt, r] = np.log(plus), np.log(minus)
    return ds.assign(log_prob=table, loss=xr.zeros_like(ds["loss"]) - xr.DataArray(share, dims="step"))


def test_balance_asks_both_for_their_own(fixed) -> None:
    assert together(rlhf.balance(fixed)) == "yes"
    assert together(rlhf.balance({"rm": fixed["dpo"], "dpo": fixed["dpo"]}, model_space="probability")) == "no"
    assert together(rlhf.balance({"rm": fixed["rm"], "dpo": fixed["rm"]}, dpo_space="logit")) == "no"
    assert together(rlhf.balance(fixed, dpo_space="log_probability")) == "no"


def test_ppo_is_asked_for_each_property(fixed) -> None:
    found = measures(rlhf.none_of_the_three(fixed))
    assert found == {"drastic drop": "yes", "degradation": "yes", "dispersion": "yes"}
    fallen = measures(rlhf.none_of_the_three(fixed | {"ppo": falling(fixed["ppo"])}))
    assert fallen == {"drastic drop": "no", "degradation": "no", "dispersion": "no"}
    share = rlhf.none_of_the_three(fixed)[-1]
    assert share.value == 0 and "higher learned reward" in share.what
    worse = fixed["ppo"].assign(learned_reward=-fixed["ppo"]["learned_reward"])
    assert rlhf.none_of_the_three(fixed | {"ppo": worse})[-1].value == 1


def test_steadier_is_who_loses_less_from_the_peak(drawn) -> None:
    kept, lost = [0, 1, 1, 1, 1], [0, 1, 1, 1, -1]
    data = {name: rewarding(drawn[name], kept) for name in ("dpo", "rm")}
    assert together(rlhf.steadier(data)) == "no"
    assert together(rlhf.steadier(data | {"dpo": rewarding(drawn["dpo"], lost)})) == "yes"
    assert together(rlhf.steadier(data | {"rm": rewarding(drawn["rm"], lost)})) == "no"


def test_calibration_is_lost_only_if_both_lose_it_and_were_alike_at_best(drawn) -> None:
    right, louder, never = [0, 1, 1, 1, 1], [0, 1, 1, 1, 4], [0, 4, 4, 4, 8]
    data = {name: rewarding(drawn[name], louder) for name in ("dpo", "rm")}
    assert together(rlhf.calibrated(data)) == "yes"
    assert together(rlhf.calibrated(data | {"dpo": rewarding(drawn["dpo"], right)})) == "no"
    assert together(rlhf.calibrated(data | {"rm": rewarding(drawn["rm"], right)})) == "no"
    for name in data:
        assert together(rlhf.calibrated(data | {name: rewarding(drawn[name], never)})) == "no"


def test_two_clocks_are_told_from_two_curves() -> None:
    data = {name: lab.run(line.replace("seeds=24", "seeds=3")) for name, line in rlhf.clock_lines("tabular").items()}
    assert together(rlhf.another_clock(data)) == "yes"
    other = rlhf.clock_lines("tabular")["rm"].replace("seeds=24", "seeds=3").replace("lr=0.1", "lr=0.2")
    assert together(rlhf.another_clock(data | {"rm": lab.run(other)})) == "no"


def test_an_early_stop_has_to_help_here_and_to_harm_there(drawn) -> None:
    good, bad = (rewarding(drawn["betas"], [0, 0, 0, 0, share]) for share in (5.0, 0.0))
    names = [
        f"{labels}, {stop}, {method}"
        for labels in ("wrong", "right")
        for stop in ("early", "late")
        for method in ("dpo", "ppo")
    ]
    data = dict.fromkeys(names, bad)
    both = data | {"wrong, early, ppo": good, "right, early, dpo": good}
    assert together(rlhf.early_stop(both)) == "yes"
    assert together(rlhf.early_stop(both | {"right, early, dpo": bad})) == "no"
    assert together(rlhf.early_stop(both | {"wrong, early, ppo": bad})) == "no"


def test_the_best_beta_is_that_of_the_largest_median(drawn) -> None:
    # Shares of the true reward over beta: the smaller beta tilts more and earns more.
    ds = rewarding(drawn["betas"], [0, 0, 0, 0, 1])
    reward = lab.metrics.expected_reward(ds).mean("prompt").isel(step=-1)
    np.testing.assert_allclose(rlhf.best(ds).values, reward.sel(beta=0.1).values)
    assert (reward.sel(beta=0.1) > reward.sel(beta=1)).all()


@pytest.mark.parametrize("claim", rlhf.CLAIMS, ids=lambda claim: claim.name)
def test_every_claim_is_registered_and_rests_on_lines_that_a_figure_runs_too(claim) -> None:
    from figures.ppo_is_spared_the_drop_not_the_fall import FIGURE as SPARED
    from figures.ppo_wins_where_its_reward_model_stops_in_time import FIGURE as WINS
    from figures.reward_model_balances_its_two_gradients import FIGURE as BALANCE
    from figures.reward_model_is_no_steadier import FIGURE as STEADY

    lines = [line for figure in (SPARED, WINS, BALANCE, STEADY) for line in figure.lines.values()]
    known = {str(lab.Experiment.parse(line)) for line in lines}
    assert CLAIMS[claim.name] is claim
    if claim.name != "reward_model_is_dpo_on_another_clock":  # its lines are of gradient descent, those of no figure
        # One line has more seeds than its figure can show.
        asked = {str(lab.Experiment.parse(line.replace("seeds=96", "seeds=24"))) for line in claim.all_lines}
        assert asked <= known
