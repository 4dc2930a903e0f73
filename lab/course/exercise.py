"""What an exercise is: a task with one solution, wrong answers that it must reject, and hints."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Case = tuple[Any, ...]
Judge = Callable[[list[Case], list[Any]], None]

FEWEST_WRONG = 3
HARDEST = 5


class Mistake(Exception):
    """Why an answer is not right, as a sentence to the student."""


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that a check must reject.

    Args:
        answer: A function with the solution's signature.
        says: The hint that names the likely mistake, a full sentence to the student.

    Raises:
        ValueError: The hint is no sentence.
    """

    answer: Callable[..., Any]
    says: str

    def __post_init__(self) -> None:
        if not self.says.strip().endswith((".", "?", "!")):
            raise ValueError(
                f"The wrong answer {self.answer.__name__} says {self.says!r}; a student reads it as a sentence. "
                "End it with a full stop."
            )


@dataclass(frozen=True)
class Exercise:
    """A task that is judged by what an answer gives for some arguments, never by how it is written.

    Args:
        id: Number of the notebook and of the task in it, such as "3.1".
        title: A few words.
        minutes: How long it takes a student.
        difficulty: 1 to 5.
        points: What a right answer earns.
        goal: The learning goal of the notebook that it covers.
        solution: The one source of the solution; its docstring is the task as the student sees it.
        cases: Draws the argument tuples from a generator: numbers, strings, lists and numpy arrays. A task without
            arguments has the one case ().
        wrong: At least three wrong answers.
        hints: Three hints, from a nudge to nearly the answer.
        judge: For an open task: looks at cases and outputs, and raises Mistake when they do not do. None compares
            the outputs with the solution's (`lab.course.like_the_solution`).
        tolerance: How far an output may be from the solution's, relative to it where it is above 1.

    Raises:
        ValueError: A field is outside its range.
    """

    id: str
    title: str
    minutes: int
    difficulty: int
    points: int
    goal: str
    solution: Callable[..., Any]
    cases: Callable[[np.random.Generator], list[Case]]
    wrong: tuple[Wrong, ...]
    hints: tuple[str, str, str]
    judge: Judge | None = None
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\.[1-9]", self.id):
            raise ValueError(f"The exercise is called {self.id!r}; a name is notebook.task, such as '3.1'. Number it.")
        for name, value, most in (("minutes", self.minutes, 60), ("points", self.points, 20)):
            if not 1 <= value <= most:
                raise ValueError(f"Exercise {self.id} has {name}={value}; allowed are 1 to {most}. Split it, or scale.")
        if not 1 <= self.difficulty <= HARDEST:
            raise ValueError(
                f"Exercise {self.id} has difficulty={self.difficulty}; allowed are 1 to {HARDEST}. Choose one of them."
            )
        if len(self.wrong) < FEWEST_WRONG:
            raise ValueError(
                f"Exercise {self.id} has {len(self.wrong)} wrong answers; a check is shown to reject at least "
                f"{FEWEST_WRONG}. Add the likely mistakes."
            )
        if len(self.hints) != 3 or not all(hint.strip() for hint in self.hints):
            raise ValueError(f"Exercise {self.id} has {len(self.hints)} hints; a student gets three. Write each.")
        if not (self.solution.__doc__ or "").strip():
            raise ValueError(f"The solution of exercise {self.id} has no docstring; it is the task. Write it there.")
        if not self.tolerance > 0:
            raise ValueError(f"Exercise {self.id} has tolerance={self.tolerance}; it is above 0. Use 1e-9, or more.")

    @property
    def chapter(self) -> int:
        """Return the number of the notebook."""
        return int(self.id.split(".")[0])

    @property
    def function(self) -> str:
        """Return the name of the function that a student writes."""
        return self.solution.__name__

    @property
    def dots(self) -> str:
        """Return the difficulty as ●●○○○."""
        return "●" * self.difficulty + "○" * (HARDEST - self.difficulty)

    def drawn(self, purpose: str = "check") -> list[Case]:
        """Draw the cases; the same for the same purpose.

        Args:
            purpose: A word that names the stream: "check" in notebooks, "grade" for marks.

        Returns:
            One tuple of arguments a case.
        """
        return self.cases(np.random.default_rng(zlib.crc32(f"{self.id} {purpose}".encode())))
