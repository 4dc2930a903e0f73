"""Where a record goes, and how it and its picture get there: whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.errors import Failure, Mistake

if TYPE_CHECKING:
    import xarray as xr

LONGEST_NAME = 120


def destination(out: str | None, line: str) -> Path:
    """Decide where the record goes, and see that it can go there before anything is computed.

    Args:
        out: A name ending in .nc, a folder, or None for ./runs.
        line: The canonical experiment line, which names the file in a folder.

    Returns:
        The path of the record; its folder exists and can be written.

    Raises:
        Mistake: The name ends otherwise, or the folder cannot be written.
    """
    file = Path(out or "runs")
    if not file.suffix or file.is_dir() or str(out).endswith(("/", os.sep)):
        file = file / f"{slug(line)}.nc"
    if file.suffix != ".nc":
        raise Mistake(f"--out is {out}; allowed is a name ending in .nc, or a folder. Write {file.with_suffix('.nc')}.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-"):
            pass
    except OSError as error:
        blocked = isinstance(error, FileExistsError | NotADirectoryError)
        raise Mistake(
            f"The folder {file.parent} cannot be written ({'a file is in the way' if blocked else reason(error)}). "
            "Name another place: --out FOLDER/NAME.nc."
        ) from None
    return file


def slug(line: str) -> str:
    """Name a file after its line; a long line keeps its beginning and a hash of the whole."""
    name = re.sub(r"[/:>*]", "-", line.replace(" ", "_").replace("=", ""))
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}_{hashlib.sha256(line.encode()).hexdigest()[:8]}"


def save_record(dataset: xr.Dataset, file: Path) -> Path:
    """Save a record.

    Raises:
        Failure: It cannot be written.
    """
    import lab

    try:
        return lab.save(dataset, file)
    except OSError as error:
        raise Failure(f"{reason(error)}. Name another place: --out FOLDER/NAME.nc.") from error


def save_picture(dataset: xr.Dataset, file: Path) -> Path:
    """Draw a record and save the picture.

    Raises:
        Failure: It cannot be written.
    """
    from lab.experiments.picture import picture

    part = file.with_name(f".{file.stem}.{os.getpid()}.png")
    try:
        picture(dataset).savefig(part, dpi=150, metadata={"Source": str(dataset.attrs.get("experiment", ""))})
        part.replace(file)
    except OSError as error:
        raise Failure(f"The picture {file} cannot be written ({reason(error)}); the record is saved.") from error
    finally:
        part.unlink(missing_ok=True)
    return file


def reason(error: OSError) -> str:
    """Say in words why a file could not be written."""
    return error.strerror or str(error)
