"""Reading a parity file: JSON of the form `preference-parity/1`, checked before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORM = "preference-parity/1"
RTOL = 1e-9


class OutOfScope(Exception):
    """A case that the lab cannot compute; its text says why."""


@dataclass(frozen=True)
class Group:
    """The cases of one objective.

    Args:
        objective: the name in the file, such as "dpo.sigmoid"; what stands before the dot is the trainer.
        kind: which inputs and outputs its cases have.
        rtol: relative tolerance.
        cases: inputs, hyper-parameters and outputs, as in the file.
    """

    objective: str
    kind: str
    rtol: float
    cases: tuple[Mapping[str, Any], ...]

    @property
    def trainer(self) -> str:
        """The name before the dot."""
        return self.objective.partition(".")[0]


def read(path: str | Path) -> tuple[str, tuple[Group, ...]]:
    """Read a parity file.

    Args:
        path: the file.

    Returns:
        What made it (names and versions of libraries), and its groups.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not JSON, not of this form, or a group lacks what every group has; it says which.
    """
    file = Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {file}; give the path of a parity file in JSON") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); give the path of a parity file in JSON") from None
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); give a parity file of the form {FORM}") from None
    form = content.get("format") if isinstance(content, dict) else None
    if form != FORM:
        raise ValueError(f"{file} has the format {form!r}; allowed is {FORM!r}: give a file of that form")
    groups = content.get("groups")
    if not isinstance(groups, list) or not groups:
        raise ValueError(f"{file} has no groups; a parity file lists at least one: give a whole file")
    versions = content.get("versions")
    made = ", ".join(f"{name} {value}" for name, value in versions.items()) if isinstance(versions, dict) else "unknown"
    return made, tuple(_group(file, number, group) for number, group in enumerate(groups))


def _group(file: Path, number: int, group: Any) -> Group:
    place = f"{file}, group {number}"
    if not isinstance(group, dict):
        raise ValueError(f"{place} is a {type(group).__name__}; allowed is an object with objective, kind and cases")
    for name, kind in (("objective", str), ("kind", str), ("cases", list)):
        if not isinstance(group.get(name), kind):
            given = repr(group.get(name))[:60]
            raise ValueError(f"{place} has {name}={given}; allowed is a {kind.__name__}: correct the file")
    rtol = group.get("rtol", RTOL)
    if isinstance(rtol, bool) or not isinstance(rtol, int | float) or not 0 <= rtol < 1:
        raise ValueError(f"{place} ({group['objective']}) has rtol={rtol!r}; allowed are numbers from 0 to below 1")
    if not group["cases"]:
        raise ValueError(f"{place} ({group['objective']}) has no cases; give at least one, or take the group out")
    for index, case in enumerate(group["cases"]):
        if not isinstance(case, dict) or not isinstance(case.get("hyper"), dict):
            raise ValueError(f"{place} ({group['objective']}), case {index} has no hyper; give its settings")
    return Group(group["objective"], group["kind"], float(rtol), tuple(group["cases"]))
