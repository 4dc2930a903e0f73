"""The solutions and drawings of notebook 01, against optimisers, finite differences and the lab's own optimum."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from lab.course import reference
from lab.course.drawings import optimum as drawings
from lab.optima import optimum

tilt, gap, limits, speed, beta_for = (reference(f"1.{place}") for place in range(1, 6))


def world(seed, size=5):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=size)
    return logits - np.logaddexp.reduce(logits), generator.normal(size=size)


def objective(log_prob, log_ref, reward, beta):
    prob = np.exp(log_prob)
    return prob @ reward - beta * prob @ (log_prob - log_ref)


def on_frontier(log_ref, reward, beta):
    log_prob = tilt(log_ref, reward, beta)
    return np.exp(log_prob) @ reward, np.exp(log_prob) @ (log_prob - log_ref)


@pytest.mark.parametrize("seed", range(10))
def test_no_optimiser_finds_more_than_the_tilted_reference(seed):
    log_ref, reward = world(seed)

    def lost(logits):
        return -objective(logits - np.logaddexp.reduce(logits), log_ref, reward, 0.7)

    found = minimize(lost, np.zeros(5), tol=1e-12)
    assert objective(tilt(log_ref, reward, 0.7), log_ref, reward, 0.7) == pytest.approx(-found.fun, abs=1e-9)
    prob = np.exp(found.x - np.logaddexp.reduce(found.x))
    assert np.exp(tilt(log_ref, reward, 0.7)) == pytest.approx(prob, abs=1e-5)


def test_the_tilt_is_that_of_the_lab_and_does_not_see_a_shift():
    log_ref, reward = world(3)
    betas = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    exact = optimum(torch.from_numpy(log_ref)[None, None], torch.from_numpy(reward)[None, None], betas).log_prob
    for beta, log_prob in zip(betas.tolist(), exact[0, :, 0].numpy(), strict=True):
        assert tilt(log_ref, reward, beta) == pytest.approx(log_prob, abs=1e-12)
        assert tilt(log_ref, reward + 50, beta) == pytest.approx(log_prob, abs=1e-11)


def test_the_gap_is_the_difference_of_two_objectives():
    for seed in range(20):
        log_ref, reward = world(seed)
        log_prob, _ = world(seed + 100)
        best = objective(tilt(log_ref, reward, 0.3), log_ref, reward, 0.3)
        assert gap(log_prob, log_ref, reward, 0.3) == pytest.approx(
            best - objective(log_prob, log_ref, reward, 0.3), abs=1e-10
        )


def test_the_limits_are_approached_from_inside():
    prob, reward = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 1.0, -0.5, 9.0])
    with np.errstate(divide="ignore"):
        log_ref = np.log(prob)
    cold, hot = (np.exp(tilt(log_ref, reward, beta)) @ reward for beta in (1e-3, 1e6))
    assert limits(prob, reward) == pytest.approx((cold, hot), abs=1e-5)


def test_the_speed_along_the_frontier_is_that_of_finite_differences_and_its_ratio_is_beta():
    for seed in range(10):
        log_ref, reward = world(seed)
        ends = [np.array(on_frontier(log_ref, reward, 0.8 + step)) for step in (1e-5, -1e-5)]
        assert speed(log_ref, reward, 0.8) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)
        earned, kl = speed(log_ref, reward, 0.8)
        assert earned / kl == pytest.approx(0.8)


def test_a_budget_is_spent_to_the_last_digit():
    log_ref, reward = world(4)
    for beta in (0.2, 1.0, 5.0):
        assert beta_for(on_frontier(log_ref, reward, beta)[1], log_ref, reward) == pytest.approx(beta, rel=1e-8)


def test_the_drawing_tells_the_numbers_that_it_draws():
    log_ref, reward = world(5)
    figure, alt = drawings.tilts(np.exp(log_ref), reward, (1, 0.5))
    for beta in (1, 0.5):
        assert f"{np.exp(tilt(log_ref, reward, beta))[reward.argmax()]:.2g} at beta {beta}" in alt
    heights = [bar.get_height() for bar in figure.axes[0].patches[-5:]]
    assert heights == pytest.approx(np.exp(tilt(log_ref, reward, 0.5)))


def test_more_betas_than_shades_are_refused():
    with pytest.raises(ValueError, match="4 can be told apart"):
        drawings.tilts(np.ones(3) / 3, np.arange(3.0), (1, 2, 3, 4, 5))
