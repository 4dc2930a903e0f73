"""Compare two plain values, and say in words how they differ."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


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
            return f"is not right in its part {name}: there it {difference}"
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


def shown(value: Any) -> str:
    """Write a plain value in few characters."""
    if isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, int | float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=3, separator=", ") if value.size <= 6 else f"array{value.shape}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(shown, value))
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
    for wanted, number in pairs:
        if not _close(wanted, number, tolerance):
            return f"gives {shown(number)}, which is not right."
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
