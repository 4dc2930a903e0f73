"""Compare two plain values, and say in words how they differ."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

NEAR = 1e-3  # largest relative distance of a number that is nearly right


def distance(expected: Any, output: Any, tolerance: float) -> str:
    """Say in which way an output is not what was expected.

    Args:
        expected: The solution's output.
        output: The student's, a plain value.
        tolerance: Largest distance, relative to the expected number where that is above 1.

    Returns:
        A half sentence that goes on after the call, or "" when the two agree.
    """
    if isinstance(expected, str) or isinstance(output, str):
        if isinstance(expected, str) and isinstance(output, str):
            return "" if expected == output else f"gives {output[:80]!r}, which is not right."
        return f"gives {form(output)}; asked for is {form(expected)}."
    if isinstance(expected, dict):
        if not isinstance(output, dict) or set(output) != set(expected):
            return f"gives {form(output)}; asked for is a dict with the keys {', '.join(map(str, expected))}."
        parts = ((f"[{key!r}]", expected[key], output[key]) for key in expected)
    elif isinstance(expected, tuple | list) and not _numeric(expected):
        if not isinstance(output, tuple | list) or len(output) != len(expected):
            return f"gives {form(output)}; asked for are {len(expected)} values."
        parts = ((f"[{place}]", left, right) for place, (left, right) in enumerate(zip(expected, output, strict=True)))
    else:
        return _number_distance(expected, output, tolerance)
    for name, left, right in parts:
        difference = distance(left, right, tolerance)
        if difference:
            return f"in its part {name} {difference}"
    return ""


def same(left: Any, right: Any, tolerance: float) -> bool:
    """Say whether two plain values are one, where NaN equals NaN.

    Args:
        left: A plain value.
        right: Another.
        tolerance: Largest distance of two numbers, relative to the first where that is above 1.

    Returns:
        Whether they agree; lists, tuples and arrays of the same numbers do.
    """
    if left is None or right is None:
        return left is None and right is None
    if _numeric(left) and _numeric(right):
        ones, others = np.asarray(left), np.asarray(right)
        return ones.shape == others.shape and all(
            (one != one and other != other) or _close(one, other, tolerance)
            for one, other in zip(ones.ravel().tolist(), others.ravel().tolist(), strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return set(left) == set(right) and all(same(left[key], right[key], tolerance) for key in left)
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(same(*pair, tolerance) for pair in zip(left, right, strict=True))
    return type(left) is type(right) and isinstance(left, str) and left == right


def near(expected: Any, output: Any) -> bool:
    """Say whether every number is right to three digits: then the formula is right, and the arithmetic is coarse.

    Args:
        expected: The solution's output.
        output: The student's, a plain value of the same form.

    Returns:
        Whether each number lies within NEAR of the expected one, relative to that, however small it is.
    """
    if isinstance(expected, dict) and isinstance(output, dict):
        return set(expected) == set(output) and all(near(expected[key], output[key]) for key in expected)
    if _numeric(expected) and _numeric(output):
        right, given = np.asarray(expected), np.asarray(output)
        return right.shape == given.shape and all(
            wanted == number or abs(wanted - number) <= NEAR * abs(wanted)
            for wanted, number in zip(right.ravel().tolist(), given.ravel().tolist(), strict=True)
        )
    if isinstance(expected, tuple | list) and isinstance(output, tuple | list):
        return len(expected) == len(output) and all(map(near, expected, output))
    return same(expected, output, 0.0)


def holds_nan(value: Any) -> bool:
    """Say whether a plain value is, or holds, NaN."""
    if isinstance(value, dict):
        return any(map(holds_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_nan, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and any(number != number for number in value.ravel().tolist())
    return isinstance(value, float) and value != value


def form(value: Any) -> str:
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


def shown(value: Any, most: int = 6) -> str:
    """Write a plain value in few characters.

    Args:
        value: The value.
        most: Size up to which an array's numbers are written; of a larger one only the shape is. Whole numbers, which
            are short, may be six times as many.

    Returns:
        One line.
    """
    if isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, int | float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        numbers = value.ravel().tolist()
        whole = all(isinstance(number, int | float) and float(number).is_integer() for number in numbers)
        if value.size > (6 * most if whole else most):
            return f"array{value.shape}"
        if whole:
            return str(value.astype(np.int64).tolist())
        return " ".join(np.array2string(value, precision=3, separator=", ").split())
    if isinstance(value, list | tuple):
        inside = ", ".join(shown(item, most) for item in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return repr(value)


def _number_distance(expected: Any, output: Any, tolerance: float) -> str:
    if not _numeric(output) or output is None:
        return f"gives {form(output)}; asked for is {form(expected)}."
    right, given = np.asarray(expected), np.asarray(output)
    if right.shape != given.shape:
        return f"gives {form(output)}; asked for is {form(expected)}."
    if (right.dtype.kind == "b") != (given.dtype.kind == "b"):
        return f"gives {form(output)}; asked for is {form(expected)}."
    # Plain Python below: an answer may have replaced numpy's functions.
    pairs = list(zip(right.ravel().tolist(), given.ravel().tolist(), strict=True))
    if any(math.isnan(number) for _, number in pairs):
        return "gives NaN. Look for log(0), 0/0 or exp of a large number."
    for place, (wanted, number) in zip(itertools.product(*map(range, right.shape)), pairs, strict=True):
        if not _close(wanted, number, tolerance):
            where = "".join(f"[{at}]" for at in place)
            cause = " Look for log(0), a division by 0 or exp of a large number." if math.isinf(number) else ""
            return f"gives {shown(number)}{where and f' at {where}'}, which is not right.{cause}"
    return ""


def _numeric(value: Any) -> bool:
    """Say whether a plain value is a number, an array of numbers, or a full nest of lists of numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    if isinstance(value, list | tuple):
        return bool(value) and all(_numeric(item) for item in value) and _rectangular(value)
    return isinstance(value, int | float)


def _rectangular(value: list[Any] | tuple[Any, ...]) -> bool:
    return len({np.shape(item) for item in value}) == 1


def _close(wanted: float, number: float, tolerance: float) -> bool:
    """Say whether two numbers agree; an infinite one agrees with itself alone."""
    if math.isinf(wanted) or math.isinf(number):
        return wanted == number
    return abs(wanted - number) <= tolerance * max(1.0, abs(wanted))
