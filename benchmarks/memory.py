"""How much memory a call takes at its peak, above what its process held before."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak(call: Callable[[], object]) -> tuple[object, int]:
    """Run something and measure its peak.

    Where the system lets a process set its high-water mark back (Linux), what the process did before does not count;
    elsewhere a peak below an earlier one reads as 0.

    Args:
        call: What to run.

    Returns:
        What it returned, and bytes of resident memory at the peak above those before the call.
    """
    gc.collect()
    _give_back()
    try:
        REFERENCES.write_text("5")
        before = _status("VmRSS")
        found = call()
        return found, max(0, _status("VmHWM") - before)
    except (OSError, KeyError):
        before = _used()
        found = call()
        return found, _used() - before


def _give_back() -> None:
    """Hand freed memory back to the system where the C library can (glibc): using it again would not be seen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _status(name: str) -> int:
    lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="utf-8").splitlines() if ":" in line)
    return int(lines[name].split()[0]) * 1024


def _used() -> int:
    # Kilobytes but on macOS, where they are bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
