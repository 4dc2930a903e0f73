"""What a clock measured for a figure: read from a committed file, an input like any other, and measured in turns."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from benchmarks import methods
from figures.machinery.discovery import load
from figures.machinery.figure import Figure
from figures.machinery.freshness import figure_inputs, figure_key
from figures.machinery.measured import measured, measured_file
from figures.machinery.settings import FOLDER, Settings
from tests.tiny_figures import QUICK_LINE, write


def test_a_figure_whose_measurements_change_is_out_of_date(tmp_path):
    folder = write(tmp_path / "figures", {"one": QUICK_LINE, "two": QUICK_LINE})
    settings = replace(Settings(), folder=folder)

    def keys() -> list[str]:
        return [figure_key(figure_inputs(name, load(name, folder), settings)) for name in ("one", "two")]

    before = keys()
    measured_file("one", folder).parent.mkdir()
    measured_file("one", folder).write_text("{}")
    there = keys()
    measured_file("one", folder).write_text('{"rounds": 3}')
    changed = keys()
    assert len({before[0], there[0], changed[0]}) == 3 and before[1] == there[1] == changed[1]
    assert measured("one", folder) == {"rounds": 3}


@pytest.mark.parametrize("text", [None, "{", ""])
def test_measurements_that_cannot_be_read_are_refused_with_the_cure(tmp_path, text):
    (tmp_path / "measured").mkdir()
    if text is not None:
        measured_file("one", tmp_path).write_text(text)
    cure = r"measured/one.json cannot be read \(.*\); measure again: python -m benchmarks --methods"
    with pytest.raises(ValueError, match=cure):
        measured("one", tmp_path)


def test_the_committed_seconds_are_those_of_the_lines_that_the_figure_shows():
    """In whole rounds of positive numbers, on a machine that is described and not named."""
    found = measured(methods.FIGURE)
    lines = {name: str(each) for name, each in load(methods.FIGURE, FOLDER).experiments().items()}
    assert found["lines"] == lines and set(found["seconds"]) == set(lines)
    assert set(found["machine"]) == {"processor", "cores", "system", "python", "torch", "lab", "threads"}
    for parts in found["seconds"].values():
        assert set(parts) == {"before", "training"}
        assert all(len(each) == found["rounds"] and min(each) > 0 for each in parts.values())


def test_lines_are_timed_in_turns_and_a_first_round_does_not_count(monkeypatch):
    order: list[str] = []
    monkeypatch.setattr(methods, "_once", lambda experiment: timed(order, str(experiment)))
    lines = {"one": QUICK_LINE, "two": QUICK_LINE.replace("lr=0.5", "lr=0.25")}
    seen = methods.time_methods(lines, 2, lambda: None)
    assert [re.search(r"lr=(\S+)", line)[1] for line in order] == ["0.5", "0.25"] * 3
    assert seen == {"one": {"before": [3, 5], "training": [30, 50]}, "two": {"before": [4, 6], "training": [40, 60]}}
    assert all("every=6" in line for line in order)  # nothing but the ends is recorded


def timed(order: list[str], line: str) -> dict[str, float]:
    order.append(line)
    return {"before": len(order), "training": 10 * len(order)}


def test_what_is_written_is_what_was_timed_and_a_reward_model_counts_before_the_training(tmp_path, monkeypatch):
    line = "tabular open {} adam lr=0.05 steps=5 seeds=2 truth=normal data=sampled"
    words = {"dpo": "dpo", "ppo": "ppo reward_from=model model_steps=800"}
    figure = Figure("Two methods in turn", "", {name: line.format(each) for name, each in words.items()}, print)
    monkeypatch.setattr(methods, "load", lambda *_: figure)
    place = methods.write_methods({"cores": 2}, 3, lambda: None, tmp_path / "measured" / "one.json")
    found = json.loads(place.read_text())
    assert found["rounds"] == 3 and found["machine"] == {"cores": 2, "threads": 1}
    seconds = found["seconds"]
    assert all(len(each) == 3 and min(each) > 0 for parts in seconds.values() for each in parts.values())
    assert min(seconds["ppo"]["before"]) > max(seconds["ppo"]["training"])  # 800 updates against 5
