"""The claims of the frontier on small worlds: they say yes and no where they should."""

from __future__ import annotations

import pytest
import xarray as xr

import lab
from lab.claims import frontier
from lab.claims.judging import together

REST = "adam lr=0.1 steps=300 seeds=20 every=300 keep=none truth=normal prompts=2 responses=4 sharpness=0.5"
SWEEP = "beta=0.1,0.2,0.4,0.8,1.6"


@pytest.fixture(scope="module")
def records():
    words = {
        "dpo": f"dpo {SWEEP} {REST}",
        "ppo_gt": f"pg {SWEEP} {REST}",
        "few": f"dpo {SWEEP} {REST} data=sampled comparisons=1",
        "learned": f"pg {SWEEP} {REST} reward_from=model data=sampled comparisons=1",
        "model": f"pg {SWEEP} {REST} reward_from=model",
    }
    return {name: lab.run(f"tabular open {each}") for name, each in words.items()}


def test_dpo_dominates_a_climber_of_a_poor_reward_and_not_the_other_way_round(records):
    poor = {"dpo": records["dpo"], "ppo": records["learned"], "ppo_gt": records["learned"]}
    assert together(frontier.dominates(poor)) == "yes"
    assert together(frontier.dominates({**poor, "dpo": records["few"], "ppo_gt": records["ppo_gt"]})) == "no"


def test_data_bind_where_the_truth_is_far_ahead_and_not_where_all_are_alike(records):
    bound = {"dpo": records["few"], "ppo": records["learned"], "ppo_gt": records["ppo_gt"], "ipo": records["few"]}
    far, *_ = frontier.bound_by_data(bound)
    assert far.answer == "yes"
    free = {"dpo": records["dpo"], "ppo": records["model"], "ppo_gt": records["ppo_gt"], "ipo": records["dpo"]}
    far, *alike = frontier.bound_by_data(free)
    assert far.answer == "no" and [each.answer for each in alike if each.answer] == ["yes", "yes"]


def test_labels_on_own_responses_have_to_gain_more_than_the_rest(records):
    ahead = {"dpo": records["few"], "ppo": records["learned"], "online": records["dpo"]}
    assert together(frontier.online(ahead)) == "yes"
    assert together(frontier.online({**ahead, "online": records["few"]})) == "no"


def test_nothing_turns_where_the_learned_reward_is_the_true_one(records):
    assert together(frontier.turns({"dpo": records["dpo"], "ppo": records["model"]})) == "no"


def test_draws_are_spared_only_by_one_that_arrives_first():
    often = REST.replace("every=300", "every=10")
    fast, slow = (lab.run(f"tabular open dpo beta=0.2 {often.replace('lr=0.1', f'lr={rate}')}") for rate in (0.2, 0.05))
    assert together(frontier.spares_draws({"dpo": fast, "ppo_gt": slow})) == "yes"
    assert together(frontier.spares_draws({"dpo": slow, "ppo_gt": fast})) == "no"


def test_what_was_spent_is_told_and_is_infinite_where_a_run_never_arrives():
    often = REST.replace("every=300", "every=10")
    climber = lab.run(f"tabular open ppo beta=0.2 {often} samples=8 epochs=4")
    never = lab.run(f"tabular open dpo beta=0.2 {often.replace('steps=300', 'steps=10')}")
    found = {each.what: each for each in frontier.spares_draws({"dpo": never, "ppo_gt": climber})}
    updates, drawn = found["PPO-GT: updates"], found["PPO-GT: responses drawn for a prompt"]
    assert 8 * updates.value / 4 <= drawn.value <= 8 * (updates.value / 4 + 1)
    assert abs(found["PPO-GT: passes, forward and reverse"].value - 2 * updates.value - 1) <= 2
    assert found["DPO: passes, forward and reverse"].value == float("inf")


def stopped_at(early, late):
    """A record of 500 updates that is one policy up to update 100, and another from then on."""
    steps = [0, *frontier.SETTINGS]
    states = [early.isel(step=0)] + [(early if each <= 100 else late).isel(step=-1) for each in steps[1:]]
    return xr.concat([each["log_prob"].drop_vars("step") for each in states], "step").assign_coords(step=steps)


def test_stopping_lifts_only_who_is_better_before_the_end():
    words = ("dpo", "dpo data=sampled comparisons=1", "pg reward_from=model")
    good, bad, well = (lab.run(f"tabular open {each} {SWEEP} {REST}") for each in words)
    ill = lab.run(f"tabular open pg {SWEEP} {REST} reward_from=model data=sampled comparisons=1")

    def dpo(early, late):
        table = stopped_at(early, late)
        return good.isel(step=[0] * table.sizes["step"]).assign_coords(step=table["step"]).assign(log_prob=table)

    def ppo(early, late):
        records = [early if each <= 100 else late for each in frontier.SETTINGS]
        return xr.concat(records, "model_steps").assign_coords(model_steps=list(frontier.SETTINGS))

    def answers(**data):
        return [each.answer for each in frontier.tuned_alike(data)][:3]

    assert answers(dpo=dpo(good, bad), ppo=ppo(well, ill)) == ["yes", "yes", "yes"]
    assert answers(dpo=dpo(bad, bad), ppo=ppo(well, ill)) == ["no", "yes", "no"]
    assert answers(dpo=dpo(bad, good), ppo=ppo(ill, well)) == ["no", "no", "yes"]


def test_networks_turn_only_if_few_comparisons_mislead_and_many_do_not(monkeypatch):
    """Shaped sweeps of three points: the true reward falls after the second one or not, the learned one rises."""
    seeds = {"seed": range(20), "point": [0.1, 0.2, 0.3]}

    def sweep(true):
        columns = {"kl": [1.0, 2.0, 3.0], "true": true, "learned": [1.0, 2.0, 3.0]}
        return xr.Dataset({name: (("seed", "point"), [each] * 20) for name, each in columns.items()}, seeds)

    turning, rising = sweep([1.0, 2.0, 1.0]), sweep([1.0, 2.0, 3.0])

    def answer(few, many):
        monkeypatch.setattr(
            frontier, "both_rewards",
            lambda dpo, _: dict.fromkeys(frontier.NAMES, few if dpo["size"] == frontier.SIZES[0] else many),
        )  # fmt: skip
        sizes = list(frontier.SIZES)
        data = xr.Dataset({"size": ("comparisons", sizes)}, {"comparisons": sizes})
        return frontier.few_and_many({"dpo": data, "ppo": data})

    assert together(answer(turning, rising)) == "yes"
    assert together(answer(turning, turning)) == "no" and together(answer(rising, rising)) == "no"
    told = {each.what: each.value for each in answer(turning, rising)}
    assert told["PPO, 8 comparisons: KL at the peak"] == 2
    assert told["DPO, 8 comparisons: share of its gain lost past the peak"] == 0.5
