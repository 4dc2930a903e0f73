"""Every exercise of every chapter: its solution passes, and nothing else does."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from lab.course.asking import Verdict, reference, verdict
from lab.course.building.exercise_cells import identity, parts, stub
from lab.course.calling import outcomes
from lab.course.chapters import CHAPTERS, exercises
from lab.course.judging import judged
from lab.course.plain import decode, encode, plain
from lab.course.verifying import unwritten

EXERCISES = exercises()
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=sorted(EXERCISES))


class Agreeable:
    """Equal to everything, below and above everything."""

    def __eq__(self, other):
        return True

    def __lt__(self, other):
        return True

    __hash__ = None
    __gt__ = __le__ = __ge__ = __lt__

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__


class AgreeableNumber(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class AgreeableArray(np.ndarray):
    def __eq__(self, other):
        return np.ones(self.shape, dtype=bool)


def patches_numpy(*case):
    np.allclose = np.array_equal = lambda *arguments, **options: True
    np.isclose = lambda left, right, **options: np.ones(np.shape(left), dtype=bool)
    return 12345.678


ADVERSARIES = {
    "none": lambda *case: None,
    "nan": lambda *case: float("nan"),
    "an array of nan": lambda *case: np.full(3, np.nan),
    "an agreeable object": lambda *case: Agreeable(),
    "a list of agreeable objects": lambda *case: [Agreeable()] * 3,
    "an agreeable number": lambda *case: AgreeableNumber(12345.678),
    "an agreeable array": lambda *case: np.full(3, 12345.678).view(AgreeableArray),
    "an odd shape": lambda *case: np.ones((7, 1, 5)),
    "an empty list": lambda *case: [],
    "an empty text": lambda *case: "",
    "a huge number": lambda *case: 10**400,
    "infinity": lambda *case: float("inf"),
    "a raise": lambda *case: 1 / 0,
    "an exit": lambda *case: exit(),
    "too few arguments": lambda: 0.0,
    "a nest without an end": lambda *case: (endless := [], endless.append(endless))[0],
    "a patch of numpy": patches_numpy,
}


def spoiled(argument):
    """Change an argument in place, if that can be done."""
    if isinstance(argument, np.ndarray):
        argument[...] = ~argument if argument.dtype == bool else argument + 1
        return True
    if isinstance(argument, list):
        argument.append(argument[0] if argument else 0)
        return True
    if isinstance(argument, dict):
        argument.clear()
        return True
    return False


@every_exercise
def test_the_solution_passes_and_each_wrong_answer_is_told_its_own_mistake(exercise):
    assert verdict(exercise, exercise.solution) == Verdict(True)
    for wrong in exercise.wrong:
        reason = verdict(exercise, wrong.answer).reason
        others = [other.says for other in exercise.wrong if other.says != wrong.says and other.says in reason]
        assert wrong.says in reason and not others, (wrong.answer.__name__, reason, others)


@every_exercise
def test_the_stub_is_not_written_yet(exercise):
    space = {"np": np}
    exec(stub(exercise), space)  # noqa: S102
    assert verdict(exercise, space[exercise.function]) == Verdict(False, written=False)
    assert verdict(exercise, unwritten) == Verdict(False, written=False)


@pytest.mark.parametrize("name", ADVERSARIES)
@every_exercise
def test_an_answer_that_is_none_is_rejected_with_a_reason(exercise, name, monkeypatch):
    for patched in ("allclose", "array_equal", "isclose"):
        monkeypatch.setattr(np, patched, getattr(np, patched))
    found = verdict(exercise, ADVERSARIES[name])
    assert not found.passed and found.written and found.reason.strip().endswith((".", "?", "!")), found


@every_exercise
def test_zero_is_no_answer(exercise):
    outputs = [outcome.output for outcome in outcomes(exercise.solution, exercise.drawn())]
    if all(isinstance(output, int | float) and output == 0 for output in outputs):
        pytest.skip("zero is the answer")
    assert not verdict(exercise, lambda *case: 0.0).passed


@every_exercise
def test_knowing_one_case_is_not_enough(exercise):
    cases = exercise.drawn()
    if cases == [()]:
        pytest.skip("it has no arguments")
    first = exercise.solution(*exercise.drawn()[0])
    assert len(cases) > 1 and not verdict(exercise, lambda *case: first).passed


@every_exercise
def test_an_answer_that_changes_its_arguments_is_rejected(exercise):
    if not any(spoiled(argument) for case in exercise.drawn() for argument in case):
        pytest.skip("its arguments cannot be changed")

    def careless(*case):
        output = plain(exercise.solution(*case))
        for argument in case:
            spoiled(argument)
        return output

    assert "changes its argument" in verdict(exercise, careless).reason


@every_exercise
def test_cases_and_outputs_are_the_same_each_time_and_survive_json(exercise):
    first, second = exercise.drawn(), exercise.drawn()
    assert encode(plain(first)) == encode(plain(second))
    assert encode(decode(encode(plain(first)))) == encode(plain(first))
    results = [encode(outcome.output) for outcome in outcomes(exercise.solution, first)]
    again = [encode(outcome.output) for outcome in outcomes(exercise.solution, second)]
    assert results == again


@every_exercise
def test_other_cases_are_drawn_for_marks_and_the_solution_passes_there_too(exercise):
    cases = exercise.drawn("grade")
    if cases == [()]:
        pytest.skip("it has no arguments")
    judged(exercise, cases, outcomes(exercise.solution, cases))
    for wrong in exercise.wrong:
        with pytest.raises(Exception, match=r"\w"):
            judged(exercise, cases, outcomes(wrong.answer, cases))


@every_exercise
def test_the_solution_leaves_its_arguments_alone(exercise):
    cases = exercise.drawn()
    for case, outcome in zip(cases, outcomes(exercise.solution, cases), strict=True):
        assert encode(outcome.after) == encode(plain(case))


@every_exercise
def test_task_and_hints_do_not_hold_the_solution(exercise):
    head, body = parts(exercise)
    lines = [line for line in (" ".join(line.split()) for line in body.splitlines()) if len(line) >= 12]
    assert lines and not [line for line in lines if line in " ".join(head.split())]
    # The last hint may be nearly the answer, but never all of it.
    for text in exercise.hints:
        assert [line for line in lines if line not in " ".join(text.split())], text
    assert len(set(exercise.hints)) == 3


@every_exercise
def test_an_exercise_says_what_it_takes(exercise):
    assert identity(exercise).startswith(f"# exercise {exercise.id} · {exercise.minutes} min · {exercise.dots} · ")
    assert (
        inspect.signature(exercise.solution).parameters.keys()
        == inspect.signature(reference(exercise.id)).parameters.keys()
    )
    assert all(len(case) == len(inspect.signature(exercise.solution).parameters) for case in exercise.drawn())


@pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if chapter.module], ids=lambda each: each.notebook)
def test_a_chapter_has_a_handful_of_exercises_numbered_in_order(chapter):
    own = [exercise for exercise in EXERCISES.values() if exercise.chapter == chapter.number]
    assert 3 <= len(own) <= 7
    assert [exercise.id for exercise in own] == [f"{chapter.number}.{place}" for place in range(1, len(own) + 1)]
    assert len({exercise.function for exercise in own}) == len(own)
