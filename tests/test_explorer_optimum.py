"""The scene of the optimum: its numbers against the formula, its sliders, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.explorer.optimum import OptimumScene, Tilt

REFERENCE, REWARD = (0.5, 0.3, 0.15, 0.05), (0.0, 0.5, -1.0, 2.0)
SCENE = OptimumScene(4)
START = Tilt(REFERENCE, REWARD, 1.0)


def tilted(reward, beta):
    weights = np.array(REFERENCE) * np.exp(np.array(reward) / beta)
    return weights / weights.sum()


@pytest.mark.parametrize("beta", ["0.1", "0.5", "10"])
def test_the_numbers_are_those_of_the_tilted_reference(beta):
    view = SCENE.show(SCENE.change(START, "beta", beta))
    prob = tilted(REWARD, float(beta))
    assert view.numbers["reward"] == pytest.approx(prob @ REWARD, rel=1e-9)
    assert view.numbers["kl"] == pytest.approx(np.sum(prob * np.log(prob / REFERENCE)), rel=1e-9)
    assert [float(row[3]) for row in view.rows] == pytest.approx(prob, abs=6e-5)
    assert f"3 from 0.050 to {prob[3]:.3f}" in view.pictures[0].alt


def test_a_reward_slider_moves_its_own_response():
    moved = SCENE.change(START, "reward_1", "1.5")
    assert moved.reward == (0.0, 1.5, -1.0, 2.0)
    assert SCENE.show(moved).numbers["best"] == pytest.approx(tilted(moved.reward, 1.0)[3], rel=1e-9)
    assert SCENE.show(moved).pictures[1].png != SCENE.show(START).pictures[1].png


def test_equal_rewards_leave_the_reference():
    view = SCENE.show(Tilt(REFERENCE, (1.0,) * 4, 0.01))
    assert view.numbers["kl"] == pytest.approx(0, abs=1e-12) and view.numbers["reward"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("beta", "0", "give finite rewards and a beta above 0"),
        ("beta", "low", "beta is 'low', which is no number"),
        ("gamma", "1", "there is no control 'gamma'; the controls are beta, reward_0, reward_1, reward_2, reward_3"),
    ],
)
def test_what_is_not_allowed_is_said(key, value, message):
    with pytest.raises(ValueError, match=message):
        SCENE.change(START, key, value)


@pytest.mark.parametrize(
    ("reference", "reward", "message"),
    [
        ((0.5, 0.4), (0.0, 1.0), "its probabilities are above 0 and sum to 1"),
        ((1.0, 0.0), (0.0, 1.0), "its probabilities are above 0 and sum to 1"),
        ((0.5, 0.5), (0.0,), "2 probabilities and 1 rewards are given"),
        ((0.5, 0.5), (0.0, float("inf")), "give finite rewards"),
    ],
)
def test_a_world_that_is_none_is_refused(reference, reward, message):
    with pytest.raises(ValueError, match=message):
        lab.explorer.explore_optimum(reference, reward)


def test_the_widget_shows_it_and_locks_what_a_teacher_locks():
    widget = lab.explorer.explore_optimum(REFERENCE, REWARD, beta=0.123, lock=("reward_0",))
    assert widget.view["numbers"]["beta"] == 0.123
    widget.change("reward_0", "1")
    assert widget.view["error"] == "reward_0 is locked here; change another control."
    widget.change("beta", "0.5")
    assert widget.view["error"] == "" and "β = 0.5: expected reward" in widget.view["summary"]
