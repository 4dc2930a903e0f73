"""Find the answer to an exercise in a student's cells, and what it needs of the other cells."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.course.exercise import Exercise, Mistake
from lab.course.names import EVERYTHING, bound, used

MARK = re.compile(r"#+\s*exercise\s+(\d\.\d)\b", re.I)
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # what Python's parser may answer to a text
REFERENCE = "it hands in the reference, which earns no points. Write the function yourself."


@dataclass(frozen=True)
class Program:
    """What is run for one exercise.

    Args:
        statements: Python statements, in the order of the notebook; the answer's own is among them.
        function: Name of the student's function.
        remarks: What was tolerated.
    """

    statements: tuple[str, ...]
    function: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Statement:
    """One top-level statement of a notebook: its source, what it binds and uses, and its cell."""

    source: str
    binds: frozenset[str]
    uses: frozenset[str]
    cell: int


def marked(cell: str) -> str | None:
    """Read which exercise a cell answers.

    Args:
        cell: Its source.

    Returns:
        The name that "# exercise 4.2" gives in the comments at its top, or None.
    """
    for line in cell.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "%")):
            return None
        found = MARK.match(line.strip())
        if found:
            return found[1]
    return None


def program(exercise: Exercise, notebooks: Sequence[Sequence[str]]) -> Program:
    """Put together what an answer needs.

    Args:
        exercise: The exercise.
        notebooks: The code of every cell of the student, in order, of each notebook.

    Returns:
        The answer's statement and, by name, those of the same notebook that it needs: those before it, or, when there
        is none of a name, those after it; never a whole cell.

    Raises:
        Mistake: There is no answer, it is no Python, or it asks for the reference.
    """
    mark = f"'# exercise {exercise.id}'"
    holding = _holding(notebooks, lambda cell: marked(cell) == exercise.id)
    remarks = []
    if not holding:
        holding = _holding(notebooks, lambda cell: marked(cell) is None and exercise.function in _functions(cell))
        remarks.append(f"found by the name {exercise.function}: the first line of its cell, {mark}, is gone")
    if not holding:
        raise Mistake(f"it was not handed in: no cell begins with {mark}, and none defines {exercise.function}.")
    cells, answers = holding[-1]
    times = sum(len(places) for _, places in holding)
    remarks += [f"handed in {times} times; the last one counts"] if times > 1 else []
    own = answers[-1]
    try:
        inside = _statements(cells[own], own)
    except UNREADABLE as problem:
        where = f"line {problem.lineno}: {problem.msg}" if isinstance(problem, SyntaxError) else str(problem)
        raise Mistake(f"its cell is not Python: {where}.") from None
    name, remark = _answer(exercise, inside)
    remarks += [remark] if remark else []
    statements: list[_Statement] = []
    for number, cell in enumerate(cells):
        if number in answers[:-1]:
            continue
        try:
            found = inside if number == own else _statements(cell, number)
        except UNREADABLE:
            continue
        # A scratch copy of the function elsewhere must not replace the answer.
        statements += [each for each in found if number == own or name not in each.binds]
    needed = _needed(name, statements, own)
    if any(_asks_for_the_reference(each.source) for each in needed):
        raise Mistake(REFERENCE)
    return Program(tuple(each.source for each in needed), name, tuple(remarks))


def _holding(
    notebooks: Sequence[Sequence[str]], answers: Callable[[str], bool]
) -> list[tuple[Sequence[str], list[int]]]:
    """Choose the notebooks with cells that answer, and the numbers of those cells."""
    found = [(cells, [number for number, cell in enumerate(cells) if answers(cell)]) for cells in notebooks]
    return [(cells, places) for cells, places in found if places]


def _functions(cell: str) -> set[str]:
    """Name the functions that a cell defines; none where it is no Python."""
    try:
        return {node.name for node in ast.parse(_python(cell)).body if isinstance(node, ast.FunctionDef)}
    except UNREADABLE:
        return set()


def _python(cell: str) -> str:
    # Lines for the notebook or the shell are no Python; a blank keeps the numbers of the lines.
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in cell.splitlines())


def _answer(exercise: Exercise, inside: list[_Statement]) -> tuple[str, str]:
    if any(exercise.function in each.binds for each in inside):
        return exercise.function, ""
    functions = [name for each in inside if each.source.startswith(("def ", "async def ", "@")) for name in each.binds]
    if len(functions) == 1:
        return functions[0], f"the function is called {functions[0]}, not {exercise.function}"
    raise Mistake(f"its cell defines no function {exercise.function}.")


def _statements(cell: str, number: int) -> list[_Statement]:
    found = []
    for node in ast.parse(_python(cell)).body:
        source = ast.unparse(node)
        found.append(_Statement(source, frozenset(bound(source)), frozenset(used(source)), number))
    return found


def _needed(name: str, statements: list[_Statement], own: int) -> list[_Statement]:
    """Choose the statements that bind a name, those that bind what they use, and so on."""
    wanted, waiting = set[int](), [name, EVERYTHING]
    seen = set(waiting)
    while waiting:
        current = waiting.pop()
        binding = [place for place, statement in enumerate(statements) if current in statement.binds]
        before = [place for place in binding if statements[place].cell <= own]
        for place in set(before or binding) - wanted:
            wanted.add(place)
            new = statements[place].uses - seen
            waiting += new
            seen |= new
    return [statements[place] for place in sorted(wanted)]


def _asks_for_the_reference(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(alias.name.startswith("lab.course.chapters") for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lab.course.chapters"):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "lab.course":
            if any(alias.name == "chapters" for alias in node.names):
                return True
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name | ast.Attribute):
                if (called.id if isinstance(called, ast.Name) else called.attr) in {"reference", "solution"}:
                    return True
    return False
