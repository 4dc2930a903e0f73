"""Work on runs and steps in blocks that stay in a core's cache, on several cores where there is much of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lab.cores import spread

BLOCK = 2**17  # numbers that are worked on at once
SHARED = 2**18  # numbers from which work is spread over several cores: threads take time to begin


def in_blocks(work: Callable[[slice, slice], object], steps: int, runs: int, width: int) -> None:
    """Work on blocks of steps and runs, which share nothing.

    As many runs as there are stand in a block, rather than steps: where runs are last in memory, its pieces are long.

    Args:
        work: Is given the steps and the runs of a block; logs of 0 are no warning there.
        steps: Number of steps.
        runs: Number of runs.
        width: Numbers of each run and step that are in use at once.
    """
    lanes = max(1, min(runs, BLOCK // max(1, width)))
    rows = max(1, BLOCK // (max(1, width) * lanes))
    blocks = [
        (slice(row, min(row + rows, steps)), slice(first, min(first + lanes, runs)))
        for row in range(0, steps, rows)
        for first in range(0, runs, lanes)
    ]

    def one(block: tuple[slice, slice], check: Callable[[], None]) -> None:
        check()
        with np.errstate(divide="ignore", invalid="ignore"):
            work(*block)

    spread(one, blocks, 1 if steps * runs * width < SHARED else None)
