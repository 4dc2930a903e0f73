"""The claims of the frontier on small worlds: they say yes and no where they should."""

from __future__ import annotations

import pytest

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
