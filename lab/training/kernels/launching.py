"""The kernel's launch: what it is given, and how wide its blocks are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lab.objectives import Objective
from lab.objectives.base import as_tensor
from lab.optimizers import Adam, Momentum, Optimizer
from lab.problems import Problem
from lab.training.kernels.observing import recorded_shapes
from lab.training.planning import IN_KERNEL

WARP = 32  # threads that go in step
ELEMENTS = 4  # pairs of runs in one thread: enough that one's arithmetic hides another's wait, few enough for registers
WIDEST = 128  # runs of a block
MOST_WARPS = 8  # of more a multiprocessor's 65 536 registers leave no thread the 255 that it takes
TAPE = ("moves", "loss", "response_weight")


def block(runs: int, pairs: int) -> tuple[int, int]:
    """Choose how many runs stand in a block, and how many warps work on it.

    As many warps as the block is wide, so that all pairs of a run stand in one thread and no sum over pairs leaves it,
    as long as that makes `ELEMENTS` of a thread. With more pairs the warps share them; a block stays as wide as a warp,
    so that what a warp writes is one piece of memory, until it has the most warps; then it gets narrower.

    Args:
        runs: number of runs.
        pairs: pairs of a run in the block, a power of 2.

    Returns:
        Runs of a block and warps, powers of 2.
    """
    wide = min(WIDEST, max(WARP, WIDEST * ELEMENTS // pairs), max(1, MOST_WARPS * WARP * ELEMENTS // pairs))
    while wide > WARP and wide >= 2 * runs:
        wide //= 2
    return wide, min(MOST_WARPS, max(1, wide * pairs // (WARP * ELEMENTS)))


def settings(objective: Objective, optimizer: Optimizer, runs: int, like: Tensor) -> Tensor:
    """Return beta, the loss' other setting, the learning rate and Momentum's decay or Adam's eps, [4, run].

    Raises:
        ValueError: if one of them has several values but not one a run.
    """
    names = IN_KERNEL[type(objective)]
    other = getattr(objective, names[0]) if names else 0.25
    extra: float | Tensor = 1.0
    if isinstance(optimizer, Momentum):
        extra = optimizer.momentum
    elif isinstance(optimizer, Adam):
        extra = optimizer.eps
    given, run = (objective.betas[0], other, optimizer.lr, extra), like.new_empty(runs)
    return torch.stack([as_tensor(each, run).expand(runs) for each in given])


def adam_schedule(optimizer: Optimizer, steps: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return what Adam's steps have in common: 1 - beta1, beta2, 1 - beta2, [3], and both corrections, [step, 2].

    With c_t = (1 - beta2^t)^(1/2) the change is -lr c_t / (1 - beta1^t) m / (sqrt(v) + c_t eps): the row of a step is
    c_t / (1 - beta1^t) and c_t. Computed here in float64, as `lab.optimizers` does.
    """
    if not isinstance(optimizer, Adam):
        return like.new_zeros(3), like.new_zeros(1, 2)
    step = torch.arange(1, steps + 2, dtype=torch.float64)
    correction = (1 - optimizer.beta2**step).sqrt()
    rows = torch.stack((correction / (1 - optimizer.beta1**step), correction), 1)
    decays = torch.tensor([1 - optimizer.beta1, optimizer.beta2, 1 - optimizer.beta2], dtype=torch.float64)
    return decays.to(like), rows.to(like)


def launch(
    problem: Problem,
    objective: Objective,
    optimizer: Optimizer,
    like: Tensor,
    *,
    steps: int,
    every: int,
    written: dict[str, Tensor],
    tables: dict[str, Tensor] | None = None,
) -> Any:
    """Take all runs through all steps in one kernel.

    Args:
        problem: gives runs, pairs and their weights.
        objective: one of `lab.training.planning.IN_KERNEL`.
        optimizer: SGD, Momentum or Adam.
        like: gives dtype and device.
        steps: number of updates.
        every: stride of recorded steps.
        written: where to: the tape of `lab.training.margins.MarginChunk`, or with `tables` the recordings.
        tables: what the recordings need of the tables at step 0, from `lab.training.kernels.observing.still`.

    Returns:
        What Triton compiled, or None under its interpreter.
    """
    # Only here: where Triton is missing, or there is no GPU, nothing asks for it.
    from lab.training.kernels.losses import LOSSES
    from lab.training.kernels.tables import advance

    runs, pairs = problem.runs, len(problem.preferences)
    if tables is None:  # what is written of a pair depends on no other: each is a prompt of its own
        prompts, each = pairs, 1
        order = torch.arange(pairs, device=like.device)
        start: tuple[Tensor | None, ...] = (None,) * 4
        tile = min(ELEMENTS, _above(prompts))
    else:
        order = tables["order"]
        prompts, each = order.shape
        start = tuple(tables[name] for name in ("chosen", "rejected", "rest", "ratio"))
        tile = _above(prompts)
    wide, warps = block(runs, tile * _above(each))
    value, slope = LOSSES[type(objective)]
    weight = problem.preferences.weight.to(like).expand(runs, pairs).t().contiguous()
    decays, schedule = adam_schedule(optimizer, steps, like)
    tape = (written.get(name) for name in TAPE)
    kept = (written.get(name) for name in recorded_shapes(problem))
    with torch.cuda.device_of(like):  # Triton launches on the current GPU, wherever its arguments are
        return advance[(-(-runs // wide), -(-prompts // tile))](
            *tape, *kept, *start,
            order.to(torch.int32).contiguous(), weight, settings(objective, optimizer, runs, like), decays, schedule,
            runs, pairs, prompts, each, steps, every,
            VALUE=value, SLOPE=slope, RULE=type(optimizer).__name__.lower(), TAPE=tables is None,
            PROMPTS=tile, EACH=_above(each), RUNS=wide, num_warps=warps,
        )  # fmt: skip


def _above(count: int) -> int:
    """Return the least power of 2 that is not below: the sizes of Triton's tiles."""
    return 1 << (count - 1).bit_length()
