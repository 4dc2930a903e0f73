"""What a student calls in a notebook: check, hint, solution, reference."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lab.course.calling import UNWRITTEN, outcomes
from lab.course.chapters import exercises
from lab.course.exercise import Exercise, Mistake
from lab.course.judging import judged

_hints_given: dict[str, int] = {}
_hidden: list[str] = []
HIDDEN = "Hints and solutions are hidden in this notebook."


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Args:
        passed: Whether the answer is right.
        written: Whether there is one at all.
        reason: Why it is not right; "" when it is.
    """

    passed: bool
    written: bool = True
    reason: str = ""


def check(id: str, answer: Callable[..., Any]) -> None:
    """Check an answer, and print whether it is right, or why it is not.

    Args:
        id: The exercise, such as "3.1".
        answer: The function that you wrote.

    Raises:
        ValueError: There is no such exercise.
    """
    exercise = find(id)
    found = verdict(exercise, answer)
    if found.passed:
        print(f"✓ {id} {exercise.title}: right.")
    elif not found.written:
        print(f"– {id} is not written yet.")
    else:
        print(f"✗ {id} {exercise.title}: {found.reason}")
        if not _hidden:
            print(f"  hint({id!r}) gives a hint.")


def verdict(exercise: Exercise, answer: Any) -> Verdict:
    """Judge an answer in this process.

    Args:
        exercise: The task.
        answer: What the student wrote; anything but a function is a mistake.

    Returns:
        The verdict; no answer makes this raise.
    """
    if not callable(answer):
        return Verdict(False, reason=f"this is a {type(answer).__name__}; hand over the function {exercise.function}.")
    cases = exercise.drawn()
    found = outcomes(answer, cases)
    if found and found[-1].raised == UNWRITTEN:
        return Verdict(False, written=False)
    try:
        judged(exercise, cases, found)
    except Mistake as mistake:
        return Verdict(False, reason=str(mistake))
    return Verdict(True)


def hint(id: str) -> None:
    """Print the next hint of an exercise: a nudge first, nearly the answer last.

    Args:
        id: The exercise, such as "3.1".

    Raises:
        ValueError: There is no such exercise.
    """
    exercise = find(id)
    if _hidden:
        print(HIDDEN)
        return
    place = min(_hints_given.get(id, 0), len(exercise.hints) - 1)
    _hints_given[id] = place + 1
    print(f"{id}, hint {place + 1} of {len(exercise.hints)}: {exercise.hints[place]}")
    if place + 1 == len(exercise.hints):
        print(f"  That was the last; solution({id!r}) shows a solution.")


def solution(id: str) -> None:
    """Print the source of the solution of an exercise.

    Args:
        id: The exercise, such as "3.1".

    Raises:
        ValueError: There is no such exercise.
    """
    exercise = find(id)
    print(HIDDEN if _hidden else inspect.getsource(exercise.solution).rstrip())


def reference(id: str) -> Callable[..., Any]:
    """Give the function that solves an exercise, so that later cells do not wait for your own.

    Args:
        id: The exercise, such as "3.1".

    Returns:
        The solution.

    Raises:
        ValueError: There is no such exercise.
    """
    return find(id).solution


def hide_hints() -> None:
    """Refuse hints and solutions from here on: what a notebook built with --hide-hints calls first."""
    _hidden.append("hidden")


def find(id: str) -> Exercise:
    """Find an exercise by its name.

    Args:
        id: Such as "3.1".

    Returns:
        The exercise.

    Raises:
        ValueError: There is none; names the nearest and the list.
    """
    known = exercises()
    if isinstance(id, str) and id in known:
        return known[id]
    near = get_close_matches(str(id), known, n=1, cutoff=0.0)
    nearest = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"There is no exercise {id!r}.{nearest} There are: {', '.join(known) or 'none yet'}.")
