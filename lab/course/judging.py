"""Judge what an answer gave: the outputs against the solution's, and a reason when they differ."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lab.course.calling import Outcome, outcomes
from lab.course.exercise import Case, Exercise, Mistake, Wrong


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
    clean = len(found) == len(cases) and not any(outcome.raised for outcome in found)
    if exercise.judge is None:
        if not clean or not _alike_all(exercise, cases, outputs):
            for wrong in exercise.wrong:
                if _same_outcomes(outcomes(wrong.answer, cases), found, exercise.tolerance):
                    raise Mistake(wrong.says)
    for case, outcome in zip(cases, found, strict=False):
        _usable(exercise, case, outcome)
    if len(found) != len(cases):
        raise Mistake(f"it gives {len(found)} outputs for {len(cases)} cases. Let each call come to its end.")
    if exercise.judge is None:
        like_the_solution(cases, outputs, exercise.solution, tolerance=exercise.tolerance)
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
    expected = [outcome.output for outcome in outcomes(solution, cases)]
    if all(distance(right, output, tolerance) == "" for right, output in zip(expected, outputs, strict=True)):
        return
    for each in wrong:
        given = [outcome.output for outcome in outcomes(each.answer, cases)]
        if all(_same(left, right, tolerance) for left, right in zip(given, outputs, strict=True)):
            raise Mistake(each.says)
    for case, right, output in zip(cases, expected, outputs, strict=True):
        difference = distance(right, output, tolerance)
        if difference:
            raise Mistake(f"{_called(solution, case)} {difference}")


def distance(expected: Any, output: Any, tolerance: float) -> str:
    """Say in which way an output is not what was expected.

    Args:
        expected: The solution's output.
        output: The student's, a plain value.
        tolerance: Largest distance, relative to the expected number where that is above 1.

    Returns:
        A half sentence that goes on after "it", or "" when the two agree.
    """
    if isinstance(expected, str) or isinstance(output, str):
        return "" if expected == output else f"gives {output!r}, which is not right."
    if isinstance(expected, dict):
        if not isinstance(output, dict) or set(output) != set(expected):
            return f"gives {_kind(output)}; asked for is a dict with the keys {', '.join(map(str, expected))}."
        parts = ((f"[{key!r}]", expected[key], output[key]) for key in expected)
    elif isinstance(expected, tuple | list) and not _numeric(expected):
        if not isinstance(output, tuple | list) or len(output) != len(expected):
            return f"gives {_kind(output)}; asked for are {len(expected)} values."
        parts = ((f"[{place}]", left, right) for place, (left, right) in enumerate(zip(expected, output, strict=True)))
    else:
        return _number_distance(expected, output, tolerance)
    for name, left, right in parts:
        difference = distance(left, right, tolerance)
        if difference:
            return f"is not right in its part {name}: there it {difference}"
    return ""


def _number_distance(expected: Any, output: Any, tolerance: float) -> str:
    if not _numeric(output) or output is None:
        return f"gives {_kind(output)}; asked for is {_kind(expected)}."
    right, given = np.asarray(expected), np.asarray(output)
    if right.shape != given.shape:
        return f"gives {_kind(output)}; asked for is {_kind(expected)}."
    if (right.dtype.kind == "b") != (given.dtype.kind == "b"):
        return f"gives {_kind(output)}; asked for is {_kind(expected)}."
    # Plain Python below: an answer may have replaced numpy's functions.
    pairs = list(zip(right.ravel().tolist(), given.ravel().tolist(), strict=True))
    if any(math.isnan(number) for _, number in pairs):
        return "gives NaN. Look for log(0), 0/0 or exp of a large number."
    for wanted, number in pairs:
        if wanted != number and not abs(wanted - number) <= tolerance * max(1.0, abs(wanted)):
            return f"gives {_shown(number)}, which is not right."
    return ""


def _alike_all(exercise: Exercise, cases: list[Case], outputs: list[Any]) -> bool:
    expected = (outcome.output for outcome in outcomes(exercise.solution, cases))
    return all(
        distance(right, output, exercise.tolerance) == "" for right, output in zip(expected, outputs, strict=True)
    )


def _same_outcomes(given: Sequence[Outcome], found: Sequence[Outcome], tolerance: float) -> bool:
    return len(given) == len(found) and all(
        left.raised == right.raised and _same(left.output, right.output, tolerance)
        for left, right in zip(given, found, strict=True)
    )


def _same(left: Any, right: Any, tolerance: float) -> bool:
    """Say whether two plain values are one, where NaN equals NaN."""
    if left is None or right is None:
        return left is None and right is None
    if _numeric(left) and _numeric(right):
        ones, others = np.asarray(left), np.asarray(right)
        return ones.shape == others.shape and all(
            one == other or (one != one and other != other) or abs(one - other) <= tolerance * max(1.0, abs(one))
            for one, other in zip(ones.ravel().tolist(), others.ravel().tolist(), strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return set(left) == set(right) and all(_same(left[key], right[key], tolerance) for key in left)
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(_same(*pair, tolerance) for pair in zip(left, right, strict=True))
    return type(left) is type(right) and isinstance(left, str) and left == right


def _usable(exercise: Exercise, case: Case, outcome: Outcome) -> None:
    """Raise a Mistake for a call that gave nothing to judge."""
    call = _called(exercise.solution, case)
    if outcome.raised == "NotPlain":
        raise Mistake(f"{call} gives {outcome.message}; asked for are numbers, texts, or arrays, lists, dicts of them.")
    if outcome.raised:
        raise Mistake(f"{call} raises {outcome.raised}: {outcome.message}".rstrip(": ") + ".")
    if outcome.output is None:
        raise Mistake(f"{call} gives None. Is a return missing?")
    if _holds_nan(outcome.output):
        raise Mistake(f"{call} gives NaN. Look for log(0), 0/0 or exp of a large number.")


def _open(judge: Callable[[list[Case], list[Any]], None], cases: list[Case], outputs: list[Any]) -> None:
    try:
        judge(cases, outputs)
    except Mistake:
        raise
    # A judge of an open task works with whatever it is given; what it stumbles on is not what was asked for.
    except Exception as problem:
        raise Mistake(f"it gives {_kind(outputs[0])}, which cannot be used: {str(problem)[:300]}") from None


def _unchanged(exercise: Exercise, case: Case, outcome: Outcome) -> None:
    names = list(inspect.signature(exercise.solution).parameters)
    for name, before, after in zip(names, case, outcome.after, strict=False):
        if not _same(before, after, tolerance=0.0):
            raise Mistake(f"it changes its argument {name}. Work on a copy, such as np.array({name}).")


def _numeric(value: Any) -> bool:
    """Say whether a plain value is a number, an array of numbers, or a full nest of lists of numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    if isinstance(value, list | tuple):
        return bool(value) and all(_numeric(item) for item in value) and _rectangular(value)
    return isinstance(value, int | float)


def _rectangular(value: list[Any] | tuple[Any, ...]) -> bool:
    return len({np.shape(item) for item in value}) == 1


def _holds_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_nan, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and any(number != number for number in value.ravel().tolist())
    return isinstance(value, float) and value != value


def _kind(value: Any) -> str:
    """Name the form of a value: 'an array of shape (3, 2)'."""
    if isinstance(value, bool) or (isinstance(value, np.ndarray) and value.dtype.kind == "b" and not value.ndim):
        return "True or False"
    if _numeric(value):
        shape = np.shape(value)
        noun = "truth values" if np.asarray(value).dtype.kind == "b" else "numbers"
        return f"{noun} of shape {shape}" if shape else "one number"
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(map(str, value)) or '(none)'}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)} values"
    return f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"


def _called(function: Callable[..., Any], case: Case) -> str:
    names = inspect.signature(function).parameters
    arguments = ", ".join(f"{name}={_shown(value)}" for name, value in zip(names, case, strict=False))
    shown = arguments if len(arguments) <= 120 else "..."
    return f"{function.__name__}({shown})"


def _shown(value: Any) -> str:
    if isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, int | float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=3, separator=", ") if value.size <= 6 else f"array{value.shape}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_shown, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return repr(value)
