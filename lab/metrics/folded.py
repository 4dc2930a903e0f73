"""A record's log-probabilities with all responses that no pair names folded into one, in blocks that fit the cache.

A gradient in the logits has -π_y Σ_z A_z on every response y that no pair names, and no entry of A there: of these
responses their mass Σ_y π_y enters the others' entries, and their length (Σ_y π_y²)^½ norms and inner products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from lab.trajectory import TableLogProb, in_blocks, table_behind


@dataclass(frozen=True)
class Folded:
    """Where the numbers of a record are, with runs and steps last, in the order in which they stand in memory.

    NumPy's reductions over a short last axis take several times as long, and so do large temporary arrays, whose memory
    the system hands out page by page.

    Args:
        named: The responses of each prompt that pairs name, in order, [row, prompt]; -1 fills up.
        dims: The dimensions of runs and steps, in the order of memory.
        shape: Their lengths.
        table: The moving table that the log-probabilities are computed from, or
        log_prob: the log-probabilities of all responses, [response, prompt, 1, run · step].
    """

    named: np.ndarray
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    table: TableLogProb | None
    log_prob: np.ndarray

    @classmethod
    def of(cls, ds: xr.Dataset) -> Folded:
        """Find them in a record."""
        named, leading = _named(ds), leading_dims(ds)
        table = table_of_pairs(ds)
        if table is not None:
            dims = ["step", *(dim for dim in leading if dim != "step")]
            return cls(named, tuple(dims), tuple(ds.sizes[dim] for dim in dims), table, np.empty(0))
        strides = dict(zip(ds["log_prob"].dims, ds["log_prob"].values.strides, strict=True))
        dims = sorted(leading, key=lambda dim: -abs(strides[dim]))
        log_prob = ds["log_prob"].transpose("response", "prompt", *dims).values
        log_prob = log_prob.reshape(*log_prob.shape[:2], 1, -1)
        return cls(named, tuple(dims), tuple(ds.sizes[dim] for dim in dims), None, log_prob)

    @property
    def lanes(self) -> tuple[int, int]:
        """Return the numbers of steps and runs; of whole log-probabilities all that is counted as runs of one step."""
        if self.table is None:
            return 1, self.log_prob.shape[-1]
        return self.table.shape[1], self.table.shape[0]

    @cached_property
    def _others(self) -> np.ndarray:
        """Return the responses of each prompt that no pair names, [row, prompt]; -1 fills up."""
        mask = np.ones(self.log_prob.shape[1::-1], bool)
        for row in self.named:
            mask[row >= 0, row[row >= 0]] = False
        return _listed(mask)

    def at(self, steps: slice, runs: slice) -> tuple[np.ndarray, np.ndarray]:
        """Compute a block.

        Args:
            steps: Which steps, [s].
            runs: Which runs, [r].

        Returns:
            log π of the named responses, -inf where a prompt has fewer, and last of all the log of the others' mass,
            [row, prompt, s, r]; log (Σ π²)^½ of the others, [prompt, s, r].
        """
        if self.table is not None:
            return self.table.folded(steps, runs)
        log_prob = self._block(runs)
        share, peak = self._shares(log_prob)
        mass = np.log(share.sum(0, keepdims=True)) + peak
        share *= share
        return np.concatenate([_rows(log_prob, self.named), mass]), 0.5 * np.log(share.sum(0)) + peak

    def log_rest(self, runs: slice) -> np.ndarray:
        """Compute the log of the mass of the responses that no pair names out of whole log-probabilities.

        Args:
            runs: Which runs and steps, [r].

        Returns:
            [prompt, 1, r]; -inf where pairs name all, NaN where there are no numbers.
        """
        log_prob = self._block(runs)
        share, peak = self._shares(log_prob)
        return np.where(np.isnan(log_prob[0]), np.nan, np.log(share.sum(0)) + peak)

    def _block(self, runs: slice) -> np.ndarray:
        # A transpose alone leaves the old order in memory.
        return np.ascontiguousarray(self.log_prob[..., runs], np.float64)

    def _shares(self, log_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return π / peak of the responses that no pair names, [row, prompt, 1, r], and log peak, [prompt, 1, r]."""
        rest = _rows(log_prob, self._others)
        peak = rest.max(0)
        peak[np.isneginf(peak)] = 0
        rest -= peak
        return np.exp(rest, out=rest), peak

    def in_blocks(self, work: Callable[[slice, slice], object]) -> None:
        """Work on blocks of steps and runs."""
        rows, prompts = self.named.shape
        if self.table is not None:
            _ = self.table.normaliser  # once, before several threads ask for it
        # Of both terms the named responses, and all responses where these are at hand.
        in_blocks(
            work, *self.lanes, prompts * ((rows + 1) + (0 if self.table is not None else len(self.log_prob) // 2))
        )


def table_of_pairs(ds: xr.Dataset) -> TableLogProb | None:
    """Return the moving table behind a record whose moving responses are just those that its pairs name, or None."""
    table = table_behind(ds.variables["log_prob"])
    if table is None or "step" not in ds.sizes:
        return None
    cells = ds.variables["pair_prompt"].values * ds.sizes["response"]
    named = np.unique(np.concatenate([cells + ds.variables[which].values for which in ("chosen", "rejected")]))
    return table if np.array_equal(named, np.sort(table.cells)) else None


def over_runs(values: np.ndarray, dims: Sequence[str], ds: xr.Dataset, *names: str) -> xr.DataArray:
    """Label what was computed with runs last.

    Args:
        values: [step, *dims, run], the runs in the order of the record's axes; one step of a record without them.
        dims: Dimensions behind the steps.
        ds: The record.
        *names: Coordinates of the record's besides those of axes and steps.

    Returns:
        [axes..., step, *dims].
    """
    leading = leading_dims(ds)
    axes = [dim for dim in leading if dim != "step"]
    steps = [dim for dim in leading if dim == "step"]
    shape = (*values.shape[0 if steps else 1 : -1], *(ds.sizes[dim] for dim in axes))
    variable = xr.Variable((*steps, *dims, *axes), values.reshape(shape))
    return with_coords(variable.transpose(*leading, *dims), ds, *names)


def runs_last(variable: xr.Variable, dims: Sequence[str], ds: xr.Dataset) -> np.ndarray:
    """Lay out [axes..., step, *dims] as [step, *dims, run], the way back from `over_runs`; a view where one can be."""
    leading = leading_dims(ds)
    axes = [dim for dim in leading if dim != "step"]
    values = variable.transpose(..., *(dim for dim in leading if dim == "step"), *dims, *axes).values
    return values.reshape(ds.sizes.get("step", 1), *(ds.sizes[dim] for dim in dims), -1)


def log_rest(ds: xr.Dataset) -> xr.DataArray:
    """Compute the log of the mass of the responses that no pair names, of a record whose log-probabilities stand in it.

    Args:
        ds: The record.

    Returns:
        [..., step, prompt] in nats, as far as the record has these.
    """
    fold, leading = Folded.of(ds), leading_dims(ds)
    out = np.empty((ds.sizes["prompt"], *fold.lanes))

    def work(steps: slice, runs: slice) -> None:
        out[:, steps, runs] = fold.log_rest(runs)

    fold.in_blocks(work)
    values = xr.Variable(("prompt", *fold.dims), out.reshape(-1, *fold.shape))
    return with_coords(values.transpose(*leading, "prompt"), ds)


def leading_dims(ds: xr.Dataset) -> list[str]:
    """Return the axes and `step`, as far as the record has them, in the order of its log-probabilities."""
    return [str(dim) for dim in ds.variables["log_prob"].dims if dim not in ("prompt", "response")]


def with_coords(variable: xr.Variable, ds: xr.Dataset, *names: str, spaces: Sequence[str] = ()) -> xr.DataArray:
    """Give a variable the record's coordinates of axes and steps, and those of some other names and of spaces.

    All at once: every later assignment would cost more than what small records are asked for.
    """
    leading = set(leading_dims(ds))
    coords = {str(name): each for name, each in ds.coords.variables.items() if set(each.dims) <= leading}
    coords |= {name: ds.variables[name] for name in names}
    if spaces:
        coords["space"] = xr.Variable("space", list(spaces))
    return xr.DataArray(variable, coords=coords)


def _rows(log_prob: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Take these responses of each prompt, [row, prompt, 1, r]; -inf where a row is -1."""
    taken = np.take_along_axis(log_prob, rows[..., None, None], 0)
    taken[rows < 0] = -np.inf
    return taken


def _named(ds: xr.Dataset) -> np.ndarray:
    mask = np.zeros((ds.sizes["prompt"], ds.sizes["response"]), bool)
    for which in ("chosen", "rejected"):
        mask[ds.variables["pair_prompt"].values, ds.variables[which].values] = True
    return _listed(mask)


def _listed(mask: np.ndarray) -> np.ndarray:
    """List the marked responses of each prompt in order, [row, prompt]; -1 fills up."""
    rows = np.full((max(1, mask.sum(1).max()), len(mask)), -1)
    prompt, response = np.nonzero(mask)
    rows[np.cumsum(mask, 1)[prompt, response] - 1, prompt] = response
    return rows
