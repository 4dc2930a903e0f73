"""Whether a record fits into this machine's memory, asked before anything is computed."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from lab.cli.errors import Mistake

if TYPE_CHECKING:
    from lab.experiments.experiment import Experiment


def check_memory(experiment: Experiment, *, memory: int | None = None) -> None:
    """Refuse a line whose log-probabilities alone exceed the memory: it would train for long and then be killed.

    A lower bound of the record: runs x recorded steps x prompts x responses numbers.

    Args:
        experiment: What is to be run.
        memory: Bytes there are; None asks the system, and lets every line pass where that says nothing.

    Raises:
        Mistake: The record cannot fit.
    """
    memory = _installed() if memory is None else memory
    runs = experiment.value("seeds") * math.prod(len(values) for values in experiment.axes.values())
    steps = experiment.updates // experiment.value("every") + 1
    size = 4 if "float32" in experiment.dtype else 8
    needed = runs * steps * experiment.value("prompts") * experiment.value("responses") * size
    if memory and needed > memory:
        raise Mistake(
            f"The record of this line takes at least {_gigabytes(needed)} of memory ({runs} runs of {steps} recorded "
            f"steps), and this machine has {_gigabytes(memory)}. Lower seeds or steps, or raise every."
        )


def _installed() -> int:
    """Ask for the bytes of memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size < 10**15 else "a million GB"
