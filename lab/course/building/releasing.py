"""Build the notebooks of the course into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from lab.course.building.assembling import assemble
from lab.course.building.percent import read_source
from lab.course.chapters import Chapter, exercises


@dataclass(frozen=True)
class Release:
    """A notebook as built.

    Args:
        chapter: Its place in the course.
        notebook: The notebook, without outputs.
    """

    chapter: Chapter
    notebook: Any


def build(
    folder: Path, chapters: tuple[Chapter, ...], *, solutions: bool = False, hide_hints: bool = False
) -> Iterator[Release]:
    """Build notebooks from their sources.

    Args:
        folder: Where `src` with the sources stands.
        chapters: Which notebooks.
        solutions: Whether exercises are solved.
        hide_hints: Whether hints and solutions are refused in them.

    Yields:
        One notebook a chapter.

    Raises:
        FileNotFoundError: A source is missing.
        ValueError: A source cannot be built; says where and why.
    """
    known = exercises()
    for chapter in chapters:
        source = folder / "src" / f"{chapter.notebook}.py"
        if not source.is_file():
            raise FileNotFoundError(
                f"There is no {source}. Run this in the project's folder, or name the folder of the notebooks by "
                "--notebooks."
            )
        own = {id: exercise for id, exercise in known.items() if exercise.chapter == chapter.number}
        cells = read_source(source.read_text(encoding="utf-8"), source.name)
        yield Release(chapter, assemble(source.name, cells, own, solutions=solutions, hide_hints=hide_hints))


def write(notebook: Any, path: Path) -> None:
    """Write a notebook, whole or not at all.

    Args:
        notebook: The notebook.
        path: Its file; its folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    os.replace(fresh, path)
