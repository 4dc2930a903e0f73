"""The process that runs a student's code: statements one by one, then the function on the cases.

It judges nothing: it writes plain outputs as JSON, and the process that started it reads them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lab.course.calling import Outcome, outcomes
from lab.course.grading.limits import TOO_LARGE, Limits, hold_to
from lab.course.plain import decode, encode

REFUSED = "the reference is not there when answers are graded; write the function yourself"


def main(job: Path, result: Path) -> None:
    """Run a job and write its result.

    Args:
        job: A JSON file with statements, a function's name and cases.
        result: Where the outcomes go; it appears whole, or not at all.
    """
    asked = json.loads(job.read_text(encoding="utf-8"))
    cases = [decode(case) for case in asked["cases"]]
    hold_to(Limits(**asked["limits"]))
    notes: list[str] = []
    _close_the_book()
    space: dict[str, Any] = {"__name__": "__main__"}
    # What lacks a name is tried again after the rest: cells may have changed places.
    waiting = _run(asked["statements"], space, notes)
    for statement in _run(waiting, space, notes):
        notes.append(f"the line {_first(statement)} lacks a name that no cell binds")
    answer = space.get(asked["function"])
    if callable(answer):
        found = outcomes(answer, cases)
    else:
        found = [Outcome(None, (), "NameError", f"there is no function {asked['function']}")]
    written = {
        "notes": notes,
        "outcomes": [
            {
                "output": encode(each.output),
                "after": encode(each.after),
                "raised": each.raised,
                "message": each.message,
            }
            for each in found
        ],
    }
    fresh = result.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(written), encoding="utf-8")
    except OSError:  # files are limited in size
        os._exit(TOO_LARGE)
    os.replace(fresh, result)


def _run(statements: list[str], space: dict[str, Any], notes: list[str]) -> list[str]:
    """Run statements one by one, and return those that lacked a name."""
    lacking = []
    for statement in statements:
        try:
            exec(compile(statement, "<answer>", "exec"), space)
        except NameError:
            lacking.append(statement)
        # Also SystemExit: one cell that ends the process must not take the answer with it.
        except BaseException as problem:
            notes.append(f"the line {_first(statement)} raises {type(problem).__name__}: {str(problem)[:160]}")
    return lacking


def _first(statement: str) -> str:
    return repr(statement.splitlines()[0][:80])


def _close_the_book() -> None:
    """Take away what would give the solution to whoever asks for it."""
    import lab.course

    def refuse(*asked: Any) -> Any:
        raise RuntimeError(REFUSED)

    # By name in the module's dictionary: the type checker knows them as functions.
    vars(lab.course).update(reference=refuse, solution=refuse)
    asking = sys.modules["lab.course.asking"]
    vars(asking).update(reference=refuse, solution=refuse, find=refuse, exercises=refuse)
    for name in [name for name in sys.modules if name.startswith("lab.course.chapters.")]:
        del sys.modules[name]
    sys.modules["lab.course.chapters"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    # Threads and handlers that an answer left behind do not hold the grading up.
    os._exit(0)
