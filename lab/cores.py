"""How many of the processor's cores the lab computes on, and how parts that share nothing are spread over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

Part = TypeVar("Part")
Done = TypeVar("Done")


class Stopped(Exception):  # noqa: N818 - nothing went wrong here: another part failed, or the user stopped the work
    """Work on a part was given up because another part has failed, or the whole was interrupted."""


def cores() -> int:
    """Return how many cores the lab may use: OMP_NUM_THREADS if it is set, else all that this process may run on."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said):
        return int(said)
    # Older Pythons and other systems do not know which cores this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Part, Callable[[], None]], Done],
    parts: Sequence[Part],
    threads: int | None = None,
    begin: Callable[[], object] = lambda: None,
) -> list[Done]:
    """Do the work of every part, several at once, and return what came of them in order.

    NumPy and torch let go of Python's lock while they compute, so threads of Python share the cores; each computes a
    part as it would alone, so that the number of threads changes no result.

    Args:
        work: computes one part; it calls its second argument now and then, which raises `Stopped` once the whole is
            given up. It sets modes such as np.errstate itself: they hold for one thread.
        parts: what to compute.
        threads: how many at once; None means as many as there are cores.
        begin: called once in every thread.

    Raises:
        Exception: the error of the part that failed first.
    """
    threads, given_up = min(threads or cores(), len(parts)), Event()

    def check() -> None:
        if given_up.is_set():
            raise Stopped

    if threads < 2:
        return [work(part, check) for part in parts]
    with ThreadPoolExecutor(threads, "lab", begin) as pool:
        try:
            begun = [pool.submit(work, part, check) for part in parts]
            for failed in (each for each in wait(begun, return_when=FIRST_EXCEPTION).done if each.exception()):
                failed.result()
            return [each.result() for each in begun]
        except BaseException:
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
