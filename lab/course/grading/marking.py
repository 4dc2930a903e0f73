"""Mark submissions: run each answer, judge its outputs, and say why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.course.calling import UNWRITTEN, Outcome
from lab.course.exercise import Case, Exercise, Mistake
from lab.course.grading.collecting import Submission
from lab.course.grading.finding import program
from lab.course.grading.limits import Limits
from lab.course.grading.running import run_program
from lab.course.judging import judged

STREAM = "grade"  # other cases than a notebook's check has


@dataclass(frozen=True)
class Mark:
    """The mark of one answer.

    Args:
        exercise: Its name.
        points: What it earns.
        most: What a right answer earns.
        reason: Why it earns no more; "" for a right one.
        remarks: What was tolerated on the way.
    """

    exercise: str
    points: int
    most: int
    reason: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All marks of a student.

    Args:
        student: The name.
        marks: One an exercise, in order.
        remarks: What was wrong with the submission as a whole.
    """

    student: str
    marks: tuple[Mark, ...]
    remarks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Sum the points."""
        return sum(mark.points for mark in self.marks)


def grade(
    submissions: Sequence[Submission], exercises: Sequence[Exercise], limits: Limits, jobs: int = 1
) -> Iterator[Report]:
    """Grade submissions.

    Args:
        submissions: What was handed in.
        exercises: What counts.
        limits: What each answer may use.
        jobs: How many answers run at once; each in a process of its own.

    Yields:
        One report a student, in order; whatever a submission holds, it ends as a report.
    """
    cases = {exercise.id: exercise.drawn(STREAM) for exercise in exercises}
    with ThreadPoolExecutor(jobs) as pool:
        for submission in submissions:
            running = [pool.submit(_run, exercise, cases[exercise.id], submission, limits) for exercise in exercises]
            marks = tuple(
                _mark(exercise, cases[exercise.id], future.result())
                for exercise, future in zip(exercises, running, strict=True)
            )
            yield Report(submission.student, marks, submission.remarks)


@dataclass(frozen=True)
class _Ran:
    """What came of an answer: outcomes, or why there are none."""

    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    failed: str = ""


def _run(exercise: Exercise, cases: list[Case], submission: Submission, limits: Limits) -> _Ran:
    remarks: tuple[str, ...] = ()
    try:
        found = program(exercise, submission.notebooks)
        remarks = found.remarks
        outcomes, notes = run_program(found, cases, limits)
    except Mistake as mistake:
        return _Ran(remarks=remarks, failed=str(mistake))
    return _Ran(tuple(outcomes), tuple(notes), remarks)


def _mark(exercise: Exercise, cases: list[Case], ran: _Ran) -> Mark:
    reason = ran.failed
    if not reason and ran.outcomes and ran.outcomes[-1].raised == UNWRITTEN:
        message = ran.outcomes[-1].message
        others = message.startswith("exercise ") and exercise.id not in message
        reason = f"it calls the answer to {message}, which is not written." if others else "it is not written."
    if not reason:
        try:
            judged(exercise, cases, ran.outcomes)
        except Mistake as mistake:
            reason = " ".join([str(mistake), *(f"Before it, {note}." for note in ran.notes)])
    points = 0 if reason else exercise.points
    return Mark(exercise.id, points, exercise.points, reason, ran.remarks)
