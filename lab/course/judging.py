"""Judge what an answer gave: the outputs against the solution's, and a reason when they differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lab.course.calling import Outcome, outcomes
from lab.course.comparing import distance, form, holds_nan, near, same, shown
from lab.course.exercise import Case, Exercise, Mistake, Wrong

LONGEST = 160  # characters of the arguments in a reason


def judged(exercise: Exercise, cases: list[Case], found: Sequence[Outcome]) -> None:
    """Decide whether the outcomes of an answer are right.

    Args:
        exercise: The task.
        cases: The arguments.
        found: What came of an answer on them, from here or from another process.

    Raises:
        Mistake: They are not; the reason is a sentence to the student.
    """
    outputs = [outcome.output for outcome in found]
    expected = _outputs(exercise.solution, cases) if exercise.judge is None else []
    clean = len(found) == len(cases) and not any(outcome.raised for outcome in found)
    if exercise.judge is None and not (clean and _alike(expected, outputs, exercise.tolerance)):
        for wrong in exercise.wrong:
            if _same_outcomes(outcomes(wrong.answer, cases), found, exercise.tolerance):
                raise Mistake(wrong.says)
    for case, outcome in zip(cases, found, strict=False):
        _usable(exercise, case, outcome)
    if len(found) != len(cases):
        raise Mistake(f"it gives {len(found)} outputs for {len(cases)} cases. Let each call come to its end.")
    if exercise.judge is None:
        _compare(cases, outputs, expected, exercise.solution, exercise.tolerance)
    else:
        _open(exercise.judge, cases, outputs)
    for case, outcome in zip(cases, found, strict=True):
        _unchanged(exercise, case, outcome)


def like_the_solution(
    cases: list[Case],
    outputs: list[Any],
    solution: Callable[..., Any],
    wrong: tuple[Wrong, ...] = (),
    tolerance: float = 1e-9,
) -> None:
    """Compare outputs with those of the solution: shape, finite, close.

    Args:
        cases: The arguments.
        outputs: One plain value a case.
        solution: The right function.
        wrong: Wrong answers; when the outputs equal those of one, its sentence is the reason.
        tolerance: Largest distance, relative to the solution's output where that is above 1.

    Raises:
        Mistake: They differ; says where, and by how much.
    """
    expected = _outputs(solution, cases)
    if _alike(expected, outputs, tolerance):
        return
    for each in wrong:
        given = _outputs(each.answer, cases)
        if all(same(left, right, tolerance) for left, right in zip(given, outputs, strict=True)):
            raise Mistake(each.says)
    _compare(cases, outputs, expected, solution, tolerance)


def _compare(
    cases: list[Case], outputs: list[Any], expected: list[Any], solution: Callable[..., Any], tolerance: float
) -> None:
    coarse = ""
    if all(map(near, expected, outputs)):
        coarse = (
            f" All your numbers are right to three digits, and {tolerance:g} is asked for: the idea is right. Look for "
            "a finite difference, a search that stops early or a rounded constant."
        )
    for case, right, output in zip(cases, expected, outputs, strict=True):
        difference = distance(right, output, tolerance)
        if difference:
            raise Mistake(f"{_called(solution, case)} {difference}{coarse}")


def _outputs(function: Callable[..., Any], cases: list[Case]) -> list[Any]:
    return [outcome.output for outcome in outcomes(function, cases)]


def _alike(expected: list[Any], outputs: list[Any], tolerance: float) -> bool:
    return all(distance(right, output, tolerance) == "" for right, output in zip(expected, outputs, strict=True))


def _same_outcomes(given: Sequence[Outcome], found: Sequence[Outcome], tolerance: float) -> bool:
    return len(given) == len(found) and all(
        left.raised == right.raised and same(left.output, right.output, tolerance)
        for left, right in zip(given, found, strict=True)
    )


def _usable(exercise: Exercise, case: Case, outcome: Outcome) -> None:
    """Raise a Mistake for a call that gave nothing to judge."""
    call = _called(exercise.solution, case)
    if outcome.raised == "NotPlain":
        raise Mistake(f"{call} gives {outcome.message}; asked for are numbers, texts, or arrays, lists, dicts of them.")
    if outcome.raised:
        raise Mistake(f"{call} raises {outcome.raised}: {outcome.message}".rstrip(": ") + ".")
    if outcome.output is None:
        raise Mistake(f"{call} gives None. Is a return missing?")
    if holds_nan(outcome.output):
        raise Mistake(f"{call} gives NaN. Look for log(0), 0/0 or exp of a large number.")


def _open(judge: Callable[[list[Case], list[Any]], None], cases: list[Case], outputs: list[Any]) -> None:
    try:
        judge(cases, outputs)
    except Mistake:
        raise
    # A judge of an open task works with whatever it is given; what it stumbles on is not what was asked for.
    except Exception as problem:
        raise Mistake(f"it gives {form(outputs[0])}, which cannot be used: {str(problem)[:300].rstrip('.')}.") from None


def _unchanged(exercise: Exercise, case: Case, outcome: Outcome) -> None:
    names = list(inspect.signature(exercise.solution).parameters)
    for name, before, after in zip(names, case, outcome.after, strict=False):
        if not same(before, after, tolerance=0.0):
            raise Mistake(f"it changes its argument {name}. Work on a copy, such as np.array({name}).")


def _called(function: Callable[..., Any], case: Case) -> str:
    names = inspect.signature(function).parameters
    for most in (6, 0):  # the numbers themselves, else the shapes of the arrays
        arguments = ", ".join(f"{name}={shown(value, most)}" for name, value in zip(names, case, strict=False))
        if len(arguments) <= LONGEST:
            return f"{function.__name__}({arguments})"
    return f"{function.__name__}(...)"
