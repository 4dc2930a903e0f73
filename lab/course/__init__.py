"""The course: exercises with checks, hints and solutions, and the builder and grader of its notebooks."""

from lab.course.asking import check, hide_hints, hint, reference, solution
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.judging import like_the_solution
from lab.course.rerunning import rerun
from lab.course.showing import show, stamp

__all__ = [
    "Exercise",
    "Mistake",
    "Wrong",
    "check",
    "hide_hints",
    "hint",
    "like_the_solution",
    "reference",
    "rerun",
    "show",
    "solution",
    "stamp",
]
