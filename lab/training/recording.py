"""What a training keeps: the choice (`Record`), and the tape that the step loop writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab import trajectory
from lab.gradients import measure_gram

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


def blank(like: Tensor, *shape: int) -> Tensor:
    """Allocate memory that is written once, with the dtype and device of another tensor.

    The processor's memory is that of `lab.trajectory.blank`.
    """
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(trajectory.blank(shape, like.new_empty(0).numpy().dtype))


def blank_tape(record: Record, rows: int, reference: Tensor, state: Tensor, *, logits_only: bool) -> dict[str, Tensor]:
    """Allocate a tape, each entry [step, run, ...], so that every step writes one contiguous block.

    Args:
        record: what to keep.
        rows: recorded steps.
        reference: any table, [run, prompt * response].
        state: parameters, [run, parameter]; gives dtype and device.
        logits_only: leave out parameter-space terms because they are the logit-space terms.
    """
    runs, cells = reference.shape
    shapes: dict[str, tuple[int, ...]] = {"log_prob": (cells,)}
    if "gradients" in record.keep and not logits_only:
        shapes |= {"gram": (2, 2), "scale": (2, 1)}  # of both terms in parameter space, for `measure_gram`
    if "predictions" in record.keep:
        shapes |= {"predicted_change": (2, cells), "linear_change": (cells,), "realised_change": (cells,)}
    if "parameters" in record.keep:
        shapes |= {"parameters": state.shape[1:]}
    return {name: blank(state, rows, runs, *shape) for name, shape in shapes.items()}


def by_run(tape: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn a tape to [run, row, ...], and read norms and cosine of both terms off their inner products."""
    turned = {name: value.transpose(0, 1) for name, value in tape.items()}
    if "gram" in turned:
        measured = measure_gram(turned.pop("gram"), turned.pop("scale"))
        turned["parameter_log_norm"], turned["parameter_cosine"] = measured
    return turned


def first_broken(values: Tensor, rows: int) -> Tensor:
    """Return each run's first row with NaN or infinity, or `rows`, [run]; `values` is [run, row, entry]."""
    broken = ~torch.isfinite(values.sum(-1))  # a sum is finite only if all its entries are
    return torch.where(broken.any(1), broken.to(torch.uint8).argmax(1), rows)
