"""Collect submissions from a folder: a notebook, or a folder of notebooks, for each student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat

from lab.course.chapters import CHAPTERS

MOST_BYTES = 20_000_000  # of a notebook; larger ones hold outputs that nobody needs here


@dataclass(frozen=True)
class Submission:
    """What a student handed in.

    Args:
        student: Name of the notebook, or of the folder.
        notebooks: The code of every cell, in order, of each notebook.
        remarks: What could not be read.
    """

    student: str
    notebooks: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


def collect(folder: Path) -> list[Submission]:
    """Read every submission in a folder.

    Args:
        folder: It holds NAME.ipynb, or 01_NAME.ipynb and so on, or NAME/*.ipynb; hidden files are left out.

    Returns:
        One submission a student, sorted by name; what cannot be read is a remark of its own student.

    Raises:
        FileNotFoundError: There is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Name the folder that holds the submissions.")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    students: dict[str, list[Path]] = {}
    for entry in entries:
        inside = sorted(entry.rglob("*.ipynb")) if entry.is_dir() else [entry]
        files = [path for path in inside if ".ipynb_checkpoints" not in path.parts]
        name = (entry.name if entry.is_dir() else _student(entry.stem)).encode("utf-8", "replace").decode()
        students.setdefault(name, []).extend(files)
    if not students:
        raise FileNotFoundError(
            f"The folder {folder} is empty. Put NAME.ipynb, 01_NAME.ipynb or a folder NAME with notebooks there for "
            "each student."
        )
    return [_read(student, files) for student, files in sorted(students.items())]


def _student(stem: str) -> str:
    """Read the student's name off that of a file: ada, 03_ada and 03_dpo_ada are ada's."""
    for chapter in CHAPTERS:
        for start in (chapter.notebook, chapter.notebook[:2]):
            if stem == chapter.notebook:
                return stem
            if stem.startswith((f"{start}_", f"{start}-")):
                return stem[len(start) + 1 :] or stem
    return stem


def _read(student: str, files: list[Path]) -> Submission:
    notebooks: list[tuple[str, ...]] = []
    remarks: list[str] = []
    if not files:
        remarks.append("The folder holds no notebook.")
    for file in files:
        try:
            notebooks.append(_code(file))
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as problem:
            remarks.append(f"{file.name} cannot be read as a notebook: {str(problem)[:160] or type(problem).__name__}.")
    return Submission(student, tuple(notebooks), tuple(remarks))


def _code(file: Path) -> tuple[str, ...]:
    if file.suffix != ".ipynb":
        raise ValueError("its name does not end in .ipynb; hand in the notebook itself")
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}; clear its outputs")
    notebook = nbformat.reads(file.read_text(encoding="utf-8"), as_version=4)
    code = tuple(cell.source for cell in notebook.cells if cell.cell_type == "code")
    if not all(isinstance(source, str) for source in code):
        raise ValueError("a cell holds no text")
    return code
