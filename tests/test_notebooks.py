"""Notebooks run top to bottom, keep their outputs small, and were committed as their sources build them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lab.course.building import build
from lab.course.building.inspecting import complaints, traces
from lab.course.chapters import CHAPTERS, exercises
from lab.course.verifying import as_text, meant

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LESSONS = [chapter for chapter in CHAPTERS if chapter.module]
MOST_SECONDS = 60
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.notebook)
every_lesson = pytest.mark.parametrize("chapter", LESSONS, ids=lambda chapter: chapter.notebook)


def source_of(chapter):
    return (FOLDER / "src" / f"{chapter.notebook}.py").read_text(encoding="utf-8")


def committed(chapter):
    return nbformat.read(FOLDER / f"{chapter.notebook}.ipynb", as_version=4)


def own(chapter):
    return [exercise for exercise in exercises().values() if exercise.chapter == chapter.number]


def place(notebook, pattern):
    """Number of the first cell that holds a pattern."""
    found = [number for number, cell in enumerate(notebook.cells) if re.search(pattern, cell.source, re.M)]
    assert found, f"no cell holds {pattern}"
    return found[0]


def test_every_notebook_is_a_chapter_and_every_chapter_a_notebook():
    assert [path.stem for path in NOTEBOOKS] == [chapter.notebook for chapter in CHAPTERS]


@every_notebook
# Jupyter's own client warns about its event loop and its ports; that is not ours to mend.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_a_notebook_runs_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    failed = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    assert not failed


@every_notebook
def test_a_committed_notebook_was_executed_in_order_and_is_fit_to_be_read(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), f"run {path.name} and save it"
    assert not list(complaints(notebook))


@every_chapter
def test_a_committed_notebook_is_what_its_source_builds(chapter):
    (release,) = build(FOLDER, (chapter,))
    found = committed(chapter)
    assert as_text(found) == as_text(release.notebook), f"run make notebooks ARGS='--only {chapter.number}'"
    assert [cell.id for cell in found.cells] == [cell.id for cell in release.notebook.cells]


@every_lesson
def test_a_committed_notebook_gives_no_solution_away(chapter):
    text = "\n".join(cell.source for cell in committed(chapter).cells)
    assert not list(traces(text, own(chapter), meant(source_of(chapter))))
    (solved,) = build(FOLDER, (chapter,), solutions=True)
    whole = "\n".join(cell.source for cell in solved.notebook.cells)
    assert len(list(traces(whole, own(chapter), meant(source_of(chapter))))) > len(own(chapter))


@every_lesson
def test_a_lesson_has_the_parts_that_students_expect_in_their_order(chapter):
    notebook = committed(chapter)
    first = " ".join(notebook.cells[0].source.split())
    assert re.match(rf"# {chapter.number:02} · .+ minutes .+ run time", first), first[:200]
    order = [
        r"^#+ Predict",
        r"lab\.show\(",
        r"^# exercise ",
        r"^#+ What this says about a real run",
        r"^#+ Five questions",
        r"stamp\(\)",
    ]
    places = [place(notebook, pattern) for pattern in order]
    assert places == sorted(places), dict(zip(order, places, strict=True))
    assert places[-1] == len(notebook.cells) - 1
    # A picture stands before the explorer, for readers who do not run the notebook.
    assert places[1] < place(notebook, r"^lab\.explore\(")
    answers = "\n".join(cell.source for cell in notebook.cells[places[-2] :])
    assert answers.count("<details>") == answers.count("</details>") == 5


@every_lesson
def test_a_lesson_says_which_goals_its_exercises_cover(chapter):
    goals = " ".join(" ".join(cell.source.split()) for cell in committed(chapter).cells if cell.cell_type == "markdown")
    assert not [exercise.id for exercise in own(chapter) if exercise.goal not in goals]


@every_lesson
def test_a_lesson_was_run_in_a_minute(chapter):
    stamp = committed(chapter).cells[-1].outputs[0].text
    assert int(re.search(r"Run time: (\d+) s", stamp)[1]) < MOST_SECONDS


@every_chapter
def test_a_source_names_no_functions_of_its_own(chapter):
    for cell in committed(chapter).cells:
        if cell.cell_type == "code" and not cell.source.startswith("# exercise "):
            python = "\n".join("" if line.startswith(("%", "!")) else line for line in cell.source.splitlines())
            named = [
                node
                for node in ast.walk(ast.parse(python))
                if isinstance(node, ast.Assign | ast.NamedExpr) and isinstance(node.value, ast.Lambda)
            ]
            assert not named, cell.source
