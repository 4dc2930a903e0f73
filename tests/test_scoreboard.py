"""The scoreboard: its rows against the objectives' own pushes, its rates, its numbers against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from lab import metrics, properties
from lab.experiments.experiment import Experiment
from lab.experiments.losses import CATALOGUE
from lab.experiments.running import build
from lab.objectives.base import PairLogProbs
from lab.scoreboard.entries import ENTRIES, FAMILIES, Entry
from lab.scoreboard.measuring import END, QUANTITIES, measure, scores
from lab.scoreboard.settings import PROGRESS, SCENARIOS, SETTINGS, YARDSTICK, Setting

BY_NAME = {entry.name: entry for entry in ENTRIES}
SMALL = Setting("loglinear", "adam", lr=0.05, steps=80, every=8)
DOWN = np.linspace(0.0, 200.0, 2001)


def small_line(entry: Entry) -> str:
    return SMALL.line(entry).replace("seeds=24", "seeds=5")


def objective(entry: Entry):
    """The objective of an entry, built from its line."""
    return build(Experiment.parse(SMALL.line(entry).replace("s1,s2,s3,s4", "s1").replace("seeds=24", "seeds=1")))[2]


def pushes(entry: Entry, rise: float, falls: np.ndarray):
    """The pushes up on the chosen and down on the rejected response, one pair alone, at log-ratios rise and -falls."""
    ones = torch.ones(len(falls), 1, dtype=torch.float64)
    falls = torch.from_numpy(falls)[:, None]
    up, down = objective(entry).response_weights(
        PairLogProbs(
            chosen=(rise - 1) * ones,
            rejected=-1 - falls,
            reference_chosen=-ones,
            reference_rejected=-ones,
            kl=ones,
            chosen_confidence=0 * ones,
            rejected_confidence=0 * ones,
        )
    )
    return -up[:, 0].numpy(), down[:, 0].numpy()


# --- rows ---------------------------------------------------------------------------------------------------------


def test_every_objective_of_preference_pairs_has_a_row():
    assert {entry.words.split()[0] for entry in ENTRIES} == set(CATALOGUE)
    assert len({entry.name for entry in ENTRIES}) == len({entry.label for entry in ENTRIES}) == len(ENTRIES)
    assert [entry.family for entry in ENTRIES] == sorted((e.family for e in ENTRIES), key=FAMILIES.index)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_push_at_the_start_is_the_largest_over_scenarios(entry):
    line = SETTINGS[-1].line(entry)
    start = lab.run(line.replace("steps=1000", "steps=1").replace("seeds=24", "seeds=2"))["response_weight"].isel(
        step=0
    )
    assert float(abs(start).max()) == pytest.approx(entry.push, rel=0.01)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_objective_stops_if_nothing_pushes_the_rejected_response_down_25_nats_below_the_reference(entry):
    _, down = pushes(entry, -1.0, np.array([25.0]))
    assert (down[0] <= 0) == entry.stops


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_objective_lifts_if_it_pushes_the_chosen_response_up_when_the_rejected_one_is_let_go(entry):
    up, down = pushes(entry, -1.0, DOWN)
    let_go = down <= 1e-4 * entry.push
    assert (let_go.any() and up[let_go.argmax()] > 0.02 * entry.push) == entry.lifts


def test_an_entry_is_checked():
    with pytest.raises(ValueError, match="x has the family 'odd'; it must be one of the margin to the reference alone"):
        Entry("x", "X", "dpo", "odd", 0.05)
    with pytest.raises(ValueError, match=r"x has a push of 0\.0; it must be above 0"):
        Entry("x", "X", "dpo", FAMILIES[0], 0.0)


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_first_steps_are_equally_large_under_plain_gradient_descent(setting):
    if setting.optimizer == "adam":
        assert {setting.rate(entry) for entry in ENTRIES} == {setting.lr}
    else:
        sizes = [setting.rate(entry) * entry.push for entry in ENTRIES if entry.slower == 1]
        np.testing.assert_allclose(sizes, setting.lr * YARDSTICK, rtol=0.05)
        assert setting.rate(BY_NAME["dpo"]) == setting.lr


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_line_is_canonical_and_has_its_scenarios_and_seeds(setting):
    for entry in ENTRIES:
        parsed = Experiment.parse(setting.line(entry))
        assert str(parsed) == setting.line(entry)
        assert parsed.scenario == SCENARIOS and parsed.value("seeds") == 24 and parsed.value("truth") == "normal"
        assert parsed.value("steps") % parsed.value("every") == 0
    assert setting.horizons == (properties.Horizon("step", setting.steps), *PROGRESS)


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record():
    return lab.run(small_line(BY_NAME["dpo"]))


def test_a_row_holds_what_the_record_and_its_verdicts_hold(record):
    table = scores(lambda _: record, entries=[BY_NAME["dpo"]], settings=[SMALL])
    assert len(table) == len(SCENARIOS) * len(SMALL.horizons)
    whole = properties.verdicts(record)
    for _, row in table[table["horizon"] == END].iterrows():
        assert row["line"] == SMALL.line(BY_NAME["dpo"]) and row["n"] == 5 and row["reached"] == 1
        cell = whole.sel(scenario=row["scenario"])
        for name in properties.NAMES:
            mine = cell.sel(property=name)
            assert row[f"{name}_verdict"] == mine["verdict"].item()
            assert [row[name], row[f"{name}_low"]] == [mine["value"].item(), mine["low"].item()]
        last = record.sel(scenario=row["scenario"]).isel(step=-1)
        prob = np.exp(last["log_prob"].values)
        assert row["entropy"] == pytest.approx(np.median(-(prob * np.log(prob)).sum(-1).mean(-1)), rel=1e-9)
        assert row["step"] == SMALL.steps
        first = record.sel(scenario=row["scenario"]).isel(step=0)
        gain = ((prob - np.exp(first["log_prob"].values)) * last["reward"].values).sum(-1).mean(-1)
        assert row["reward_gain"] == pytest.approx(np.median(gain), rel=1e-9)


def test_at_an_equal_margin_the_margin_is_equal(record):
    table = scores(lambda _: record, entries=[BY_NAME["dpo"]], settings=[SMALL])
    near = table[table["horizon"] == "margin 4 nats"]
    assert (near["reached"] == 1).all()
    np.testing.assert_allclose(near["log_ratio_margin"], 4.0)
    np.testing.assert_allclose(near[["log_ratio_margin_low", "log_ratio_margin_high"]], 4.0)
    far = table[table["horizon"] == "margin 30 nats"]
    assert (far["degradation_verdict"] == properties.NOT_REACHED).all()
    assert far[list(QUANTITIES)].isna().all(axis=None)


def test_the_numbers_do_not_depend_on_the_order_of_the_horizons(record):
    turned = replace(SMALL, steps=40)
    table = measure(record, turned)
    short = properties.verdicts(record.isel(step=slice(6)))
    np.testing.assert_array_equal(table["verdict"].isel(horizon=0), short["verdict"])
    np.testing.assert_allclose(
        table["state"].sel(quantity="chosen_prob").isel(horizon=0),
        metrics.over_pairs(metrics.chosen_prob(record), record).sel(step=40).median("seed"),
    )
