"""Where the numbers of some cells of a moving table come from, and how they become log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lab.trajectory.derived import TableLogProb

Index = np.ndarray | slice


@dataclass(frozen=True)
class Look:
    """Where the numbers of some cells come from.

    Args:
        prompts: The prompts of the cells, each once, [p].
        part: The same, as an index.
        of: The place of each cell's prompt among these, [c].
        rows: Whether the cells are all responses of these prompts in order.
        all_move: Whether every one of the cells moves.
        named: The moving cells of these prompts, [n].
        entry: What moves these, [n].
        factor: By how much of it, [n, 1].
        ranks: Prompts that have a first moving cell, and these cells' places; then those that have a second; and so on.
        shown: Which of the cells move, [k].
        which: Their places among the moving cells, [k].
        shown_of: The places of their prompts, [k].
    """

    prompts: np.ndarray
    part: Index
    of: Index
    rows: bool
    all_move: bool
    named: np.ndarray
    entry: np.ndarray
    factor: np.ndarray
    ranks: list[tuple[Index, Index]]
    shown: Index
    which: Index
    shown_of: Index

    @classmethod
    def at(cls, table: TableLogProb, cells: np.ndarray) -> Look:
        """Find them for some cells, prompt · responses + response, [c]."""
        responses = table.shape[-1]
        prompt_of, asked = cells // responses, np.zeros(table.shape[2], bool)
        asked[prompt_of] = True
        prompts, number = np.flatnonzero(asked), np.cumsum(asked) - 1  # no sorting: the cells may be a whole table's
        of = number[prompt_of]
        mine = np.flatnonzero(asked[table.cells // responses])
        mine = mine[np.argsort(table.cells[mine])]
        named = table.cells[mine]
        owner = number[named // responses]
        rank = np.arange(len(named)) - np.searchsorted(owner, owner)
        ranks = [np.flatnonzero(rank == k) for k in range(rank.max(initial=-1) + 1)]
        place = np.full(len(table.lanes), -1)
        place[named] = np.arange(len(named))
        shown = np.flatnonzero(place[cells] >= 0)
        every = (prompts[:, None] * responses + np.arange(responses)).ravel()
        return cls(
            prompts,
            as_slice(prompts),
            as_slice(of),
            len(cells) > 0 and np.array_equal(cells, every),
            len(shown) == len(cells),
            named,
            table.entry[mine],
            table.factor[mine, None],
            [(as_slice(owner[places]), as_slice(places)) for places in ranks],
            as_slice(shown),
            as_slice(place[cells[shown]]),
            as_slice(of[shown]),
        )

    def logits(self, table: TableLogProb, steps: Index, runs: Index, which: Index = slice(None)) -> np.ndarray:
        """Compute the logits of the moving cells, or of some of them, at some steps and runs, [s, n, r]."""
        logits = table.moves.transpose(1, 2, 0)[steps][..., runs].take(self.entry[which], 1)
        logits *= self.factor[which]
        logits += table.lanes[self.named[which]][:, runs]
        return logits

    def normalise(self, rest: np.ndarray, logits: np.ndarray, peak: np.ndarray, total: np.ndarray) -> None:
        """Write the largest logit of each prompt, and log Σ exp(logit - largest), [s, p, r] each.

        Args:
            rest: Log-sums of what never moves, [p, r].
            logits: Of the moving cells, [s, n, r].
            peak: Where the largest logits go.
            total: Where the log-sums go.
        """
        peak[:] = rest
        for prompts, named in self.ranks:
            _into(peak, prompts, np.maximum, logits[:, named])
        # In one order for any number of runs, so that a run's numbers do not depend on its company.
        np.exp(np.subtract(rest, peak, out=total), out=total)
        for prompts, named in self.ranks:
            share = logits[:, named] - peak[:, prompts]
            _into(total, prompts, np.add, np.exp(share, out=share))
        np.log(total, out=total)

    def fill(
        self,
        out: np.ndarray,
        lanes: np.ndarray,
        cells: np.ndarray,
        runs: Index,
        logits: np.ndarray,
        peak: np.ndarray,
        total: np.ndarray,
    ) -> None:
        """Write log π into `out`, [s, c, r].

        Args:
            out: Where to.
            lanes: All logits at step 0, [prompt · response, run].
            cells: The cells, [c].
            runs: The runs.
            logits: Of the cells that move, [s, k, r].
            peak: The largest logit of each prompt, [s, p, r].
            total: log Σ exp(logit - largest), [s, p, r].
        """
        if self.all_move:
            np.subtract(logits, peak[:, self.of], out=out)
            out -= total[:, self.of]
            return
        start = lanes[cells][:, runs]
        if self.rows:
            out_of = out.reshape(len(out), len(self.prompts), -1, out.shape[2])
            start, peak_of, total_of = start.reshape(out_of.shape[1:]), peak[:, :, None], total[:, :, None]
        else:
            out_of, peak_of, total_of = out, peak[:, self.of], total[:, self.of]
        np.subtract(start, peak_of, out=out_of)
        out[:, self.shown] = logits - peak[:, self.shown_of]
        out_of -= total_of


def _into(table: np.ndarray, prompts: Index, combine: np.ufunc, other: np.ndarray) -> None:
    """Combine some prompts of a table [s, p, r] with other numbers, in place."""
    part = table[:, prompts]
    combine(part, other, out=part)
    if not isinstance(prompts, slice):  # of a list of prompts the part is a copy
        table[:, prompts] = part


def as_slice(index: np.ndarray) -> Index:
    """Turn evenly spaced indices into a slice, which copies nothing."""
    stride = int(index[1] - index[0]) if len(index) > 1 else 1
    even = len(index) > 0 and stride > 0 and np.array_equal(index, index[0] + stride * np.arange(len(index)))
    return slice(int(index[0]), int(index[-1]) + 1, stride) if even else index
