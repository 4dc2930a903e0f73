"""Reports that stand at the root of the checkout: whether they can be written, and how they get there, whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lab.cli.errors import Failure, Mistake
from lab.cli.saving import reason


def see_that_it_can_be_written(file: Path, *, instead: str) -> None:
    """See that a report can be written before anything is computed.

    Args:
        file: The report, at the root of a checkout.
        instead: What else can be done, in a few words.

    Raises:
        Mistake: There is no checkout around it, or its folder cannot be written.
    """
    if not (file.parent / "pyproject.toml").is_file():
        raise Mistake(
            f"{file.name} stands at the root of the checkout, and this lab is installed without one. {instead}, or run "
            "the command in a checkout."
        )
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-"):
            pass
    except OSError as error:
        raise Mistake(f"The folder {file.parent} cannot be written ({reason(error)}). Permit it. {instead}.") from None


def put_in_place(text: str, file: Path) -> bool:
    """Put a text in place in one step, and say whether it changed.

    Args:
        text: The whole text.
        file: Where it goes.

    Returns:
        False where the same text stood there already.

    Raises:
        Failure: The file cannot be written.
    """
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return False
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(file)
    except OSError as error:
        raise Failure(f"{file} cannot be written ({reason(error)}). Permit it, then call again.") from error
    finally:
        part.unlink(missing_ok=True)
    return True
