"""How many threads the lab computes on: one in each operation, and several only for parts that share nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

import torch

Part = TypeVar("Part")
Done = TypeVar("Done")


class Stopped(Exception):  # noqa: N818 - nothing went wrong here: another part failed, or the user stopped the work
    """Work on a part was given up because another part has failed, or the whole was interrupted."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's operations on one thread inside the block, and restore the number behind it.

    The lab's operations are too small to share: on busy cores sharing them costs up to 30-fold.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def spread(work: Callable[[Part, Callable[[], None]], Done], parts: Sequence[Part]) -> list[Done]:
    """Do the work of every part, on as many threads at once as torch may use, and return what came of them in order.

    Torch lets go of Python's lock while it computes, so threads of Python share the cores; each computes a part as it
    would alone, so that the number of threads changes no result.

    Args:
        work: computes one part; it calls its second argument now and then, which raises `Stopped` once the whole is
            given up. It sets modes such as torch.inference_mode itself: they hold for one thread.
        parts: what to compute.

    Raises:
        Exception: the error of the part that failed first.
    """
    threads, given_up = min(torch.get_num_threads(), len(parts)), Event()

    def check() -> None:
        if given_up.is_set():
            raise Stopped

    with one_thread():
        if threads < 2:
            return [work(part, check) for part in parts]
        with ThreadPoolExecutor(threads, "lab", torch.set_num_threads, (1,)) as pool:
            try:
                begun = [pool.submit(work, part, check) for part in parts]
                for failed in (each for each in wait(begun, return_when=FIRST_EXCEPTION).done if each.exception()):
                    failed.result()
                return [each.result() for each in begun]
            except BaseException:
                given_up.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
