"""Experiments as one readable line: the line and its grammar (`Experiment`, `own`), and what runs it (`run`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.experiments.experiment import Experiment
from lab.experiments.tables import own, read_pairs, read_start

if TYPE_CHECKING:
    from lab.experiments.running import run

__all__ = ["Experiment", "own", "read_pairs", "read_start", "run"]


def __getattr__(name: str) -> object:
    """Import `run`, which needs torch, on first use."""
    if name == "run":
        from lab.experiments.running import run

        return run
    raise AttributeError(f"lab.experiments has no {name!r}. It has: {', '.join(__all__)}.")
