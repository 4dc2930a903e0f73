"""The size of a record, known beforehand, and the error that offers a stride that fits."""

from __future__ import annotations

import re
import warnings

import pytest
import torch

import lab
from lab.training import budget
from lab.training.budget import check_budget, record_bytes
from tests import worlds


def allocated(record) -> int:
    """The bytes of what depends on the steps, as far as it is in memory."""
    total = 0
    for name, each in record.data_vars.items():
        if "step" in each.dims and each.variable._in_memory:
            total += each.values.nbytes
        elif name == "log_prob":
            total += each.variable._data.array.array.array.source.moves.nbytes
    return total


@pytest.mark.parametrize("keep", [(), ("gradients",), ("gradients", "predictions", "parameters")])
@pytest.mark.parametrize("policy", ["tabular", "mlp-tanh"])
@pytest.mark.parametrize("objective", [lab.DPO(0.1), lab.SFT(), lab.BradleyTerry()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_estimate_is_what_the_record_takes(objective, policy, keep, dtype):
    world, record = worlds.problem(), lab.Record(every=3, keep=keep)
    machine, steps = worlds.policy(policy, world), 10
    trained = lab.train(world, machine, objective, lab.SGD(0.1), steps=steps, record=record, dtype=dtype)
    loop = lab.training.plan(world, machine, objective, lab.SGD(0.1), record=record).loop
    found = record_bytes(world, machine, record, steps, loop=loop, size=dtype.itemsize)
    assert found == allocated(trained)


def test_a_record_that_does_not_fit_is_told_of_with_a_stride_that_does(tmp_path):
    world = worlds.problem()
    given = (world, worlds.policy("tabular", world), lab.SFT(), lab.SGD(0.1))
    each = 3 * (18 + 3 * 5) * 8
    with pytest.warns(
        lab.RecordOnDisk, match=r"\(3 runs, 101 recorded states\) takes 8e-05 GB and 2.06e-05 GB"
    ) as told:
        lab.train(*given, steps=100, memory=26 * each, scratch=tmp_path)
    every = int(re.search(r"; record every (\d+) steps to keep it in memory", str(told[0].message))[1])
    assert lab.train(*given, steps=100, memory=26 * each, record=lab.Record(every)).sizes["step"] == 26
    with pytest.warns(lab.RecordOnDisk, match="; train fewer runs at once to keep it in memory"):
        lab.train(*given, steps=100, memory=each, scratch=tmp_path)


def test_a_warning_can_be_made_to_refuse(tmp_path):
    world = worlds.problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error", lab.RecordOnDisk)
        with pytest.raises(lab.RecordOnDisk):
            lab.train(world, worlds.policy("tabular", world), lab.SFT(), lab.SGD(0.1), steps=5, memory=0)


def test_what_cannot_lie_in_files_is_refused_with_a_stride_that_fits(monkeypatch):
    with pytest.raises(
        ValueError, match=r"1e-06 GB \(3 runs, 101 recorded states\) and 5e-07 GB are allowed; record e"
    ):
        check_budget(1000, 101, 100, 3, memory=500.0)
    check_budget(1000, 101, 100, 3, memory=1000.0)
    monkeypatch.setattr(budget, "free_memory", lambda: 1000.0)
    with pytest.raises(
        ValueError, match="5e-07 GB are allowed, half of the free memory; record every 3 steps, or give"
    ):
        check_budget(990, 100, 99, 3)  # every 2 steps are 51 states of 9.9 bytes
