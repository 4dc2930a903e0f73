"""The race: peers that compute the same, timed in turns, against a limit that is counted."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import machine, memory
from benchmarks.race import command, ours, plain, report, running
from benchmarks.race.cases import Case, disagreement, world
from benchmarks.race.peers import BEST, JAX, NATURAL, PLAIN, RECORD, RECORDINGS, REDUCED, Process, entrants, has_jax

TINY = (Case("A", "sgd", 3, 6), Case("A", "adam", 2, 6), Case("B", "adam", 2, 4), Case("C", "sgd", 2, 2))
# A Python that has JAX, where the one that tests has not.
JAX_PYTHON = os.environ.get("RACE_JAX", sys.executable)
SPEEDS = {"stream": 8e9, "exp": 1e9, "tanh": 5e8, "root": 1e9, "product": 1e11}


@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_the_lab_and_the_plain_loop_record_the_same(case):
    given = world(case)
    train, recordings = ours.prepare(case, given)
    found = recordings(train())
    expected = plain.prepare(case, given)(np.arange(case.runs))
    assert disagreement(found, expected) < 1e-11
    assert set(found) == set(case.recordings)
    assert sum(values[0, 0].size for values in found.values()) == case.numbers
    assert all(values.shape[:2] == (case.runs, case.steps + 1) for values in found.values())
    moved = np.abs(found["chosen"][:, -1] - found["chosen"][:, 0])
    assert moved.max() > 1e-4  # a training that stands still would agree with anything


@pytest.mark.parametrize("process", JAX)
def test_jax_records_the_same_in_all_its_ways(process, tmp_path):
    if not has_jax(JAX_PYTHON):
        pytest.skip("JAX is not there; name a Python that has it in RACE_JAX")
    cases = (*TINY, replace(TINY[2], runs=18, steps=2))  # the last: more runs than a chunk holds
    with Process(JAX_PYTHON, process, cores=2) as peer:
        for case in cases:
            train, recordings = ours.prepare(case, world(case))
            runs = [0, case.runs - 1]
            expected = ours.sample(recordings(train()), np.array(runs))
            for way in sorted({each.way for each in entrants(case, jax=True) if each.process == process}):
                peer.ask("prepare", way, case=case, runs=runs)
                peer.ask("sample", way, runs=runs, file=str(tmp_path / "found.npz"))
                with np.load(tmp_path / "found.npz") as found:
                    assert disagreement(dict(found), expected) < 1e-9, (case.name, way)


def test_the_start_is_the_same_whenever_it_is_drawn_and_runs_differ():
    one, again = world(TINY[0]), world(TINY[0])
    assert np.array_equal(one.start[0], again.start[0]) and np.array_equal(one.beta, again.beta)
    assert len(set(one.beta)) == len(set(one.lr)) == TINY[0].runs


def test_a_world_lays_out_disjoint_pairs_in_the_order_of_their_prompts():
    for case in TINY:
        given = world(case)
        named = list(zip(given.prompt, given.chosen, strict=True)) + list(
            zip(given.prompt, given.rejected, strict=True)
        )
        assert len(set(named)) == 2 * case.sizes[2] and list(given.prompt) == sorted(given.prompt)
        assert max(given.chosen.max(), given.rejected.max()) < case.sizes[1]


@pytest.mark.parametrize(
    ("found", "expected", "worst"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.2], [1.0, 2.0], 0.1),
        ([0.0], [1e-6], 1e-3),  # below 1e-3 the difference counts as of 1e-3
        ([-np.inf, 1.0], [-np.inf, 1.0], 0.0),
        ([-np.inf], [1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([np.nan], [np.nan], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_recordings_differ_by_their_worst_number(found, expected, worst):
    assert disagreement({"x": np.array(found)}, {"x": np.array(expected)}) == pytest.approx(worst)


def test_a_case_that_is_not_raced_is_refused():
    with pytest.raises(ValueError, match="C adam; allowed are A sgd, A adam, B adam, C sgd, D sgd"):
        Case("C", "adam", 1, 1)
    with pytest.raises(ValueError, match="runs is 0 and steps is 5; allowed are 1 or more"):
        Case("A", "sgd", 0, 5)


class Told:
    """A process that says what a test tells it to; `takes` has the seconds of each way's calls in their order."""

    def __init__(self, takes: dict[str, list[float]], log: list[str], recorded: dict[str, float]) -> None:
        self.takes, self.log, self.recorded = {way: iter(each) for way, each in takes.items()}, log, recorded

    def ask(self, do, way="", case=None, runs=(), file="", of=()):
        if do == "sample":
            np.savez(file, x=np.array([self.recorded.get(way, 1.0)]))
        if do == "time":
            self.log.append(way)
            return {"seconds": next(self.takes[way])}
        return {"seconds": 0.25}


def fake(takes, log, recorded=None):
    known = {"plain": [9.0] * 9, "recordings": [1.0] * 9, "record": [0.5] * 9, "natural": [3.0] * 9, **takes}
    return {name: Told(known, log, recorded or {}) for name in ("torch", *JAX)}


def test_peers_take_turns_and_a_way_that_falls_behind_leaves(tmp_path):
    log: list[str] = []
    takes = {"dense": [2.0, 5.0, 2.0, 2.1, 2.2, 2.1], "reduced": [1.0] * 9}
    processes = fake(takes, log)
    processes[JAX[1]] = Told({"dense": [2.5, 2.5, 2.5], "reduced": [1.0] * 3}, log, {})
    processes[JAX[2]] = Told({"dense": [9.0], "reduced": [1.0] * 3}, log, {})
    processes[JAX[0]] = Told({"natural": [3.0] * 3, "dense": [2.0, 2.1, 2.2], "reduced": [1.0] * 3}, log, {})
    result = running.run_case(Case("A", "sgd", 50, 10), processes, tmp_path, rounds=3, patience=100)
    best = result["peers"][BEST]
    assert best["seconds"] == [2.0, 2.1, 2.2] and best["process"] == "jax" and best["ready"] == 0.25
    assert best["others"] == {"dense, jax, one thread": 2.5, "dense, jax, a device a core": 9.0}
    assert set(result["peers"]) == {PLAIN, NATURAL, BEST, REDUCED, RECORDINGS, RECORD}
    # First rounds first: nobody is timed twice before all were timed once.
    first = log[: len(entrants(Case("A", "sgd", 50, 10), jax=True))]
    assert sorted(first) == sorted(["plain", "recordings", "record", "natural", *["dense"] * 3, *["reduced"] * 3])
    assert len(log) == 3 * len(first) - 2 and log[len(first)] == "recordings"
    # The plain loop trained three of the fifty runs.
    assert result["peers"][PLAIN]["runs"] == 3 and result["peers"][RECORD]["runs"] == 50
    assert running.ratio(result, PLAIN) == pytest.approx(9.0 / 3 * 50)
    assert running.microseconds(result, RECORDINGS) == pytest.approx([1e6 / 500] * 3)


def test_a_peer_that_needs_longer_than_the_patience_is_timed_once(tmp_path):
    log: list[str] = []
    result = running.run_case(TINY[0], {"torch": fake({}, log)["torch"]}, tmp_path, rounds=4, patience=2.0)
    assert log.count("plain") == 1 and result["peers"][PLAIN]["seconds"] == [9.0]
    assert log.count("record") == 4


def test_peers_that_do_not_agree_do_not_race(tmp_path):
    processes = fake({"dense": [1.0] * 9, "reduced": [1.0] * 9}, [], {"natural": 1.0 + 1e-8})
    said = r"JAX \(natural, jax\) differs by 1e-08 from plain loop in A sgd 3; allowed is 1e-09"
    with pytest.raises(RuntimeError, match=said):
        running.run_case(TINY[0], processes, tmp_path, rounds=3, patience=100)


def test_a_process_says_what_it_cannot_do():
    with Process(sys.executable, "torch", 1) as process:
        with pytest.raises(
            RuntimeError, match="the process 'torch' could not prepare recordings: ValueError: workload"
        ):
            process.ask("prepare", "recordings", case=impossible())
        assert re.match(r"\d", process.ask("versions", of=["numpy"])["numpy"])  # and goes on


def impossible():
    """A case that its own class would refuse."""
    case = object.__new__(Case)
    for name, value in {"workload": "C", "optimizer": "adam", "runs": 1, "steps": 1, "objective": "dpo"}.items():
        object.__setattr__(case, name, value)
    return case


def test_the_limit_is_that_of_writing_or_of_arithmetic_whichever_is_slower():
    # 22 numbers of 8 bytes at 8 GB/s against 16 exponentials at 1e9 a second.
    assert Case("A", "sgd", 1, 1).numbers == 22
    assert machine.limit(TINY[0], SPEEDS) == pytest.approx(22e-9)
    assert machine.limit(TINY[0], {**SPEEDS, "exp": 1e8}) == pytest.approx(160e-9)
    products = 4 * (2 * 4 * 64 * 64 + 2 * 4 * 64 * 10) / 1e11
    network = 44 / 1e9 + 512 / 5e8 + 5130 / 1e9 + products
    assert machine.limit(TINY[2], SPEEDS) == pytest.approx(network)


def test_what_the_machine_does_at_best_is_finite_and_above_nothing():
    found = machine.measure(cores=1, rounds=1)
    assert set(found) == {*SPEEDS, "first_touch"} and all(np.isfinite(each) and each > 0 for each in found.values())


def test_the_peak_counts_what_a_call_holds_and_not_what_it_gave_back():
    size = 5 * 10**7
    _, taken = memory.peak(lambda: np.ones(size // 8))
    assert 0.8 * size < taken < 2 * size
    _, taken = memory.peak(lambda: [np.ones(size // 8).sum() for _ in range(3)])
    assert 0.8 * size < taken < 2 * size


def test_a_quick_race_writes_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "TRIAL", tmp_path / "out" / "race.json")
    monkeypatch.setattr(command, "has_jax", lambda _: False)
    monkeypatch.setattr(command, "SIZES", {("A", "sgd"): (1, 2)})
    done = CliRunner().invoke(command.main, ["--quick", "--only", "A", "--rounds", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "JAX is not there and does not take part: pip install jax" in done.output
    found = json.loads((tmp_path / "out" / "race.json").read_text())
    assert set(found["cases"]) == set(found["limits"]) == {"A sgd 1", "A sgd 2"}
    check_schema(found)


def test_a_race_in_part_or_without_jax_is_not_written_to_be_kept(monkeypatch):
    monkeypatch.setattr(command, "has_jax", lambda _: False)
    assert "is for a whole race" in CliRunner().invoke(command.main, ["--write", "--quick"]).output
    assert "pip install jax" in CliRunner().invoke(command.main, ["--write"]).output


def test_targets_are_held_against_the_lab_with_its_recordings_computed():
    peers = {
        RECORDINGS: {"runs": 1024, "seconds": [2.0]}, RECORD: {"runs": 1024, "seconds": [1.0]},
        NATURAL: {"runs": 1024, "seconds": [3.0]}, PLAIN: {"runs": 1, "seconds": [2.0]},
    }  # fmt: skip
    rows = report.target_rows({"A sgd 1024": {"steps": 5, "peers": peers}})
    assert [(row["peer"], row["wanted"], row["measured"], row["record"]) for row in rows] == [
        (NATURAL, 2.0, pytest.approx(1.5), pytest.approx(3.0)),
        (PLAIN, 1000.0, pytest.approx(1024.0), pytest.approx(2048.0)),
    ]


def check_schema(found):
    assert set(found) == {"machine", "speeds", "limits", "cases", "memory"}
    for name, case in found["cases"].items():
        assert name.split()[0] == case["workload"] and int(name.split()[-1]) == case["runs"]
        assert 0 <= case["difference"] <= running.AGREE and {RECORDINGS, RECORD} <= set(case["peers"])
        for given in case["peers"].values():
            assert set(given) == {"way", "process", "runs", "ready", "seconds", "others"}
            assert given["seconds"] and min(given["seconds"]) > 0 and 1 <= given["runs"] <= case["runs"]
