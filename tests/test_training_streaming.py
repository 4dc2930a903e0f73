"""Records that memory does not hold: the same numbers, bounded memory, and nothing left on the disk."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lab
from lab.training import Stage, chunks
from lab.trajectory import streaming
from tests import worlds

HERE = Path(__file__).resolve().parents[1]
KEPT = lab.Record(every=3, keep=("gradients", "predictions", "parameters"))
# loop: policy, objective, record, stages
LOOPS = {
    "margins": ("tabular", lab.DPO(worlds.BETAS), lab.Record(3), ()),
    "margins, stages": ("tabular", lab.DPO(0.1), lab.Record(3), (Stage(lab.IPO(0.3), lab.Adam(0.1), 7, "stage"),)),
    "states": ("mlp-tanh", lab.DPO(worlds.BETAS), KEPT, ()),
    "states, stages": ("mlp-tanh", lab.SFT(), KEPT, (Stage(lab.DPO(0.1), lab.Adam(0.1), 7, "stage"),)),
    "states of a table": ("tabular", lab.KTO(0.1), KEPT, ()),
    "scores": ("mlp-relu", lab.BradleyTerry(), KEPT, ()),
    "rollouts": ("tabular", lab.ExpectedReward(0.1), KEPT, ()),
}


def lies_in_a_file(numbers: np.ndarray) -> bool:
    while isinstance(numbers.base, np.ndarray):
        numbers = numbers.base
    return isinstance(numbers.base, mmap.mmap)


def train(loop: str, **where):
    policy, objective, record, then = LOOPS[loop]
    world = worlds.problem()
    if loop == "rollouts":
        reward = worlds.draw(worlds.RUNS, worlds.PROMPTS, worlds.RESPONSES, seed=4)
        world = lab.Problem(world.preferences, world.target_log_prob, world.seeds, reward=reward)
    machine = worlds.policy(policy, world)
    found = lab.training.plan(world, machine, objective, lab.SGD(0.1), then=then, record=record).loop
    assert found == loop.split(",")[0].split(" of ")[0]
    start = worlds.state(policy, world, 0.3)
    return lab.train(world, machine, objective, lab.SGD(0.1), steps=20, start=start, then=then, record=record, **where)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("size", [2**18, 1])
def test_a_record_in_files_is_the_one_in_memory_bit_for_bit(loop, size, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", size)  # all runs together, or each by itself
    monkeypatch.setattr(chunks, "LANES", size)
    monkeypatch.setattr(lab.training.tape, "BLOCK", 2 * size)  # rows told of together, or each by itself
    kept = train(loop)
    with pytest.warns(lab.RecordOnDisk, match=r"the record \(3 runs, \d+ recorded states\) takes .* it lies in files"):
        streamed = train(loop, memory=0, scratch=tmp_path)
    assert streamed.identical(kept)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loop", LOOPS)
def test_every_number_of_every_state_lies_in_files(loop, tmp_path):
    with pytest.warns(lab.RecordOnDisk):
        streamed = train(loop, memory=0, scratch=tmp_path)
    for name, each in streamed.data_vars.items():
        if "step" in each.dims:
            data = each.variable._data
            numbers = data.array.array.array.source.moves if not each.variable._in_memory else each.values
            assert lies_in_a_file(numbers), name


@pytest.mark.parametrize("loop", ["margins", "states"])
def test_a_training_on_threads_writes_the_same_files(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 1)
    monkeypatch.setattr(chunks, "LANES", 1)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.warns(lab.RecordOnDisk):
            streamed = train(loop, memory=0, scratch=tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert streamed.identical(train(loop))


def test_runs_that_leave_the_numbers_keep_what_was_recorded(tmp_path):
    world = worlds.problem()
    given = (world, worlds.policy("loglinear", world), lab.IPO(0.1), lab.SGD(1e6))
    errors = []
    for where in ({}, {"memory": 0, "scratch": tmp_path}):
        with pytest.raises(lab.NonFiniteError) as caught:
            if where:
                with pytest.warns(lab.RecordOnDisk):
                    lab.train(*given, steps=300, start=worlds.state("loglinear", world), **where)
            else:
                lab.train(*given, steps=300, start=worlds.state("loglinear", world))
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1]) and errors[1].trajectory.identical(errors[0].trajectory)


LARGE = """
import sys, warnings, resource
from pathlib import Path
import torch, lab
from lab.training import Record
warnings.simplefilter("ignore", lab.RecordOnDisk)
torch.set_num_threads(1)
pairs = lab.Preferences([0], [0], [1])
target = torch.zeros(1, 1, 2**13, dtype=torch.float64).log_softmax(-1)
world = lab.Problem(pairs, target, (0,))
given = (world, lab.Tabular(1, 2**13), lab.{objective}, lab.SGD(0.1))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what is resident")
@pytest.mark.parametrize("runs", [1, 40])
def test_resident_memory_stays_far_below_a_record_in_files(runs, tmp_path):
    """200 MB of record, and the peak of a process that trains it twice over: the first time a little of it."""
    code = LARGE.format(objective="SFT()") + (
        f"runs = {runs}\n"
        "world = lab.Problem(pairs, target.expand(runs, 1, -1), tuple(range(runs)))\n"
        "given = (world, *given[1:])\n"
        "def trained(steps, **where):\n"
        "    return lab.train(*given, steps=steps, record=Record(keep=()), **where)\n"
        "trained(60 // runs + 2)\n"
        "from benchmarks.memory import peak\n"
        "found, taken = peak(lambda: trained(3200 // runs, memory=0, scratch=Path(sys.argv[1])))\n"
        "print(taken, found['log_prob'].nbytes, float(found['log_prob'].isel(step=-1).sum()))\n"
    )
    environment = dict(os.environ) | {"PYTHONPATH": str(HERE)}
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, text=True,
                          timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    taken, record, _ = map(float, done.stdout.split())
    assert record > 2e8 and taken < record / 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system kills no process")
def test_a_killed_training_leaves_nothing(tmp_path):
    code = LARGE.format(objective="SFT()") + (
        "def look(share):\n"
        "    if share > 0.005:\n"
        "        print('well on the way', flush=True)\n"
        "lab.train(*given, steps=10**5, record=Record(100, ()), memory=0, scratch=Path(sys.argv[1]), progress=look)\n"
    )
    environment = dict(os.environ) | {"PYTHONPATH": str(HERE)}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"well on the way\n"
            assert Path(f"/proc/{process.pid}/maps").read_text().count(str(tmp_path)) == 3 or not Path("/proc").exists()
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_told_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(lab.space, "free_disk", lambda folder: 1000.0)
    with pytest.raises(ValueError, match=r"the disk of .* has 9e-07 GB for it; train fewer runs at once, or name anot"):
        train("states", memory=0, scratch=tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.undo()
    monkeypatch.setattr(lab.space, "reserve", full)
    with pytest.raises(OSError, match="No space left on device; nothing is left there"), pytest.warns(lab.RecordOnDisk):
        train("states", memory=0, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_line_takes_its_folder_and_its_memory(tmp_path):
    line = "tabular s1 dpo sgd lr=1 steps=5 seeds=2"
    with pytest.warns(lab.RecordOnDisk, match=str(tmp_path)):
        streamed = lab.run(line, memory=0, scratch=tmp_path)
    assert streamed.identical(lab.run(line))


@pytest.mark.parametrize("line", [
    "tabular s1,s2 dpo,kto sgd lr=1 steps=5 seeds=2",
    "tabular,mlp s1 flex beta_chosen=0.1,0.2 adam lr=1e-3 steps=4 seeds=2 every=2",
])  # fmt: skip
def test_a_sweep_is_joined_in_files_and_said_to_be_once(line, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK", 500)
    with pytest.warns(lab.RecordOnDisk) as said:
        streamed = lab.run(line, memory=1000, scratch=tmp_path)
    assert len(said) == 1 and str(said[0].message).startswith("the record of the sweep, with its cells' (")
    assert streamed.identical(lab.run(line))
    assert all(lies_in_a_file(streamed[name].values) for name in streaming.long_variables(streamed))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("block", [200, 2**25])
@pytest.mark.parametrize("line", [
    "tabular s1 dpo sgd lr=1 steps=9 seeds=3", "mlp s2 dpo adam lr=1e-3 steps=6 seeds=2 keep=gradients+parameters",
])  # fmt: skip
def test_a_record_in_files_is_saved_and_loaded_like_any_other(line, block, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK", block)
    scratch = tmp_path / "scratch"
    with pytest.warns(lab.RecordOnDisk):
        streamed = lab.run(line, memory=0, scratch=scratch)
    place, kept = lab.save(streamed, tmp_path / "one.nc"), lab.run(line)
    assert lab.load(place).identical(kept)
    with pytest.warns(lab.RecordOnDisk, match="the record in '.*one.nc' takes .* it lies in files in"):
        loaded = lab.load(place, memory=0, scratch=scratch)
    assert all(lies_in_a_file(loaded[name].values) for name in streaming.long_variables(loaded))
    place.unlink()
    assert loaded.identical(kept) and list(scratch.iterdir()) == []


def test_saving_where_the_disk_is_full_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    record = lab.run("tabular s1 dpo sgd lr=1 steps=9 seeds=3")
    monkeypatch.setattr(streaming, "reserve", full)
    with pytest.raises(OSError, match="cannot save to .*: No space left on device; what was there before is unchanged"):
        lab.save(record, tmp_path / "one.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what is resident")
def test_saving_and_loading_take_little_memory(tmp_path):
    code = LARGE.format(objective="DPO(0.1)") + (
        "record = lab.train(*given, steps=3000)\n"  # 200 MB of log-probabilities that are computed as they are saved
        "from benchmarks.memory import peak\n"
        "place = Path(sys.argv[1])\n"
        "lab.load(lab.save(lab.train(*given, steps=3), place / 'small.nc'), memory=0)\n"
        "_, saving = peak(lambda: lab.save(record, place / 'one.nc'))\n"
        "found, loading = peak(lambda: lab.load(place / 'one.nc', memory=0, scratch=place))\n"
        "print(saving, loading, found['log_prob'].nbytes)\n"
    )
    environment = dict(os.environ) | {"PYTHONPATH": str(HERE), "DPOLAB_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, text=True,
                          timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    saving, loading, size = map(float, done.stdout.split())
    assert size > 1.9e8 and max(saving, loading) < size / 1.5
