"""The step loop of tables under losses of the margin alone: it advances what moves, and little else is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from lab.objectives import Objective
from lab.objectives.base import Margins
from lab.optimizers import Optimizer
from lab.problems import Problem
from lab.training.batches import pair_weights
from lab.training.recording import CHECK_EVERY, Record, first_broken
from lab.training.stages import Stage

BLOCK = 2**18  # margins that are told of at once, to stay in cache
BLOCK_OF_A_GPU = 2**25  # there each block is a few launches, and its answer is waited for


@dataclass(frozen=True)
class Named:
    """The responses that pairs name: under a loss of the margin alone, the only ones of a table that ever move.

    Where no response is in two pairs, the chosen logit of each pair moves as far up as its rejected one moves down, and
    one number tells of both: what moves is the pair's margin. Else it is the logit of each named response.

    Args:
        cells: prompt * responses + response of each, [named].
        chosen: the pairs' chosen responses among them, [pair].
        rejected: the pairs' rejected responses among them, [pair].
        apart: whether no response is in two pairs.
        entry: which number moves each, [named].
        factor: by how much of it, [named]: a half up or down, or all of it.
    """

    cells: Tensor
    chosen: Tensor
    rejected: Tensor
    apart: bool
    entry: Tensor
    factor: Tensor

    @classmethod
    def of(cls, problem: Problem, like: Tensor) -> Named:
        """Find them in a problem; `like` gives dtype and device."""
        flat = problem.preferences.flat(problem.responses).to(like.device)
        cells, places = flat.unique(return_inverse=True)
        chosen, rejected = places.view(2, -1)
        apart = len(cells) == len(flat)
        entry, factor = torch.arange(len(cells), device=like.device), like.new_ones(len(cells))
        if apart:
            pairs = torch.arange(len(chosen), device=like.device)
            entry[chosen], entry[rejected] = pairs, pairs
            factor[chosen], factor[rejected] = 0.5, -0.5
        return cls(cells, chosen, rejected, apart, entry, factor)

    @property
    def entries(self) -> int:
        """Return how many numbers move."""
        return len(self.chosen) if self.apart else len(self.cells)

    def margins(self, moves: Tensor, out: Tensor | None = None) -> Tensor:
        """Return how far the margins have moved, [..., pair, run], given [..., entry, run]."""
        if self.apart:
            return moves
        return torch.sub(moves.index_select(-2, self.chosen), moves.index_select(-2, self.rejected), out=out)

    def scatter(self, pushed: Tensor, gradient: Tensor) -> None:
        """Add the pushes on the chosen responses, [pair, run], into the gradient of the named ones, [named, run]."""
        gradient.zero_().index_add_(0, self.chosen, pushed).index_add_(0, self.rejected, pushed, alpha=-1)


@dataclass(frozen=True)
class MarginChunk:
    """Tables that are advanced together, their runs last in memory. All tensors of objective and optimiser are theirs.

    With w the weight of a pair and a = d loss / d log pi(chosen) = -d loss / d log pi(rejected), the gradient in the
    logits is w a on the chosen response, -w a on the rejected one and exactly 0 elsewhere, since what is pushed sums to
    0 in every prompt: gradient descent, momentum and Adam leave the other logits where they are. Where pairs share no
    response the two logits of a pair move by opposite amounts, and the margin by twice as much.

    Args:
        problem: gives pairs and sizes.
        named: what moves.
        objective: the objective.
        optimizer: the optimiser.
        start: logits of the reference, [run, prompt * response], on the device and in the dtype of the computation.
        tape: where to write: "moves" [step, entry, run], "loss" [step, pair, run] and "response_weight" [step, term,
            pair, run].
        then: the stages that follow.

    Source: own derivation; tests/test_training_margins.py.
    """

    problem: Problem
    named: Named
    objective: Objective
    optimizer: Optimizer
    start: Tensor
    tape: dict[str, Tensor]
    then: tuple[Stage, ...] = ()

    def train(
        self, steps: int, record: Record, batch: int, progress: Callable[[float], None] | None
    ) -> tuple[Tensor, list[Told]]:
        """Advance the runs by `steps` updates, and by those of the stages that follow, and write "moves".

        Returns:
            Where the reference of the last stage stands, as "moves" do, [entry, run], and what `tell` tells of the rows
            that were written.
        """
        stages = (Stage(self.objective, self.optimizer, steps), *self.then)
        rows = record.steps(sum(stage.steps for stage in stages))
        taped = self.tape["moves"].unbind(0)
        moves = self.start.new_zeros(self.named.entries, len(self.start))
        margin = moves if self.named.apart else self.named.margins(moves)
        seen, gradient, reference = margin.clone(), torch.zeros_like(moves), torch.zeros_like(moves)
        pushed = gradient if self.named.apart else torch.zeros_like(margin)
        # Views [run, ...], made once: a step of few runs costs little more than its calls.
        state, slope, push = moves.mT, gradient.mT, pushed.mT
        far = 2 if self.named.apart else 1  # apart, the update is the chosen logit's: the margin moves twice as far
        weights = self._weights(batch)
        optimizer, memory, since = self.optimizer, self.optimizer.memory(moves.mT), 0
        end = row = 0
        broken, shifted, told = False, False, []
        looks = self.start.device.type == "cpu"  # elsewhere a look waits for the device
        for stage in stages:
            if type(stage.optimizer) is not type(optimizer):
                memory, since = stage.optimizer.memory(moves.mT), end
            optimizer = stage.optimizer
            if stage.reference != "before":
                shifted = stage.reference == "stage"
                reference = moves.clone() if shifted else torch.zeros_like(moves)
            origin = self.named.margins(reference) if shifted else None
            looked = (margin if origin is None else seen).mT
            first, begin, end = row, end, end + stage.steps
            for step in range(begin, end + (end == rows[-1])):
                if step == rows[row]:
                    taped[row].copy_(moves)
                    row += 1
                    broken = looks and row % CHECK_EVERY == 1 and not bool(torch.isfinite(moves).all())
                    if broken or step == rows[-1]:
                        break
                if origin is not None:
                    torch.sub(margin, origin, out=seen)
                torch.mul(stage.objective.margin_slope(looked), next(weights), out=push)
                if not self.named.apart:
                    self.named.scatter(pushed, gradient)
                state.add_(optimizer.update(slope, memory, step + 1 - since), alpha=far)
                if not self.named.apart:
                    self.named.margins(moves, margin)
                if progress and step % 25 == 0:
                    progress(step / rows[-1])
            told.append(Told(self, stage.objective.whole, origin, slice(first, row)))
            if broken:
                break
        return reference, told

    def _weights(self, batch: int) -> Iterator[Tensor]:
        """Yield the pairs' weights of one step after the other, [pair] or [run, pair]."""
        pairs = self.problem.preferences
        if batch in (0, len(pairs)):
            weight = pairs.weight.to(self.start)
            return repeat(weight.t().contiguous().t())  # of a single run's weights as of all: as the margins stand
        return (both[:, : len(pairs)] for both in pair_weights(pairs, batch, self.problem.seeds, self.start))


@dataclass(frozen=True)
class Told:
    """Rows of the tape of which losses and response weights are told by one stage.

    Args:
        chunk: whose tape.
        objective: of the stage, both terms and all pairs.
        origin: where the margins stand at the stage's reference, [pair, run], or None for 0.
        rows: which rows.
    """

    chunk: MarginChunk
    objective: Objective
    origin: Tensor | None
    rows: slice

    def blocks(self) -> list[Told]:
        """Cut the rows into blocks that stay in cache."""
        chunk, rows = self.chunk, self.rows
        block = BLOCK if chunk.start.device.type == "cpu" else BLOCK_OF_A_GPU
        size = max(1, block // (len(chunk.named.chosen) * len(chunk.start)))
        starts = range(rows.start, rows.stop, size)
        return [replace(self, rows=slice(first, min(first + size, rows.stop))) for first in starts]

    def write(self) -> bool:
        """Write "loss" and "response_weight", and return whether all margins and losses are surely finite."""
        tape, rows = self.chunk.tape, self.rows
        margin = self.chunk.named.margins(tape["moves"][rows])
        pairs = Margins.of((margin if self.origin is None else margin - self.origin).permute(2, 0, 1))
        loss, push = self.objective.loss(pairs), self.objective.margin_slope(pairs.chosen).permute(1, 2, 0)
        tape["loss"][rows].copy_(loss.permute(1, 2, 0))
        tape["response_weight"][rows, 0].copy_(push)
        torch.neg(push, out=tape["response_weight"][rows, 1])
        return bool(torch.isfinite(margin.sum() + loss.sum()))  # a sum is finite only if all its entries are

    def first_broken(self, rows: int) -> Tensor:
        """Return each run's first row with NaN or infinity, or `rows`, [run]."""
        tape = self.chunk.tape
        found = [first_broken(tape[name][: self.rows.stop].movedim(-1, 0), rows) for name in ("moves", "loss")]
        return torch.minimum(*found)
