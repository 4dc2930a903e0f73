"""What a clock measured for a figure: a committed file, so that drawing it again asks no clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures.machinery.settings import FOLDER


def measured_file(name: str, folder: Path = FOLDER) -> Path:
    """Return where the measurements of a figure lie; few figures have any."""
    return folder / "measured" / f"{name}.json"


def measured(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read what was measured for a figure.

    Args:
        name: The figure.
        folder: Where the figure files lie.

    Returns:
        The machine that it was measured on, and the numbers.

    Raises:
        ValueError: If there is no such file or it cannot be read; the cure is named.
    """
    file = measured_file(name, folder)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ValueError(
            f"measured/{file.name} cannot be read ({type(problem).__name__}); measure again: python -m benchmarks "
            "--methods"
        ) from problem
    return found
