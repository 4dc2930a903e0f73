"""How a line will be trained: what is said is what happens."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

import lab
from lab.cli.commands import main
from lab.experiments.plans import training_plans
from lab.policies.passes import Passes
from lab.training import chunks, graphs, planning
from tests.test_training_graphs import Captures

LINES = (
    "tabular s1 dpo sgd lr=1 steps=30 seeds=3",
    "tabular s1 dpo sgd lr=1 steps=30 seeds=3 keep=gradients+parameters every=7",
    "mlp s1 dpo,ipo beta=0.1,0.2 adam lr=1e-3 steps=30 seeds=3 width=4",
    "mlp s1 sft adam lr=1e-3 steps=12 seeds=2 width=4 dtype=float32 then dpo beta=0.1 steps=9",
    "loglinear open rm adam lr=0.03 steps=10 seeds=3 truth=linear data=sampled comparisons=16",
    "loglinear open ppo reward_from=model adam lr=0.03 steps=10 seeds=3 keep=none truth=linear data=sampled",
)


@pytest.mark.parametrize("line", LINES)
def test_the_plan_says_how_many_chunks_are_trained_and_how_large_the_record_is(line, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 300)
    monkeypatch.setattr(chunks, "LANES", 8)
    cut = []
    each = chunks._each
    monkeypatch.setattr(
        chunks, "_each", lambda job, size, *more: cut.append(job.chunks(size)) or each(job, size, *more)
    )
    plans, states, written = training_plans(line), [], 0
    cut.clear()
    for cell, _ in lab.Experiment.parse(line).cells():
        record = lab.run(cell)
        cut[:-1] = []  # of a reward model, which is trained before
        states.append((len(cut.pop()), record.sizes["step"]))
        told = {"log_prob", "loss", "response_weight", "score", "parameters", "parameter_log_norm", "parameter_cosine"}
        sizes = {name: record[name].nbytes for name in told & set(record.data_vars)}
        if plans[len(states) - 1].engine.loop == "margins":  # what its log-probabilities are computed from
            sizes["log_prob"] = record["loss"].nbytes
        written += sum(sizes.values())
    assert [(each.chunks, each.states) for each in plans] == states
    assert sum(each.bytes for each in plans) == written


def test_the_plan_says_how_a_gpu_takes_the_steps(monkeypatch):
    base = "mlp s1 dpo adam lr=1e-3 seeds=2 width=4"
    for words, said in (
        ("steps=500", "captured in blocks of 32 as CUDA graphs"),
        ("steps=500 every=5", "captured in blocks of 30 as CUDA graphs"),
        ("steps=500 every=100", "captured in blocks of 32 as CUDA graphs"),
        ("steps=100", "one by one: 100 of them are too few to repay a capture"),
        ("steps=500 batch=2", "one by one: mini-batches differ from step to step"),
    ):
        (found,) = training_plans(f"{base} {words}")
        assert found.graphs == said
    table = "tabular s1 dpo sgd lr=1 steps=500"
    monkeypatch.setattr(planning, "find_spec", lambda name: None)
    assert training_plans(table)[0].graphs == "one by one: Triton, which builds the kernel, is not installed"
    monkeypatch.setattr(planning, "find_spec", lambda name: name)
    monkeypatch.setenv("CC", "a-compiler")
    assert training_plans(table)[0].graphs == "all in one kernel"
    assert training_plans(f"{table} batch=2")[0].graphs == "one by one: every step draws its pairs"


def test_a_planned_capture_is_one(monkeypatch):
    """Of the longest stage at least."""
    monkeypatch.setattr(graphs, "LONGEST", 4)
    monkeypatch.setattr(Passes, "small", lambda shapes, terms: False)  # by torch, as on a GPU
    for steps in (15, 16, 40):
        (found,) = training_plans(f"mlp s1 dpo adam lr=1e-3 seeds=2 width=4 steps={steps}")
        captures = Captures()
        original = chunks.Chunk

        def captured(*parts, original=original, captures=captures):
            return original(*parts[:7], captures)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "Chunk", captured)
            lab.run(found.line)
        assert bool(captures.captured) == found.graphs.startswith("captured")


def test_the_command_prints_the_plan(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(chunks, "CHUNK", 2 * 5130)
    shown = CliRunner().invoke(main, ["plan", "mlp s1 dpo adam lr=1e-3 steps=500 seeds=5"])
    assert shown.exit_code == 0
    title, *rows = shown.output.splitlines()
    assert title.startswith("mlp s1 dpo") and [row.split(maxsplit=1) for row in rows] == [
        ["loop", "states: the policy shares parameters between its logits"],
        ["runs", "5 on the processor, in 3 chunks of at most 2, 2 at a time"],
        ["steps", "one by one; on a GPU captured in blocks of 32 as CUDA graphs"],
        ["record", f"501 states of each run, {5 * 501 * (40 + 12 + 3) * 8 / 1e6:.3g} MB in all"],
    ]
    batched = CliRunner().invoke(main, ["plan", "mlp s1 dpo adam lr=1e-3 steps=500 seeds=1 batch=2"])
    assert "steps   one by one, on a GPU too: mini-batches differ from step to step" in batched.output
    swept = CliRunner().invoke(main, ["plan", "tabular s1 dpo,sft sgd lr=1 steps=5 seeds=1"])
    assert swept.output.count("all at once") == 2 and "margins: " in swept.output and "states: " in swept.output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["tabular s1 dpoo"], "'dpoo' is not a word of the experiment line. Did you mean dpo?"),
        (["tabular s1 dpo sgd lr=1 steps=5", "--device", "cuda:77"], "device is 'cuda:77', which is not there"),
    ],
)
def test_a_wrong_line_and_a_missing_device_are_mistakes(line, message):
    shown = CliRunner().invoke(main, ["plan", *line])
    assert shown.exit_code == 2 and message in shown.output
