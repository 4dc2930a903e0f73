"""What stands between a derived array and xarray: of a record that is sliced, only the slice is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from lab.trajectory.derived import TableLogProb


class DerivedArray(BackendArray):
    """A derived array [axes..., step, prompt, response] in the form of a file that xarray reads as it goes.

    Args:
        source: What computes the numbers.
        lengths: The axes whose product, in C order, is the source's run dimension.
    """

    def __init__(self, source: TableLogProb, lengths: Sequence[int]) -> None:
        self.source, self.lengths = source, tuple(lengths)
        self.shape = (*self.lengths, *source.shape[1:])
        self.dtype = source.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        """Compute what a key of xarray asks for: numbers, slices and lists by themselves, or arrays that broadcast."""
        parts = [np.arange(size)[part] for size, part in zip(self.shape, key.tuple, strict=True)]
        if isinstance(key, indexing.VectorizedIndexer):
            return self.pick(parts)
        found = self.pick(list(np.ix_(*(np.atleast_1d(part) for part in parts))))
        return found.reshape([part.size for part in parts if part.ndim])

    def pick(self, parts: list[np.ndarray]) -> np.ndarray:
        """Compute the numbers at indices that broadcast, one array for every dimension."""
        *axes, step, prompt, response = parts
        run = np.zeros((), int)
        for axis, length in zip(axes, self.lengths, strict=True):
            run = run * length + axis
        shape = np.broadcast(*parts).shape
        wanted = [_narrow(index, len(shape)) for index in (run, step, prompt * self.shape[-1] + response)]
        uses = [[dim for dim, size in enumerate(index.shape) if size != 1] for index in wanted]
        order = [dim for dims in uses for dim in dims]
        if len(set(order)) < len(order):  # such as another step for every run
            unique, places = zip(*(np.unique(index, return_inverse=True) for index in wanted), strict=True)
            places = tuple(place.reshape(index.shape) for place, index in zip(places, wanted, strict=True))
            return _widen(self.source.at(*unique)[places], shape)
        found = self.source.at(*(index.ravel() for index in wanted))
        sizes = [index.shape[dim] for index, dims in zip(wanted, uses, strict=True) for dim in dims]
        single = [size if dim in order else 1 for dim, size in enumerate(shape)]
        return _widen(found.reshape(sizes).transpose(np.argsort(order)).reshape(single), shape)


class LazyArray(indexing.LazilyIndexedArray):
    """xarray's own lazy array, but for picks of single entries: these are computed at once, where their shape is known.

    xarray would spell out four indices for every entry first, which takes longer than the entries do.
    """

    __slots__ = ()

    def _vindex_get(self, indexer: indexing.VectorizedIndexer) -> np.ndarray:
        kept = [np.arange(size)[part] for size, part in zip(self.array.shape, self.key.tuple, strict=True)]
        keys = iter(indexer.tuple)
        slices = sum(isinstance(part, slice) for part in indexer.tuple)
        parts, seen = [], 0
        for part in kept:  # what is picked comes first, then what is sliced
            if part.ndim:
                by = next(keys)
                part = part[by]
                if isinstance(by, slice):
                    part = part.reshape(-1, *(1,) * (slices - seen - 1))
                    seen += 1
                else:
                    part = part.reshape(*part.shape, *(1,) * slices)
            parts.append(part)
        return self.array.pick(parts)


def lazy_variable(dims: Sequence[str], source: TableLogProb, lengths: Sequence[int], attrs: dict) -> xr.Variable:
    """Make a variable whose numbers are computed when they are asked for, and kept once all of them were."""
    # As xarray wraps what it reads from a file.
    lazy: Any = LazyArray(DerivedArray(source, lengths))
    return xr.Variable(dims, indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy)), attrs)


def table_behind(variable: xr.Variable) -> TableLogProb | None:
    """Return the moving table that an array of log-probabilities is computed from, if that is known.

    Args:
        variable: `log_prob` of a record, or of some of its steps and runs.

    Returns:
        The table of these runs and steps, in their order; None for numbers that are there already, and for an array of
        some of the prompts or responses.
    """
    data: Any = variable._data
    while not isinstance(data, LazyArray):
        data = getattr(data, "array", None)
        if data is None:
            return None
    source, shape = data.array, data.array.shape
    kept = [np.arange(size)[part] for size, part in zip(shape, data.key.tuple, strict=True)]
    *axes, step, prompt, response = kept
    if not (np.array_equal(prompt, np.arange(shape[-2])) and np.array_equal(response, np.arange(shape[-1]))):
        return None
    if all(part.shape == (size,) and (np.diff(part) == 1).all() for part, size in zip(kept, shape, strict=True)):
        return source.source
    run = np.zeros(1, int)
    for axis, length in zip(axes, source.lengths, strict=True):
        run = (run[:, None] * length + np.atleast_1d(axis)).ravel()
    return source.source.part(run, np.atleast_1d(step))


def _narrow(index: np.ndarray, ndim: int) -> np.ndarray:
    """Return indices with so many dimensions, of length 1 where they do not differ."""
    index = index.reshape((1,) * (ndim - index.ndim) + index.shape)
    for dim in range(ndim):
        first = index.take([0], dim) if index.shape[dim] else index
        index = first if (index == first).all() else index
    return index


def _widen(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat what was asked for more than once; a plain array, which may be written to."""
    return found if found.shape == shape else np.broadcast_to(found, shape).copy()
