"""The cells of a sweep that are run one after the other: where their records lie, and how they become one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab import trajectory
from lab.experiments.experiment import Experiment
from lab.experiments.vocabulary import Value
from lab.space import MEMORY, Place, RecordOnDisk, choose_place


def place_cells(experiment: Experiment, memory: float | None, scratch: str | os.PathLike[str] | None) -> Place:
    """Choose where the records of all cells lie, with that which they are joined to.

    Args:
        experiment: the sweep.
        memory: bytes of memory that they may take; None means half of what is free.
        scratch: folder of files; None means the cache folder.

    Raises:
        ValueError: if neither memory nor disk holds them.
    """
    from lab.experiments.sizes import record_size  # which builds what it measures as a run does

    size = record_size(experiment)
    what = f"the record of the sweep, with its cells' ({size.runs} runs, {size.states} recorded states),"
    cure = "record fewer steps, run fewer seeds, or run the cells one by one"
    needed = 2 * size.bytes + size.computed
    return choose_place(needed, what=what, cure=cure, memory=memory, scratch=scratch)


@contextmanager
def told_once(place: Place) -> Iterator[None]:
    """Let the cells of a sweep that lies in files, as was said of all, not say it each."""
    if place is MEMORY:
        yield
        return
    with warnings.catch_warnings(action="ignore", category=RecordOnDisk):
        yield


def join(records: dict[tuple[Value, ...], Any], looped: list[tuple[str, tuple[Value, ...]]], place: Place) -> Any:
    """Join the cells' records along one looped axis after the other, the innermost first."""
    while looped:
        name, values = looped.pop()
        outer = dict.fromkeys(key[:-1] for key in records)
        records = {
            key: trajectory.combine([records[(*key, v)] for v in values], name, list(values), place=place)
            for key in outer
        }
    return records[()]


def share(progress: Callable[[float], None] | None, index: int, cells: int) -> Callable[[float], None] | None:
    """Return what is called with the finished share of a cell, given what is called with that of all."""
    return None if progress is None else lambda done: progress((index + done) / cells)
