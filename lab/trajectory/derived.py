"""Log-probabilities that are computed where they are looked at, from the few logits of a table that moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

# Numbers that are worked on at once, so that they stay in a core's cache.
BLOCK = 2**15
RUNS = 1024

Index = np.ndarray | slice


@dataclass(frozen=True)
class TableLogProb:
    """log π of tables of which few logits move: logits(x, y) = start(x, y) + factor_k moves_entry(k) at the k-th cell.

    Of the responses that never move, a prompt's normaliser needs one number only, their log-sum. The runs stand last in
    memory, where they are worked on together, and so they do in what is returned.

    Args:
        moves: How far each entry has moved, [run, step, entry].
        start: Logits at step 0, [run, prompt, response].
        cells: The cells that move, prompt · responses + response, [named], each once.
        entry: The entry that moves each, [named].
        factor: By how much of it, [named].

    Source: own derivation; tests/test_trajectory_derived.py.
    """

    moves: np.ndarray
    start: np.ndarray
    cells: np.ndarray
    entry: np.ndarray
    factor: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the numbers of runs, steps, prompts and responses."""
        return (self.start.shape[0], self.moves.shape[1], *self.start.shape[1:])

    @property
    def ndim(self) -> int:
        """Return 4."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Return the type of the numbers."""
        return self.moves.dtype

    def until(self, steps: int) -> TableLogProb:
        """Keep the first recorded steps only."""
        return replace(self, moves=self.moves[:, :steps])

    def of(self, moves: np.ndarray) -> np.ndarray:
        """Compute the log-probabilities of one other state, [run, prompt, response], from its moves [run, 1, entry]."""
        other = replace(self, moves=moves)
        runs, _, *sizes = other.shape
        return other.at(np.arange(runs), np.arange(1), np.arange(math.prod(sizes))).reshape(runs, *sizes)

    @cached_property
    def lanes(self) -> np.ndarray:
        """Return the logits at step 0, [prompt · response, run]."""
        return np.ascontiguousarray(self.start.reshape(len(self.start), -1).T)

    @cached_property
    def rest(self) -> np.ndarray:
        """Return the log-sum of the logits that never move, [prompt, run]; -inf where a prompt has none."""
        still = self.lanes.copy()
        still[self.cells] = -np.inf
        return np.logaddexp.reduce(still.reshape(*self.start.shape[1:], -1), axis=1)

    def at(self, runs: np.ndarray, steps: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Compute the log-probabilities of some cells in every combination of some runs and steps.

        (logit - m) - log Σ exp(logit - m) over the prompt, with its largest logit m

        Args:
            runs: Indices, [r].
            steps: Indices of recorded steps, [s].
            cells: prompt · responses + response, [c].

        Returns:
            [r, s, c] in nats.
        """
        look = _Look.at(self, cells)
        out = np.empty((len(steps), len(cells), len(runs)), self.dtype)
        moves = self.moves.transpose(1, 2, 0)
        for first in range(0, len(runs), RUNS):
            lanes = slice(first, first + RUNS)
            some = _as_slice(runs[lanes])
            start, named, rest = (
                table[of][:, some]
                for table, of in ((self.lanes, cells), (self.lanes, look.named), (self.rest, look.prompts))
            )
            size = max(1, BLOCK // (start.shape[1] * max(1, len(cells) + len(look.named))))
            for row in range(0, len(steps), size):
                rows = slice(row, row + size)
                moved = moves[_as_slice(steps[rows])][..., some][:, look.entry]
                look.fill(out[rows, :, lanes], start, rest, named + look.factor * moved)
        return out.transpose(2, 0, 1)


@dataclass(frozen=True)
class _Look:
    """Where the numbers of some cells come from.

    Args:
        prompts: The prompts of the cells, each once, [p].
        of: The place of each cell's prompt among these, [c].
        rows: Whether the cells are all responses of these prompts in order.
        named: The moving cells of these prompts, [n].
        entry: What moves these, [n].
        factor: By how much of it, [n, 1].
        ranks: Prompts that have a first moving cell, and these cells' places; then those that have a second; and so on.
        shown: Which of the cells move, [k].
        which: Their places among the moving cells, [k].
    """

    prompts: np.ndarray
    of: np.ndarray
    rows: bool
    named: np.ndarray
    entry: np.ndarray
    factor: np.ndarray
    ranks: list[tuple[Index, Index]]
    shown: Index
    which: Index

    @classmethod
    def at(cls, table: TableLogProb, cells: np.ndarray) -> _Look:
        responses = table.shape[-1]
        prompts, of = np.unique(cells // responses, return_inverse=True)
        mine = np.flatnonzero(np.isin(table.cells // responses, prompts))
        mine = mine[np.argsort(table.cells[mine] // responses, kind="stable")]
        named = table.cells[mine]
        owner = np.searchsorted(prompts, named // responses)
        rank = np.arange(len(named)) - np.searchsorted(owner, owner)
        ranks = [np.flatnonzero(rank == k) for k in range(rank.max(initial=-1) + 1)]
        place = np.full(len(table.lanes), -1)
        place[named] = np.arange(len(named))
        shown = np.flatnonzero(place[cells] >= 0)
        every = (prompts[:, None] * responses + np.arange(responses)).ravel()
        return cls(
            prompts,
            of,
            len(cells) > 0 and np.array_equal(cells, every),
            named,
            table.entry[mine],
            table.factor[mine, None],
            [(_as_slice(owner[places]), _as_slice(places)) for places in ranks],
            _as_slice(shown),
            _as_slice(place[cells[shown]]),
        )

    def fill(self, out: np.ndarray, start: np.ndarray, rest: np.ndarray, logits: np.ndarray) -> None:
        """Write log π into `out`, [s, c, r].

        Args:
            out: Where to.
            start: Logits of the cells at step 0, [c, r].
            rest: Log-sums of what never moves, [p, r].
            logits: Of the moving cells, [s, n, r].
        """
        peak = np.repeat(rest[None], len(logits), 0)
        for prompts, named in self.ranks:
            peak[:, prompts] = np.maximum(peak[:, prompts], logits[:, named])
        # In one order for any number of runs, so that a run's numbers do not depend on its company.
        total = np.exp(rest - peak)
        for prompts, named in self.ranks:
            total[:, prompts] += np.exp(logits[:, named] - peak[:, prompts])
        np.log(total, out=total)
        if self.rows:
            out_of = out.reshape(len(out), len(self.prompts), -1, out.shape[2])
            start, peak_of, total_of = start.reshape(out_of.shape[1:]), peak[:, :, None], total[:, :, None]
        else:
            out_of, peak_of, total_of = out, peak[:, self.of], total[:, self.of]
        np.subtract(start, peak_of, out=out_of)
        out[:, self.shown] = logits[:, self.which] - peak[:, self.of[self.shown]]
        out_of -= total_of


def _as_slice(index: np.ndarray) -> Index:
    """Turn evenly spaced indices into a slice, which copies nothing."""
    stride = int(index[1] - index[0]) if len(index) > 1 else 1
    even = len(index) > 0 and stride > 0 and np.array_equal(index, index[0] + stride * np.arange(len(index)))
    return slice(int(index[0]), int(index[-1]) + 1, stride) if even else index
