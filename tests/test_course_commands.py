"""The course's commands, from a shell's side: what they print, write and end with."""

from __future__ import annotations

import csv
import shutil

import nbformat
import pytest
from click.testing import CliRunner

from lab.course.chapters import CHAPTERS, exercises
from lab.course.choosing import chosen
from lab.course.commands import HERE, main

NOTEBOOKS = HERE / "notebooks"
EMPTY = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("only", "found"),
    [("1", [1]), ("01-03", [1, 2, 3]), ("7, 0,2-3", [0, 2, 3, 7]), (None, [chapter.number for chapter in CHAPTERS])],
)
def test_notebooks_are_chosen_by_number_and_range(only, found):
    assert [chapter.number for chapter in chosen(only)] == found


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("one", r"given as 'one'; allowed are numbers and ranges\. Write 01-05"),
        ("3-1", r"has '3-1'; there are 00 to 07\. Choose among them, the lower number first\."),
        ("1,12", r"has '12'; there are 00 to 07"),
        ("", r"given as ''; allowed are numbers"),
    ],
)
def test_other_choices_are_an_error_that_says_how(only, message):
    with pytest.raises(ValueError, match=message):
        chosen(only)
    done = call("list", "--only", only)
    assert done.exit_code == 2 and "Error: The notebooks are given as" in done.output


def test_list_shows_each_exercise_and_the_sums():
    done = call("list", "--only", "3")
    own = [exercise for exercise in exercises().values() if exercise.chapter == 3]
    assert done.exit_code == 0 and all(f" {exercise.id} " in done.output for exercise in own)
    minutes, points = sum(each.minutes for each in own), sum(each.points for each in own)
    assert f"{len(own)} exercises, {minutes} minutes, {points} points" in done.output


def test_build_writes_notebooks_for_students_and_with_solutions(tmp_path):
    for kind, absent in (("student", "### BEGIN SOLUTION"), ("solution", "NotImplementedError")):
        done = call("build", f"--{kind}", "--only", "1", "--out", tmp_path / kind)
        assert done.exit_code == 0, done.output
        text = (tmp_path / kind / "01_the_optimum.ipynb").read_text(encoding="utf-8")
        assert absent not in text and "hide_hints" not in text
    done = call("build", "--hide-hints", "--only", "1", "--out", tmp_path)
    assert done.exit_code == 0 and "hide_hints()" in (tmp_path / "01_the_optimum.ipynb").read_text(encoding="utf-8")


def test_build_slides_with_the_committed_outputs(tmp_path):
    done = call("build", "--slides", "--only", "1", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "01_the_optimum.html").read_text(encoding="utf-8")
    assert page.count("<section") > 10 and "<math" in page and "data:image/png" in page


def test_build_of_a_folder_without_sources_says_so(tmp_path):
    done = call("build", "--only", "1", "--notebooks", tmp_path)
    assert done.exit_code == 2 and "01_the_optimum.py. Run this in the project's folder" in done.output


def test_build_refuses_a_picture_without_words(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "00_tour.py").write_text("# %% [markdown]\n# ![](a.png)\n", encoding="utf-8")
    done = call("build", "--only", "0", "--notebooks", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 1 and "00_tour is not fit to be handed out: cell 1 shows an image" in done.output
    assert not (tmp_path / "out").exists()


def test_verify_sees_a_notebook_that_is_not_what_its_source_builds(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "00_tour.py").write_text("# %% [markdown]\n# One.\n# %%\nprint(1)\n", encoding="utf-8")
    arguments = ("--only", "0", "--notebooks", tmp_path)
    done = call("verify", *arguments)
    assert done.exit_code == 1 and "✗ 00_tour: it is not built; run make notebooks" in done.output
    assert call("build", *arguments, "--out", tmp_path).exit_code == 0
    assert "it was not executed" in call("verify", *arguments).output
    path = tmp_path / "00_tour.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 1
    nbformat.write(notebook, path)
    assert call("verify", *arguments).exit_code == 0
    notebook.cells[0].source = "Two."
    nbformat.write(notebook, path)
    done = call("verify", *arguments)
    assert done.exit_code == 1 and "-# One. | +# Two." in done.output and "1 of these does not hold" in done.output


def test_diff_shows_what_a_student_changed(tmp_path):
    handed = tmp_path / "01_ada.ipynb"
    shutil.copy(NOTEBOOKS / "01_the_optimum.ipynb", handed)
    assert call("build", "--only", "1", "--out", tmp_path).exit_code == 0
    shutil.copy(tmp_path / "01_the_optimum.ipynb", handed)
    assert call("diff", handed).output == "Nothing changed.\n"
    notebook = nbformat.read(handed, as_version=4)
    notebook.cells[-1].source = "print('my own')"
    nbformat.write(notebook, handed)
    assert "+print('my own')" in call("diff", handed).output


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "99_ada.ipynb",
            EMPTY,
            "is none of the course's",
        ),
        ("01_ada.ipynb", "{", "cannot be read as a notebook"),
        ("01_none.ipynb", None, "cannot be read as a notebook"),
    ],
)
def test_diff_of_something_else_says_what_it_needs(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = call("diff", tmp_path / name)
    assert done.exit_code == 2 and message in done.output


def test_grade_writes_a_row_for_each_student(tmp_path):
    handed = tmp_path / "handed"
    handed.mkdir()
    assert call("build", "--only", "1", "--out", handed / "ada").exit_code == 0
    (handed / "bob.ipynb").write_text("{", encoding="utf-8")
    done = call("grade", handed, "--only", "1", "--out", tmp_path / "marks.csv")
    assert done.exit_code == 0, done.output
    assert "ada: 0 of " in done.output and "bob.ipynb cannot be read as a notebook" in done.output
    with (tmp_path / "marks.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["student", "ada", "bob"] and {row[-2] for row in rows[1:]} == {"0"}
    assert "it is not written." in (tmp_path / "marks-reasons" / "ada.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("nowhere",), "There is no folder nowhere"), ((".", "--seconds", "0"), "The limits are 0.0 s")],
)
def test_grade_of_nothing_or_in_no_time_is_an_error(arguments, message):
    done = call("grade", *arguments)
    assert done.exit_code == 2 and message in done.output
