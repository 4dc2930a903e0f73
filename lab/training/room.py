"""How many runs a GPU advances together: there it is its memory that bounds them, and no cache."""

from __future__ import annotations

import math

import torch

from lab.policies import Policy
from lab.problems import Problem
from lab.training import tape
from lab.training.recording import Record
from lab.training.tape import shapes

SHARE = 0.8  # of the free memory: what libraries work in, and what lies in pieces, is not counted


def bytes_of_run(problem: Problem, policy: Policy, record: Record, steps: int, *, loop: str, size: int) -> int:
    """Return how many bytes a run takes at most while it is advanced, its record included.

    Of each recorded state: its tape; of the run: parameters, the optimiser's memory, gradients and what passes work in,
    once for steps and once for a graph.

    Args:
        problem: gives pairs and sizes.
        policy: gives the number of parameters.
        record: what is kept, and how often.
        steps: updates of all stages.
        loop: the loop, of `lab.training.planning`.
        size: bytes of a number.
    """
    state = sum(math.prod(shape) for shape in shapes(problem, policy, record, loop).values())
    numbers = policy.parameter_count + problem.prompts * problem.responses + len(problem.preferences)
    return size * (record.states(steps) * state + 24 * numbers)


def bytes_of_blocks(size: int) -> int:
    """Return how many bytes are worked in at most while blocks of the tape are told of, given those of a number."""
    return 16 * tape.BLOCK_OF_A_GPU * size


def free_bytes(device: torch.device) -> int:
    """Return the bytes of a GPU that nobody has taken, or that torch has taken and keeps for the next."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
