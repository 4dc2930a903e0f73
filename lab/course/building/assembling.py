"""Put the cells of a source and its exercises together to a notebook."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import nbformat.v4

from lab.course.building.exercise_cells import check_names, solved, stub
from lab.course.building.percent import Cell
from lab.course.exercise import Exercise
from lab.course.names import bound

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}
HIDE = "import lab.course\n\nlab.course.hide_hints()"
CHECK = re.compile(r'^check\(\s*"([^"]+)",\s*(\w+)\)', re.M)


def assemble(
    name: str,
    cells: Sequence[Cell],
    exercises: Mapping[str, Exercise],
    *,
    solutions: bool = False,
    hide_hints: bool = False,
) -> Any:
    """Make the notebook of a source.

    Args:
        name: What messages call the source.
        cells: Its cells.
        exercises: The exercises of its chapter; each stands in it once.
        solutions: Whether exercises are solved; otherwise they are stubs.
        hide_hints: Whether hints and solutions are refused in it.

    Returns:
        A notebook without outputs; equal sources give equal notebooks, cell names included.

    Raises:
        ValueError: An exercise is missing, unknown, twice there, without a check below it, or uses a name that the
            notebook does not have.
    """
    _check_exercises(name, cells, exercises)
    built, known = [], set[str]()
    for cell in cells:
        tags = {"tags": list(cell.tags)} if cell.tags else {}
        if cell.kind == "markdown":
            built.append(nbformat.v4.new_markdown_cell(cell.text, metadata=tags))
            continue
        text = cell.text
        if cell.kind == "exercise":
            exercise = exercises[cell.exercise]
            check_names(exercise, known)
            text = solved(exercise) if solutions else stub(exercise)
        else:
            known |= _bound(cell, name)
        built.append(nbformat.v4.new_code_cell(text, metadata=tags))
        if hide_hints and sum(each.cell_type == "code" for each in built) == 1:
            built.append(nbformat.v4.new_code_cell(HIDE))
    _name_cells(built, cells)
    return nbformat.v4.new_notebook(cells=built, metadata=METADATA)


def _check_exercises(name: str, cells: Sequence[Cell], exercises: Mapping[str, Exercise]) -> None:
    found = [cell.exercise for cell in cells if cell.kind == "exercise"]
    if sorted(found) != sorted(exercises):
        raise ValueError(
            f"{name} has the exercises {', '.join(found) or 'none'}; its chapter has {', '.join(exercises) or 'none'}. "
            "Give each one cell '# %% exercise ID'."
        )
    for place, cell in enumerate(cells):
        if cell.kind != "exercise":
            continue
        following = [each for each in cells[place + 1 :] if each.kind == "code"]
        checks = CHECK.findall(following[0].text) if following else []
        wanted = (cell.exercise, exercises[cell.exercise].function)
        if wanted not in checks:
            raise ValueError(
                f'{name}:{cell.line} is exercise {cell.exercise}; the code cell below it holds check("{wanted[0]}", '
                f"{wanted[1]}). Add it."
            )


def _bound(cell: Cell, name: str) -> set[str]:
    python = "\n".join("pass" if line.startswith(("%", "!")) else line for line in cell.text.splitlines())
    try:
        return bound(python)
    except SyntaxError as problem:
        raise ValueError(
            f"{name}:{cell.line + (problem.lineno or 0)} is not Python: {problem.msg}. Mend the cell."
        ) from None


def _name_cells(built: list[Any], cells: Sequence[Cell]) -> None:
    """Name each cell by its exercise, or by its text, so that a change of one renames no other."""
    names = iter(cell.exercise for cell in cells if cell.kind == "exercise")
    seen: dict[str, int] = {}
    for cell in built:
        if cell.source.startswith("# exercise "):
            cell.id = f"exercise-{next(names).replace('.', '-')}"
            continue
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
