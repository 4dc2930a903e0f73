"""Where large arrays lie: in memory as far as it goes, else in files that vanish with the arrays."""

from __future__ import annotations

import math
import mmap
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VARIABLE = "DPOLAB_CACHE"
SHARE = 0.5  # of the free memory: the rest is for what is computed from a record
DISK_SHARE = 0.9  # of the free disk: a full one stops other programs too
BLOCK = 2**26  # bytes that are written at once where the system reserves no space by itself


class RecordOnDisk(UserWarning):  # noqa: N818 - nothing is wrong with such a record
    """A record is larger than the memory it may take, and lies in files while it is used.

    It is as any other record, but slower where it is looked at. `warnings.simplefilter("error", lab.RecordOnDisk)`
    refuses such records.
    """


@dataclass(frozen=True)
class Place:
    """Where arrays lie.

    A file has no name: the system frees its space when the last array that shows it is gone, however the process ends.

    Args:
        folder: where the files are; None is memory.
    """

    folder: Path | None = None

    def array(self, shape: Sequence[int], dtype: np.dtype | type) -> np.ndarray:
        """Return an array to be written to.

        Raises:
            OSError: if the folder cannot be written or its disk is full; nothing is left there.
        """
        if self.folder is None:
            # NumPy asks the system for large pages, which are first written to several times as fast as usual ones.
            return np.empty(shape, dtype)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                # All of it now: a disk that fills up under a mapped file would kill the process.
                reserve(file.fileno(), math.prod(shape) * np.dtype(dtype).itemsize)
                return np.asarray(np.memmap(file, dtype, "r+", shape=tuple(shape)))
        except OSError as problem:
            raise OSError(
                problem.errno,
                f"the record cannot lie in {self.folder}: {problem.strerror or problem}; nothing is left there; name "
                "another folder as scratch, record fewer steps, or train fewer runs at once",
            ) from problem


MEMORY = Place()


def choose_place(
    needed: float,
    *,
    what: str,
    cure: str,
    memory: float | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> Place:
    """Choose where so many bytes lie: in memory if they may, else in files.

    Args:
        needed: bytes.
        what: what takes them, and of what size it is, such as "the record (3 runs, 501 recorded states)".
        cure: what would make it fit into memory.
        memory: bytes of memory that it may take; None means half of what is free, and no limit where the system does
            not say.
        scratch: folder of the files; None means the cache folder.

    Raises:
        ValueError: if neither memory nor the folder's disk holds it: it says what is there, and the cures.
    """
    allowed = SHARE * free_memory() if memory is None else memory
    if needed <= allowed:
        return MEMORY
    folder = cache_folder() if scratch is None else Path(scratch).expanduser()
    said = f"{what} takes {gigabytes(needed)} and {gigabytes(allowed)} of memory are allowed"
    said += ", half of what is free" if memory is None else ""
    free = DISK_SHARE * free_disk(folder)
    if needed > free:
        raise ValueError(
            f"{said}; the disk of {folder} has {gigabytes(free)} for it; {cure}, or name another folder as scratch"
        )
    warnings.warn(
        f"{said}: it lies in files in {folder}, which vanish with it; {cure} to keep it in memory",
        RecordOnDisk,
        stacklevel=4,
    )
    return Place(folder)


def let_go(arrays: Iterable[np.ndarray]) -> None:
    """Hand the memory that shows files back to the system, where it listens; what was written stays written."""
    for array in arrays:
        while isinstance(array.base, np.ndarray):
            array = array.base
        shown: object = array.base
        if isinstance(shown, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            shown.madvise(mmap.MADV_DONTNEED)


def reserve(file: int, size: int) -> None:
    """Give an open file so many bytes of its disk.

    Raises:
        OSError: if the disk has not got them.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    blank = bytes(min(size, BLOCK))
    for begin in range(0, size, BLOCK):
        os.write(file, blank[: size - begin])


def cache_folder() -> Path:
    """Return the cache folder, which need not exist yet: `DPOLAB_CACHE`, or the user's cache folder."""
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("dpolab", appauthor=False)


def free_memory() -> float:
    """Return the bytes that a process could take without swapping; infinity where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(1024.0 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def free_disk(folder: Path) -> float:
    """Return the free bytes of the disk that a folder, which need not exist yet, is or would be on."""
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    try:
        return float(shutil.disk_usage(there).free)
    except OSError:
        return float("inf")  # the attempt to write will tell


def gigabytes(size: float) -> str:
    """Write a number of bytes."""
    return f"{size / 1e9:.3g} GB" if size < 1e15 else "a million GB"
