"""Grading: the right marks for planted answers, and a row with a reason for whatever else is handed in."""

from __future__ import annotations

import csv
import json
import os
import time
from dataclasses import replace

import nbformat
import numpy as np
import pytest

from lab.course import Exercise, Wrong
from lab.course.building import build
from lab.course.chapters import CHAPTERS, exercises
from lab.course.commands import HERE
from lab.course.exercise import Mistake
from lab.course.grading.collecting import Submission, collect
from lab.course.grading.finding import REFERENCE, marked, program
from lab.course.grading.limits import TOKEN, Limits
from lab.course.grading.marking import grade
from lab.course.grading.writing import write_marks


def double(numbers: np.ndarray) -> np.ndarray:
    """Return twice the numbers."""
    return 2 * numbers


DOUBLE = Exercise(
    id="9.1",
    title="Twice",
    minutes=1,
    difficulty=1,
    points=3,
    goal="multiply",
    solution=double,
    cases=lambda generator: [(generator.normal(size=3),), (generator.normal(size=2),)],
    wrong=(
        Wrong(lambda numbers: numbers, "That is once."),
        Wrong(lambda numbers: numbers**2, "That is the square."),
        Wrong(lambda numbers: -2 * numbers, "The sign is wrong."),
    ),
    hints=("Think.", "Multiply.", "By two."),
)
RIGHT = "# exercise 9.1\ndef double(numbers):\n    return 2 * numbers"
QUICK = Limits(seconds=30.0)


def mark_of(*cells, limits=QUICK):
    (report,) = grade([Submission("ada", (cells,))], [DOUBLE], limits)
    (mark,) = report.marks
    assert mark.points == (0 if mark.reason else 3)
    return mark


def test_a_right_answer_earns_its_points_and_a_wrong_one_its_reason():
    assert mark_of(RIGHT).points == 3
    assert mark_of(RIGHT.replace("2 *", "1 *")).reason == "That is once."
    assert mark_of(RIGHT.replace("return 2 * numbers", 'raise NotImplementedError("exercise 9.1")')).reason == (
        "it is not written."
    )


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("# exercise 4.2 · 10 min · ●●○○○ · Title\ndef f(): ...", "4.2"),
        ("\n# my notes\n# Exercise 4.2\nf = 1", "4.2"),
        ("%%time\n## exercise 4.2", "4.2"),
        ("f = 1\n# exercise 4.2", None),
        ("# no exercise 4.2", None),
        ("", None),
    ],
)
def test_an_exercise_is_found_by_the_comment_at_the_top_of_its_cell(cell, found):
    assert marked(cell) == found


def test_what_an_answer_needs_of_other_cells_is_found_by_name():
    cells = (
        "from math import nan\nslow = open('/nowhere')",
        "%matplotlib inline\nimport numpy as np\nFACTORS = {}\nFACTORS['one'] = 1",
        "def factor():\n    return sum(FACTORS[name] + np.float64(0) for name in FACTORS)",
        "def unused():\n    return 1 / 0\nprint(undefined)",
        "# exercise 9.1\nprint(double)\ndef double(numbers):\n    return factor() * numbers * TWO\nassert False",
        "double(1)",
        "FACTORS['one'] = 7",
        "TWO = 2",
    )
    found = program(DOUBLE, [cells])
    assert [statement.splitlines()[0] for statement in found.statements] == [
        "import numpy as np", "FACTORS = {}", "FACTORS['one'] = 1", "def factor():",
        "def double(numbers):", "TWO = 2",
    ]  # fmt: skip
    assert mark_of(*cells).points == 3


@pytest.mark.parametrize(
    ("cells", "remarks"),
    [
        ((RIGHT.replace("2 *", "3 *"), RIGHT), ("handed in 2 times; the last one counts",)),
        ((RIGHT, "def double(numbers):\n    return 0"), ()),
        (("def double(numbers):\n    return 0", RIGHT), ()),
        (("this is no python", "%%bash\nrm x", RIGHT), ()),
        (
            (RIGHT.removeprefix("# exercise 9.1\n"),),
            ("found by the name double: the first line of its cell, '# exercise 9.1', is gone",),
        ),
        ((RIGHT.replace("double", "twice"),), ("the function is called twice, not double",)),
        (("# exercise 9.1\ndouble = lambda numbers: 2 * numbers",), ()),
        (("# exercise 9.1\nfrom numpy import *\ndef double(n):\n    return add(n, n)",), ()),
        ((RIGHT.replace("return", "print('x' * 10**6)\n    return"),), ()),
        (("n = 1 / 0\n" * 3, RIGHT), ()),
        ((RIGHT.replace("2 *", "two *"), "two = np.float64(2)", "import numpy as np"), ()),
    ],
)
def test_reordered_repeated_and_broken_cells_are_tolerated(cells, remarks):
    mark = mark_of(*cells)
    assert mark.points == 3 and mark.remarks == remarks


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ((), "it was not handed in: no cell begins with '# exercise 9.1', and none defines double."),
        (("double = {}", "# exercise 9.2\ndef double(n):\n    return 2 * n"), "it was not handed in: "),
        (("# exercise 9.1\n%time\ndef double(n)\n    return n",), "its cell is not Python: line 3: expected ':'."),
        (("# exercise 9.1\nx = 1",), "its cell defines no function double."),
        (("# exercise 9.1\ndouble = 3",), "raises NameError: there is no function double."),
        (("from lab.course import reference", "# exercise 9.1\ndouble = reference('9.1')"), REFERENCE),
        (("# exercise 9.1\nfrom lab.course.chapters.dpo import EXERCISES\ndouble = EXERCISES[0].solution",), REFERENCE),
        (("# exercise 9.1\nimport lab.course as c\nask = c.reference\ndouble = ask('3.1')",), "the reference is not "),
        (("# exercise 9.1\nimport importlib\ndouble = importlib.import_module('lab.course.chapters.dpo')",), "raises "),
        ((RIGHT.replace("return", "numbers += 1\n    return"),), "is not right."),
        ((RIGHT.replace("return 2 * numbers", "numbers *= 2\n    return numbers"),), "it changes its argument"),
        (("helper = 1 / 0", RIGHT.replace("2 *", "helper *")), "Before it, the line 'helper = 1 / 0' raises ZeroDiv"),
        (
            ("# exercise 9.2\ndef two(): raise NotImplementedError('exercise 9.2')", RIGHT.replace("2 *", "two() *")),
            "it calls the answer to exercise 9.2, which is not written.",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_answer_is_said(cells, reason):
    assert reason in mark_of(*cells).reason


def answer(body, before=""):
    return f"# exercise 9.1\n{before}\ndef double(numbers):\n" + "\n".join(f"    {line}" for line in body.splitlines())


FORKS = """import os, time
for place in range(20):
    if os.fork() == 0:
        os.setsid() if place % 2 else None
        time.sleep(60)
        os._exit(0)
return 2 * numbers"""


@pytest.mark.parametrize(
    ("cell", "limits", "reason"),
    [
        (answer("while True: pass"), Limits(seconds=1), "takes more than 1 s"),
        (answer("import time\ntime.sleep(60)"), Limits(seconds=1), "takes more than 1 s"),
        (answer("return [bytearray(10**8) for _ in range(200)]"), Limits(megabytes=512), "MemoryError"),
        (answer("return list(range(10**6))"), Limits(file_megabytes=4), "gives more than can be read"),
        (answer("import sys\nsys.exit(0)"), QUICK, "raises SystemExit: 0."),
        (answer("import os\nos._exit(0)"), QUICK, "leaves no result"),
        (answer("import os\nos._exit(5)"), QUICK, "ends its process with exit code 5"),
        (answer("import os\nos.abort()"), QUICK, "is stopped by SIGABRT"),
        (answer("raise KeyboardInterrupt"), QUICK, "is stopped by SIGINT"),
        (answer("return double(numbers)"), QUICK, "RecursionError"),
        (answer("return open('job.json').read()"), QUICK, "gives the text"),
        (answer("open('result.json', 'w').write('[]')\nimport os\nos._exit(0)"), QUICK, "its result cannot be read"),
        (answer("open('result.json', 'w').write('{')\nimport os\nos._exit(0)"), QUICK, "its result cannot be read"),
        (answer("return float('1e400') - float('1e400')"), QUICK, "gives NaN"),
        (answer("return 10**400"), QUICK, "a whole number above"),
    ],
    ids=lambda value: "" if isinstance(value, Limits) else None,
)
def test_whatever_an_answer_does_ends_as_a_reason(cell, limits, reason):
    started = time.monotonic()
    assert reason in mark_of(cell, limits=limits).reason
    assert time.monotonic() - started < limits.seconds + 20


def carriers():
    """Count the processes that still carry the mark of a grading."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                count += f"{TOKEN}=".encode() in file.read()
        except OSError:
            continue
    return count


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="without /proc only the process group is killed")
def test_processes_that_an_answer_starts_are_gone_afterwards():
    assert mark_of(answer(FORKS)).points == 3
    assert carriers() == 0


def test_an_answer_sees_no_secret_of_the_environment_and_works_in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("A_SECRET", "token")
    seen = tmp_path / "seen.json"
    cell = answer(
        f"import json, os\njson.dump([dict(os.environ), os.getcwd()], open({str(seen)!r}, 'w'))\nreturn 2 * numbers"
    )
    assert mark_of(cell).points == 3
    environment, folder = json.loads(seen.read_text())
    assert "A_SECRET" not in environment and environment["HOME"] == folder
    assert not os.path.exists(folder)


def test_one_broken_exercise_does_not_take_the_others_down():
    second = replace(DOUBLE, id="9.2")
    cells = (answer("while True: pass"), RIGHT.replace("9.1", "9.2"))
    (report,) = grade([Submission("ada", (cells,))], [DOUBLE, second], Limits(seconds=3), jobs=2)
    assert [mark.points for mark in report.marks] == [0, 3] and report.total == 3


def test_marks_are_given_for_other_cases_than_a_notebook_shows():
    table = {repr(case[0].tolist()): double(*case).tolist() for case in DOUBLE.drawn()}
    cell = answer(f"return {table!r}.get(repr(numbers.tolist()), 0.0)")
    assert mark_of(cell).points == 0


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_submissions_are_notebooks_or_folders_of_them(tmp_path):
    nbformat.write(notebook("a = 1"), tmp_path / "ada.ipynb")
    (tmp_path / "bob" / "deep").mkdir(parents=True)
    nbformat.write(notebook("b = 1"), tmp_path / "bob" / "1.ipynb")
    nbformat.write(notebook("b = 2"), tmp_path / "bob" / "deep" / "2.ipynb")
    (tmp_path / "cy").mkdir()
    (tmp_path / "dan.ipynb").write_text('{"cells": [')
    (tmp_path / "eve.ipynb").write_bytes(b"\x89PNG\xff\xfe")
    (tmp_path / "fay.txt").write_text("my answers")
    (tmp_path / "gus.ipynb").write_text('{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}')
    (tmp_path / "hal.ipynb").mkdir()
    (tmp_path / "ivy.ipynb").symlink_to(tmp_path / "nowhere.ipynb")
    found = {submission.student: submission for submission in collect(tmp_path)}
    assert list(found) == ["ada", "bob", "cy", "dan", "eve", "fay", "gus", "hal.ipynb", "ivy"]
    assert found["ada"] == Submission("ada", (("a = 1",),)) and found["bob"].notebooks == (("b = 1",), ("b = 2",))
    assert found["cy"].remarks == ("The folder holds no notebook.",)
    for name in ("dan", "eve", "fay", "gus", "ivy"):
        (remark,) = found[name].remarks
        assert " cannot be read as a notebook: " in remark and remark.endswith("."), remark


def test_the_number_of_a_notebook_in_a_file_name_is_no_part_of_the_students(tmp_path):
    for place, name in enumerate(("01_ada", "03-ada", "04_three_properties_ada", "ada", "03_dpo", "1st", "05_")):
        nbformat.write(notebook(f"a = {place}"), tmp_path / f"{name}.ipynb")
    (tmp_path / "bob").mkdir()
    for name in ("bob/02_reward_models", "07_bob"):
        nbformat.write(notebook("b = 1"), tmp_path / f"{name}.ipynb")
    found = {submission.student: len(submission.notebooks) for submission in collect(tmp_path)}
    assert found == {"ada": 4, "bob": 2, "03_dpo": 1, "1st": 1, "05_": 1}


@pytest.mark.parametrize(
    ("make", "message"), [(False, "There is no folder"), (True, "is empty. Put NAME.ipynb, 01_NAME")]
)
def test_a_folder_without_submissions_is_an_error(tmp_path, make, message):
    if make:
        (tmp_path / "in").mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        collect(tmp_path / "in")


@pytest.mark.filterwarnings("ignore::nbformat.warnings.MissingIDFieldWarning")
def test_three_planted_submissions_get_exactly_their_marks(tmp_path):
    chapter = CHAPTERS[1]
    own = [exercise for exercise in exercises().values() if exercise.chapter == chapter.number]
    (perfect,) = build(HERE / "notebooks", (chapter,), solutions=True)
    (empty,) = build(HERE / "notebooks", (chapter,))
    half, wrong = json.loads(nbformat.writes(empty.notebook)), json.loads(nbformat.writes(perfect.notebook))
    solved = {marked(cell.source): cell.source for cell in perfect.notebook.cells if marked(cell.source)}
    for place, exercise in enumerate(own):
        for cell in half["cells"]:
            if marked("".join(cell["source"])) == exercise.id and place % 2 == 0:
                cell["source"] = solved[exercise.id]
        for cell in wrong["cells"]:
            if marked("".join(cell["source"])) == exercise.id:
                cell["source"] = "".join(cell["source"]) + f"\n\n{exercise.function} = lambda *case: 0.0 * case[0]"
    for cell in wrong["cells"]:
        cell["metadata"] = {}
        del cell["id"]
    handed = tmp_path / "handed"
    handed.mkdir()
    nbformat.write(perfect.notebook, handed / "perfect.ipynb")
    (handed / "half.ipynb").write_text(json.dumps(half))
    (handed / "wrong.ipynb").write_text(json.dumps(wrong))
    reports = {report.student: report for report in grade(collect(handed), own, Limits(), jobs=2)}
    points = [exercise.points for exercise in own]
    assert [mark.points for mark in reports["perfect"].marks] == points
    assert [mark.points for mark in reports["half"].marks] == [
        each if place % 2 == 0 else 0 for place, each in enumerate(points)
    ]
    assert [mark.points for mark in reports["wrong"].marks] == [0] * len(own)
    assert {mark.reason for mark in reports["half"].marks} == {"", "it is not written."}
    assert all(mark.reason for mark in reports["wrong"].marks)


def test_marks_are_written_as_a_table_and_a_text_for_each_student(tmp_path):
    cells = (RIGHT.replace("2 *", "1 *"),)
    handed = [Submission("ada", ((RIGHT,),)), Submission("=b/b", (cells,), ("A remark.",)), Submission("=b b", ())]
    reports = list(grade(handed, [DOUBLE], QUICK))
    folder = write_marks(reports, [DOUBLE], tmp_path / "new" / "marks.csv")
    with (tmp_path / "new" / "marks.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["student", "9.1", "total", "remarks"],
        ["ada", "3", "3", ""],
        ["'=b/b", "0", "0", "A remark."],
        ["'=b b", "0", "0", ""],
    ]
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert texts["ada.txt"].startswith("ada: 3 of 3 points\n\n✓ 9.1 Twice: 3 of 3\n")
    assert "✗ 9.1 Twice: 0 of 3\n    That is once.\n" in texts["_b_b.txt"] and "A remark." in texts["_b_b.txt"]
    assert len(texts) == 3


def test_limits_that_leave_python_no_room_are_an_error():
    with pytest.raises(ValueError, match=r"The limits are 0\.5 s, 2048 MB and files of 16 MB; allowed are at"):
        Limits(seconds=0.5)


def test_an_answer_that_cannot_be_found_is_a_mistake_before_anything_runs():
    with pytest.raises(Mistake, match=r"no cell begins with '# exercise 9\.1'"):
        program(DOUBLE, [("x = 1",)])


def test_a_name_is_looked_up_in_the_notebook_of_the_answer():
    first, second = ("FACTOR = 2", RIGHT.replace("2 *", "FACTOR *")), ("FACTOR = 3",)
    for notebooks in ((first, second), (second, first)):
        (report,) = grade([Submission("ada", notebooks)], [DOUBLE], QUICK)
        assert report.total == 3
    (report,) = grade([Submission("ada", (first, (RIGHT.replace("2 *", "1 *"),)))], [DOUBLE], QUICK)
    assert report.marks[0].reason == "That is once."
    assert report.marks[0].remarks == ("handed in 2 times; the last one counts",)
