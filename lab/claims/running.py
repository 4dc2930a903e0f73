"""From claims to judgements: runs the experiment lines that are not in the cache, several at once, then judges."""

from __future__ import annotations

import math
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from lab.claims.claim import Claim
from lab.claims.judging import Judgement, judge
from lab.experiments.cached import cached_path, cached_run
from lab.experiments.experiment import Experiment

if TYPE_CHECKING:
    import xarray as xr


def lines_to_run(claims: Sequence[Claim]) -> list[str]:
    """List the experiment lines of the claims that are not in the cache, the longest first."""
    return missing([line for claim in claims for line in claim.all_lines])


def missing(lines: Sequence[str]) -> list[str]:
    """List the experiment lines that are not in the cache, each once, the longest first."""
    return sorted((line for line in dict.fromkeys(lines) if not cached_path(line).exists()), key=work, reverse=True)


def work(line: str) -> float:
    """Estimate the work of a line: runs times steps times the size of the policy, summed over its looped cells."""
    total = 0.0
    for cell, _ in Experiment.parse(line).cells():
        runs = float(cell.value("seeds")) * math.prod(len(values) for values in cell.batched_axes.values())
        size = {"mlp": 0.5 + float(cell.value("width")) / 64, "loglinear": 0.3, "tabular": 0.1}[
            str(cell.value("policy"))
        ]
        total += runs * float(cell.value("steps")) * size
    return total


def run_lines(lines: Sequence[str], *, jobs: int, finished: Callable[[str], None]) -> None:
    """Run experiment lines, each in a process of its own, so that their records are in the cache.

    Args:
        lines: The lines.
        jobs: How many at once; 1 stays in this process.
        finished: Called with each line that is done.

    Raises:
        RuntimeError: If a line fails; it names the line. Lines that are done stay in the cache.
        KeyboardInterrupt: When interrupted; no worker is left.
    """
    if jobs == 1 or len(lines) < 2:
        for line in lines:
            with _named(line):
                _run(line)
            finished(line)
        return
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(jobs, len(lines)), multiprocessing.get_context("spawn"), _begin) as pool:
        try:
            waiting = {pool.submit(_run, line): line for line in lines}
            for done in as_completed(waiting):
                with _named(waiting[done]):
                    done.result()
                finished(waiting[done])
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def judge_all(claims: Sequence[Claim], *, finished: Callable[[Judgement], None]) -> list[Judgement]:
    """Judge claims one after the other.

    Args:
        claims: The claims; what is not in the cache is run.
        finished: Called with each judgement.

    Returns:
        The judgements in the same order.

    Raises:
        RuntimeError: If a line fails or an examination breaks; it names the claim or the line.
    """
    record = lru_cache(maxsize=None)(_record)
    judgements = []
    for claim in claims:
        with _named(claim.name):
            judgement = judge(claim, record)
        judgements.append(judgement)
        finished(judgement)
    return judgements


def _record(line: str) -> xr.Dataset:
    with _named(line):
        return cached_run(line)


def _run(line: str) -> None:
    cached_run(line)


def _begin() -> None:
    """Leave an interrupt to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as problem:
        raise RuntimeError(str(problem) if where in str(problem) else f"{problem} in: {where}") from problem
    except (ValueError, KeyError, ArithmeticError) as problem:
        raise RuntimeError(f"{problem} in: {where}") from problem
