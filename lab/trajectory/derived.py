"""Log-probabilities that are computed where they are looked at, from the few logits of a table that moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lab.trajectory.blocks import in_blocks
from lab.trajectory.looking import Index, Look, as_slice


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
        """Return the log-sum of the logits that never move, log Σ exp(logit), [prompt, run]; -inf where none stays."""
        return self._log_sum(1)

    @cached_property
    def rest_length(self) -> np.ndarray:
        """Return log (Σ exp(2 logit))^½ of the logits that never move, [prompt, run]; -inf where none stays."""
        return self._log_sum(2) / 2

    @cached_property
    def normaliser(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest logit m of each prompt, and log Σ exp(logit - m), [step, prompt, run] each.

        Those that never move count as one, their log-sum. Kept, since nearly everything that is asked begins with it.
        """
        _, steps, prompts, _ = self.shape
        look, (peak, total) = self._rows, (np.empty((steps, prompts, len(self.start)), self.dtype) for _ in range(2))

        def one(rows: slice, lanes: slice) -> None:
            logits = look.logits(self, rows, lanes)
            look.normalise(self.rest[:, lanes], logits, peak[rows, :, lanes], total[rows, :, lanes])

        in_blocks(one, steps, len(self.start), len(look.named) + 2 * prompts)
        return peak, total

    def part(self, runs: np.ndarray, steps: np.ndarray) -> TableLogProb:
        """Keep some runs, [r], and some steps, [s]."""
        some = as_slice(runs)
        moves = self.moves.transpose(1, 2, 0)[as_slice(steps)][..., some]  # the runs stay last in memory
        return replace(self, moves=moves.transpose(2, 0, 1), start=self.start[some])

    def log_rest(self) -> np.ndarray:
        """Compute the log of the mass of what never moves, [step, prompt, run]."""
        peak, total = self.normaliser
        out = np.empty_like(peak)

        def one(rows: slice, lanes: slice) -> None:
            block = np.subtract(self.rest[:, lanes], peak[rows, :, lanes], out=out[rows, :, lanes])
            block -= total[rows, :, lanes]

        in_blocks(one, len(peak), len(self.start), 3 * self.shape[2])
        return out

    def folded(self, steps: slice, runs: slice) -> tuple[np.ndarray, np.ndarray]:
        """Compute a block of log-probabilities, with what never moves folded into one response.

        Args:
            steps: Which recorded steps, [s].
            runs: Which runs, [r].

        Returns:
            log π of the moving cells of each prompt in order, -inf where a prompt has fewer, and last of all the log
            of the others' mass Σ π, [row, prompt, s, r]; log (Σ π²)^½ of the others, [prompt, s, r].
        """
        look = self._rows
        logits = look.logits(self, steps, runs).transpose(1, 0, 2)
        peak, total = (each[steps, :, runs].transpose(1, 0, 2) for each in self.normaliser)
        out = np.empty((len(look.ranks) + 1, *peak.shape), self.dtype)
        for row, (prompts, named) in zip(out, look.ranks, strict=False):
            if isinstance(prompts, slice) and len(logits[named]) == len(row):
                np.subtract(logits[named], peak, out=row)
            else:
                row[:] = -np.inf
                row[prompts] = logits[named] - peak[prompts]
        np.subtract(self.rest[:, runs][:, None], peak, out=out[-1])
        out -= total
        length = self.rest_length[:, runs][:, None] - peak
        length -= total
        return out, length

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
        out = np.empty((len(steps), len(cells), len(runs)), self.dtype)
        # Of much of a record the normaliser is asked for again; of a little it is not worth its memory.
        prompts = len(np.unique(cells // self.shape[3])) if len(cells) < self.shape[3] else self.shape[2]
        read = self.reader(cells, keep=2 * len(runs) * len(steps) * prompts >= math.prod(self.shape[:3]))

        def one(rows: slice, lanes: slice) -> None:
            read(as_slice(steps[rows]), as_slice(runs[lanes]), out[rows, :, lanes])

        in_blocks(one, len(steps), len(runs), 3 * len(cells))
        return out.transpose(2, 0, 1)

    def reader(self, cells: np.ndarray, keep: bool = True) -> Callable[..., np.ndarray]:
        """Return what computes the log-probabilities of some cells at some steps and runs, [s, c, r].

        It is called with the steps, the runs and, if one is to be written to, an array.

        Args:
            cells: prompt · responses + response, [c].
            keep: Whether to compute the normaliser of all runs and steps, and to keep it.
        """
        look = Look.at(self, cells)
        known = self.normaliser if keep or "normaliser" in vars(self) else None

        def read(steps: Index, runs: Index, out: np.ndarray | None = None) -> np.ndarray:
            if known is None:
                logits = look.logits(self, steps, runs)
                sizes = (len(logits), len(look.prompts), logits.shape[2])
                peak, total = np.empty(sizes, self.dtype), np.empty(sizes, self.dtype)
                look.normalise(self.rest[look.prompts][:, runs], logits, peak, total)
                logits = logits[:, look.which]
            else:
                logits = look.logits(self, steps, runs, look.which)
                peak, total = (each[steps][..., runs][:, look.part] for each in known)
            if out is None:
                out = np.empty((len(logits), len(cells), logits.shape[2]), self.dtype)
            look.fill(out, self.lanes, cells, runs, logits, peak, total)
            return out

        return read

    @cached_property
    def _rows(self) -> Look:
        """Look at all prompts."""
        return Look.at(self, self.shape[3] * np.arange(self.shape[2]))

    def _log_sum(self, times: int) -> np.ndarray:
        """Return log Σ exp(times · logit) of what never moves, [prompt, run]."""
        still = times * self.lanes
        still[self.cells] = -np.inf
        still = still.reshape(*self.start.shape[1:], -1)
        peak = still.max(1, keepdims=True)
        peak[np.isneginf(peak)] = 0
        # One after the other, for any number of runs: a run's numbers do not depend on its company.
        total = np.add.accumulate(np.exp(still - peak, out=still), axis=1, out=still)[:, -1]
        with np.errstate(divide="ignore"):
            return np.log(total) + peak[:, 0]
