"""How many threads torch computes on: one in each operation, and several only for parts that share nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch

from lab import cores
from lab.cores import Done, Part


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
    """Do the work of every part as `lab.cores.spread` does, on as many threads at once as torch may use.

    Args:
        work: computes one part, on one thread of torch. It sets modes such as torch.inference_mode itself.
        parts: what to compute.

    Raises:
        Exception: the error of the part that failed first.
    """
    threads = torch.get_num_threads()
    with one_thread():
        return cores.spread(work, parts, threads, lambda: torch.set_num_threads(1))
