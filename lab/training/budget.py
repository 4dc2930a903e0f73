"""How much a record takes, known before anything is computed, and where it then lies."""

from __future__ import annotations

import math
import os

from lab.policies import Policy
from lab.problems import Problem
from lab.space import SHARE, Place, choose_place, free_memory, gigabytes
from lab.training.recording import Record
from lab.training.tape import shapes


def record_bytes(
    problem: Problem, policy: Policy, record: Record, steps: int, *, loop: str = "states", size: int = 8
) -> int:
    """Return the bytes of the record of a training.

    Of a table that is trained by "margins" these are what its log-probabilities are computed from; all of them, looked
    at whole, take runs * states * prompts * responses numbers more.

    Args:
        problem: gives runs, pairs and sizes.
        policy: gives the number of parameters.
        record: what is kept, and how often.
        steps: updates of all stages.
        loop: the loop that trains, of `lab.training.planning`.
        size: bytes of a number.
    """
    numbers = sum(math.prod(shape) for shape in shapes(problem, policy, record, loop).values())
    return problem.runs * record.states(steps) * numbers * size


def place_record(
    needed: int,
    states: int,
    steps: int,
    runs: int,
    *,
    memory: float | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> Place:
    """Choose where a record lies: in memory, or in files where it takes more memory than it may.

    Args:
        needed: bytes of the record.
        states: recorded states.
        steps: updates.
        runs: number of runs.
        memory: bytes that it may take; None means half of what is free, and no limit where the system does not say.
        scratch: folder of the files; None means the cache folder.

    Raises:
        ValueError: if the disk does not hold it either: it says how large the record would be, and which stride of
            recorded states would fit into memory.
    """
    allowed = SHARE * free_memory() if memory is None else memory
    what = f"the record ({runs} runs, {states} recorded states)"
    cure = _cure(needed, states, steps, allowed)
    return choose_place(needed, what=what, cure=cure, memory=memory, scratch=scratch)


def check_budget(needed: int, states: int, steps: int, runs: int, memory: float | None = None) -> None:
    """Refuse what takes more memory than it may, and cannot lie in files, as what stays on a device.

    Args:
        needed: bytes.
        states: recorded states.
        steps: updates.
        runs: number of runs.
        memory: bytes that it may take; None means half of what is free, and no limit where the system does not say.

    Raises:
        ValueError: it says how large the record would be, and which stride of recorded states would fit.
    """
    allowed = SHARE * free_memory() if memory is None else memory
    if needed > allowed:
        raise ValueError(
            f"the record takes {gigabytes(needed)} ({runs} runs, {states} recorded states) and {gigabytes(allowed)} "
            f"are allowed{', half of the free memory' if memory is None else ''}; "
            f"{_cure(needed, states, steps, allowed)}, or give the bytes as memory"
        )


def _cure(needed: int, states: int, steps: int, allowed: float) -> str:
    fitting = int(min(states, allowed // (needed / states)))
    return f"record every {-(-steps // (fitting - 1))} steps" if fitting > 1 else "train fewer runs at once"
