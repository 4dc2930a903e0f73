"""Run a student's program in a process of its own, and read the outputs that it leaves."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.course.calling import Outcome
from lab.course.exercise import Case, Mistake
from lab.course.grading.finding import Program
from lab.course.grading.limits import MEGABYTE, Limits, run_limited
from lab.course.plain import decode, encode, plain

ROOT = Path(__file__).resolve().parents[3]
JOB, RESULT = "job.json", "result.json"
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")  # of the environment; nothing that could be a secret


def run_program(program: Program, cases: list[Case], limits: Limits) -> tuple[list[Outcome], list[str]]:
    """Run a program on cases, in a process of its own.

    Args:
        program: The statements and the function.
        cases: Its arguments.
        limits: What the process may use.

    Returns:
        One outcome a call, and what happened to the statements before the answer.

    Raises:
        Mistake: The process came to no result.
    """
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        job = {
            "statements": list(program.statements),
            "function": program.function,
            "cases": [encode(case) for case in cases],
            "limits": asdict(limits),
        }
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "lab.course.grading.child", JOB, RESULT]
        ended = run_limited(command, folder, _environment(folder), limits)
        result = folder / RESULT
        # What was written before it ended badly still counts: a result is whole or not there.
        if not result.is_file():
            raise Mistake(f"it {ended or 'leaves no result'}.")
        if result.stat().st_size > limits.file_megabytes * MEGABYTE:
            raise Mistake("it gives more than can be read.")
        try:
            return _outcomes(json.loads(result.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as problem:
            raise Mistake(f"its result cannot be read: {str(problem)[:160]}.") from None


def _outcomes(result: dict[str, Any]) -> tuple[list[Outcome], list[str]]:
    found = []
    for each in result["outcomes"]:
        after = plain(decode(each["after"]))
        found.append(
            Outcome(
                plain(decode(each["output"])),
                after if isinstance(after, tuple) else (),
                str(each["raised"])[:100],
                str(each["message"])[:300],
            )
        )
    return found, [str(note)[:300] for note in result["notes"]][:20]


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {"HOME": str(folder), "TMPDIR": str(folder), "DPOLAB_CACHE": str(folder / "cache"), "MPLBACKEND": "agg"}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | own | threads | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
