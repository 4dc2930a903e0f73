"""The tape of a training: what every state of every run leaves behind, allocated once for all runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.gradients import measure_gram
from lab.policies import Policy
from lab.problems import Problem
from lab.space import Place, let_go
from lab.training.margins import Named
from lab.training.recording import Record

BLOCK = 2**17  # numbers of the tape that are read back at once, to stay in cache
BLOCK_OF_A_GPU = 2**25  # there each operation has to be launched, however small
GRAMS = 64  # states whose inner products wait to be told of together


def shapes(problem: Problem, policy: Policy, record: Record, loop: str) -> dict[str, tuple[int, ...]]:
    """Return what a loop writes of one run at one recorded state.

    Args:
        problem: gives pairs and sizes.
        policy: gives the number of parameters.
        record: what is kept.
        loop: the loop, of `lab.training.planning`.
    """
    cells, pairs = problem.prompts * problem.responses, len(problem.preferences)
    told: dict[str, tuple[int, ...]] = {"loss": (pairs,), "response_weight": (2, pairs)}
    if loop == "margins":
        return {"moves": (Named.of(problem, torch.empty(0)).entries,), **told}
    found = {"log_prob": (cells,), **told}
    if loop == "scores":
        found |= {"score": (cells,)}
    if "gradients" in record.keep and loop in ("states", "scores") and not policy.parameters_are_logits:
        found |= {"parameter_log_norm": (2,), "parameter_cosine": ()}
    if "predictions" in record.keep and loop == "states":
        found |= {"predicted_change": (2, cells), "linear_change": (cells,), "realised_change": (cells,)}
    if "parameters" in record.keep:
        found |= {"parameters": (policy.parameter_count,)}
    return found


@dataclass(frozen=True)
class Tape:
    """What all runs write, [row, run, ...] each, or [row, ..., run] where they stand last in memory.

    Args:
        arrays: of NumPy, by name.
        last: whether the runs stand last.
        like: gives the device and the dtype of the computation.
    """

    arrays: Mapping[str, Any]
    last: bool
    like: Tensor

    @classmethod
    def blank(
        cls, shapes: Mapping[str, tuple[int, ...]], rows: int, runs: int, like: Tensor, place: Place, *, last: bool
    ) -> Tape:
        """Allocate a tape of so many rows and runs in a place."""
        dtype = torch.empty(0, dtype=like.dtype).numpy().dtype
        sizes = {name: (rows, *shape, runs) if last else (rows, runs, *shape) for name, shape in shapes.items()}
        return cls({name: place.array(size, dtype) for name, size in sizes.items()}, last, like)

    @property
    def rows(self) -> int:
        """Return the number of recorded states."""
        return len(self.arrays["loss"])

    def of_runs(self, lanes: slice) -> dict[str, Tensor]:
        """Return where some runs write: into the tape itself, or, on another device, into memory of its own there."""
        mine = {name: torch.from_numpy(each)[self._at(lanes)] for name, each in self.arrays.items()}
        if self.like.device.type == "cpu":
            return mine
        return {name: self.like.new_empty(each.shape) for name, each in mine.items()}

    def keep(self, lanes: slice, written: Mapping[str, Tensor]) -> None:
        """Fetch what some runs wrote on another device."""
        if self.like.device.type != "cpu":
            for name, each in written.items():
                torch.from_numpy(self.arrays[name])[self._at(lanes)].copy_(each)

    def let_go(self) -> None:
        """Hand back memory that shows what already lies in files."""
        let_go(self.arrays.values())

    def by_run(self) -> dict[str, Any]:
        """Return what was written, [run, row, ...] each."""
        if not self.last:
            return {name: each.swapaxes(0, 1) for name, each in self.arrays.items()}
        return {name: each.transpose(each.ndim - 1, *range(each.ndim - 1)) for name, each in self.arrays.items()}

    def _at(self, lanes: slice) -> tuple[Any, ...]:
        return (..., lanes) if self.last else (slice(None), lanes)


def blocks(rows: range, numbers: int, device: torch.device) -> list[slice]:
    """Cut rows of a tape into blocks that stay in cache, or are worth a GPU's while, given the numbers of one row."""
    size = max(1, (BLOCK if device.type == "cpu" else BLOCK_OF_A_GPU) // numbers)
    return [slice(first, min(first + size, rows.stop)) for first in range(rows.start, rows.stop, size)]


class Grams:
    """Inner products of both terms in parameter space, told of as norms and cosine many states at once.

    Args:
        tape: where to, with "parameter_log_norm" [row, run, term] and "parameter_cosine" [row, run].
        first: the row to begin with.
    """

    def __init__(self, tape: Mapping[str, Tensor], first: int = 0) -> None:
        self.norm, self.cosine = tape["parameter_log_norm"], tape["parameter_cosine"]
        rows, runs, _ = self.norm.shape
        self.size = min(rows, GRAMS)
        self.gram = self.norm.new_empty(self.size, runs, 2, 2)
        self.scale = self.norm.new_empty(self.size, runs, 2, 1)
        self.first = first  # the row that the first of those stands for

    def room(self, row: int) -> tuple[Tensor, Tensor]:
        """Return where to write what `lab.gradients.scaled_gram` returns of the next row."""
        if row - self.first == self.size:
            self.tell(row)
        return self.gram[row - self.first], self.scale[row - self.first]

    def write(self, row: int, gram: Tensor, scale: Tensor) -> None:
        """Take what `lab.gradients.scaled_gram` returns of the next row."""
        for room, found in zip(self.room(row), (gram, scale), strict=True):
            room.copy_(found)

    def take(self, row: int, gram: Tensor, scale: Tensor) -> None:
        """Take that of several rows from the next one on, [row, run, ...] each, and tell of them."""
        self.tell(row)
        self.norm[row : row + len(gram)], self.cosine[row : row + len(gram)] = measure_gram(gram, scale)
        self.first = row + len(gram)

    def tell(self, stop: int) -> None:
        """Write norms and cosine of the rows before `stop`."""
        some, rows = slice(0, stop - self.first), slice(self.first, stop)
        self.norm[rows], self.cosine[rows] = measure_gram(self.gram[some], self.scale[some])
        self.first = stop
