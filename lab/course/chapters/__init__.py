"""The chapters of the course: one module of exercises a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module

from lab.course.exercise import Exercise


@dataclass(frozen=True)
class Chapter:
    """A notebook of the course.

    Args:
        number: Its place; the first part of its exercises' names.
        notebook: Name of its files, without an ending.
        module: Name of the module in `lab.course.chapters` that holds its exercises; "" for none.
    """

    number: int
    notebook: str
    module: str = ""


CHAPTERS = (
    Chapter(0, "00_tour"),
    Chapter(1, "01_the_optimum", "optimum"),
    Chapter(2, "02_reward_models", "reward_models"),
    Chapter(3, "03_dpo", "dpo"),
    Chapter(4, "04_three_properties", "three_properties"),
    Chapter(5, "05_scenarios", "scenarios"),
    Chapter(6, "06_losses_and_fixes", "losses"),
    Chapter(7, "07_rlhf_beside_dpo", "rlhf"),
)


@cache
def exercises() -> dict[str, Exercise]:
    """Collect the exercises of all chapters.

    Returns:
        Each exercise by its name, in order.

    Raises:
        ValueError: Two exercises share a name, or one stands in another chapter than its number says.
    """
    found: dict[str, Exercise] = {}
    for chapter in CHAPTERS:
        if not chapter.module:
            continue
        for exercise in import_module(f"{__name__}.{chapter.module}").EXERCISES:
            if exercise.chapter != chapter.number or exercise.id in found:
                raise ValueError(
                    f"Exercise {exercise.id} stands in lab/course/chapters/{chapter.module}.py, whose exercises are "
                    f"{chapter.number}.1, {chapter.number}.2, ..., each once. Number it anew."
                )
            found[exercise.id] = exercise
    return dict(sorted(found.items()))
