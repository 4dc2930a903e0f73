"""The experiment line: reading, writing, axes, and the text of every error."""

# ruff: noqa: E501 (the tables of errors keep what a reader sees in one piece)
from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.experiments.experiment import Experiment
from lab.experiments.grammar import write_value
from lab.experiments.vocabulary import COUPLED, EXAMPLE, GRADIENTS, KEPT, WORDS, Word

LOSSES = ", ".join(WORDS["objective"].choices)
BASE = "mlp s1 dpo adam lr=1e-3 steps=5"


def test_the_example_is_its_own_canonical_line() -> None:
    assert str(Experiment.parse(EXAMPLE)) == EXAMPLE.replace("1e-3", "0.001")


def test_word_order_and_spaces_are_free() -> None:
    shuffled = " seeds = 24 lr=1e-3 adam  dpo s1,s2\tsteps=500 beta=0.05, 0.1 mlp "
    assert str(Experiment.parse(shuffled)) == "mlp s1,s2 dpo beta=0.05,0.1 adam lr=0.001 steps=500 seeds=24"


def test_defaults_are_filled_in() -> None:
    experiment = Experiment.parse(BASE)
    assert experiment.beta == (0.1,) and experiment.seeds == (24,) and experiment.keep == ("gradients",)
    assert experiment.beta_chosen == () and experiment.beta_rejected == ()
    assert str(experiment) == "mlp s1 dpo beta=0.1 adam lr=0.001 steps=5 seeds=24"


def test_every_field_is_a_word_in_the_same_order() -> None:
    *given, then = dataclasses.fields(Experiment)
    assert [field.name for field in given] == list(WORDS)
    assert (then.name, then.default) == ("then", ())
    for field in given:
        if field.default is not dataclasses.MISSING:
            assert field.default == WORDS[field.name].default, field.name


def test_non_default_rest_comes_last_and_round_trips() -> None:
    line = "loglinear s4 ipo beta=0.3 sft_weight=0.5 momentum lr=1e-5 momentum=0.5 steps=7 seeds=2 seed=3 batch=2"
    line += " every=2 keep=predictions+gradients prompts=6 responses=12 pairs=2 on=0.3 off=0.01 spread=even"
    line += " features=8 overlap=-0.5 dtype=float32"
    written = str(Experiment.parse(line))
    assert written == line.replace("predictions+gradients", "gradients+predictions")
    assert Experiment.parse(written) == Experiment.parse(line)


def test_keys_of_the_catalogue_follow_their_objective_and_round_trip() -> None:
    line = "tabular s1 alphapo beta=2 gamma=1 alpha=-0.5 chosen_length=3 rejected_length=7 sgd lr=1 steps=5 seeds=2"
    assert str(Experiment.parse(line)) == line
    line = "tabular s1 dpo,exo beta=2 smoothing=0.01 divergence=alpha divergence_alpha=2 sgd lr=1 steps=5 seeds=2"
    assert str(Experiment.parse(line)) == line


def test_a_cell_without_a_divergence_leaves_its_alpha_out_too() -> None:
    line = "tabular s1 dpo,simpo divergence=alpha divergence_alpha=2 sgd lr=1 steps=5"
    cells = {
        tuple(at.values()): (cell.divergence, cell.divergence_alpha) for cell, at in Experiment.parse(line).cells()
    }
    assert cells == {("dpo",): (("alpha",), (2.0,)), ("simpo",): (("reverse_kl",), (0.5,))}


def test_flex_shows_beta_only_where_it_counts() -> None:
    flex = "tabular s1 flex{} sgd lr=1 steps=5 seeds=24"
    for given_, shown in {
        " beta_chosen=0.1 beta_rejected=0.02": " beta_chosen=0.1 beta_rejected=0.02",
        " beta_rejected=0.02": " beta=0.1 beta_rejected=0.02",
        "": " beta=0.1",
    }.items():
        assert str(Experiment.parse(flex.format(given_))) == flex.format(shown)


def test_axes_are_in_canonical_order_and_split_into_batched_and_looped() -> None:
    experiment = Experiment.parse("tabular,mlp s1,s2 dpo,sft steps=5 lr=1,1e-5 sgd,momentum width=3 beta=0.2")
    assert list(experiment.axes) == ["policy", "scenario", "objective", "optimizer", "lr"]
    assert experiment.batched_axes == {"scenario": ("s1", "s2"), "lr": (1.0, 1e-5)}
    assert experiment.looped_axes == {
        "policy": ("tabular", "mlp"), "objective": ("dpo", "sft"), "optimizer": ("sgd", "momentum"),
    }  # fmt: skip


def test_cells_hold_one_looped_value_and_only_their_own_keys() -> None:
    experiment = Experiment.parse("tabular,mlp s1,s2 dpo,sft sgd,momentum lr=1,2 steps=5 width=3 beta=0.2 batch=0,2")
    cells = list(experiment.cells())
    assert len(cells) == 16 and len({tuple(coordinates.values()) for _, coordinates in cells}) == 16
    for cell, coordinates in cells:
        assert list(coordinates) == ["policy", "objective", "optimizer", "batch"]
        assert not cell.looped_axes and list(cell.batched_axes) == ["scenario", "lr"]
        assert all(cell.value(name) == value for name, value in coordinates.items())
        assert cell.value("width") == (3 if coordinates["policy"] == "mlp" else 64)
        assert cell.value("beta") == (0.2 if coordinates["objective"] == "dpo" else 0.1)
        assert Experiment.parse(str(cell)) == cell


def test_without_looped_axes_there_is_one_cell_that_is_the_experiment() -> None:
    experiment = Experiment.parse("mlp s1,s2 dpo adam lr=1e-3 steps=5")
    assert list(experiment.cells()) == [(experiment, {})]


def test_value_refuses_an_axis() -> None:
    experiment = Experiment.parse("mlp s1,s2 dpo adam lr=1e-3 steps=5")
    assert experiment.value("lr") == 1e-3
    with pytest.raises(
        ValueError, match=r"scenario has 2 values; value\(\) needs exactly one\. Use the tuple scenario"
    ):
        experiment.value("scenario")


def test_built_by_hand_equals_parsed() -> None:
    built = Experiment(policy="mlp", scenario=["s1", "s2"], objective="dpo", optimizer="adam",
                       lr=np.array([1e-3, 1e-2]), steps=np.int64(5), beta_chosen=None)  # type: ignore[arg-type]  # fmt: skip
    assert built == Experiment.parse("mlp s1,s2 dpo adam lr=1e-3,1e-2 steps=5")
    assert all(type(value) is float for value in built.lr) and type(built.steps[0]) is int


def test_replace_makes_a_validated_copy() -> None:
    experiment = Experiment.parse(BASE)
    assert dataclasses.replace(experiment, beta=(0.5,)) == Experiment.parse(BASE + " beta=0.5")
    with pytest.raises(ValueError, match=r"beta=-1: beta is a finite number above 0"):
        dataclasses.replace(experiment, beta=(-1.0,))


def test_it_is_frozen_and_hashable() -> None:
    experiment = Experiment.parse(BASE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.lr = (1.0,)  # type: ignore[misc]
    assert len({experiment, Experiment.parse(BASE)}) == 1


def test_reading_a_line_needs_neither_torch_nor_xarray() -> None:
    code = (
        f"import sys, lab; lab.Experiment.parse({EXAMPLE!r}); print({{'torch', 'xarray', 'scipy'}} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


LINE_ERRORS = {
    "": "The experiment line is empty. Write for example 'mlp s1 dpo",
    " \t": "The experiment line is empty.",
    "mlp s1 dpoo adam lr=1 steps=5": "'dpoo' is not a word of the experiment line. Did you mean dpo? "
    f"Valid words: policy: tabular, loglinear, mlp; scenario: s1, s2, s3, s4, open, own; objective: {LOSSES}; "
    "optimizer: sgd, momentum, adam; keys: beta=,",
    "MLP": "'MLP' is not a word of the experiment line. Did you mean mlp?",
    "zzzz": "'zzzz' is not a word of the experiment line. Valid words: policy: tabular",
    BASE + " betta=1": "'betta' in 'betta=1' is not a key of the experiment line. Did you mean beta? Valid words:",
    "=1": "'' in '=1' is not a key of the experiment line. Valid words:",
    "mlp=3": "'mlp=3': mlp takes no value. Write mlp.",
    "relu=3": "'relu=3': relu takes no value. Write activation=relu.",
    "policy=mlp": "'policy=mlp': policy is written without a key. Write mlp.",
    "lr": "'lr' has no value. Write lr=VALUE; lr is a finite number above 0.",
    "relu": "'relu' stands without its key. Write activation=relu.",
    "0.1": "The number '0.1' stands without its key. Write KEY=0.1, with a key of beta,",
    "mlp,s1": "'mlp,s1' joins policy and scenario; a comma joins values of one kind to make an axis. "
    "Put spaces between them: mlp s1.",
    "s1,,s2": "'s1,,s2' has an empty value. Put one value between commas and after '='",
    "beta=": "'beta=' has an empty value.",
    "beta=0.1lr=2": "'beta=0.1lr=2' has more than one '='. Put a space between two keys",
    "s1 s2": "scenario is given twice: 's1' and 's2'. Keep one, or join the values by a comma to make an axis: s1,s2.",
    "lr=1 lr=2": "lr is given twice: 'lr=1' and 'lr=2'. Keep one, or join the values by a comma to make an axis: lr=1,2.",
    "steps=1 steps=2": "steps is given twice: 'steps=1' and 'steps=2'. Keep one of them.",
    "beta=x": "beta=x: beta is a finite number above 0, and 'x' is not one. Write for example beta=0.1.",
    "steps=5e2": "steps=5e2: steps is a whole number of at least 1, and '5e2' is not one. Write for example steps=500.",
    "lr=1e-": "lr=1e-: lr is a finite number above 0, and '1e-' is not one. Write for example lr=1e-3.",
    "mlp s1 adam lr=1": "'mlp s1 adam lr=1' lacks an objective (one of " + LOSSES + "); steps= (a whole number "
    "of at least 1). A complete line: 'mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24'.",
}

FIELD_ERRORS = {
    "beta=0": "beta=0: beta is a finite number above 0. Write for example beta=0.1.",
    "beta=-0.1": "beta=-0.1: beta is a finite number above 0. Write for example beta=0.1.",
    "beta=nan": "beta=nan: beta is a finite number above 0.",
    "beta=0.1,inf": "beta=inf: beta is a finite number above 0.",
    "sft_weight=-1": "sft_weight=-1: sft_weight is a finite number of at least 0. Write for example sft_weight=0.",
    "seeds=0": "seeds=0: seeds is a whole number of at least 1. Write for example seeds=24.",
    "seed=-1": "seed=-1: seed is a whole number of at least 0 and at most 1e+06. Write for example seed=0.",
    "width=0": "width=0: width is a whole number of at least 1. Write for example width=64.",
    "prompts=0": "prompts=0: prompts is a whole number of at least 1. Write for example prompts=4.",
    "responses=2": "responses=2: responses is a whole number of at least 3. Write for example responses=10.",
    "pairs=0": "pairs=0: pairs is a whole number of at least 1. Write for example pairs=1.",
    "every=0": "every=0: every is a whole number of at least 1. Write for example every=1.",
    "batch=-1": "batch=-1: batch is a whole number of at least 0. Write for example batch=0.",
    "batch=0,5": "batch=5: batch is at most the number of pairs, which is 4 (prompts=4 times pairs=1). "
    "Write batch=0 for the full batch.",
    "on=1": "on=1: on is a finite number above 0 and below 1. Write for example on=0.45.",
    "off=0": "off=0: off is a finite number above 0 and below 1. Write for example off=0.02.",
    "on=0.6": "on=0.6: in scenario s1 the chosen response of a prompt starts at 0.6 and the rejected at 0.6, together "
    "1.2; it must stay below 1, so that the 8 unseen responses have a share. Lower on below 0.5.",
    "pairs=6": "pairs=6 responses=10: each pair of a prompt needs 2 responses of its own, 12 in all. Give responses=13 "
    "or more (one is then unseen), or pairs=5 or fewer.",
    "pairs=5": "on=0.45: in scenario s1 the chosen responses of a prompt start at a sum of 0.45 and the rejected at 0.45, "
    "together 0.9; with no unseen response it must be exactly 1. Give more responses, or on=0.5.",
    "spread=evn": "spread=evn: spread is one of drawn, even. Did you mean even?",
    "activation=gelu": "activation=gelu: activation is one of relu, tanh.",
    "dtype=float16": "dtype=float16: dtype is one of float64, float32. Did you mean float",
    "keep=grad": "keep=grad: 'grad' cannot be kept; keep is any of gradients, predictions, parameters joined by '+', or "
    "none. Did you mean gradients?",
    "keep=gradients+none": "keep=gradients+none: 'none' cannot be kept; keep is any of",
    "keep=gradients+gradients": "keep=gradients+gradients: a word stands twice. Name each of gradients, predictions, "
    "parameters at most once.",
    "keep=gradients,predictions": "keep=gradients,predictions: keep cannot be an axis, because it changes the shape of "
    "the record. Join its words by '+'.",
    "seeds=2,3": "seeds=2,3: seeds cannot be an axis, because it changes the shape of the record. Give one value, and a "
    "line for each other one.",
    "beta=1,2,1.0": "beta=1,2,1: 1 stands twice on the beta axis. Take one out.",
    "features=3": "features=3: features belongs to policy loglinear, and the policy here is mlp. Take features out, or "
    "choose policy loglinear.",
    "overlap=0": "overlap=0: overlap belongs to policy loglinear, and the policy here is mlp.",
    "momentum=0.9": "momentum=0.9: momentum belongs to optimizer momentum, and the optimizer here is adam. Take momentum "
    "out, or choose optimizer momentum.",
    "beta_chosen=2": "beta_chosen=2: beta_chosen belongs to objective flex, and the objective here is dpo. Take "
    "beta_chosen out, or choose objective flex.",
}

WHOLE_LINE_ERRORS = {
    "mlp s1 dpo adam lr=0 steps=5": "lr=0: lr is a finite number above 0. Write for example lr=0.001.",
    "mlp s1 dpo adam lr=1 steps=0": "steps=0: steps is a whole number of at least 1. Write for example steps=500.",
    "mlp s1,s1 dpo adam lr=1 steps=5": "scenario=s1,s1: s1 stands twice on the scenario axis. Take one out.",
    "mlp s2 dpo adam lr=1 steps=5 on=.9 off=.2": "on=0.9 off=0.2: in scenario s2 the chosen response of a prompt starts "
    "at 0.2 and the rejected at 0.9, together 1.1; it must stay below 1",
    "mlp s1 dpo momentum lr=1 steps=5 momentum=1": "momentum=1: momentum is a finite number of at least 0 and below 1. "
    "Write for example momentum=0.9.",
    "loglinear s1 dpo sgd lr=1 steps=5 overlap=1.5": "overlap=1.5: overlap is a finite number of at least -1 and at most "
    "1. Write for example overlap=0.",
    "tabular s1 dpo sgd lr=1 steps=5 width=64": "width=64: width belongs to policy mlp, and the policy here is tabular.",
    "tabular,mlp s1 dpo sgd lr=1 steps=5 width=16,32": "width=16,32: the axis width belongs to policy mlp, and tabular "
    "would only repeat along it. Give one width, or leave tabular out.",
    "mlp s1 dpo,sft sgd lr=1 steps=5 beta=1,2": "beta=1,2: the axis beta belongs to any objective but sft, reward, "
    "unlikelihood, sft_token, rm, and sft would only repeat along it. Give one beta, or leave sft out.",
    "mlp s1 sft sgd lr=1 steps=5 beta=1": "beta=1: beta belongs to any objective but sft, reward, unlikelihood, sft_token, rm, and the objective "
    "here is sft. Take beta out,",
    "mlp s1 flex,dpo sgd lr=1 steps=5 beta_rejected=.2": "beta_rejected=0.2: beta_rejected belongs to objective flex, and "
    "dpo in the same sweep has no such key. Run flex on a line of its own.",
    "mlp s1 dpo,aot sgd lr=1 steps=5 batch=2": "batch=2: aot compares each pair with all others and needs them in every "
    "step. Write batch=0 for the full batch.",
    "mlp s1 simpo sgd lr=1 steps=5 tau=1": "tau=1: tau belongs to objective discopop, and the objective here is simpo. Take "
    "tau out, or choose objective discopop.",
    "mlp s1 simpo sgd lr=1 steps=5 divergence=forward_kl": "divergence=forward_kl: divergence belongs to objective dpo or ipo "
    "or slic or cdpo or robust or exo or discopop or dpo_avg or ipo_avg, and the objective here is simpo.",
    "mlp s1 dpo sgd lr=1 steps=5 divergence_alpha=2": "divergence_alpha=2: divergence_alpha belongs to divergence alpha, and "
    "the divergence here is reverse_kl. Take divergence_alpha out, or choose divergence alpha.",
    "mlp s1 dpo,flex sgd lr=1 steps=5 divergence=alpha divergence_alpha=0,2": "divergence_alpha=0,2: the axis "
    "divergence_alpha belongs to objective dpo or ipo or slic or cdpo or robust or exo or discopop or dpo_avg or ipo_avg, and "
    "flex would only repeat along it. Give one divergence_alpha, or leave flex out.",
    "mlp s1 dpo sgd lr=1 steps=5 chosen_length=3": "chosen_length=3: chosen_length belongs to objective dpo_avg or",
    "mlp s1 simpo sgd lr=1 steps=5 rejected_length=0": "rejected_length=0: rejected_length is a whole number of at least 1.",
    "mlp s1 cdpo sgd lr=1 steps=5 smoothing=0.5": "smoothing=0.5: smoothing is a finite number above 0 and below 0.5.",
    "mlp s1 dposhift sgd lr=1 steps=5 shift=1.5": "shift=1.5: shift is a finite number above 0 and at most 1.",
    "mlp s1 alphapo sgd lr=1 steps=5 alpha=nan": "alpha=nan: alpha is a finite number. Write for example alpha=0.25.",
    "mlp s1 simpo sgd lr=1 steps=5 gamma=-1": "gamma=-1: gamma is a finite number of at least 0.",
    "mlp s1 dpo sgd lr=1 steps=5 divergence=tv": "divergence=tv: divergence is one of reverse_kl, forward_kl,",
    "mlp s1 flex sgd lr=1 steps=5 beta=3 beta_chosen=1 beta_rejected=2": "beta=3 has no effect: beta_chosen and "
    "beta_rejected are both given. Take out beta or one of the two.",
}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *LINE_ERRORS.items(),
        *((f"{BASE} {key}", text) for key, text in FIELD_ERRORS.items()),
        *WHOLE_LINE_ERRORS.items(),
    ],
)
def test_a_bad_line_says_what_was_given_what_is_allowed_and_the_cure(line: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Experiment.parse(line)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("line", [None, 3, ["mlp"], b"mlp"])
def test_a_line_that_is_not_text_is_a_type_error(line: object) -> None:
    with pytest.raises(
        TypeError, match=r"An experiment is a line of text; was given .* \(.*\)\. Write for example 'mlp"
    ):
        Experiment.parse(line)  # type: ignore[arg-type]


HAND_ERRORS: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"steps": 5.0}, TypeError, "steps=5.0: steps is a whole number of at least 1; was given float. Give an int."),
    ({"steps": True}, TypeError, "steps=True: steps is a whole number of at least 1; was given bool. Give it as a number."),
    ({"lr": "1e-3"}, TypeError, "lr='1e-3': lr is a finite number above 0; was given str. Give it as a number."),
    ({"lr": (None,)}, TypeError, "lr=None: lr is a finite number above 0; was given NoneType."),
    ({"policy": 3}, TypeError, "policy=3: policy is one of tabular, loglinear, mlp; was given int. Give it as text."),
    ({"policy": "mpl"}, ValueError, "policy=mpl: policy is one of tabular, loglinear, mlp. Did you mean mlp?"),
    ({"policy": ()}, ValueError, "policy has no value; policy is one of tabular, loglinear, mlp. Give at least one."),
    ({"beta": []}, ValueError, "beta has no value; beta is a finite number above 0. Give at least one."),
    ({"lr": float("nan")}, ValueError, "lr=nan: lr is a finite number above 0."),
    ({"momentum": 0.5}, ValueError, "momentum=0.5: momentum belongs to optimizer momentum, and the optimizer here is adam."),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "message"), HAND_ERRORS)
def test_building_by_hand_validates_as_well(fields: dict[str, object], kind: type[Exception], message: str) -> None:
    valid: dict[str, object] = {
        "policy": "mlp",
        "scenario": "s1",
        "objective": "dpo",
        "optimizer": "adam",
        "lr": 1,
        "steps": 5,
    }
    with pytest.raises(kind) as caught:
        Experiment(**(valid | fields))  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_a_field_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="betta"):
        Experiment(betta=1)  # type: ignore[call-arg]


def _numbers(word: Word) -> st.SearchStrategy[float] | st.SearchStrategy[int]:
    if word.kind == "whole":
        return st.integers(int(word.low), 10**6)
    return st.floats(
        max(word.low, -1e300), min(word.high, 1e300), exclude_min=word.open_low, exclude_max=word.open_high
    )


OWN = ("compare", "start")
FIXED = ("pairs", "roles", "on", "off", "spread", "overlap", "chosen_length", "rejected_length")


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Any valid experiment: the words first, then keys that they take, with bounds that fit each other."""

    def some(name: str, count: int) -> list[str]:
        return draw(st.lists(st.sampled_from(WORDS[name].choices), min_size=1, max_size=count, unique=True))

    fields: dict[str, object] = {name: some(name, 3) for name in ("policy", "scenario", "objective", "optimizer")}
    prompts, pairs = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    responses = draw(st.integers(2 * pairs + 1, 20))
    fields |= {"prompts": prompts, "responses": responses}
    coupled, climbing = (bool(set(words) & set(fields["objective"])) for words in (COUPLED, GRADIENTS))  # type: ignore[call-overload]
    truths = ["none", "normal"]
    left_out: tuple[str, ...] = ()
    if draw(st.booleans()) and not coupled:
        fields["scenario"], truths, left_out = ["open"], ["normal", "linear"], FIXED
    elif draw(st.booleans()):
        fields["scenario"], left_out = ["own"], FIXED
        weights = ["", "*0.5"] if not coupled else [""]
        fields["compare"] = "+".join(f"{prompt}:0>1{draw(st.sampled_from(weights))}" for prompt in range(prompts))
        if draw(st.booleans()):
            fields["start"] = "+".join(["0.25/1e-5/0.64999/0.1"] * prompts)
            fields["responses"], left_out = 4, (*FIXED, "sharpness")
        pairs = 1
    else:
        fields["scenario"] = [name for name in fields["scenario"] if name not in ("open", "own")] or ["s1"]  # type: ignore[attr-defined]
        fields["pairs"] = pairs
    if climbing or fields["scenario"] == ["open"]:
        fields["truth"] = [draw(st.sampled_from([truth for truth in truths if truth != "none"]))]
    largest = 0 if coupled or climbing else prompts * pairs
    limits = {
        "batch": st.integers(0, largest), "on": st.floats(1e-9, 0.49), "off": st.floats(1e-9, 0.49),
        "truth": st.sampled_from(truths), "held": st.integers(0, prompts - 1),
        "coverage": st.sampled_from([0, *range(2, responses + 1)]),
        "sampler": st.sampled_from(["reference", "even", "tilted"] + ["policy"] * (largest == 0)),
    }  # fmt: skip
    for name, word in WORDS.items():
        if name in fields or name in (*left_out, *OWN) or not (word.required or draw(st.booleans())):
            continue
        owners = fields.get(word.owner, [])
        taken = [owner for owner in owners if owner in word.owned_by]  # type: ignore[attr-defined]
        if word.owner and (not taken or (word.owned_by == ("flex",) and len(taken) < len(owners))):  # type: ignore[arg-type]
            continue
        if word.kind == "keep":
            kept = draw(st.lists(st.sampled_from(KEPT), unique=True))
            fields[name] = "+".join(kept) or "none"
            continue
        one = limits[name] if name in limits else st.sampled_from(word.choices) if word.choices else _numbers(word)
        above = WORDS[word.owner] if word.owner else word
        alone = not above.owner or set(fields[above.owner]) <= set(above.owned_by)  # type: ignore[call-overload]
        several = alone and word.sweep != "fixed" and (not word.owner or len(taken) == len(owners))  # type: ignore[arg-type]
        fields[name] = draw(st.lists(one, min_size=1, max_size=3 if several else 1, unique=True))
    if "beta_chosen" in fields and "beta_rejected" in fields:
        fields.pop("beta", None)
    if "policy" in fields.get("sampler", []):  # type: ignore[operator]
        fields.pop("coverage", None)
    return Experiment(**fields)  # type: ignore[arg-type]


@given(experiments())
def test_round_trip(experiment: Experiment) -> None:
    line = str(experiment)
    assert Experiment.parse(line) == experiment
    assert str(Experiment.parse(line)) == line


@given(experiments(), st.randoms(use_true_random=False))
def test_any_order_of_the_words_means_the_same(experiment: Experiment, random: object) -> None:
    tokens = str(experiment).split()
    random.shuffle(tokens)  # type: ignore[attr-defined]
    assert Experiment.parse(" ".join(tokens)) == experiment


@given(experiments())
def test_cells_cover_the_looped_axes_and_round_trip(experiment: Experiment) -> None:
    cells = list(experiment.cells())
    assert len(cells) == int(np.prod([len(values) for values in experiment.looped_axes.values()]))
    for cell, _ in cells:
        assert not cell.looped_axes and cell.batched_axes == experiment.batched_axes
        assert Experiment.parse(str(cell)) == cell


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_short_and_exact(number: float) -> None:
    assert float(write_value(number)) == number
    assert len(write_value(number)) <= len(repr(number))


@pytest.mark.parametrize(
    ("number", "text"), [(1e-3, "0.001"), (1e-5, "1e-5"), (1.0, "1"), (1e22, "1e22"), (0.1, "0.1")]
)
def test_numbers_are_written_as_people_write_them(number: float, text: str) -> None:
    assert write_value(number) == text


@given(st.text(max_size=40))
def test_no_text_at_all_makes_anything_but_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Experiment.parse(text)
