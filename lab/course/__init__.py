"""The course: exercises with checks, hints and solutions, and the builder and grader of its notebooks."""

from lab.course.asking import check, hint, reference, solution
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.judging import like_the_solution
from lab.course.showing import show, stamp

__all__ = [
    "Exercise",
    "Mistake",
    "Wrong",
    "check",
    "hint",
    "like_the_solution",
    "reference",
    "show",
    "solution",
    "stamp",
]
