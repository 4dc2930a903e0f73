"""The rules that turn evidence into verdicts, and what a claim may be."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab.claims.claim import Claim, Evidence, Side, Verdict
from lab.claims.evidence import above, below, has, told, within
from lab.claims.judging import Answered, decide, judge, measures, together

LINE = "tabular s1 dpo beta=0.1 sgd lr=1 steps=3 seeds=20"


def seeds(*values):
    return xr.DataArray(np.asarray(values, float), dims="seed")


def spread(middle, size=0.1, n=24):
    """24 values around a middle whose median has an interval well inside ± size."""
    return seeds(*(middle + np.linspace(-size, size, n)))


def piece(answer, measure=""):
    return Evidence("a number", 1.0, 0.9, 1.1, 24, need="above 0" if answer else "", answer=answer, measure=measure)


def claim(section="3.1", sides=(), here=None, **fields):
    return Claim(
        "a_claim", "It is so.", section, "toy" if section else "", "", {"dpo": LINE}, lambda data: (), here=here or {},
        sides=sides, **fields,
    )  # fmt: skip


def verdict(answer, *sides, section="3.1", here=None):
    here = here or {factor: f"the {factor} here" for factor, _, _ in sides}
    made = [Answered(Side(factor, label), (piece(found),)) for factor, label, found in sides]
    return str(decide(claim(section, here=here), [piece(answer)], made))


# --- evidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("middle", "answer"), [(2.0, "yes"), (0.0, "no"), (1.0, "undecided"), (np.nan, "undecided")])
def test_above_asks_for_the_whole_interval(middle, answer):
    found = above("x", spread(middle), 1)
    assert found.answer == answer and found.n == 24 and found.need == "above 1"
    assert below("x", spread(-middle), -1).answer == answer
    if np.isfinite(middle):
        assert found.low < found.value < found.high


def test_weakly_is_the_right_direction_without_the_size():
    assert above("x", spread(0.5), 1, weak=0).answer == "weakly"
    assert above("x", spread(0.0), 1, weak=0).answer == "no"
    assert above("x", spread(2.0), 1, weak=0).answer == "yes"


@pytest.mark.parametrize(("middle", "answer"), [(1.0, "yes"), (0.5, "no"), (2.0, "no"), (1.05, "undecided")])
def test_within_asks_on_both_sides(middle, answer):
    assert within("x", spread(middle, 0.03), 1, 0.05).answer == answer


def test_what_is_told_answers_nothing():
    assert told("x", spread(1)).answer == told("x", spread(1)).need == ""


def test_evidence_needs_one_number_a_seed():
    values = xr.DataArray(np.zeros((3, 4)), dims=("seed", "step"))
    with pytest.raises(ValueError, match=r"'x' has dimensions \['seed', 'step'\]; .* one number a seed. Pick a cell"):
        told("x", values)


def test_a_property_is_asked_of_one_cell():
    import lab

    ds = lab.run("tabular s1,s2 dpo beta=0.1 sgd lr=5 steps=80 seeds=5")
    with pytest.raises(ValueError, match=r"several cells, {'scenario': 2}; a property is asked of one. Pick one"):
        has(ds, "drop")
    cell = ds.sel(scenario="s1")
    assert has(cell, "degradation").answer == "no" and has(cell, "degradation", not_=True).answer == "yes"
    assert has(cell, "degradation", of="table").what == "table: chosen mass lost from its peak"
    assert has(cell, "degradation", not_=True).need == "no degradation (above 0.01)"
    assert has(cell, "dispersion").need == "dispersion (above 0.01, and above its start)"


# --- joining answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes", "yes"], "yes"),
        (["yes", "no", "undecided"], "no"),
        (["yes", "undecided", "weakly"], "undecided"),
        (["weakly", "yes"], "weakly"),
        (["", "yes"], "yes"),
    ],
)
def test_within_a_measure_the_worst_answer_counts(answers, expected):
    assert together([piece(answer) for answer in answers]) == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"a": "yes", "b": "yes"}, "yes"),
        ({"a": "yes", "b": "no"}, "mixed"),
        ({"a": "yes", "b": "undecided"}, "yes"),
        ({"a": "undecided", "b": "undecided"}, "undecided"),
        ({"a": "no", "b": "no"}, "no"),
    ],
)
def test_rival_measures_that_disagree_are_mixed(answers, expected):
    pieces = [piece(answer, measure) for measure, answer in answers.items()]
    assert together(pieces) == expected and measures(pieces) == answers


# --- verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "paper", "lab"),
    [
        ("yes", "reproduced", "holds"),
        ("no", "not reproduced", "does not hold"),
        ("weakly", "weaker", "does not hold"),
        ("undecided", "inconclusive", "inconclusive"),
    ],
)
def test_a_verdict_without_sides(answer, paper, lab):
    assert verdict(answer) == paper
    assert verdict(answer, section="") == lab


def test_a_side_that_fails_names_the_condition():
    assert verdict("yes", ("optimiser", "SGD", "no")) == "reproduced only if: the optimiser here (not SGD)"
    assert verdict("yes", ("optimiser", "SGD", "no"), section="") == "holds only if: the optimiser here (not SGD)"


def test_a_condition_counts_the_sides_that_agree_and_leaves_out_factors_that_change_nothing():
    found = verdict(
        "yes", ("policy", "features", "yes"), ("policy", "a table", "no"), ("policy", "a list", "no"),
        ("width", "128 units", "yes"), ("spread", "even", "undecided"),
    )  # fmt: skip
    assert found == "reproduced only if: the policy here or features (not a table or a list)"


def test_a_side_that_succeeds_where_the_claim_fails_is_the_condition():
    found = verdict("no", ("moment", "step 25", "yes"), ("moment", "step 100", "no"), ("width", "128 units", "no"))
    assert found == "reproduced only if: step 25 (not the moment here or step 100)"


@pytest.mark.parametrize("there", ["undecided", "weakly"])
def test_sides_that_settle_nothing_change_nothing(there):
    assert verdict("yes", ("width", "128 units", there)) == "reproduced"
    assert verdict("no", ("width", "128 units", there)) == "not reproduced"


def test_rival_measures_make_a_claim_ambiguous():
    pieces = [piece("yes", "mass"), piece("no", "loss"), piece("no", "gain"), piece("undecided", "rank")]
    words = "yes by mass; no by loss and gain; undecided by rank"
    assert str(decide(claim(), pieces, ())) == f"ambiguous in the paper: {words}"
    assert str(decide(claim(""), pieces, ())) == f"holds only if: {words}"


def test_a_claim_without_runs_says_so():
    untested = Claim("a_claim", "It is so.", "4.5", "language model", untested="not testable in a toy")
    assert str(judge(untested, record=None).verdict) == "not testable in a toy"


def test_sides_replace_lines_cells_and_the_examination():
    asked = []

    def examine(data):
        asked.append({name: (ds.attrs["line"], dict(ds.coords)) for name, ds in data.items()})
        return (piece("yes"),)

    def other(data):
        asked.append("other")
        return (piece("no"),)

    def record(line):
        names = ["s1", "s2"] if "s2" in line else ["s1"]
        ds = xr.Dataset(coords={"scenario": names}, attrs={"line": line})
        return ds if "s2" in line else ds.isel(scenario=0, drop=True)

    both = LINE.replace("s1", "s1,s2")
    made = Claim(
        "a_claim", "It is so.", lines={"dpo": LINE, "two": both}, examine=examine, pick={"scenario": "s1"},
        here={"scenario": "s1", "kind": "one"},
        sides=(Side("scenario", "s2", {"dpo": both}, {"scenario": "s2"}), Side("kind", "other", examine=other)),
    )  # fmt: skip
    found = judge(made, record)
    assert asked[0]["dpo"] == (LINE, {}) and asked[0]["two"][1]["scenario"] == "s1"
    assert asked[1]["dpo"][0] == both and asked[1]["dpo"][1]["scenario"] == "s2"
    assert asked[2] == "other"
    assert str(found.verdict) == "holds only if: one (not other)"
    assert made.all_lines == (LINE, both) and made.command == "python -m lab.claims a_claim"


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "condition", "message"),
    [
        ("proven", "", "the verdict is 'proven'; it must be one of reproduced, reproduced only if"),
        ("reproduced only if", "", "has the condition ''; it needs a condition"),
        ("reproduced", "Adam", "has the condition 'Adam'; it takes no condition"),
    ],
)
def test_a_verdict_is_one_of_the_words(word, condition, message):
    with pytest.raises(ValueError, match=message):
        Verdict(word, condition)


def test_an_answer_comes_with_its_question():
    with pytest.raises(ValueError, match="need is '' and the answer 'yes'; give both or neither"):
        Evidence("x", 1, 1, 1, 24, answer="yes")
    with pytest.raises(ValueError, match="the answer is 'maybe'; it must be one of yes, no, weakly, undecided"):
        Evidence("x", 1, 1, 1, 24, need="above 0", answer="maybe")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "A claim"}, "named 'A claim'; use lower-case letters, digits and underscores"),
        ({"says": "word " * 16}, "16 words; say it in 1 to 15 words"),
        ({"says": ""}, "0 words; say it in 1 to 15 words"),
        ({"setting": ""}, "section '3.1' and setting ''; give both or none"),
        ({"paper": "PPO"}, "is of the paper 'PPO'; the papers are 3D-properties, DPO"),
        ({"lines": {}}, "no lines or no examination; give both, or say why it is untested"),
        ({"examine": None}, "no lines or no examination; give both, or say why it is untested"),
        ({"untested": "not tested here"}, "'not tested here' with 1 lines; allowed are .* without lines"),
        ({"sides": (Side("width", "wide"),)}, "varies 'width' and does not say what it is .* which has nothing"),
        (
            {"sides": (Side("width", "wide", {"flex": LINE}),), "here": {"width": "64"}},
            "side wide: no line flex to replace; the lines are dpo",
        ),
        ({"lines": {"dpo": LINE.replace("20", "19")}}, "rests on 19 seeds; a claim needs at least 20: tabular s1"),
        ({"lines": {"dpo": LINE.replace("dpo", "dop")}}, "dop"),
    ],
)
def test_a_claim_is_refused_with_its_cure(fields, message):
    good = {
        "name": "a_claim", "says": "It is so.", "section": "3.1", "setting": "toy", "lines": {"dpo": LINE},
        "examine": lambda data: (),
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        Claim(**{**good, **fields})
