"""Write the cell of an exercise out of its solution: the stub for students, or the solution itself."""

from __future__ import annotations

import ast
import inspect
import textwrap

from lab.course.exercise import Exercise
from lab.course.names import used

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def identity(exercise: Exercise) -> str:
    """Write the first line of an exercise's cell, by which it is found again."""
    return f"# exercise {exercise.id} · {exercise.minutes} min · {exercise.dots} · {exercise.title}"


def stub(exercise: Exercise) -> str:
    """Write the cell that a student fills.

    Args:
        exercise: The exercise.

    Returns:
        Its identity, the signature, the docstring, and an error in place of the body.

    Raises:
        ValueError: The solution's source has no such form.
    """
    head, _ = parts(exercise)
    return f'{identity(exercise)}\n{head}\n    raise NotImplementedError("exercise {exercise.id}")'


def solved(exercise: Exercise) -> str:
    """Write the cell with the solution between its two marks.

    Args:
        exercise: The exercise.

    Returns:
        A cell that runs.

    Raises:
        ValueError: The solution's source has no such form.
    """
    head, body = parts(exercise)
    return f"{identity(exercise)}\n{head}\n    {BEGIN}\n{body}\n    {END}"


def parts(exercise: Exercise) -> tuple[str, str]:
    """Split the source of a solution into what a student sees and what not.

    Args:
        exercise: The exercise.

    Returns:
        Signature and docstring; body.

    Raises:
        ValueError: The solution is no plain function with a docstring and a body.
    """
    source = textwrap.dedent(inspect.getsource(exercise.solution)).rstrip()
    (node,) = ast.parse(source).body
    if not isinstance(node, ast.FunctionDef) or node.decorator_list or len(node.body) < 2:
        raise ValueError(
            f"The solution of exercise {exercise.id} is not a plain function: def, docstring, body, no decorator. "
            "Write it as one."
        )
    lines, end = source.splitlines(), node.body[0].end_lineno
    return "\n".join(lines[:end]), "\n".join(lines[end:]).strip("\n")


def check_names(exercise: Exercise, known: set[str]) -> None:
    """Make sure that a solution uses only what its notebook has before it.

    Args:
        exercise: The exercise.
        known: Names that the cells above it bind.

    Raises:
        ValueError: It uses another, which a student would not have.
    """
    missing = used(solved(exercise)) - known - {exercise.function}
    if missing:
        raise ValueError(
            f"The solution of exercise {exercise.id} uses {', '.join(sorted(missing))}, which no cell above it binds. "
            "Import it in the notebook's first code cell, or do without."
        )
