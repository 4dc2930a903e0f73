"""Costs counted from a line, against the calls that its training makes."""

from __future__ import annotations

import math
from collections import Counter

import pytest

import lab
from lab.comparisons import Online
from lab.experiments.costs import DRAWN, Cost, spent
from lab.experiments.methods import METHODS
from lab.experiments.running import build
from lab.policies import MLP, LogLinear, Tabular
from lab.training.rollouts import RolloutChunk

WORLD = "prompts=3 responses=4 seeds=2 keep=none truth=normal"
KINDS = {"tabular": Tabular, "loglinear": LogLinear, "mlp": MLP}
WORDS = {
    "dpo": "dpo data=sampled comparisons=3",
    "ipo of the population": "ipo",
    "online": "dpo data=sampled comparisons=3 sampler=policy",
    "rounds": "dpo data=sampled comparisons=5 repeats=2 sampler=policy refresh=4",
    "ppo": "ppo reward_from=model model_steps=9",
    "ppo of one epoch": "ppo samples=5 epochs=1",
    "ppo of three epochs": "ppo samples=6 epochs=3",
    "grpo": "grpo",
    "rloo": "rloo reward_from=model model_steps=1",
    "exact": "pg",
}


def counted(monkeypatch, line: str) -> tuple[Counter, Counter]:
    """Calls while the line is built, where its reward model is trained, and while its policy is trained."""
    calls = Counter()
    for kind in KINDS.values():
        for name, counts_as in (("forward", "forward"), ("pullback", "pullback"), ("pull", "pullback")):
            monkeypatch.setattr(kind, name, _counting(calls, counts_as, getattr(kind, name)))
    share, draw = RolloutChunk._share, Online.draw

    def drawing(log_prob, uniform):
        calls["drawn"] += uniform.shape[-1]
        return share(log_prob, uniform)

    def comparing(self, log_prob, uniform):
        calls["drawn"] += 2 * uniform.shape[-1]
        return draw(self, log_prob, uniform)

    monkeypatch.setattr(RolloutChunk, "_share", staticmethod(drawing))
    monkeypatch.setattr(Online, "draw", comparing)
    experiment = lab.Experiment.parse(line)
    problem, policy, objective, optimizer, axes = build(experiment)
    before = Counter(calls)
    calls.clear()
    start = 0.1 * lab.MLP(3, 4, 8).initial(problem.seeds) if isinstance(policy, MLP) else None
    lab.train(
        problem, policy, objective, optimizer, steps=experiment.value("steps"), start=start, axes=axes,
        record=lab.Record(every=experiment.value("steps"), keep=()),
    )  # fmt: skip
    return before, calls


def _counting(calls: Counter, name: str, call):
    """Count calls, but for those that one of the same name makes itself."""

    def counting(*given, **named):
        outer = not calls.get("within")
        calls[name] += outer
        if name == "forward":
            return call(*given, **named)
        calls["within"] += 1
        try:
            return call(*given, **named)
        finally:
            calls["within"] -= 1

    return counting


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("policy", ["loglinear", "mlp"])
def test_what_a_line_spends_is_what_its_training_calls(monkeypatch, policy, words):
    steps = 10
    line = f"{policy} open {WORDS[words]} adam lr=0.01 steps={steps} {WORLD}" + " width=8" * (policy == "mlp")
    found = spent(line, steps)
    before, during = counted(monkeypatch, line)
    # A reward model is asked once more at its start, for the shape of its scores alone.
    assert before["forward"] == found.reward_model + bool(found.reward_model)
    # The record reads the last state once more, and a loss of pairs its gradient too.
    assert during["forward"] == found.policy + found.reference + 1
    of_pairs = lab.Experiment.parse(line).value("objective") not in METHODS
    assert before["pullback"] + during["pullback"] == found.reverse + of_pairs
    assert found.passes == sum((found.policy, found.reference, found.reward_model, found.reverse))
    if math.isfinite(found.drawn):
        # And a loss of pairs draws for the record's last state where that begins a round.
        refresh = lab.Experiment.parse(line).value("refresh")
        again = of_pairs and found.drawn and steps % refresh == 0
        rounds = math.ceil(steps / refresh)
        assert during["drawn"] == found.drawn + again * found.drawn / rounds
    else:
        assert not during["drawn"]


def test_a_reward_model_of_its_own_spends_what_one_behind_a_policy_gradient_does(monkeypatch):
    line = f"loglinear open rm adam lr=0.01 steps=9 {WORLD}"
    before, during = counted(monkeypatch, line)
    found = spent(line, 9)
    assert not before and (during["forward"] - 1, during["pullback"]) == (found.reward_model, found.reverse) == (10, 9)
    behind = spent(f"loglinear open pg reward_from=model model_steps=9 adam lr=0.01 steps=5 {WORLD}", 0)
    assert behind == Cost(0, 1, found.reward_model, found.reverse, 0)


def test_a_table_of_dpo_is_read_without_a_call(monkeypatch):
    """The one place where a pass is no call: the parameters are the logits. One that needs a normaliser makes them."""
    for word, calls in (("dpo", 1), ("sft", 7)):
        _, during = counted(monkeypatch, f"tabular open {word} adam lr=0.01 steps=5 {WORLD}")
        assert during["forward"] == calls
        assert spent(f"tabular open {word} adam lr=0.01 steps=5 {WORLD}", 5) == Cost(5, 1, 0, 5, 0)


def test_the_draws_of_a_method_are_its_own_where_the_line_leaves_them_out():
    for word, method in METHODS.items():
        made = method(0.1)
        assert DRAWN[word] == (made.samples, made.epochs), word


def test_fewer_updates_spend_less_and_a_batch_that_is_begun_is_drawn_whole():
    line = f"tabular open ppo samples=8 epochs=4 adam lr=0.01 steps=20 {WORLD}"
    assert [spent(line, updates).drawn for updates in (0, 1, 4, 5)] == [0, 8, 8, 16]
    assert spent(f"tabular open dpo sampler=policy adam lr=0.01 steps=20 {WORLD}", 1).drawn == math.inf


def test_what_cannot_be_counted_is_refused_with_its_cure():
    line = f"tabular open dpo,ipo adam lr=0.01 steps=20 {WORLD}"
    with pytest.raises(ValueError, match=r"the experiment loops over objective; count one of its cells\(\) at a time"):
        spent(line, 3)
    with pytest.raises(ValueError, match="updates is 21; allowed are 0 to 20, the steps of the line"):
        spent(line.replace(",ipo", ""), 21)
