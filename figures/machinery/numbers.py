"""The committed key numbers of a figure, and whether new ones agree with them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def rounded(numbers: Mapping[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Write key numbers as they are committed: six significant digits are more than any tolerance needs."""
    return {
        name: {"value": float(f"{value:.6g}"), "tolerance": float(f"{tolerance:.6g}")}
        for name, (value, tolerance) in numbers.items()
    }


def read(file: Path) -> dict[str, dict[str, float]]:
    """Read committed key numbers.

    Args:
        file: figures/expected/NAME.json.

    Returns:
        {name: {value, tolerance}}; empty if there is no such file.

    Raises:
        ValueError: If the file is not what `write` made.
    """
    if not file.is_file():
        return {}
    try:
        known = json.loads(file.read_text(encoding="utf-8"))["numbers"]
        return {name: {key: float(each[key]) for key in ("value", "tolerance")} for name, each in known.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(
            f"the committed numbers in {file.name} cannot be read ({type(problem).__name__}: {problem}); restore the "
            "file, or delete it and draw the figure."
        ) from problem


def differences(committed: Mapping[str, Mapping[str, float]], now: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Compare new key numbers with committed ones, within the committed tolerance.

    Args:
        committed: What `read` returned.
        now: What `rounded` returned.

    Returns:
        One sentence for each number that differs, is new or is gone; empty if all agree.
    """
    said = []
    for name in [*committed, *(name for name in now if name not in committed)]:
        if name not in now:
            said.append(f"{name} is gone; committed {committed[name]['value']:g}")
        elif name not in committed:
            said.append(f"{name} is new: {now[name]['value']:g}")
        elif not abs(now[name]["value"] - committed[name]["value"]) <= committed[name]["tolerance"]:
            known = committed[name]
            said.append(f"{name} is {now[name]['value']:g}; committed {known['value']:g} ± {known['tolerance']:g}")
    return said


def write(figure: str, lines: Mapping[str, str], now: Mapping[str, Mapping[str, float]], file: Path) -> None:
    """Write the key numbers to commit, as a whole file or not at all.

    Args:
        figure: Its name.
        lines: Canonical experiment lines by name.
        now: What `rounded` returned.
        file: figures/expected/NAME.json.
    """
    text = json.dumps({"figure": figure, "lines": dict(lines), "numbers": now}, indent=1, ensure_ascii=False) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
