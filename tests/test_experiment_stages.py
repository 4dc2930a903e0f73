"""Stages on the line: what stands after `then`, what stays, the canonical text, and the runs that it stands for."""

# ruff: noqa: E501 (the table of errors keeps what a reader sees in one piece)
from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lab
from lab.cli.saving import slug
from lab.experiments.running import build, build_later, build_pairwise
from lab.training import Stage

LINE = "tabular s2 dpo beta=0.1 adam lr=0.01 steps=20 seeds=2"


def parsed(text: str) -> lab.Experiment:
    return lab.Experiment.parse(text)


def test_a_stage_lists_what_changes_and_everything_else_stays():
    experiment = parsed("mlp s2 dpo beta=0.1 adam lr=1e-3 steps=200 seeds=24 then beta=0.5 steps=300")
    assert str(experiment) == "mlp s2 dpo beta=0.1 adam lr=0.001 steps=200 seeds=24 then beta=0.5 steps=300"
    (first, start), (second, reference) = experiment.stages()
    assert str(first) == "mlp s2 dpo beta=0.1 adam lr=0.001 steps=200 seeds=24"
    assert str(second) == "mlp s2 dpo beta=0.5 adam lr=0.001 steps=300 seeds=24"
    assert (start, reference, experiment.updates, experiment.value("steps")) == ("start", "", 500, 200)
    plain = parsed(LINE)
    assert list(plain.stages()) == [(plain, "start")] and plain.then == () and plain.updates == 20


CANONICAL = {
    f"{LINE} then  lr=1e-2 dpo  beta=.1": f"{LINE} then steps=20",
    f"{LINE} then steps=5 ipo then steps=7 reference=stage": f"{LINE} then ipo steps=5 then steps=7 reference=stage",
    f"{LINE} then terms=chosen then terms=rejected then terms=both": f"{LINE} then terms=chosen steps=20 then terms=rejected steps=20 then terms=both steps=20",
    f"{LINE} then sft_weight=0.5 then sft_weight=0": f"{LINE} then sft_weight=0.5 steps=20 then sft_weight=0 steps=20",
    "tabular s2 sft sgd lr=1 steps=3 seeds=2 then dpo": "tabular s2 sft sgd lr=1 steps=3 seeds=2 then dpo beta=0.1 steps=3",
    # A word stays as it was last said, also over a stage that does not take it.
    "tabular s2 dpo beta=0.5 momentum lr=1 momentum=0.5 steps=3 seeds=2 then sft sgd then dpo momentum":
    "tabular s2 dpo beta=0.5 momentum lr=1 momentum=0.5 steps=3 seeds=2 then sft sgd steps=3 then dpo beta=0.5 momentum momentum=0.5 steps=3",
    "tabular s2 flex beta=0.3 beta_chosen=0.2 sgd lr=1 steps=3 seeds=2 then beta_rejected=0.1 then dpo":
    "tabular s2 flex beta=0.3 beta_chosen=0.2 sgd lr=1 steps=3 seeds=2 then beta_rejected=0.1 steps=3 then dpo beta=0.3 steps=3",
    "tabular s2 dpo sgd lr=1 steps=3 seeds=2 then divergence=alpha divergence_alpha=2 then simpo gamma=1 chosen_length=3":
    "tabular s2 dpo beta=0.1 sgd lr=1 steps=3 seeds=2 then divergence=alpha divergence_alpha=2 steps=3 then simpo gamma=1 chosen_length=3 steps=3",
}  # fmt: skip


@pytest.mark.parametrize(("line", "canonical"), CANONICAL.items())
def test_the_canonical_line_says_each_change_once_and_comes_back(line, canonical):
    assert str(parsed(line)) == canonical
    assert parsed(canonical) == parsed(line)
    assert list(parsed(canonical).stages()) == list(parsed(line).stages())


def test_built_by_hand_is_the_same_and_is_frozen_text():
    built = replace(parsed(LINE), then=["steps=30 beta=0.5", "sgd"])
    assert built == parsed(f"{LINE} then beta=0.5 steps=30 then sgd") and hash(built)
    assert built.then == ("beta=0.5 steps=30", "sgd steps=30")
    assert replace(parsed(LINE), then="beta=0.5") == parsed(f"{LINE} then beta=0.5")
    assert replace(built, then=()) == parsed(LINE)


CHANGES = {
    "objective": ["dpo", "ipo", "sft", "simpo", "flex", "kto"], "optimizer": ["sgd", "momentum", "adam"],
    "beta": ["beta=0.1", "beta=0.5", "beta=0.05,0.5"], "sft_weight": ["sft_weight=0", "sft_weight=0.1"],
    "gamma": ["gamma=0.5", "gamma=2"], "beta_rejected": ["beta_rejected=0.02"], "momentum": ["momentum=0.9", "momentum=0.3"],
    "terms": ["terms=both", "terms=chosen"], "lr": ["lr=0.01", "lr=1e-5"], "steps": ["steps=1", "steps=7"],
    "chosen_length": ["chosen_length=3"], "reference": ["reference=start", "reference=stage"],
}  # fmt: skip


@st.composite
def staged(draw: st.DrawFn) -> lab.Experiment:
    """A line with up to six later stages, of which those that do not fit what was said before are left out."""
    heads = [
        LINE,
        LINE.replace("dpo", "dpo,sft"),
        LINE.replace("beta=0.1", "beta=0.05,0.5").replace("adam", "sgd,adam"),
    ]
    experiment = parsed(draw(st.sampled_from(heads)))
    for _ in range(draw(st.integers(1, 6))):
        names = draw(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=3, unique=True))
        stage = " ".join(draw(st.sampled_from(CHANGES[name])) for name in names)
        with suppress(ValueError):  # refused with a reason, as other tests say
            experiment = replace(experiment, then=(*experiment.then, stage))
    return experiment


@settings(max_examples=40)
@given(staged())
def test_any_stages_come_back_and_so_do_their_cells(experiment):
    assert parsed(str(experiment)) == experiment and str(parsed(str(experiment))) == str(experiment)
    cells = list(experiment.cells())
    assert len(cells) == np.prod([len(values) for values in experiment.looped_axes.values()], dtype=int)
    for cell, coordinates in cells:
        assert parsed(str(cell)) == cell and not cell.looped_axes
        assert set(cell.batched_axes) <= set(experiment.batched_axes)
        for (whole, reference), (part, same) in zip(experiment.stages(), cell.stages(), strict=True):
            assert reference == same and part.value("steps") == whole.value("steps")
            for name in ("objective", "optimizer", "terms"):
                values = getattr(whole, name)
                assert part.value(name) == (coordinates[name] if len(values) > 1 else values[0])


def test_axes_of_any_stage_are_dimensions():
    experiment = parsed(f"{LINE.replace('beta=0.1', '').replace('dpo', 'dpo,ipo')} then lr=0.01,0.1 then beta=0.5,1")
    assert experiment.axes == {"objective": ("dpo", "ipo"), "beta": (0.5, 1.0), "lr": (0.01, 0.1)}
    swept = lab.run(experiment)
    assert {name: swept.sizes[name] for name in ("objective", "beta", "lr", "step")} == {
        "objective": 2,
        "beta": 2,
        "lr": 2,
        "step": 61,
    }
    for objective, beta, rate in (("dpo", 0.5, 0.1), ("ipo", 1.0, 0.01)):
        alone = lab.run(f"{LINE.replace('dpo', objective)} then lr={rate} then beta={beta}")
        cell = swept.sel(objective=objective, beta=beta, lr=rate)
        np.testing.assert_allclose(cell.log_prob, alone.log_prob, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(cell.loss, alone.loss, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(swept.beta_chosen, [0.5, 1.0])


def test_an_axis_that_a_stage_gives_up_is_one_value_from_there_on():
    swept = lab.run(f"{LINE.replace('beta=0.1', 'beta=0.1,1')} then beta=0.3")
    assert swept.sizes["beta"] == 2 and float(swept.beta_chosen) == 0.3
    alone = lab.run(f"{LINE.replace('beta=0.1', 'beta=1')} then beta=0.3")
    np.testing.assert_allclose(swept.log_prob.sel(beta=1), alone.log_prob, rtol=1e-12, atol=1e-12)


# --- The runs -------------------------------------------------------------------------------------------------------


def test_the_words_reach_the_stages():
    experiment = parsed(
        f"{LINE.replace('beta=0.1', 'beta=0.1,1')} then ipo momentum lr=0.5 momentum=0.3 sft_weight=0.2 steps=7 terms=rejected then sft sgd reference=stage"
    )
    *_, axes = build(experiment)
    betas = torch.tensor([0.1, 0.1, 1, 1], dtype=torch.float64)
    second, third = build_later(experiment, axes)
    assert torch.equal(second.objective.objective.objectives[0].beta, betas)
    assert second.objective.term == "rejected" and second.objective.objective.weights == (1.0, 0.2)
    assert (second.optimizer, second.steps, second.reference) == (lab.Momentum(0.5, 0.3), 7, "before")
    assert third == Stage(lab.OneTerm(lab.SFT(), "rejected"), lab.SGD(0.5), 7, "stage")
    assert build_later(parsed(LINE), axes) == ()


def test_the_tokens_of_a_response_are_those_that_some_stage_counts():
    line = "tabular s2 {} sgd lr=1 steps=3 seeds=2 then {}"
    for words in (
        ("dpo", "simpo chosen_length=3"),
        ("simpo chosen_length=3", "dpo"),
        ("simpo chosen_length=3", "gamma=1"),
    ):
        lengths = build(parsed(line.format(*words)))[0].lengths
        assert lengths is not None and lengths.unique().tolist() == [1, 3]
    assert build(parsed(line.format("dpo", "simpo")))[0].lengths is None
    ds = lab.run(line.format("dpo", "simpo beta=2 gamma=0.5 chosen_length=3"))
    u, v = lab.metrics.chosen_log_prob(ds), lab.metrics.rejected_log_prob(ds)
    expected = np.log1p(np.exp(-(2 * (u / 3 - v) - 0.5)))  # SimPO: -log s(beta (c / |c| - r / |r|) - gamma)
    np.testing.assert_allclose(ds.loss.isel(step=slice(3, None)), expected.isel(step=slice(3, None)), rtol=1e-10)


UNCHANGED = [
    "tabular s1,s3 dpo beta=0.1,1 adam lr=0.01 steps={} seeds=2", "loglinear s2 ipo momentum lr=0.05 steps={} seeds=3 every=4",
    "mlp s2 dpo sft_weight=0.1 adam lr=1e-3 steps={} seeds=2 batch=2 prompts=3 width=8 keep=gradients+predictions+parameters",
    "mlp s4 kto adam lr=1e-3 steps={} seeds=2 width=8 dtype=float32 keep=none",
    "tabular open dpo beta=0.5 adam lr=0.05 steps={} seeds=3 prompts=3 responses=5 truth=normal sampler=policy refresh=3 data=sampled",
    "loglinear open dpo sgd lr=0.5 steps={} seeds=2 prompts=3 responses=5 truth=linear batch=7",
    "tabular own aot sgd lr=0.5 steps={} seeds=1 compare=0:0>1+1:2>1 start=0.4/0.4/0.2+0.2/0.3/0.5 terms=chosen",
]  # fmt: skip


@pytest.mark.parametrize("line", UNCHANGED)
def test_a_line_cut_into_equal_stages_is_the_line(line):
    """Draws too: mini-batches in their order, and online comparisons by the step that they are drawn at."""
    whole, cut = lab.run(line.format(23)), lab.run(f"{line.format(8)} then steps=8 then steps=7")
    assert set(whole.variables) == set(cut.variables) and whole.step.equals(cut.step)
    for name in whole.data_vars:
        tolerance = 1e-13 if cut[name].dtype == np.float64 else 1e-6
        np.testing.assert_allclose(cut[name], whole[name], rtol=tolerance, err_msg=str(name))
    assert cut.attrs["experiment"].endswith("then steps=8 then steps=7")


def test_branches_agree_up_to_where_they_part():
    trunk = lab.run("mlp s2 dpo adam lr=1e-3 steps=30 seeds=2 width=8")
    branch = lab.run("mlp s2 dpo adam lr=1e-3 steps=10 seeds=2 width=8 then beta=0.5 steps=20")
    assert trunk.sizes == branch.sizes
    gap = np.abs(trunk.log_prob - branch.log_prob).max(("seed", "prompt", "response"))
    assert (gap[:11] < 1e-12).all() and (gap[11:] > 1e-6).all()


def test_dpo_after_sft_is_measured_from_where_the_line_says():
    """reference=stage: at the seam every margin is 0 and the loss log 2; otherwise only the first start has that."""
    line = "mlp s2 sft adam lr=1e-3 steps=20 seeds=2 width=8 then dpo beta=0.5 steps=10"
    from_start, from_stage = lab.run(line), lab.run(f"{line} reference=stage")
    np.testing.assert_allclose(from_stage.loss.isel(step=20), np.log(2), rtol=1e-12)
    assert (np.abs(from_start.loss.isel(step=20) - np.log(2)) > 1e-3).all()
    np.testing.assert_allclose(from_stage.reference_log_prob, from_stage.log_prob.isel(step=20), rtol=1e-12)
    np.testing.assert_array_equal(from_start.reference_log_prob, from_start.log_prob.isel(step=0))
    chosen = lab.metrics.chosen_log_prob(from_stage)
    np.testing.assert_allclose(from_stage.loss[:, :20], -chosen[:, :20], rtol=1e-12)
    same = lab.run(f"{line} reference=start")
    np.testing.assert_array_equal(same.log_prob, from_start.log_prob)


def test_the_audit_says_what_it_cannot_know_of_a_line_with_stages():
    staged = lab.properties.audit(lab.run(f"{LINE.replace('dpo', 'ipo')} then beta=0.5"))
    assert staged.passed and "Step 0, not applicable: loss: the line has stages" in str(staged)
    moved = lab.properties.audit(lab.run(f"{LINE} then reference=stage"))
    assert moved.passed and "not applicable: margin: the record's reference is the policy of a later stage" in str(
        moved
    )


def test_the_memory_of_all_stages_is_asked_for():
    one, two = (lab.record_size(line) for line in (LINE, f"{LINE} then beta=0.5"))
    assert (one.states, two.states) == (21, 41) and 21 * two.bytes == 41 * one.bytes
    assert slug(f"{LINE} then beta=0.5").endswith("_then_beta0.5")


# --- Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "message"), [
    (f"{LINE} then", "'then' is followed by nothing. Say what changes, at least the steps: then steps=300."),
    (f"then {LINE}", "The experiment line is empty."),
    (f"{LINE} then beta", "'beta' has no value. Write beta=VALUE"),
    (f"{LINE} then betta=1", "'betta' in 'betta=1' is not a key of the experiment line. Did you mean beta?"),
    (f"{LINE} then prompts=3", "'then prompts=3': prompts is settled by the first part of the line, for all stages. Give it there; after then may stand"),
    (f"{LINE} then mlp", "'then mlp': policy is settled by the first part of the line"),
    (f"{LINE} then batch=2", "'then batch=2': batch is settled by the first part"),
    (f"{LINE} then beta=0", "beta=0: beta is a finite number above 0."),
    (f"{LINE} then beta=1 beta=2", "beta is given twice: 'beta=1' and 'beta=2'."),
    (f"{LINE} then gamma=1", "gamma=1: gamma belongs to objective simpo or alphapo or tpo_l, and the objective here is dpo."),
    (f"{LINE} then momentum=0.9", "momentum=0.9: momentum belongs to optimizer momentum, and the optimizer here is adam."),
    (f"{LINE} then ipo,sft", "'then ipo,sft': objective has 2 values, each another computation, and a later stage cannot branch into these. Give one value,"),
    (f"{LINE} then terms=both,chosen", "'then terms=both,chosen': terms has 2 values, each another computation"),
    (f"{LINE} then beta=1,2 then beta=1,3", "beta=1,2 and beta=1,3: two stages have different axes beta, and the record has one dimension of that name."),
    (f"{LINE} then simpo chosen_length=3 then chosen_length=4", "chosen_length=3 and chosen_length=4: a response has the same tokens in all stages."),
    (f"{LINE} then reference=end", "reference=end: reference is one of start, stage."),
    (f"{LINE} then reference=start,stage", "reference=start,stage: reference cannot be an axis, because"),
    (f"{LINE} reference=stage", "'reference=stage': reference belongs to a stage after then, and this is the first. Take it out."),
    (f"{LINE} then steps=2,3", "steps=2,3: steps cannot be an axis"),
    (f"{LINE} truth=normal then ppo", "ppo has a training of its own kind, and a line with then is one of preference pairs from end to end. Give it a line of its own."),
    ("tabular s1 rm sgd lr=1 steps=2 then dpo", "rm has a training of its own kind"),
    (f"{LINE} batch=2 then aot", "batch=2: aot compares each pair with all others and needs them in every step."),
    ("tabular s2 flex beta_chosen=1 beta_rejected=1 sgd lr=1 steps=1 then beta=2", "beta=2 has no effect: beta_chosen and beta_rejected are both given."),
    ("tabular s2 dpo,sft sgd lr=1 steps=1 then beta=1,2", "beta=1,2: the axis beta belongs to any objective but sft,"),
])  # fmt: skip
def test_a_bad_stage_says_what_was_given_what_is_allowed_and_the_cure(line, message):
    with pytest.raises(ValueError) as caught:
        parsed(line)
    assert str(caught.value).startswith(message)


def test_a_stage_that_is_not_text_is_a_type_error():
    with pytest.raises(
        TypeError, match=r"then=3: a stage is text; was given int\. Write for example 'beta=0\.5 steps=300'\."
    ):
        replace(parsed(LINE), then=(3,))


def test_what_looks_at_one_objective_refuses_several_stages():
    with pytest.raises(ValueError, match="the line goes on 'then beta=0.5 steps=20', and this looks at one objective"):
        build_pairwise(parsed(f"{LINE} then beta=0.5"))
