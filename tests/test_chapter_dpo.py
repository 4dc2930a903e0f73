"""The solutions of notebook 03 against the lab's own objectives, finite differences and an independent minimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import lab
from lab.course.chapters.dpo import counterexample, logit_gradient, loss, minimiser, ratio
from lab.course.drawings import dpo as drawings
from lab.course.exercise import Mistake
from lab.experiments.attribution import attribute
from lab.objectives import DPO, PairLogProbs
from lab.optima import optimum


def drawn(responses: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw log pi_ref and a reward."""
    reference, reward = np.random.default_rng(seed).normal(size=(2, responses))
    return reference - np.logaddexp.reduce(reference), reward


def bradley_terry(reward: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(reward - reward[:, None]))


@pytest.mark.parametrize("case", range(6))
def test_the_loss_is_that_of_the_objective(case):
    chosen, rejected, reference_chosen, reference_rejected, beta = loss.EXERCISE.drawn()[case]
    sums = (torch.from_numpy(each.sum(1))[None] for each in (chosen, rejected, reference_chosen, reference_rejected))
    wanted = DPO(beta).loss(PairLogProbs(*sums))[0].numpy()
    got = loss.dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_swapping_a_pair_changes_the_loss_by_its_margin():
    chosen, rejected, reference_chosen, reference_rejected, beta = loss.EXERCISE.drawn()[1]
    there = loss.dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta)
    back = loss.dpo_loss(rejected, chosen, reference_rejected, reference_chosen, beta)
    np.testing.assert_allclose(np.exp(-there) + np.exp(-back), 1, rtol=1e-12)


def test_the_cases_of_the_loss_hold_both_extremes_and_the_reference():
    cases = loss.EXERCISE.drawn()
    np.testing.assert_allclose(loss.dpo_loss(*cases[4]), np.log(2))
    assert loss.dpo_loss(*cases[5]).max() > 800  # exp overflows at 710


def test_the_gradient_agrees_with_finite_differences_of_the_loss():
    for logits, reference, chosen, rejected, beta in logit_gradient.EXERCISE.drawn():

        def at(values, reference=reference, chosen=chosen, rejected=rejected, beta=beta):
            log_prob = values - np.logaddexp.reduce(values)
            four = (log_prob[chosen], log_prob[rejected], reference[chosen], reference[rejected])
            return loss.dpo_loss(*(np.array([[each]]) for each in four), beta)[0]

        step = 1e-5 * np.eye(len(logits))
        slope = [(at(logits + each) - at(logits - each)) / 2e-5 for each in step]
        got = logit_gradient.logit_gradient(logits, reference, chosen, rejected, beta)
        np.testing.assert_allclose(got, slope, atol=1e-9)


def test_the_ratio_agrees_with_the_derivatives_by_free_probabilities():
    log_chosen, log_rejected, reference_chosen, reference_rejected, beta = ratio.EXERCISE.drawn()[0]
    chosen, rejected = (torch.from_numpy(np.exp(each)).requires_grad_() for each in (log_chosen, log_rejected))
    four = (chosen.log(), rejected.log(), torch.from_numpy(reference_chosen), torch.from_numpy(reference_rejected))
    DPO(beta).loss(PairLogProbs(*(each[None] for each in four))).sum().backward()
    wanted = (rejected.grad.abs().log() - chosen.grad.abs().log()).numpy()
    np.testing.assert_allclose(ratio.log_gradient_ratio(log_chosen, log_rejected, None, None, beta), wanted)


@pytest.mark.parametrize(("responses", "beta"), [(3, 0.5), (5, 2.0), (6, 0.3)])
def test_on_bradley_terry_labels_descent_the_solution_and_the_optimum_agree(responses, beta):
    reference, reward = drawn(responses)
    world = torch.from_numpy(reference)[None, None], torch.from_numpy(reward)[None, None]
    wanted = optimum(*world, torch.tensor([beta], dtype=torch.float64)).log_prob[0, 0, 0].numpy()
    wins = bradley_terry(reward)
    np.testing.assert_allclose(minimiser.dpo_minimiser(wins, reference, beta), wanted, atol=1e-12)
    descended = minimiser.descend(wins, reference, beta, steps=200, tolerance=1e-13)
    np.testing.assert_allclose(descended, wanted, atol=1e-7)


def test_on_any_labels_descent_finds_what_an_independent_minimiser_finds():
    reference, _ = drawn(4, seed=3)
    upper = np.triu(np.random.default_rng(4).uniform(0.05, 0.95, (4, 4)), 1)
    wins = upper + np.tril(1 - upper.T, -1) + np.eye(4) / 2

    def objective(log_ratio):
        margin = 0.7 * (log_ratio[:, None] - log_ratio)
        couples = np.exp(reference[:, None] + reference) * (1 - np.eye(4))
        return (couples * wins * np.logaddexp(0, -margin)).sum()

    logits = reference + minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    wanted = logits - np.logaddexp.reduce(logits)
    got = minimiser.descend(wins, reference, 0.7, steps=200, tolerance=1e-13)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_the_minimum_counts_for_any_way_of_finding_it():
    cases = minimiser.EXERCISE.drawn()
    trained = [minimiser.descend(*case, steps=200, tolerance=1e-13) for case in cases]
    minimiser.EXERCISE.judge(cases, trained)
    nearly = [minimiser.descend(*case, steps=2) for case in cases]
    with pytest.raises(Mistake, match=r"KL\(optimum ‖ yours\) is up to .* train longer"):
        minimiser.EXERCISE.judge(cases, nearly)
    with pytest.raises(Mistake, match="have to sum to 1"):
        minimiser.EXERCISE.judge(cases, [each[:-1] for each in trained])


def test_other_counterexamples_count_as_well():
    reference, reward, _, beta = counterexample.counterexample()
    twice_as_sure = bradley_terry(2 * reward)
    counterexample.EXERCISE.judge([()], [(reference, reward, twice_as_sure, beta)])


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (0, [0.5, 0.3, 0.3], "sum to 1"),
        (0, [0.5, 0.4999, 0.0001], "at least 0.001"),
        (1, [1.0, 1.0, 0.0], "no two of them equal"),
        (1, [1.0, 0.5], "the same length"),
        (3, 0.01, "from 0.1|between 0.1 and 10"),
    ],
)
def test_a_counterexample_outside_the_rules_is_told_which(place, value, says):
    given = list(counterexample.counterexample())
    given[place] = np.array(value)
    with pytest.raises(Mistake, match=says):
        counterexample.EXERCISE.judge([()], [tuple(given)])


def test_the_plane_says_what_the_runs_did_and_where_the_arrows_point():
    line = "tabular s1,s2,s3,s4 dpo beta=0.1,2 sgd lr=0.02 steps=400 seeds=1 prompts=1 every=4"
    record = lab.run(line)
    figure, alt = drawings.phase_plane(record)
    margins = record["log_prob"] - record["reference_log_prob"]
    for beta in (0.1, 2.0):
        last = margins.sel(scenario="s1", beta=beta).isel(seed=0, step=-1, prompt=0)
        pair = (last.isel(response=int(record[name][0])) for name in ("chosen", "rejected"))
        assert f"{float(next(pair) - next(pair)):.1f} nats for beta {beta:g}" in alt
    assert "100% of the arrows" in alt
    clock = figure.axes[1]
    curves = [each for each in clock.lines if each.get_linestyle() == "-"]
    circles = [each for each in clock.lines if each.get_marker() == "o"]
    for curve, circle in zip(curves, circles, strict=True):
        wanted = np.interp(circle.get_xdata(), curve.get_xdata(), curve.get_ydata())
        np.testing.assert_allclose(circle.get_ydata(), wanted, rtol=0.02)  # a step is no flow


def test_the_plane_tells_three_betas_apart_and_no_more():
    record = lab.run("tabular s1 dpo beta=0.1,0.2,0.5,1 sgd lr=1 steps=4 seeds=1 prompts=1")
    with pytest.raises(ValueError, match="has 4 β; 3 can be told apart"):
        drawings.phase_plane(record)


def test_slow_motion_shows_the_steps_that_were_made():
    line = "tabular s2 dpo beta=0.1 sgd lr=0.5 steps=3 seeds=1 prompts=1 responses=4 spread=even"
    record = lab.run(line)
    _, alt = drawings.slow_motion(record, attribute(line), (0, 2))
    made = record["log_prob"].diff("step").isel(seed=0, prompt=0, step=0)
    for name in ("chosen", "rejected"):
        assert f"{float(made.isel(response=int(record[name][0]))):+.3f}" in alt
    assert "at step 0 the weight is 0.50" in alt
