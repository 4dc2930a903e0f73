"""Steps captured once and replayed: as a CUDA graph they cost the device's time, and next to none of Python's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from lab.training.tape import Grams
from lab.training.update import Update

LONGEST = 32  # steps of a graph: enough that a launch is nothing beside them, and few enough to be captured soon
PAYS = 4  # blocks of a stage from which its capture, which costs about as much as a block, is repaid

# Takes work whose tensors all stay where they are, and returns what does the same work anew.
Capture = Callable[[Callable[[], None]], Callable[[], None]]


@dataclass(frozen=True)
class Block:
    """Consecutive steps that are captured together.

    Args:
        steps: how many.
        every: the stride of recorded steps.
    """

    steps: int
    every: int

    @classmethod
    def of(cls, every: int) -> Block:
        """Take as many strides as `LONGEST` holds, or so many steps between two recorded ones."""
        return cls(every * (LONGEST // every) if every <= LONGEST else LONGEST, every)

    @property
    def rows(self) -> int:
        """Return how many of the steps are recorded; if any, the first one is."""
        return self.steps // self.every

    def fits(self, step: int, end: int) -> bool:
        """Return whether the steps from `step` on lie before `end`, and these and no others of them are recorded."""
        into = step % self.every
        aligned = into == 0 if self.rows else 0 < into <= self.every - self.steps
        return aligned and step + self.steps <= end


class Blocks:
    """Takes the runs of a stage through whole blocks of steps.

    The first block is taken step by step: that makes ready what a capture must find there (memory to work in, the
    device's libraries). The second is captured, and from then on replayed. Its rows are written to a small tape of
    their own, which stays where it is, and copied from there.

    Args:
        update: a step of the stage.
        weight: the pairs' weights, the same at every step.
        tape: what steps write, [row, run, ...] each.
        grams: takes inner products of the terms, where they are kept.
        block: the steps of a block.
        capture: captures work, `capture` of this module on a GPU.
    """

    def __init__(
        self,
        update: Update,
        weight: Tensor,
        tape: dict[str, Tensor],
        grams: Grams | None,
        block: Block,
        capture: Capture,
    ) -> None:
        self.update, self.weight, self.tape, self.grams = update, weight, tape, grams
        self.block, self.capture = block, capture
        kept = tape if grams is None else {**tape, "gram": grams.gram, "scale": grams.scale}
        self.own = {name: value.new_empty(block.rows, *value.shape[1:]) for name, value in kept.items()}
        self.ahead = torch.zeros((), dtype=torch.float64, device=weight.device)  # counts steps where they are taken
        self.warm = False
        self.replay: Callable[[], None] | None = None

    def __call__(self, ahead: int, row: int) -> None:
        """Take the block whose first step is `ahead`, as `Update` counts, and whose first row on the tape is `row`."""
        self.ahead.fill_(ahead)
        if self.replay is None and self.warm:
            self.replay = self.capture(self._steps)
        (self.replay or self._steps)()
        self.warm = True
        for name, value in self.tape.items():
            value[row : row + self.block.rows].copy_(self.own[name])
        if self.grams is not None:
            self.grams.take(row, self.own["gram"], self.own["scale"])

    def _steps(self) -> None:
        for offset in range(self.block.steps):
            row, between = divmod(offset, self.block.every)
            kept = None if between or not self.block.rows else {name: own[row] for name, own in self.own.items()}
            self.update(self.weight, self.ahead, kept)
            self.ahead.add_(1)


def capture(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Capture work as a CUDA graph; nothing is computed until it is replayed.

    Args:
        work: calls of torch on tensors of the device that wait for nothing and whose outer tensors stay where they are.
            It has run before, so that libraries are loaded and have the memory that they work in.
        device: a GPU.

    Returns:
        What replays the graph on the device's current stream.
    """
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as a notebook's, may go on with what they do on the device.
    with torch.cuda.graph(graph, stream=_stream(device), capture_error_mode="thread_local"):
        work()
    return graph.replay


def replays(device: torch.device) -> bool:
    """Return whether a GPU replays a captured step as it was."""
    count, state = (torch.full((), value, dtype=torch.float64, device=device) for value in (0.0, 1.0))

    def work() -> None:
        count.add_(1)
        state.mul_(count + 1)

    work()
    replay = capture(work, device)
    replay()
    replay()
    return float(state) == 2 * 3 * 4


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that captures on a device: one for all, as libraries keep memory for each that they meet."""
    return torch.cuda.Stream(device)
