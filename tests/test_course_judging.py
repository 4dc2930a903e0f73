"""Checks as a student meets them: what is printed, and the reason for each way to be wrong."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import numpy as np
import pytest

import lab
from lab.course import (
    Exercise,
    Mistake,
    Wrong,
    asking,
    check,
    hint,
    like_the_solution,
    reference,
    rerun,
    show,
    solution,
)
from lab.course.asking import Verdict, find, verdict
from lab.course.calling import outcomes
from lab.course.comparing import distance, near, same, shown
from lab.course.names import bound, used
from lab.course.plain import decode, encode, plain
from lab.course.verifying import verify_exercise


def summary(log_probs: np.ndarray) -> dict:
    """Return the entropy, and whether it is above one nat."""
    entropy = -(np.exp(log_probs) * log_probs).sum()
    return {"entropy": float(entropy), "wide": bool(entropy > 1)}


def negative(log_probs):
    return {"entropy": float((np.exp(log_probs) * log_probs).sum()), "wide": False}


def of_one(log_probs):
    return {"entropy": math.nan, "wide": True}


def failing(log_probs):
    return summary(log_probs[100])


def draw(generator):
    return [(np.log(generator.dirichlet(np.ones(size))),) for size in (2, 8)]


FIELDS = dict(
    id="1.1",
    title="Entropy",
    minutes=5,
    difficulty=2,
    points=3,
    goal="measure a policy",
    solution=summary,
    cases=draw,
    wrong=(
        Wrong(negative, "The sign is wrong."),
        Wrong(of_one, "Zero times log zero is zero."),
        Wrong(failing, "Count from zero."),
    ),
    hints=("One.", "Two.", "Three."),
)
ENTROPY = Exercise(**FIELDS)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(asking, "exercises", lambda: {"1.1": ENTROPY})
    monkeypatch.setattr(asking, "_hints_given", {})
    monkeypatch.setattr(asking, "_hidden", [])


def printed(capsys):
    return capsys.readouterr().out


def test_a_check_says_right_or_unwritten_or_why_not(known, capsys):
    check("1.1", summary)
    assert printed(capsys) == "✓ 1.1 Entropy: right.\n"
    check("1.1", negative)
    assert printed(capsys) == "✗ 1.1 Entropy: The sign is wrong.\n  hint('1.1') gives a hint.\n"
    check("1.1", raises(NotImplementedError))
    assert printed(capsys) == "– 1.1 is not written yet.\n"


def raises(error):
    def answer(log_probs):
        raise error

    return answer


def test_hints_come_one_by_one_and_the_last_stays(known, capsys):
    for text in ("hint 1 of 3: One.", "hint 2 of 3: Two.", "hint 3 of 3: Three.", "hint 3 of 3: Three."):
        hint("1.1")
        assert text in printed(capsys)


def test_the_solution_is_shown_and_its_function_handed_over(known, capsys):
    solution("1.1")
    assert printed(capsys).startswith("def summary(log_probs: np.ndarray) -> dict:\n")
    assert reference("1.1") is summary


def test_hidden_hints_and_solutions_are_refused(known, capsys):
    asking.hide_hints()
    for ask in (hint, solution):
        ask("1.1")
        assert printed(capsys) == "Hints and solutions are hidden in this notebook.\n"
    check("1.1", negative)
    assert "hint" not in printed(capsys)
    assert reference("1.1") is summary


@pytest.mark.parametrize("id", ["1.2", "11", 1.1, None])
def test_an_unknown_exercise_names_the_nearest_and_the_list(known, id):
    with pytest.raises(ValueError, match=r"There is no exercise .*\. Did you mean '1\.1'\? There are: 1\.1\."):
        find(id)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda log_probs: None, "gives None. Is a return missing?"),
        (raises(KeyError("x")), "raises KeyError: 'x'."),
        (raises(RuntimeError("It broke.")), "raises RuntimeError: It broke."),
        (lambda: 1, "raises TypeError: "),
        (lambda log_probs: 1.0, "gives one number; asked for is a dict with the keys entropy, wide."),
        (lambda log_probs: {"entropy": 1.0}, "gives a dict with the keys entropy; asked for is a dict with the keys"),
        (
            lambda log_probs: {**summary(log_probs), "entropy": 9.5},
            "in its part ['entropy'] gives 9.5",
        ),
        (
            lambda log_probs: {**summary(log_probs), "wide": 1},
            "in its part ['wide'] gives one number; asked for is True",
        ),
        (lambda log_probs: {**summary(log_probs), "entropy": [1.0]}, "numbers of shape (1,); asked for is one number."),
        (lambda log_probs: {**summary(log_probs), "entropy": "1"}, "gives the text '1'; asked for is one number."),
        (lambda log_probs: {**summary(log_probs), "entropy": math.inf}, "gives inf, which is not right. Look for"),
        (lambda log_probs: {object(): 1}, "gives an object of the class object; asked for are numbers, texts, or"),
        (lambda log_probs: 1 + 2j, "gives an object of the class complex"),
    ],
)
def test_each_way_to_be_wrong_has_a_reason_of_its_own(answer, reason):
    found = verdict(ENTROPY, answer)
    assert not found.passed and reason in found.reason and found.reason.endswith((".", "?"))


def test_what_is_no_function_is_told_which_to_hand_over():
    assert verdict(ENTROPY, 3) == Verdict(False, reason="this is a int; hand over the function summary.")


def test_wrong_answers_are_known_by_their_outputs_also_when_they_are_nan_or_an_error():
    assert verdict(ENTROPY, lambda p: {"entropy": math.nan, "wide": True}).reason == "Zero times log zero is zero."
    assert verdict(ENTROPY, lambda p: summary(p[77])).reason == "Count from zero."


def test_an_exercise_verifies_itself_and_a_bad_one_is_found_out():
    (good,) = verify_exercise(ENTROPY)
    assert good.good and "3 wrong answers rejected" in good.text
    passing = Exercise(**FIELDS | {"wrong": (*ENTROPY.wrong[:2], Wrong(lambda p: summary(p), "No."))})
    silent = Exercise(**FIELDS | {"judge": lambda cases, outputs: refuse("It is bad.")})
    assert [each.text for each in verify_exercise(passing)] == ["the wrong answer <lambda> passes"]
    texts = [each.text for each in verify_exercise(silent)]
    assert texts[0] == "the solution does not pass: It is bad."
    assert texts[1] == "the wrong answer negative is told 'It is bad.', not 'The sign is wrong.'"


def refuse(reason):
    raise Mistake(reason)


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (lambda cases, outputs: refuse("Too low."), "Too low."),
        (lambda cases, outputs: outputs[0]["none"], "which cannot be used: 'none'."),
        (lambda cases, outputs: like_the_solution(cases, outputs, negative), "gives "),
    ],
)
def test_a_judge_of_its_own_may_refuse_and_never_breaks_a_check(judge, reason):
    assert reason in verdict(Exercise(**FIELDS | {"judge": judge}), summary).reason


def test_like_the_solution_names_the_mistake_of_a_wrong_answer():
    cases = ENTROPY.drawn()
    outputs = [negative(*case) for case in cases]
    like_the_solution(cases, outputs, negative)
    with pytest.raises(Mistake, match=r"^The sign is wrong\.$"):
        like_the_solution(cases, outputs, summary, ENTROPY.wrong)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", "3", r"called '3'; a name is notebook\.task, such as '3\.1'"),
        ("minutes", 0, r"minutes=0; allowed are 1 to 60"),
        ("points", 21, r"points=21; allowed are 1 to 20"),
        ("difficulty", 6, r"difficulty=6; allowed are 1 to 5"),
        ("wrong", FIELDS["wrong"][:2], r"has 2 wrong answers; a check is shown to reject at least 3"),
        ("hints", ("a", "b"), r"has 2 hints; a student gets three"),
        ("solution", negative, r"has no docstring; it is the task"),
        ("tolerance", 0.0, r"tolerance=0\.0; it is above 0"),
    ],
)
def test_an_exercise_out_of_range_is_an_error(field, value, message):
    with pytest.raises(ValueError, match=message):
        Exercise(**FIELDS | {field: value})


def test_what_a_wrong_answer_says_is_a_sentence():
    with pytest.raises(ValueError, match=r"The wrong answer negative says 'sign'; a student reads it as a sentence"):
        Wrong(negative, "sign")


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.5, math.inf, "text", [1, [2.5, "a"]], (1, (2,)), {"a": [1], 2: (3,)},
        np.arange(6).reshape(2, 3), np.array([True, False]), np.zeros((0, 2)), np.array(1.5), np.array(["a", "b"]),
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values_survive_json(value):
    back = decode(json.loads(json.dumps(encode(plain(value)))))
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.shape == value.shape and back.dtype == value.dtype and np.array_equal(back, value)
    else:
        assert back == value


def test_tensors_and_labelled_arrays_are_plain_arrays():
    import torch
    import xarray

    for value in (torch.ones(2, requires_grad=True), xarray.DataArray(np.ones(2)), np.ones(2)):
        assert type(plain(value)) is np.ndarray and plain(value).tolist() == [1.0, 1.0]
    assert type(plain(np.float32(0.5))) is float


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, np.array([object()]), {(1,): 2}, b"bytes", 2**70, [len]])
def test_other_objects_are_not_plain(value):
    with pytest.raises(TypeError, match=r"an object of the class|a whole number above"):
        plain(value)


def test_damaged_json_is_an_error():
    with pytest.raises(ValueError, match=r"keys \['list'\] is no encoded value; encode writes array, tuple or dict"):
        decode({"list": []})


@pytest.mark.parametrize(
    ("expected", "output", "close"),
    [
        (1.0, 1.0 + 5e-10, True),
        (1e6, 1e6 + 5e-4, True),
        (1.0, 1.0 + 2e-9, False),
        (0.0, 2e-9, False),
        (math.inf, math.inf, True),
        (-math.inf, math.inf, False),
        (math.inf, 1.0, False),
        (1.0, math.inf, False),
        (math.nan, math.nan, False),
        (np.array([1.0, 2.0]), [1.0, 2.0], True),
        ([1, 2], np.array([1.0, 2.0]), True),
        (np.ones((2, 1)), np.ones((1, 2)), False),
        (True, True, True),
        (True, 1, False),
        (("a", [1.0]), ("a", [1.0]), True),
        (("a", [1.0]), ("b", [1.0]), False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"b": 1}, False),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0, 3.0]], True),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0]], False),
        ([], [], True),
    ],
)
def test_closeness_is_absolute_below_one_and_relative_above(expected, output, close):
    assert (distance(expected, output, 1e-9) == "") is close


def test_a_reason_names_the_place_of_the_first_wrong_number():
    expected, output = np.zeros((2, 3)), np.zeros((2, 3))
    output[1, 2] = 4.0
    assert distance(expected, output, 1e-9) == "gives 4 at [1][2], which is not right."
    assert distance((1.0, expected), (1.0, output), 1e-9) == "in its part [1] gives 4 at [1][2], which is not right."


@pytest.mark.parametrize(
    ("expected", "output", "is_near"),
    [
        (2e-6, 2.001e-6, True),
        (2e-6, 3e-6, False),  # near in absolute terms only
        (np.array([1.0, 0.0]), np.array([1.0005, 0.0]), True),
        (np.array([1.0, 0.0]), np.array([1.0005, 1e-9]), False),
        ((1.0, np.ones(2)), (1.0, np.ones(3)), False),
        ({"one": 1.0, "word": "up"}, {"one": 1.0, "word": "up"}, True),
        ({"one": 1.0, "word": "up"}, {"one": 1.0, "word": "down"}, False),
        (1.0, math.nan, False),
    ],
)
def test_nearly_right_is_relative_to_each_number(expected, output, is_near):
    assert near(expected, output) is is_near


def test_an_answer_that_is_right_but_coarse_is_told_so():
    found = verdict(
        ENTROPY, lambda log_probs: {**summary(log_probs), "entropy": summary(log_probs)["entropy"] * 1.0001}
    )
    assert not found.passed and "right to three digits, and 1e-09 is asked for" in found.reason
    found = verdict(ENTROPY, lambda log_probs: {**summary(log_probs), "entropy": summary(log_probs)["entropy"] * 1.1})
    assert not found.passed and "three digits" not in found.reason


def test_a_call_is_written_so_that_a_student_can_repeat_it_or_by_its_shapes():
    assert shown(np.array([[0.0, 1.0], [2.0, 0.0]])) == "[[0, 1], [2, 0]]"
    assert shown(np.linspace(0, 1, 6)) == "[0. , 0.2, 0.4, 0.6, 0.8, 1. ]"
    assert shown(np.arange(36).reshape(6, 6)).startswith("[[0, 1, 2, 3, 4, 5], [6")
    assert shown(np.arange(37)) == "array(37,)" and shown(np.ones(7) / 3) == "array(7,)"
    assert shown(np.array([1.0, math.inf])) == "[ 1., inf]"
    assert shown(np.ones(3), most=0) == "array(3,)"


def test_an_answer_that_has_replaced_numpys_functions_is_still_compared(monkeypatch):
    for name in ("allclose", "isclose", "array_equal", "all", "abs"):
        monkeypatch.setattr(np, name, lambda *arguments, **options: True)
    assert distance(np.ones(2), np.zeros(2), 1e-9) == "gives 0 at [0], which is not right."
    assert not same(np.ones(2), np.zeros(2), 1e-9)


def test_an_outcome_keeps_what_was_given_when_it_changes_later():
    box = np.zeros(2)

    def answer(number):
        box[0] += 1
        return box

    assert [outcome.output[0] for outcome in outcomes(answer, [(1,), (2,)])] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("source", "uses", "binds"),
    [
        ("x = y + len(z)", {"y", "z"}, {"x"}),
        ("def f(a, b=c):\n    d = a\n    return d + e", {"c", "e"}, {"f"}),
        ("import numpy as np, math\nfrom os import path as p", set(), {"np", "math", "p"}),
        ("table[0].x = 1", {"table"}, {"table"}),
        ("for i in range(n):\n    total += i", {"n", "i"}, {"i", "total"}),
        ("f = lambda a: [a * k for _ in rows]", {"k", "rows"}, {"f"}),
        ("class A(B):\n    x = c\n    def g(self):\n        return D", {"B", "c", "D"}, {"A"}),
        ("from a import *", set(), {"*"}),
        ("def f():\n    global g\n    g = 1", set(), {"f"}),
    ],
)
def test_names_are_read_from_the_source(source, uses, binds):
    assert used(source) >= uses and used(source) - uses <= binds
    assert bound(source) == binds


def test_a_line_is_rerun_with_the_seeds_of_the_check():
    record = rerun("tabular s1 dpo beta=0.1 sgd lr=1 steps=50 seeds=24", seeds=4, must_say="tabular s1 beta=0.1")
    assert record.sizes["seed"] == 4 and record.sizes["step"] == 51


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (3, r"^it gives 3; asked for is an experiment line"),
        ("tabular s1 dpoo", r"^the line 'tabular s1 dpoo' cannot be read: .*Did you mean dpo\?$"),
        ("tabular s2 dpo sgd lr=1 steps=50", r"does not say s1, which the task fixes\.$"),
        (
            "tabular s1 dpo sgd lr=1 steps=1000000",
            r"asks for 4,000,000 updates .* at most 200,000\. Use fewer",
        ),
        ("tabular s1 dpo sgd lr=1,2,3,4 steps=20000", r"asks for 320,000 updates \(4 cells, 4 seeds, 20,000 steps\)"),
        ("tabular s1 ipo sgd lr=1e300 steps=50", r"^the line .* does not run: "),
    ],
)
def test_a_line_that_cannot_be_rerun_is_a_mistake(line, reason):
    with pytest.raises(Mistake, match=reason):
        rerun(line, seeds=4, must_say="tabular s1")


def test_a_figure_is_shown_with_its_words_and_closed():
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([0, 1])
    page = lab.show(figure, 'chosen rises from 0.1 to "0.4" here').data
    assert page.startswith(
        '<img alt="chosen rises from 0.1 to &quot;0.4&quot; here" style="max-width: 100%" src="data:'
    )
    assert not pyplot.get_fignums()
    with pytest.raises(ValueError, match=r"The alt text is 'a plot'; it says in a sentence what the figure shows"):
        show(figure, "a plot")


def test_a_thin_line_and_a_background_keep_their_colours_in_a_picture_of_many_others():
    import matplotlib.pyplot as plt
    from PIL import Image

    rare = np.array([0xD8, 0x76, 0x14])
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.imshow(np.random.default_rng(0).uniform(0, 1, (60, 80)), cmap="Blues", extent=(0, 1, 0, 1), aspect="auto")
    axes.plot([0.2, 0.3], [1.3, 1.3], color="#D87614", linewidth=2)
    axes.axhspan(1.4, 1.5, color="#FDFDFD")
    axes.set_ylim(0, 1.5)
    page = show(figure, "a thin line above a landscape of blue").data
    image = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])))
    assert image.mode == "P"
    pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(pixels - rare).max(-1).min() <= 8
    for background in (0xFF, 0xFD):
        assert (pixels == background).all(-1).any()


def test_equal_figures_are_shown_as_equal_bytes():
    from matplotlib import pyplot

    pages = set()
    for _ in range(2):
        figure, axes = pyplot.subplots()
        axes.plot([0, 1])
        pages.add(show(figure, "one line that rises steadily").data)
    assert len(pages) == 1


def test_a_stamp_names_the_versions(capsys):
    lab.course.stamp()
    assert "Run time: " in (text := printed(capsys)) and f"dpolab {lab.__version__}" in text and "torch " in text
