"""The size of a record, known from its line."""

from __future__ import annotations

import pytest

import lab
from lab.experiments.sizes import RecordSize
from tests.test_training_budget import allocated

LINES = (
    "tabular s1 dpo sgd lr=1 steps=8 seeds=3 every=3",
    "tabular s1 dpo beta=0.1,0.2 sgd lr=1,2 steps=8 seeds=3 dtype=float32",
    "mlp s1 dpo adam lr=1e-3 steps=5 seeds=2",
    "mlp s1,s2 flex,ipo adam lr=1e-3 steps=5 seeds=2 keep=gradients+parameters+predictions",
    "loglinear s2 kto sgd lr=0.1 steps=5 seeds=2 keep=none",
    "mlp open rm adam lr=0.05 steps=5 seeds=2 truth=normal data=sampled",
    "tabular open ppo reward_from=model adam lr=0.05 steps=5 seeds=2 truth=normal data=sampled",
    "tabular s1 ppo reward_from=model adam lr=0.05 steps=5 seeds=2",
    "tabular s1 sft sgd lr=1 steps=8 seeds=3 then dpo steps=4 reference=stage",
)


@pytest.mark.parametrize("line", LINES)
def test_the_size_of_a_line_is_what_its_record_takes(line):
    size = lab.record_size(line)
    experiment = lab.Experiment.parse(line)
    taken = sum(allocated(lab.run(cell)) for cell, _ in experiment.cells())
    record = lab.run(experiment)
    assert (size.bytes, size.states) == (taken, record.sizes["step"])
    per_state = record["log_prob"].sizes["prompt"] * record["log_prob"].sizes["response"]
    assert size.runs * size.states * per_state == record["log_prob"].size
    assert size.computed == ("tabular s1 dpo" in line) * record["log_prob"].nbytes


def test_a_size_is_told_in_a_line():
    assert str(lab.record_size(LINES[0])) == (
        "1.54e-06 GB: 3 runs of 4 recorded states; 3.84e-06 GB more once every log-probability is looked at"
    )
    assert str(RecordSize(24, 501, 10**9, 0)) == "1 GB: 24 runs of 501 recorded states"


def test_a_size_is_told_at_once_however_large():
    assert lab.record_size("mlp s1 dpo adam lr=1e-3 steps=100000000 seeds=1000000").bytes > 10**16
