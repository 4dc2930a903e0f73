"""The solutions and drawings of notebook 02, against autograd, linear programs and plain loops."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from lab.course import reference
from lab.course.chapters.reward_models.worlds import drawn_wins
from lab.course.drawings import comparisons as drawings
from lab.metrics import flow_margin

bt_loss, two_rewards, fit, has_best_reward, calibration_error = (reference(f"2.{place}") for place in range(1, 6))


def table(seed, size=4, comparisons=20):
    return drawn_wins(np.random.default_rng(seed), size, comparisons)


def test_the_loss_and_its_gradient_are_those_of_autograd():
    for seed in range(10):
        wins = table(seed)
        reward = np.random.default_rng(seed + 50).normal(size=4)
        leaf = torch.tensor(reward, requires_grad=True)
        chance = torch.nn.functional.logsigmoid(leaf[:, None] - leaf[None, :])
        loss = -(torch.tensor(wins) * chance).sum() / wins.sum()
        loss.backward()
        found, gradient = bt_loss(reward, wins)
        assert found == pytest.approx(loss.item(), abs=1e-12)
        assert gradient == pytest.approx(leaf.grad.numpy(), abs=1e-12)


def test_a_constant_changes_no_loss():
    wins, reward = table(1), np.arange(4.0)
    assert bt_loss(reward + 30, wins)[0] == pytest.approx(bt_loss(reward, wins)[0])


def test_the_two_rewards_have_one_loss_and_no_slope():
    wins, first, second = two_rewards()
    assert bt_loss(first, wins)[0] == pytest.approx(bt_loss(second, wins)[0])
    assert max(np.abs(bt_loss(each, wins)[1]).max() for each in (first, second)) < 1e-12


def test_one_label_makes_a_gap_that_follows_the_flow_and_has_no_end():
    once = np.array([[0.0, 1.0], [0.0, 0.0]])
    gaps = [np.subtract(*fit(once, 0.01, steps)) for steps in (100, 1000, 10_000)]
    assert gaps == pytest.approx(flow_margin(1.0, [1.0, 10.0, 100.0]), rel=5e-3)


def test_a_long_fit_of_noisy_labels_wins_as_often_as_was_counted():
    wins = np.array([[0.0, 3.0, 4.0], [2.0, 0.0, 1.0], [1.0, 4.0, 0.0]])
    reward = fit(wins, 2.0, 3000)
    chance = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    assert ((wins + wins.T) * chance).sum(1) == pytest.approx(wins.sum(1), abs=1e-9)


def test_a_best_reward_exists_where_no_direction_lowers_the_loss_for_ever():
    """A direction v with v_winner >= v_loser everywhere and > somewhere has no end; one with = everywhere, no slope."""
    told = set()
    for seed in range(60):
        wins = table(seed, comparisons=2 + seed % 9)
        rows = np.array([np.eye(4)[i] - np.eye(4)[j] for i, j in zip(*np.nonzero(wins), strict=True)])
        climb = linprog(-rows.sum(0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=[(-1, 1)] * 4)
        endless = climb.fun < -1e-9
        fixed = np.linalg.matrix_rank(rows) == 3
        told.add(has_best_reward(wins))
        assert has_best_reward(wins) == (fixed and not endless)
    assert told == {True, False}


def test_the_calibration_error_is_that_of_single_comparisons_counted_one_by_one():
    for seed in range(5):
        wins, edges = table(seed, 5, 40), np.linspace(0, 1, 5)
        reward = np.random.default_rng(seed).normal(size=5)
        seen = []
        for i, j in zip(*np.nonzero(wins), strict=True):
            chance = 1 / (1 + np.exp(reward[j] - reward[i]))
            seen += [(chance, 1.0), (1 - chance, 0.0)] * int(wins[i, j])
        off = 0.0
        for low, high in pairwise(edges):
            inside = np.array([each for each in seen if low <= each[0] < high])
            off += len(inside) * abs(np.subtract(*inside.mean(0))) if len(inside) else 0.0
        assert calibration_error(reward, wins, edges) == pytest.approx(off / len(seen))


def test_the_graph_counts_what_it_draws():
    wins = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    figure, alt = drawings.graph(wins, np.array([1.0, 0.0, -1.0]), np.tile([1.0, 0.0, -1.0], (9, 1)), "Two of three")
    assert "3 responses and 1 compared couples, 3 comparisons" in alt and "3 of 3 responses" in alt
    assert "2:1" in [text.get_text() for text in figure.axes[0].texts]


def test_the_gaps_tell_the_middle_and_the_end():
    steps = np.array([1, 10, 100])
    _, alt = drawings.gaps(steps, {"once": np.array([1.0, 2.5, 4.75])}, np.array([1.0, 2.0, 4.0]))
    assert "once: 2.50, then 4.75" in alt and "after 10 and after 100 steps" in alt
