"""How cost and memory grow: one thing is varied at a time, and an exponent is a slope in logs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.scaling import command, report, sweeps
from figures import nothing_costs_more_than_its_share as figure
from figures.machinery import Page


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(exponent):
    x = np.array([1.0, 4.0, 16.0, 64.0, 256.0])
    assert sweeps.slope(x, 3 * x**exponent) == pytest.approx(exponent, abs=1e-9)


def test_a_fixed_cost_does_not_hide_the_slope_of_what_grows():
    x = np.array([1.0, 4.0, 16.0, 64.0, 256.0, 1024.0])
    assert sweeps.slope(x, 10 + x) > 0.85


@pytest.mark.parametrize("name", sweeps.SWEEPS)
def test_a_sweep_varies_what_its_name_says_and_nothing_else(name):
    base, field, values = sweeps.SWEEPS[name]
    assert name.endswith(field) and list(values) == sorted(set(values))
    for value, point in sweeps.points(name, quick=False):
        assert asdict(point) == {**asdict(base), field: value}


def test_the_paper_s_network_has_5130_parameters():
    assert sweeps.NETWORK.parameters == 5130


@pytest.mark.parametrize(("kind", "numbers"), [("table", 4 + 12), ("whole table", 40 + 12), ("network", 40 + 12 + 3)])
def test_what_is_recorded_is_what_the_loop_of_its_kind_writes(kind, numbers):
    """Moves of four pairs or 40 log-probabilities, loss and weights of a pair, a network's norms and cosine."""
    point = replace(sweeps.KINDS[kind], runs=3, steps=20)
    found = sweeps.measure(point, rounds=1)
    assert found["seconds"] > 0 and found["record"] == 3 * 21 * numbers * 8


@pytest.mark.parametrize("kind", sweeps.KINDS)
def test_all_that_can_grow_is_varied_for_every_kind(kind):
    varied = {report.varied(name) for name in sweeps.SWEEPS if name.split(", ")[0] == kind}
    assert varied == {"runs", "steps", "prompts", "responses", "pairs"} | (
        {"parameters"} if kind == "network" else set()
    )


def sweep(x, exponent):
    values = [float(each**exponent) for each in x]
    return {"values": x, "parameters": x, "seconds": values, "peak": [1e7 * each for each in values],
            "record": [8.0 * each for each in x]}  # fmt: skip


def test_a_peak_that_drowns_in_pages_does_not_bend_the_exponent():
    low = sweep([1, 2, 4, 8], 1.0) | {"peak": [0.0, 0.0, 0.0, 0.0]}
    assert report.exponents(low, "table, runs")["peak"] == pytest.approx(0, abs=1e-9)


def test_the_table_has_a_row_for_each_thing_and_three_numbers_for_each_kind():
    machine = {"cores": 2, "processor": "abacus", "torch": "2"}
    found = {"machine": machine, "sweeps": {name: sweep([1, 4, 16, 64], 0.5) for name in sweeps.SWEEPS}}
    found["sweeps"]["network, width"]["parameters"] = [10, 20, 40, 80]
    lines = report.exponent_table(found).splitlines()
    assert "| runs | 0.50 / 0.50 / 1.00 | 0.50 / 0.50 / 1.00 | 0.50 / 0.50 / 1.00 |" in lines
    assert "| parameters |  |  | 1.00 / 1.00 / 2.00 |" in lines and len(lines) == 4 + 6
    assert lines[0].startswith("On 2 cores of abacus, torch 2:")


def test_the_table_stands_between_its_marks_and_a_text_without_them_is_refused():
    text = f"before\n{report.FIRST}\n\nold\n\n{report.LAST}\nafter"
    written = report.with_table(text, "new")
    assert written == text.replace("old", "new") == report.with_table(written, "new")
    with pytest.raises(ValueError, match="no place for the table: write <!--"):
        report.with_table("before", "new")


def test_the_readme_tells_the_exponents_of_the_measured_sweeps():
    found = json.loads(command.PLACE.read_text(encoding="utf-8"))
    text = command.README.read_text(encoding="utf-8")
    assert set(found["sweeps"]) == set(sweeps.SWEEPS)
    assert report.with_table(text, report.exponent_table(found)) == text


def test_the_figure_fits_as_the_table_does_and_says_its_message_where_it_holds(monkeypatch):
    found = json.loads(command.PLACE.read_text(encoding="utf-8"))
    for steeper, plain in ((0.0, False), (1.3, True)):
        for name in found["sweeps"]:
            if steeper:
                found["sweeps"][name] |= sweep(found["sweeps"][name]["values"], steeper)
        monkeypatch.setattr(figure, "measured", lambda name: found)
        drawn = figure.draw({}, Page(figure.FIGURE.title, figure.FIGURE.lines))
        for name, each in found["sweeps"].items():
            fitted = report.exponents(each, name)
            for of in figure.ROWS:
                assert drawn.numbers[f"{name}: exponent of {of}"][0] == pytest.approx(fitted[of], abs=1e-9)
        worst = max(value for value, _ in drawn.numbers.values())
        headline = drawn.figure.texts[0].get_text().replace("\n", " ")
        assert (headline == figure.MESSAGE) is (worst <= figure.MOST) and (headline == figure.PLAIN) >= plain
    assert figure.SEEN == sweeps.SEEN and figure.NAME == command.FIGURE


def test_sweeps_are_written_with_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "TRIAL", tmp_path / "scaling.json")
    done = CliRunner().invoke(command.main, ["--quick", "--rounds", "1", "table, runs"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (name, found), *rest = json.loads((tmp_path / "scaling.json").read_text())["sweeps"].items()
    assert name == "table, runs" and not rest and found["values"] == [16, 64] and found["parameters"] == [40, 40]
    assert {"seconds", "peak", "record"} <= set(found)


def test_a_part_of_the_sweeps_is_not_written_for_the_reader():
    assert "--write is for all sweeps" in CliRunner().invoke(command.main, ["--write", "--quick"]).output
