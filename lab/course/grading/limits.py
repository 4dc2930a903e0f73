"""What a student's code may use: time, memory, the size of files, and how a process is held to that."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1 << 20
TOO_LARGE = 74  # exit code of a process whose outputs do not fit into a file
TOKEN = "LAB_GRADING"
GRACE = 2.0  # seconds for a process that was killed to be gone


@dataclass(frozen=True)
class Limits:
    """What one answer may use.

    Args:
        seconds: By the clock, the start of Python and the imports included.
        megabytes: Memory of a process.
        file_megabytes: Size of a file that it writes, its outputs among them.

    Raises:
        ValueError: A limit leaves no room for Python itself.
    """

    seconds: float = 20.0
    megabytes: int = 2048
    file_megabytes: int = 16

    def __post_init__(self) -> None:
        if not self.seconds >= 1 or not self.megabytes >= 256 or not self.file_megabytes >= 1:
            raise ValueError(
                f"The limits are {self.seconds} s, {self.megabytes} MB and files of {self.file_megabytes} MB; allowed "
                "are at least 1 s, 256 MB and 1 MB, as Python itself needs some. Raise them."
            )


def run_limited(command: list[str], folder: Path, environment: dict[str, str], limits: Limits) -> str:
    """Run a command to its end or to its limits, and leave none of its processes behind.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        environment: All of its environment.
        limits: Its time by the clock; the command holds itself to the others (`hold_to`).

    Returns:
        "" when it ended by itself with exit code 0; otherwise why not, as half a sentence.
    """
    token = os.urandom(16).hex()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {TOKEN: token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = process.wait(timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        return f"takes more than {limits.seconds:g} s"
    finally:
        _kill_all(process, token)
    if code < 0:
        return f"is stopped by {signal.Signals(-code).name}"
    if code == TOO_LARGE:
        return "gives more than can be read"
    return f"ends its process with exit code {code}" if code else ""


def hold_to(limits: Limits) -> None:
    """Hold this process, and those that it starts, to limits from here on.

    Args:
        limits: What they may use; on a system without such limits only the clock holds, which `run_limited` keeps.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        resource.RLIMIT_DATA: limits.megabytes * MEGABYTE,
        resource.RLIMIT_FSIZE: limits.file_megabytes * MEGABYTE,
        resource.RLIMIT_CPU: int(limits.seconds) + 1,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, most))


def _kill_all(process: subprocess.Popen[bytes], token: str) -> None:
    """Kill a process, its group, and what left the group but still carries its environment."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    else:
        process.kill()
    process.wait()
    until = time.monotonic() + GRACE
    while (left := _carriers(token)) and time.monotonic() < until:
        for number in left:
            try:
                os.kill(number, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        time.sleep(0.02)


def _carriers(token: str) -> list[int]:
    """Find the running processes whose environment holds a token; only where there is /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{TOKEN}={token}".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found
