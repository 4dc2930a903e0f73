"""Call an answer on the cases, and keep what came of it: an output, or what it raised, and what it changed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.course.exercise import Case
from lab.course.plain import plain

UNWRITTEN = "NotImplementedError"


@dataclass(frozen=True)
class Outcome:
    """What came of one call.

    Args:
        output: The plain value that it gave; None when it raised.
        after: The arguments after the call, as plain values.
        raised: Name of the exception, or "".
        message: Its text, or what kind of object was given where a plain value is needed.
    """

    output: Any
    after: Case
    raised: str = ""
    message: str = ""


def outcomes(answer: Callable[..., Any], cases: Sequence[Case]) -> list[Outcome]:
    """Call an answer on a copy of each case.

    Args:
        answer: A function.
        cases: Its arguments, one tuple a call.

    Returns:
        One outcome a case; an exception ends the calls, as further ones would repeat it.
    """
    found: list[Outcome] = []
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        for case in cases:
            found.append(_outcome(answer, copy.deepcopy(case)))
            if found[-1].raised == UNWRITTEN:
                break
    return found


def _outcome(answer: Callable[..., Any], case: Case) -> Outcome:
    try:
        output = answer(*case)
    # Whatever a student's code does must end as a reason; an interrupt by hand still stops.
    except (Exception, SystemExit, RecursionError) as problem:
        return Outcome(None, _still_plain(case), type(problem).__name__, _text(problem))
    try:
        return Outcome(plain(output), _still_plain(case))
    except (TypeError, ValueError, RecursionError) as problem:
        return Outcome(None, _still_plain(case), "NotPlain", _text(problem))


def _still_plain(case: Case) -> Case:
    try:
        return plain(case)
    except (TypeError, RecursionError):
        return ()


def _text(problem: BaseException) -> str:
    try:
        return str(problem)[:300]
    # An exception's own __str__ is the student's code too.
    except Exception:
        return ""
