"""How cost and memory grow: one thing is varied at a time, and an exponent is a slope in logs."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.scaling import command, sweeps


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


def test_a_record_grows_as_what_it_holds():
    # log-probabilities, two response weights and the loss of a pair, 8 bytes each; coordinates beside them are few
    found = sweeps.measure(sweeps.Point(runs=50, steps=20), rounds=1)
    assert found["seconds"] > 0 and found["record"] == pytest.approx(50 * 21 * (40 + 8 + 4) * 8, rel=0.1)


def test_sweeps_are_written_with_their_exponents(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "TRIAL", tmp_path / "scaling.json")
    done = CliRunner().invoke(command.main, ["--quick", "--rounds", "1", "table, runs"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (name, found), *rest = json.loads((tmp_path / "scaling.json").read_text())["sweeps"].items()
    assert name == "table, runs" and not rest and found["values"] == [1, 4] and found["parameters"] == [40, 40]
    assert set(found["exponents"]) == {"seconds", "peak", "record"}


def test_a_part_of_the_sweeps_is_not_written_for_the_reader():
    assert "--write is for all sweeps" in CliRunner().invoke(command.main, ["--write", "--quick"]).output
