"""Worlds of one's own on the line: the text of pairs and start probabilities, and the runs that it stands for."""

# ruff: noqa: E501 (the tables of errors keep what a reader sees in one piece)
from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lab
from lab.cli.saving import slug
from lab.experiments import own, read_pairs, read_start
from lab.experiments.running import build
from lab.experiments.tables import Pair, write_pairs, write_start
from lab.problems import scenario_problem

PAIRS = "0:3>7+0:2>5*2+1:1>0"
START = "0.45/0.45/0.1+0.2/0.3/0.5"
LINE = "tabular own dpo adam lr=0.01 steps=5 seeds=2"


def parsed(words: str, line: str = LINE) -> lab.Experiment:
    return lab.Experiment.parse(f"{line} {words}")


# --- The text -----------------------------------------------------------------------------------------------------


def test_the_two_words_stand_for_their_table():
    assert read_pairs(PAIRS) == ((0, 3, 7, 1.0), (0, 2, 5, 2.0), (1, 1, 0, 1.0))
    assert read_start(START) == ((0.45, 0.45, 0.1), (0.2, 0.3, 0.5))
    words = own([(0, 3, 7), (0, 2, 5, 2), np.array([1, 1, 0])], np.array(read_start(START)))
    assert words == f"own compare={PAIRS} start={START}"
    assert own(read_pairs(PAIRS)) == f"own compare={PAIRS}"


def test_the_line_comes_back_in_canonical_form():
    messy = parsed("start=.450/4.5e-1/1e-1+0.2/0.3/0.50 compare=0:01>2*2.0+1:1>0*1 prompts=2")
    assert str(messy) == (
        "tabular own dpo beta=0.1 adam lr=0.01 steps=5 seeds=2 compare=0:1>2*2+1:1>0 start=0.45/0.45/0.1+0.2/0.3/0.5"
    )
    assert lab.Experiment.parse(str(messy)) == messy
    assert (messy.prompts, messy.responses) == ((2,), (3,))
    drawn = parsed(f"compare={PAIRS} responses=8 sharpness=0.5,2")
    assert lab.Experiment.parse(str(drawn)) == drawn and "responses=8" in str(drawn)
    assert drawn.batched_axes == {"sharpness": (0.5, 2.0)}
    assert all(
        lab.Experiment.parse(str(cell)) == cell for cell, _ in parsed(f"compare={PAIRS} terms=both,chosen").cells()
    )


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.floats(1e-300, 1e300)), min_size=1)
)
def test_any_pairs_come_back(rows):
    pairs = tuple(Pair(x, c, r, w) for x, c, r, w in rows if c != r)
    if pairs:
        assert read_pairs(write_pairs(pairs)) == pairs


@given(st.integers(1, 4), st.integers(3, 8), st.randoms(use_true_random=False))
def test_any_start_comes_back(prompts, responses, random):
    rows = np.array([[random.random() + 1e-9 for _ in range(responses)] for _ in range(prompts)])
    rows /= rows.sum(-1, keepdims=True)
    np.testing.assert_array_equal(read_start(write_start(rows)), rows)


def test_a_file_is_named_without_what_a_file_system_reads():
    assert not set("/:>*") & set(slug(str(parsed(f"compare=0:1>2*2 start={START}"))))


# --- The world ----------------------------------------------------------------------------------------------------


def test_pairs_weights_and_reference_are_as_given_and_rows_are_made_whole():
    problem = build(parsed("compare=0:0>1+1:2>0*3 start=0.4500001/0.45/0.1+0.2/0.3/0.5"))[0]
    pairs = problem.preferences
    assert (pairs.prompt.tolist(), pairs.chosen.tolist(), pairs.rejected.tolist()) == ([0, 1], [0, 2], [1, 0])
    assert pairs.weight.tolist() == [0.25, 0.75]
    rows = np.array([[0.4500001, 0.45, 0.1], [0.2, 0.3, 0.5]])
    for run in problem.target_log_prob.exp().numpy():
        np.testing.assert_allclose(run, rows / rows.sum(-1, keepdims=True), rtol=1e-14)
    assert problem.seeds == (0, 1) and problem.runs == 2


def test_without_a_start_the_reference_is_that_of_the_open_scenario():
    mine = build(parsed("compare=0:0>1 prompts=3 responses=5 sharpness=0.5,2"))[0]
    open_ = build(parsed("prompts=3 responses=5 sharpness=0.5,2 truth=normal", LINE.replace("own", "open")))[0]
    assert torch.equal(mine.target_log_prob, open_.target_log_prob)


@pytest.mark.parametrize("policy", ["tabular", "loglinear overlap=0.4", "mlp width=16"])
@pytest.mark.parametrize(
    "rest", ["dpo keep=gradients+predictions truth=normal", "simpo chosen_length=3 batch=2", "kto", "aot"]
)
def test_a_scenario_written_as_an_own_world_is_that_scenario(policy, rest):
    """s2 with an even spread, its pairs and probabilities copied by hand onto the line."""
    pairs = lab.Preferences.grid(3, 6)
    world = scenario_problem(pairs, 3, 6, scenario=["s2"], on=[0.45], off=[0.02], seeds=[0], spread="even")
    rows = world.target_log_prob[0].exp()
    words = own(zip(*(getattr(pairs, name).tolist() for name in ("prompt", "chosen", "rejected")), strict=True), rows)
    line = f"{policy} {{}} {rest} adam lr=0.01 steps=12 seeds=2"
    mine = lab.run(line.format(words))
    theirs = lab.run(line.format("s2 spread=even prompts=3 responses=6"))
    # A probability written out and read again gives the reference to the last bit but one: no run amplifies it here.
    for name in theirs.data_vars:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-8, atol=1e-10, err_msg=str(name))
    for name in ("pair_prompt", "chosen", "rejected", "pair_weight"):
        np.testing.assert_array_equal(mine[name], theirs[name])


def test_pairs_that_share_responses_train_and_leave_the_features_as_they_are_drawn():
    """A chain 0 > 1 > 2, and a contradiction of weight 3: the ranking ends as the weights say."""
    ds = lab.run(
        "tabular own dpo beta=1 sgd lr=1 steps=300 seeds=1 compare=0:0>1+0:1>2+1:0>1+1:1>0*3 start=0.3/0.3/0.4+0.4/0.3/0.3"
    )
    ratio = (ds.log_prob.isel(step=-1) - ds.reference_log_prob).values[0]
    assert ratio[0, 0] > ratio[0, 1] > ratio[0, 2]
    # The optimum of -(log s(m) + 3 log s(-m)) / 4 is m = log(1/3).
    assert ratio[1, 0] - ratio[1, 1] == pytest.approx(np.log(1 / 3), abs=1e-6)
    line = "loglinear own dpo sgd lr=1 steps=1 seeds=2 prompts=2 responses=4 compare=0:0>1+{}"
    world, machine, *_ = build(lab.Experiment.parse(line.format("0:1>2")))
    drawn = lab.LogLinear.drawn(world, overlap=None).features
    assert torch.equal(machine.features, drawn)
    apart = build(lab.Experiment.parse(line.format("1:1>2")))[1].features
    assert not torch.equal(apart, drawn)
    assert (apart[:, 0, 0] * apart[:, 0, 1]).sum(-1).abs().max() < 1e-12, "disjoint pairs keep their cosine, here 0"


def test_a_truth_agrees_with_disjoint_pairs():
    reward = build(parsed("compare=0:3>7+1:1>0 truth=normal"))[0].reward
    assert (reward[:, 0, 3] > reward[:, 0, 7]).all() and (reward[:, 1, 1] > reward[:, 1, 0]).all()


def test_every_pairwise_objective_trains_in_an_own_world():
    from lab.experiments.losses import CATALOGUE

    record = lab.run(
        LINE.replace("dpo", ",".join(CATALOGUE)) + " compare=0:0>1+1:2>1 start=0.4/0.4/0.2+0.2/0.3/0.5 keep=none"
    )
    assert record.sizes["objective"] == len(CATALOGUE) and np.isfinite(record.log_prob).all()


# --- Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "message"), [
    ("", "the scenario is own and has no pairs. Write compare=0:3>7+1:2>5*2, which is prompt:chosen>rejected*weight."),
    ("compare=0:3", "compare=0:3: '0:3' is no pair. Write prompt:chosen>rejected, with *weight where it is not 1, and join pairs by '+', as in compare=0:3>7+1:2>5*2; in a shell, put the whole line between quotes."),
    ("compare=0:1>2+", "compare=0:1>2+: '' is no pair."),
    ("compare=0:1>-2", "compare=0:1>-2: '0:1>-2' is no pair."),
    ("compare=0:1>1", "compare=0:1>1: '0:1>1' prefers response 1 to itself. Name two different responses."),
    ("compare=0:1>2*0", "compare=0:1>2*0: the weight of '0:1>2*0' is no finite number above 0. Write for example 0:1>2*2, or leave the pair out."),
    ("compare=0:1>2*inf", "compare=0:1>2*inf: the weight of '0:1>2*inf' is no finite number above 0."),
    ("compare=0:1>2*x", "compare=0:1>2*x: the weight of '0:1>2*x' is no finite number above 0."),
    ("compare=0:1>2,0:1>3", "compare=0:1>2,0:1>3: compare cannot be an axis, because it changes the shape of the record. Join its pairs by '+'."),
    ("compare=4:1>2", "compare=4:1>2: there are 4 prompts, 0 to 3, and a pair names prompt 4. Give prompts=5, or change the pair."),
    ("compare=0:1>12", "compare=0:1>12: there are 10 responses, 0 to 9, and a pair names response 12. Give responses=13, or change the pair."),
    (f"compare=0:1>3 start={START}", "compare=0:1>3: there are 3 responses, 0 to 2, and a pair names response 3. Give start= more of them, or"),
    ("compare=0:1>2 start=0.5/0.5", "start=0.5/0.5: a prompt has at least 3 responses, and here it has 2. Write for example start=0.45/0.45/0.1+0.2/0.3/0.5"),
    ("compare=0:1>2 start=0.5/0.3/0.2+0.5/0.5", "start=0.5/0.3/0.2+0.5/0.5: its rows have 3, 2 responses. Give every prompt equally many."),
    ("compare=0:1>2 start=0.5/0.3/0.3", "start=0.5/0.3/0.3: the probabilities of prompt 0 sum to 1.1, and they must sum to 1 within 1e-06. Change one of them."),
    ("compare=0:1>2 start=0.5/0.5/0", "start=0.5/0.5/0: a response has probability 0. A softmax gives every response some, and a named one of 0 would have no log-ratio. Write a small one"),
    ("compare=0:1>2 start=0.5/0.6/-0.1", "start=0.5/0.6/-0.1: '-0.1' is no probability above 0. Write for example start="),
    ("compare=0:1>2 start=0.5/0.5/x", "start=0.5/0.5/x: 'x' is no probability above 0."),
    ("compare=0:1>2 start=0.5,0.3,0.2", "start=0.5: a prompt has at least 3 responses, and here it has 1."),
    (f"compare=0:1>2 start={START} prompts=4", "prompts=4 contradicts start=, which has 2 prompts. Take prompts out."),
    (f"compare=0:1>2 start={START} responses=5", "responses=5 contradicts start=, which has 3 responses. Take responses out."),
    (f"compare=0:1>2 start={START} sharpness=1", "sharpness=1 has no effect: start= gives the reference. Take one of the two out."),
    ("compare=0:1>2 on=0.45", "on=0.45: on belongs to s1 to s4, and the scenario here is own, whose pairs and probabilities are those of compare= and start=. Take on out, or choose s1 to s4."),
    ("compare=0:1>2 pairs=2", "pairs=2: pairs belongs to s1 to s4, and the scenario here is own"),
    ("compare=0:1>2 held=1", "held=1: held belongs to scenario open, and the scenario here is own."),
    ("compare=0:1>2 batch=2", "batch=2: batch is at most the number of pairs, which is 1. Write batch=0 for the full batch."),
    ("compare=0:1>2+0:2>3 truth=normal", "compare=0:1>2+0:2>3: two pairs of a prompt share a response, and truth=normal agrees with disjoint pairs only. Take truth out, or give each response to one pair."),
    ("compare=0:1>2 truth=linear", "truth=linear need not agree with fixed pairs."),
])  # fmt: skip
def test_what_is_no_world_is_refused_with_its_cure(words, message):
    with pytest.raises(ValueError) as caught:
        parsed(words)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("line", "message"), [
    ("tabular own,s1 dpo sgd lr=1 steps=1 compare=0:1>2", "scenario=own,s1: an own scenario has other pairs than the rest. Give it a line of its own."),
    ("tabular s1 dpo sgd lr=1 steps=1 compare=0:1>2", "compare=0:1>2: compare belongs to scenario own, and the scenario here is s1. Take compare out, or choose scenario own."),
    ("tabular own aot sgd lr=1 steps=1 compare=0:1>2+1:1>2*2", "compare=0:1>2+1:1>2*2: aot compares each pair with all others as equals. Take the weights out, or"),
    ("tabular own aot sgd lr=1 steps=1 compare=0:1>2+1:1>2 batch=1", "batch=1: aot compares each pair with all others and needs them in every step."),
    ("loglinear own dpo sgd lr=1 steps=1 compare=0:1>2+0:1>3 overlap=0", "compare=0:1>2+0:1>3: two pairs of a prompt share a response, whose features cannot have one overlap with each partner."),
    ("tabular own simpo sgd lr=1 steps=1 compare=0:1>2+0:2>3 chosen_length=2", "compare=0:1>2+0:2>3: a response is chosen in one pair and rejected in another, and cannot have both chosen_length and"),
])  # fmt: skip
def test_words_that_do_not_fit_own_pairs_are_refused(line, message):
    with pytest.raises(ValueError) as caught:
        lab.Experiment.parse(line)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("pairs", "start", "kind", "message"), [
    ([], None, ValueError, "compare=: '' is no pair"),
    ([(0, 1.5, 2)], None, TypeError, "float"),
    ([(0, 1)], None, TypeError, "rejected"),
    ([(0, 1, 1)], None, ValueError, "prefers response 1 to itself"),
    ([(0, 1, 2)], [[0.5, 0.4, 0.2]], ValueError, "sum to 1.1"),
    ([(0, 1, 2)], [[0.5, 0.5, 0.0]], ValueError, "a response has probability 0"),
])  # fmt: skip
def test_a_table_that_is_no_world_has_no_words(pairs, start, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        own(pairs, start)
