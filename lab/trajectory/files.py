"""Records on disk: netCDF files that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import numpy as np
import xarray as xr

from lab.space import Place, choose_place
from lab.trajectory import streaming
from lab.trajectory.schema import FORMAT, SCHEMA_VERSION, validate

_HDF5 = b"\x89HDF\r\n\x1a\n"
_CLASSIC = b"CDF"
# After the HDF5 content, whose readers ignore what follows its end: HDF5's own checksums leave its structure open, and
# a damaged file must be an error, never a wrong number. A file that another tool wrote has none and is read as it is.
_TRAILER = b"dpolab-blake2b "
_DIGEST_SIZE = 16
_TRAILER_SIZE = len(_TRAILER) + 2 * _DIGEST_SIZE + 1


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Save a record as netCDF.

    The file is written beside its place, flushed to the disk and renamed: a failure keeps what was there before.

    Args:
        dataset: A record.
        path: The file to write; an existing one is replaced.

    Returns:
        The path written.

    Raises:
        ValueError: If the dataset is not a record.
        FileNotFoundError, NotADirectoryError, IsADirectoryError: If the path cannot be a file.
        PermissionError: If its folder cannot be written.
        OSError: If the disk is full or fails.

    Source: own definition; tests/test_trajectory.py.
    """
    path = Path(path)
    validate(dataset)
    if path.is_dir():
        raise IsADirectoryError(f"cannot save to '{path}': it is a folder; give the name of a file in it")
    if not path.parent.exists():
        raise FileNotFoundError(f"cannot save to '{path}': there is no folder '{path.parent}'; make it first")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"cannot save to '{path}': '{path.parent}' is not a folder; give another path")
    part = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part"
    try:
        streaming.write(dataset, part)
        digest = _digest(part, part.stat().st_size)
        with open(part, "ab") as file:
            file.write(_TRAILER + digest + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except PermissionError as error:
        raise PermissionError(
            f"cannot save to '{path}': the folder '{path.parent}' cannot be written ({error.strerror}); "
            "change its permissions or give another path"
        ) from error
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot save to '{path}': {error.strerror or error}; what was there before is unchanged; "
            f"free {dataset.nbytes / 1e6:.1f} MB in '{path.parent}' or give another path",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def load(
    path: str | os.PathLike[str],
    *,
    memory: float | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> xr.Dataset:
    """Load a record, so that it no longer needs its file.

    Args:
        path: A file that `save` wrote.
        memory: Bytes of memory that it may take; None means half of what is free. A larger one lies in files of its own
            while it is used, and `lab.RecordOnDisk` warns of it.
        scratch: Folder of these files; None means the cache folder.

    Returns:
        The record, equal to the saved one in every value, type and attribute.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not netCDF, not a record, a record of another schema version, or neither memory nor disk
            holds it.
        OSError: If it is damaged.

    Source: own definition; tests/test_trajectory.py.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot load '{path}': it is a folder; give the name of a file in it")
    if not path.exists():
        raise FileNotFoundError(f"cannot load '{path}': there is no such file; check the name, or make it by lab.save")
    with open(path, "rb") as file:
        signature = file.read(len(_HDF5))
    if signature.startswith(_CLASSIC):
        raise ValueError(_foreign(path, "it is a netCDF file of another kind"))
    if signature != _HDF5:
        if not signature:
            raise OSError(_damaged(path, "it is empty"))
        raise ValueError(f"cannot load '{path}': it is not a netCDF file; give a file that lab.save wrote")
    import h5py  # which takes a quarter of a second, and a record that is never saved needs it not

    _verify(path)
    place = choose_place(path.stat().st_size, what=f"the record in '{path}'", cure="free some", memory=memory,
                         scratch=scratch)  # fmt: skip
    # A broken HDF5 structure surfaces as almost any exception, from h5py's OSError to KeyError and RuntimeError.
    try:
        # h5py first: where a file cannot be opened at all, h5netcdf prints a traceback of its own.
        with h5py.File(path, "r") as plain:
            ours = plain.attrs.get("format") == FORMAT
        if ours:
            with xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False) as opened:
                dataset = _taken(opened, place).drop_encoding()
    except Exception as error:
        raise OSError(_damaged(path, str(error).splitlines()[0] if str(error) else type(error).__name__)) from error
    if not ours:
        raise ValueError(_foreign(path, f"its attribute 'format' is not '{FORMAT}'"))
    dataset = _restore(dataset)
    if dataset.attrs.get("schema") != SCHEMA_VERSION:
        raise ValueError(
            f"cannot load '{path}': it has schema version {dataset.attrs.get('schema')}, this lab reads version "
            f"{SCHEMA_VERSION}; delete it and run its line again: {dataset.attrs.get('experiment', 'unknown')}"
        )
    try:
        validate(dataset)
    except ValueError as error:
        raise OSError(_damaged(path, str(error))) from error
    return dataset


def _taken(opened: xr.Dataset, place: Place) -> xr.Dataset:
    """Take what grows with the steps to a place, and the rest into memory."""
    if place.folder is None:
        return opened.load()
    names = streaming.long_variables(opened)
    return opened.assign({name: streaming.moved(opened[name].variable, place) for name in names}).load()


def _verify(path: Path) -> None:
    """Hold the file to the digest it ends with, if it has one."""
    size = path.stat().st_size - _TRAILER_SIZE
    with open(path, "rb") as file:
        file.seek(max(size, 0))
        trailer = file.read()
    if trailer.startswith(_TRAILER) and trailer != _TRAILER + _digest(path, size) + b"\n":
        raise OSError(_damaged(path, "its content does not match its digest"))


def _digest(path: Path, size: int) -> bytes:
    """Return the digest of the first bytes of a file."""
    found = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    with open(path, "rb") as file:
        while size > 0:
            block = file.read(min(size, 1 << 20))
            if not block:
                break
            found.update(block)
            size -= len(block)
    return found.hexdigest().encode()


def _restore(dataset: xr.Dataset) -> xr.Dataset:
    """Undo what netCDF changes: words come back as objects, numbers in attributes as NumPy scalars."""
    words = {name: variable for name, variable in dataset.variables.items() if variable.dtype.kind in "OT"}
    dataset = dataset.assign_coords(
        {name: (variable.dims, variable.values.astype(str), variable.attrs) for name, variable in words.items()}
    )
    for attrs in (dataset.attrs, *(variable.attrs for variable in dataset.variables.values())):
        attrs.pop("_FillValue", None)
        attrs.update({key: value.item() for key, value in attrs.items() if isinstance(value, np.generic)})
    return dataset


def _damaged(path: Path, what: str) -> str:
    return f"cannot load '{path}': the file is damaged ({what}); delete it and run its experiment again"


def _foreign(path: Path, what: str) -> str:
    return f"cannot load '{path}': it is not a record of the lab ({what}); give a file that lab.save wrote"
