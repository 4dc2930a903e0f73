"""What a training keeps: the choice (`Record`), and the tape that the step loop writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.space import Place

KEPT = ("gradients", "predictions", "parameters")
CHECK_EVERY = 50  # recorded steps between two looks for NaN and infinity: a look waits for the device


class NonFiniteError(FloatingPointError):
    """A run became NaN or infinite.

    `trajectory` is the record of every run up to the step before, or None; `finished` holds the whole records of those
    cells of a looped sweep that came before.
    """

    def __init__(self, message: str, trajectory: Any = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory
        self.finished: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Record:
    """What a training keeps besides log-probabilities, losses and response weights, and how often.

    Args:
        every: record each so many steps; the first and the last state are always recorded.
        keep: any of "gradients" (parameter-space norms and cosine of both terms), "predictions" (first-order against
            realised change of every log-probability) and "parameters" (the whole state).

    Raises:
        ValueError: for a stride below 1 or an unknown word.
    """

    every: int = 1
    keep: tuple[str, ...] = ("gradients",)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every is {self.every}; allowed are 1 or more: give the stride between recorded steps")
        if not isinstance(self.keep, tuple):
            raise ValueError(f"keep is {self.keep!r}; give a tuple of words, such as ('gradients',)")
        unknown = [word for word in self.keep if word not in KEPT]
        if unknown:
            raise ValueError(f"keep has {', '.join(map(repr, unknown))}; allowed are any of {', '.join(KEPT)}")

    def steps(self, total: int) -> list[int]:
        """Return the recorded steps of a training of `total` updates."""
        return [*range(0, total, self.every), total]

    def states(self, total: int) -> int:
        """Return how many states a training of `total` updates records."""
        return len(range(0, total, self.every)) + 1


def blank(like: Tensor, *shape: int) -> Tensor:
    """Allocate memory that is written once, with the dtype and device of another tensor.

    That of the processor comes in large pages, as `lab.space` asks for it.
    """
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(Place().array(shape, like.new_empty(0).numpy().dtype))


def first_broken(values: Tensor, rows: int, begin: int = 0) -> Tensor:
    """Return each run's first row with NaN or infinity, or `rows` if there is none, [run].

    Args:
        values: [run, row, entry].
        rows: of the whole tape.
        begin: the row of the tape that the first of these is.
    """
    broken = ~torch.isfinite(values.sum(-1))  # a sum is finite only if all its entries are
    return torch.where(broken.any(1), begin + broken.to(torch.uint8).argmax(1), rows)
