"""What β does in a table, against Lambert's W, an integrator, a search over β, and runs whose loss carries a factor."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp
from scipy.special import lambertw

import lab
from lab import metrics
from lab.experiments.running import build, reference
from lab.training import Record, train

BETAS = np.array([0.01, 0.1, 1.0, 10.0])


def test_the_margin_solves_its_law_from_the_first_moment_to_the_last():
    time = np.concatenate([[0.0], np.geomspace(1e-9, 1e12, 60)])
    margin = metrics.flow_margin(BETAS[:, None], time)
    clock = 2 * BETAS[:, None] ** 2 * time
    assert (margin[:, 0] == 0).all() and (np.diff(margin, axis=1) > 0).all()
    assert margin + np.expm1(margin) == pytest.approx(clock, rel=1e-12)


def test_the_margin_is_what_lambert_s_function_says():
    time = np.geomspace(1e-2, 1e2, 9)
    right = 1 + 2 * time
    assert metrics.flow_margin(1.0, time) == pytest.approx(right - lambertw(np.exp(right)).real, rel=1e-9)


@pytest.mark.parametrize(
    ("slope", "clock"),
    [
        (lambda beta, ratio: 2 * beta / (1 + np.exp(beta * ratio)), lambda beta, time: (beta, time)),
        (lambda beta, ratio: 2 / (1 + np.exp(beta * ratio)), lambda beta, time: (beta, time / beta)),
        (lambda beta, ratio: 2 * beta / (1 + np.exp(ratio)), lambda beta, time: (1.0, beta * time)),
    ],
    ids=["as in DPO", "inside alone", "outside alone"],
)
@pytest.mark.parametrize("beta", [0.05, 0.5, 2.0])
def test_inside_outside_and_both_follow_their_own_flow(slope, clock, beta):
    # Δ of one pair in a table: each of its two logits moves by the push, so Δ by twice that.
    done = solve_ivp(lambda _, ratio: slope(beta, ratio), (0, 40), [0.0], rtol=1e-10, atol=1e-12, dense_output=True)
    time = np.linspace(1, 40, 7)
    inner, when = clock(beta, time)
    assert metrics.flow_margin(inner, when) / inner == pytest.approx(done.sol(time)[0], rel=1e-7)


def test_no_beta_is_ahead_of_the_leading_one():
    for time in (0.3, 10.0, 1e4):
        best = metrics.leading_beta(time)
        betas = best * np.geomspace(0.2, 5, 4001)
        moved = metrics.flow_margin(betas, time) / betas
        assert betas[np.argmax(moved)] == pytest.approx(best, rel=1e-3)
        assert moved.max() <= 2 / best * (1 + 1e-12)
        assert metrics.flow_margin(best, time) == pytest.approx(2.0, rel=1e-12)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="beta goes from 0 and time from 1; beta must be above 0"):
        metrics.flow_margin(np.array([0.0, 1.0]), 1.0)
    with pytest.raises(ValueError, match="time from -1.*at least 0"):
        metrics.flow_margin(1.0, -1.0)
    with pytest.raises(ValueError, match="time goes from 0; it must be above 0"):
        metrics.leading_beta(np.array([0.0, 1.0]))


def moved(time, betas):
    return xr.DataArray(
        metrics.flow_margin(betas, np.atleast_1d(time)[:, None]) / betas,
        dims=("time", "beta"), coords={"beta": betas},
    )  # fmt: skip


def test_the_leader_among_runs_is_the_leader_of_the_law():
    betas, time = np.geomspace(0.02, 2, 48), np.geomspace(3, 1000, 9)
    shuffled = moved(time, betas)[:, np.random.default_rng(0).permutation(48)]
    found = metrics.leader(shuffled)
    assert found["beta"].values == pytest.approx(metrics.leading_beta(time), rel=2e-3)
    assert found["margin"].values == pytest.approx(2.0, rel=2e-3)


def test_a_leader_at_the_end_of_the_sweep_is_unknown():
    early_and_late = metrics.leader(moved(np.array([0.01, 1e9]), np.geomspace(0.02, 2, 9)))
    assert early_and_late["beta"].isnull().all() and early_and_late["margin"].isnull().all()


def test_the_parabola_needs_no_even_spacing():
    place = np.log(np.array([0.1, 0.13, 0.25, 0.3, 0.4]))
    top = np.log(0.21)
    heights = xr.DataArray(np.exp(1.5 - 0.7 * (place - top) ** 2), dims="beta", coords={"beta": np.exp(place)})
    found = metrics.leader(heights)
    assert found["beta"].item() == pytest.approx(0.21, rel=1e-12)
    assert found["margin"].item() == pytest.approx(0.21 * np.exp(1.5), rel=1e-12)


def test_two_betas_have_no_leader():
    with pytest.raises(ValueError, match="the leader is sought among three or more β"):
        metrics.leader(moved(1.0, np.array([0.1, 1.0])))


FACTOR = 0.05


def trained(objective, optimizer):
    line = lab.Experiment.parse("loglinear s1 dpo beta=1 sgd lr=1 steps=1 seeds=2 features=4 overlap=0.5")
    problem, policy, *_ = build(line)
    start = reference(policy, problem)
    record = Record(every=20, keep=())
    return train(problem, policy, objective, optimizer, steps=60, start=start, record=record)["log_prob"]


@pytest.mark.parametrize(
    ("outside", "within"),
    [
        (lab.SGD(0.5), lab.SGD(0.5 * FACTOR)),
        (lab.Momentum(0.1), lab.Momentum(0.1 * FACTOR)),
        (lab.Adam(1e-2, eps=1e-8), lab.Adam(1e-2, eps=1e-8 / FACTOR)),
    ],
    ids=["SGD", "momentum", "Adam"],
)
def test_a_factor_before_the_loss_is_a_learning_rate_and_for_adam_only_another_eps(outside, within):
    scaled = trained(lab.WeightedSum((lab.DPO(1.0),), (FACTOR,)), outside)
    plain = trained(lab.DPO(1.0), within)
    moved = abs(plain - plain.isel(step=0)).max()
    assert moved > 0.05
    assert abs(scaled - plain).max() < 1e-9 * moved
