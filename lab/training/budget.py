"""How much memory a record takes, known before anything is computed."""

from __future__ import annotations

import os

import torch

from lab.policies import Policy
from lab.problems import Problem
from lab.training.margins import Named
from lab.training.recording import Record

SHARE = 0.5  # of the free memory: the rest is for what is computed from a record


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
    cells, pairs = problem.prompts * problem.responses, len(problem.preferences)
    numbers = 3 * pairs + (Named.of(problem, torch.empty(0)).entries if loop == "margins" else cells)
    if loop == "scores":
        numbers += cells
    if "gradients" in record.keep and loop in ("states", "scores") and not policy.parameters_are_logits:
        numbers += 3
    if "predictions" in record.keep and loop == "states":
        numbers += 4 * cells
    if "parameters" in record.keep:
        numbers += policy.parameter_count
    return problem.runs * len(record.steps(steps)) * numbers * size


def check_budget(needed: int, states: int, steps: int, runs: int, memory: float | None = None) -> None:
    """Refuse a record that takes more memory than it may.

    Args:
        needed: bytes of the record.
        states: recorded states.
        steps: updates.
        runs: number of runs.
        memory: bytes that it may take; None means half of what is free, and no limit where the system does not say.

    Raises:
        ValueError: it says how large the record would be, and which stride of recorded states would fit.
    """
    allowed = SHARE * free_memory() if memory is None else memory
    if needed <= allowed:
        return
    fitting = int(allowed // (needed / states))
    cure = f"record every {-(-steps // (fitting - 1))} steps" if fitting > 1 else "train fewer runs at once"
    raise ValueError(
        f"the record takes {needed / 1e9:.3g} GB ({runs} runs, {states} recorded states) and {allowed / 1e9:.3g} GB "
        f"are allowed{', half of the free memory' if memory is None else ''}; {cure}, or give the bytes as memory"
    )


def free_memory() -> float:
    """Return the bytes that a process could take without swapping; infinity where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(1024.0 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
