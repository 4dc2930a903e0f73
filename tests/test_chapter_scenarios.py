"""Notebook 05: the law of the table against training, solutions against other ways to the same, drawings' numbers."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.claims.claim import Evidence
from lab.claims.judging import together
from lab.course.chapters.scenarios.breaking import differences, flip
from lab.course.chapters.scenarios.intervals import interval
from lab.course.chapters.scenarios.suffering import suffering
from lab.course.chapters.scenarios.unseen_peak import unseen_peak
from lab.course.chapters.scenarios.verdicts import verdict
from lab.course.drawings import scenarios as drawings
from lab.intervals import median_interval

TABLE = "tabular s1,s2,s3,s4 dpo beta=0.1 sgd lr=2 steps=200 seeds=3 every=10 keep=none"
WORDS = {"yes": "reproduced", "no": "not reproduced", "undecided": "inconclusive"}


@pytest.fixture(scope="module")
def table():
    """Train a table in the four scenarios."""
    return lab.run(TABLE)


@pytest.mark.parametrize("loss", ["dpo", "ipo", "slic", "cdpo"])
@pytest.mark.parametrize(("on", "off"), [(0.45, 0.02), (0.3, 0.1)])
def test_a_trained_table_obeys_the_law_whatever_the_loss_of_the_margin(loss, on, off):
    line = f"tabular s1,s2,s3,s4 {loss} beta=0.3 sgd lr=0.5 steps=60 seeds=1 prompts=1 keep=none on={on} off={off}"
    record = lab.run(line).isel(seed=0)
    starts = {"s1": (on, on), "s2": (off, on), "s3": (on, off), "s4": (off, off)}
    for scenario, (chosen, rejected) in starts.items():
        cell = record.sel(scenario=scenario)
        law = drawings.table_masses(chosen, rejected, lab.metrics.log_ratio_margin(cell).values[:, 0])
        for word, values in drawings.masses(cell).items():
            np.testing.assert_allclose(law[word], values.values, rtol=0, atol=1e-12)


def test_the_masses_of_the_law_sum_to_one_and_begin_at_the_start():
    masses = drawings.table_masses(0.02, 0.45, np.array([0.0, 3.0, 800.0]))
    np.testing.assert_allclose(sum(masses.values()), 1, rtol=0, atol=1e-12)
    assert [float(masses[word][0]) for word in ("chosen", "rejected")] == pytest.approx([0.02, 0.45])
    assert masses["rejected"][-1] == pytest.approx(0.45 / 0.02 * np.exp(-800))


def test_the_unseen_peak_is_the_highest_point_of_the_law():
    grid = np.linspace(0, 12, 120_001)
    for chosen, rejected in np.random.default_rng(0).dirichlet((1, 1, 2), 20)[:, :2]:
        law = drawings.table_masses(chosen, rejected, grid)["unseen"]
        margin, most = unseen_peak(chosen, rejected)
        assert most == pytest.approx(law.max(), abs=1e-9)
        assert margin == pytest.approx(grid[law.argmax()], abs=1e-4)


def test_the_four_measures_are_those_that_the_claims_use(table):
    prob = np.exp(table.log_prob.transpose("scenario", "seed", "step", "prompt", "response").values)
    values = lab.properties.by_seed(table)
    for place, scenario in enumerate(table.scenario.values):
        cell = values.sel(scenario=scenario)
        end, _, lost, unseen = suffering(prob[place], table.chosen.values, table.rejected.values)
        np.testing.assert_allclose(lost, cell["value"].sel(property="degradation"), rtol=0, atol=1e-12)
        np.testing.assert_allclose(unseen, cell["above_start"].sel(property="dispersion"), rtol=0, atol=1e-12)
        chosen = drawings.masses(table)["chosen"].sel(scenario=scenario).isel(step=-1)
        np.testing.assert_allclose(end, chosen, rtol=0, atol=1e-12)


def test_the_interval_is_that_of_the_lab_up_to_the_draws():
    values = np.random.default_rng(1).normal(size=(40, 24))
    mine, labs = interval(values, 3), np.stack(median_interval(values, 1))
    np.testing.assert_allclose(mine[0], labs[0])
    assert np.abs(mine[1:] - labs[1:]).mean() < 0.05 * (labs[2] - labs[1]).mean()


def test_the_verdict_follows_the_rules_of_the_claims():
    rng = np.random.default_rng(2)
    for _ in range(300):
        middle, half = rng.normal(size=(2, 3)), 0.7 * rng.random((2, 3))
        low, high = middle - half, middle + half
        evidence = [
            Evidence("x", 0.0, 0.0, 0.0, 24, need="above 0", answer=answer, measure=str(row))
            for row in range(2)
            for answer in np.where(low[row] > 0, "yes", np.where(high[row] < 0, "no", "undecided")).tolist()
        ]
        assert verdict(low, high) == WORDS.get(together(evidence), "ambiguous")


def test_scenarios_swapped_turn_the_difference_round():
    rest = "dpo beta=0.1 sgd lr=2 steps=50 seeds=6 every=50 keep=none"
    median, low, high = differences(f"tabular s1,s3 {rest}")
    again = differences(f"tabular s3,s1 {rest}")
    assert again == pytest.approx((-median, -high, -low))
    assert low > 0


def test_the_line_of_the_solution_changes_nothing_but_the_training():
    given, notebook = (lab.Experiment.parse(line) for line in (flip(), "mlp s1,s3 dpo beta=0.1 adam lr=1 steps=1"))
    assert {name for name in vars(given) if getattr(given, name) != getattr(notebook, name)} <= {"lr", "steps"}


def test_the_picture_of_the_four_says_where_they_end(table):
    _, alt = drawings.four(table)
    for scenario in table.scenario.values:
        end = drawings.masses(table)["chosen"].sel(scenario=scenario).isel(step=-1).median("seed").item()
        part = alt.split(f"{scenario} (")[1].split(". s")[0]
        assert f"{end:.2f} at the end" in part


def test_the_picture_of_the_four_needs_all_of_them(table):
    with pytest.raises(ValueError, match="the scenarios .*'s1', 's2'.*needs s1, s2, s3 and s4"):
        drawings.four(table.sel(scenario=["s1", "s2"]))


def test_the_picture_of_the_law_says_which_scenario_disperses_early():
    record = lab.run("tabular s1,s2,s3,s4 dpo beta=0.1 sgd lr=2 steps=200 seeds=1 prompts=1 keep=none")
    starts = {"s1": (0.45, 0.45), "s2": (0.02, 0.45), "s3": (0.45, 0.02), "s4": (0.02, 0.02)}
    _, alt = drawings.law(starts, record)
    most = unseen_peak(*starts["s2"])[1]
    assert f"in s2 the unseen mass first rises from 0.53 to {most:.2f}" in alt
    assert not any(f"in {scenario} the unseen" in alt for scenario in ("s1", "s3", "s4"))


def test_the_picture_of_intervals_counts_their_answers():
    low = np.array([[0.1, -0.3, -0.1]])
    _, alt = drawings.intervals(["a", "b", "c"], ["m"], low + 0.05, low, low + 0.2)
    assert alt.endswith("1 yes, 1 no, 1 undecided.")


def test_the_picture_of_starts_says_what_the_medians_are():
    record = lab.run("tabular s2 dpo beta=0.1 sgd lr=2 steps=50 seeds=4 every=50 keep=none off=0.01,0.1")
    _, alt = drawings.by_start(record)
    first, last = drawings.masses(record)["chosen"].isel(step=-1).median("seed").values.ravel()
    assert f"at the end {first:.2f} to {last:.2f}" in alt
