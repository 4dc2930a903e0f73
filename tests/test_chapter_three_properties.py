"""The solutions of notebook 04 against finite differences, the lab's own measures and realised steps."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics
from lab.course.chapters.three_properties import claim, detectors, one_step, rise, unseen
from lab.course.drawings import three_properties as drawings
from lab.course.exercise import Mistake
from lab.theory import influence


def moved(log_prob: np.ndarray, chosen: int, rejected: int, step: float) -> np.ndarray:
    """Return log pi after the logits of the pair have moved, [state, response]."""
    logits = log_prob.copy()
    logits[:, chosen] += step
    logits[:, rejected] -= step
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def test_the_slope_of_the_chosen_agrees_with_finite_differences_and_is_never_negative():
    for log_prob, chosen, rejected in rise.EXERCISE.drawn():
        ends = (moved(log_prob, chosen, rejected, step)[:, chosen] for step in (1e-5, -1e-5))
        slope = rise.chosen_slope(log_prob, chosen, rejected)
        np.testing.assert_allclose(slope, np.subtract(*ends) / 2e-5, atol=1e-9)
        assert (slope > 0).all()


def test_unseen_mass_moves_where_the_rule_says_for_small_and_for_large_steps():
    for log_prob, chosen, rejected, step in unseen.EXERCISE.drawn():
        others = np.delete(np.arange(log_prob.shape[1]), (chosen, rejected))
        after = moved(log_prob, chosen, rejected, step)
        grown = (after - log_prob)[:, others].mean(1)
        np.testing.assert_array_equal(np.sign(grown), unseen.unseen_direction(log_prob, chosen, rejected, step))


def test_both_directions_of_the_unseen_occur_at_every_step_size():
    for case in unseen.EXERCISE.drawn():
        assert set(unseen.unseen_direction(*case)) == {-1, 1}


@pytest.mark.parametrize(
    "line",
    [
        "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=200 seeds=3 every=5",
        "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=200 seeds=3 every=5",
        "tabular s2 dpo beta=0.1 sgd lr=5 steps=200 seeds=3 every=5",
    ],
)
def test_the_detectors_agree_with_the_labs_own_on_real_runs(line):
    record = lab.run(f"{line} prompts=1")
    seeds = lab.properties.by_seed(record)
    limits = lab.properties.Thresholds()
    for seed in record["seed"].values:
        one, found = record.sel(seed=seed), seeds.sel(seed=seed)
        curves = (metrics.chosen_log_prob(one).isel(pair=0), metrics.rejected_log_prob(one).isel(pair=0))
        given = (*(each.values for each in curves), metrics.unseen_mass(one).isel(prompt=0).values)
        got = detectors.three_properties(*given, metrics.total_loss(one).values)
        for name, present in got.items():
            row = found.sel(property=name)
            wanted = row["value"] > getattr(limits, name)
            wanted &= ~(row["loss_change"] >= 0) & ~(row["above_start"] <= 0)
            assert bool(wanted) == present, (line, seed, name)


def test_every_property_is_planted_with_and_without_the_others():
    found = [tuple(detectors.three_properties(*case).values()) for case in detectors.EXERCISE.drawn()]
    assert {(True, True, True), (False, False, False), (True, False, False), (False, True, False)} <= set(found)


def test_the_predicted_change_is_that_of_the_theory_and_of_a_small_step_of_a_network():
    # tanh: after its fit a ReLU network has units on the kink, where a step of any size is not of first order.
    line = lab.Experiment.parse("mlp s1 dpo beta=0.1 sgd lr=1e-3 steps=1 seeds=2 activation=tanh")
    from lab.experiments.running import build_pairwise, reference

    problem, policy, objective, optimizer, _ = build_pairwise(line)
    start = reference(policy, problem)
    log_prob = policy.forward(start)[0].log_softmax(-1)
    factors = influence(policy, start, objective, problem, log_prob)
    record = lab.run(line)
    realised = record["log_prob"].diff("step").isel(step=0).values
    for run in range(2):
        given = (log_prob[run], factors.kernel[run], factors.residual[run].sum((0, 1)))
        got = one_step.predicted_change(*(each.numpy() for each in given), optimizer.lr)
        np.testing.assert_allclose(got, optimizer.lr * factors.total[run].numpy(), atol=1e-12)
        assert np.abs(got - realised[run]).max() < 0.01 * np.abs(realised[run]).max()


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (0, "mlp s1 dpo beta=0.1 adam lr=1e-3 stepz=300", "cannot be read"),
        (0, "mlp s1 dpo beta=0.1,0.2 adam lr=1e-3 steps=300", "several values of beta"),
        (1, "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=300", "the second one sgd"),
        (2, "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=300", "differ in nothing|may differ"),
        (3, 7, "is none"),
    ],
)
def test_a_claim_that_breaks_the_rules_is_told_which(place, value, says):
    given = list(claim.optimiser_claim())
    given[place] = value
    with pytest.raises(Mistake, match=says):
        claim.EXERCISE.judge([()], [tuple(given)])


def test_a_claim_needs_its_five_parts():
    with pytest.raises(Mistake, match="four experiment lines and a loss"):
        claim.EXERCISE.judge([()], [claim.optimiser_claim()[:4]])


def test_the_columns_say_where_each_run_began_and_ended():
    record = lab.run("mlp s1 dpo beta=0.1 adam lr=1e-3 steps=100 seeds=3 every=5")
    figure, alt = drawings.side_by_side({"one": record, "another": record})
    level = metrics.over_prompts(metrics.unseen_mass(record), record).median("seed")
    assert f"unseen from {float(level[0]):.2f} to {float(level[-1]):.2f}" in alt
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes[:2]] == ["One", "Another"]


def test_runs_are_compared_at_the_loss_that_is_named():
    record = lab.run("mlp s1 dpo beta=0.1 adam lr=1e-3 steps=200 seeds=5")
    _, alt = drawings.against_loss({"adam": record}, level=0.1)
    loss, chosen = metrics.total_loss(record), metrics.over_pairs(metrics.chosen_prob(record), record)
    first = (loss <= 0.1).argmax("step")
    nearest = chosen.isel(step=first).median()
    assert abs(float(alt.split("Adam ")[1].rstrip(".")) - float(nearest)) < 0.01


def test_the_share_explained_is_one_for_the_truth_and_zero_for_its_mean():
    made = np.random.default_rng(0).normal(size=(3, 4))
    assert drawings.explained(made, made) == 1
    np.testing.assert_allclose(drawings.explained(np.full_like(made, made.mean()), made), 0, atol=1e-12)
    np.testing.assert_allclose(drawings.explained(made + 1, made), 1 - 1 / made.var())


def test_every_rate_gets_a_panel_with_its_share():
    made = np.linspace(-1, 1, 50)
    figure, alt = drawings.foreseen([made, 0.5 * made], [made, made], (0.1, 1.0))
    assert len(figure.axes) == 2
    assert "1.0000 at learning rate 0.1" in alt
    assert "0.7500 at learning rate 1" in alt
