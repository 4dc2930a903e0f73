"""The cache on disk: results kept under a hash of everything they depend on.

It lies in the user's cache folder (`DPOLAB_CACHE` names another). Losing it costs time, never results: a
damaged file is computed again, a folder that cannot be written is warned about once and then done without, and
past `LIMIT` bytes the files that were not used for longest go.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType

import numpy as np

from lab.space import VARIABLE
from lab.space import cache_folder as folder

LIMIT = 8_000_000_000

# Names that np.savez takes for its own arguments.
_TAKEN = ("file", "allow_pickle")

_warned: set[Path] = set()


@dataclass(frozen=True)
class Size:
    """How much the cache holds: the folder, its number of files, and their bytes together."""

    folder: Path
    files: int
    bytes: int

    def __str__(self) -> str:
        """Write one line, such as '3 files, 1.2 MB in FOLDER'."""
        files = f"{self.files} file{'' if self.files == 1 else 's'}"
        return f"{files}, {self.bytes / 1e6:.1f} MB in {self.folder}"


def key(*parts: object) -> str:
    """Hash everything that a result depends on.

    Args:
        parts: Strings, bytes, numbers, None, numpy arrays (type, shape and content), modules (their source
            text; of a package, that of every module in it), and lists, tuples and mappings of these. Equal
            parts in equal order give equal keys.

    Returns:
        64 hexadecimal digits (sha256).

    Raises:
        TypeError: A part of another type, whose content has no stable bytes.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def path(key: str, suffix: str) -> Path:
    """Return where a result of another format is kept; the folder above it need not exist yet.

    Args:
        key: What `key` returned.
        suffix: The ending with its dot, such as ".nc".

    Raises:
        ValueError: The key is not 64 hexadecimal digits, or the suffix has no dot in front.
    """
    if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
        raise ValueError(
            f"The cache key is {key!r}; allowed are 64 hexadecimal digits. Make it with lab.store.key(...)."
        )
    if not suffix.startswith(".") or "/" in suffix or os.sep in suffix:
        raise ValueError(f"The suffix is {suffix!r}; allowed is a file's ending with its dot. Write for example '.nc'.")
    return folder() / key[:2] / f"{key}{suffix}"


def fetch_arrays(key: str, compute: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return arrays from the cache, or compute them and put them there.

    Args:
        key: What `key` returned.
        compute: Makes the arrays when they are not there; called at most once.

    Returns:
        The arrays by name.

    Raises:
        ValueError: The key is not 64 hexadecimal digits, or an array cannot be stored.
    """
    file = path(key, ".npz")
    try:
        with open(file, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        touch(file)
        return arrays
    except (FileNotFoundError, NotADirectoryError):
        pass
    # Damaged bytes make the zip reader raise almost anything, and none of it is worth stopping for.
    except Exception as problem:
        warnings.warn(
            f"The cached file {file} cannot be read ({type(problem).__name__}: {problem}); it is computed again.",
            stacklevel=2,
        )
    arrays = {name: np.asarray(array) for name, array in compute().items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(
                f"The array {name!r} holds Python objects; allowed are numbers, booleans, text. Convert it."
            )
        if name in _TAKEN:
            raise ValueError(f"An array is called {name!r}, which numpy's file format keeps for itself. Rename it.")
    _write(file, arrays)
    return arrays


def size() -> Size:
    """Measure the cache."""
    sizes = [_bytes(file) for file in _files()]
    return Size(folder(), len(sizes), sum(sizes))


def clear() -> Size:
    """Delete every cached file, and return what was deleted.

    Raises:
        OSError: A file cannot be deleted.
    """
    before = size()
    for file in _files():
        file.unlink(missing_ok=True)
    return before


def touch(file: Path) -> None:
    """Note that a cached file was used now; a cache that cannot be written keeps its old note."""
    with contextlib.suppress(OSError):
        os.utime(file)


def prune(limit: int = LIMIT) -> None:
    """Delete the files that were not used for longest until the cache holds at most `limit` bytes."""
    known = []
    for file in _files():
        with contextlib.suppress(OSError):
            status = file.stat()
            known.append((status.st_mtime, status.st_size, file))
    excess = sum(size for _, size, _ in known) - limit
    for _, size, file in sorted(known):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            file.unlink()
            excess -= size


def _feed(digest: hashlib._Hash, part: object) -> None:
    """Add one part with its type and length, so that no two lists of parts share their bytes."""
    if isinstance(part, ModuleType):
        kind, content = "module", _source(part)
    elif isinstance(part, str):
        kind, content = "text", part.encode()
    elif isinstance(part, bytes):
        kind, content = "bytes", part
    elif isinstance(part, np.ndarray) and not part.dtype.hasobject:
        kind, content = f"array {part.dtype.str} {part.shape}", np.ascontiguousarray(part).tobytes()
    elif part is None or isinstance(part, bool | np.bool_):
        kind, content = "constant", str(part).encode()
    elif isinstance(part, Integral):
        kind, content = "whole", str(int(part)).encode()
    elif isinstance(part, Real):
        kind, content = "real", float(part).hex().encode()
    elif isinstance(part, list | tuple | Mapping):
        kind, content = "mapping" if isinstance(part, Mapping) else "list", str(len(part)).encode()
    else:
        raise TypeError(
            f"A cache key cannot hold {part!r} ({type(part).__name__}); allowed are text, bytes, numbers, None, numpy "
            "arrays, modules, and lists or mappings of these. Convert it, for example with str()."
        )
    digest.update(f"{kind}:{len(content)}:".encode() + content)
    if isinstance(part, Mapping):
        part = [item for pair in part.items() for item in pair]
    if isinstance(part, list | tuple):
        for item in part:
            _feed(digest, item)


def _source(module: ModuleType) -> bytes:
    """Read the source text of a module, or of every module of a package."""
    if not hasattr(module, "__path__"):
        return inspect.getsource(module).encode()
    root = Path(inspect.getfile(module)).parent
    return b"".join(str(file.relative_to(root)).encode() + file.read_bytes() for file in sorted(root.rglob("*.py")))


def _write(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write beside the final name and rename, so that a kill leaves no half file; go on without where that fails."""
    temporary: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-", suffix=".npz", delete=False) as handle:
            temporary = Path(handle.name)
            np.savez(handle, **arrays)  # type: ignore[arg-type]  # mypy takes a name for savez's own option
        temporary.replace(file)
        prune()
    except OSError as problem:
        if folder() not in _warned:
            _warned.add(folder())
            warnings.warn(
                f"The cache folder {folder()} cannot be written ({problem.strerror or problem}); results are computed "
                f"each time. Free or permit it, or set {VARIABLE} to a folder that can be written.",
                stacklevel=3,
            )
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _files() -> list[Path]:
    """List the files that this module made, so that a wrongly set folder loses nothing else."""
    return [file for file in folder().glob("[0-9a-f][0-9a-f]/*") if file.is_file() and _is_ours(file)]


def _is_ours(file: Path) -> bool:
    stem = file.name.removeprefix(".").partition(".")[0]  # a killed save leaves its key with a dot in front
    return file.name.startswith(".new-") or (len(stem) == 64 and stem.startswith(file.parent.name))


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
