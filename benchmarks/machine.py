"""The machine: described without its name, and how fast it does at best what every peer has to do."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks.race.cases import WIDTH, Case

CACHED = 2**14  # numbers that stay in a core's own cache
FAR = 2**24  # numbers that do not fit any cache
SIZE = 1024  # of the matrices that are multiplied


def describe() -> dict[str, object]:
    """Return processor, cores, system and versions; no names, no dates."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "numpy": np.__version__,
    }


def measure(cores: int, rounds: int = 20) -> dict[str, float]:
    """Measure, on all cores at once and by NumPy, the best of several rounds.

    Args:
        cores: Threads that work at once.
        rounds: Rounds.

    Returns:
        Bytes a second written to memory in use ("stream") and to fresh memory ("first_touch"), numbers a second through
        exp, tanh and a root with a quotient ("root"), and floating-point operations a second in products of matrices.
    """
    near = [np.linspace(0.1, 1, CACHED) for _ in range(cores)]
    out = [np.empty(CACHED) for _ in range(cores)]
    far = [np.zeros(FAR // cores) for _ in range(cores)]
    matrix, product = np.full((SIZE, SIZE), 0.5), np.empty((SIZE, SIZE))

    def again(call: Callable[[np.ndarray, np.ndarray], object]) -> Callable[[int], object]:
        return lambda core: [call(near[core], out[core]) for _ in range(100)]

    def root(values: np.ndarray, into: np.ndarray) -> object:
        return np.divide(values, np.sqrt(values, out=into), out=into)

    counted = 100.0 * CACHED * cores
    tasks: dict[str, tuple[Callable[[int], object], float]] = {
        "stream": (lambda core: far[core].fill(1.0), 8.0 * (FAR // cores) * cores),
        "first_touch": (lambda core: np.empty(FAR // cores).fill(1.0), 8.0 * (FAR // cores) * cores),
        "exp": (again(lambda values, into: np.exp(values, out=into)), counted),
        "tanh": (again(lambda values, into: np.tanh(values, out=into)), counted),
        "root": (again(root), counted),
        # A product of matrices takes all cores by itself.
        "product": (lambda core: core or np.matmul(matrix, matrix, out=product), 2.0 * SIZE**3),
    }
    with ThreadPoolExecutor(cores) as pool:
        return {name: max(work / _time(pool, task, cores) for _ in range(rounds))
                for name, (task, work) in tasks.items()}  # fmt: skip


def limit(case: Case, speeds: Mapping[str, float]) -> float:
    """Return seconds a run and step below which this machine cannot go, whoever programs it.

    The recordings are written once at the speed of the stream, while every core does the arithmetic: for a table three
    exponentials a pair (push and both probabilities) and one a prompt; for a network its softmax, its activations, its
    products of matrices (forward, backward for both terms, gradient) and Adam's roots.

    Args:
        case: The case.
        speeds: As from `measure`.

    Source: own count; tests/test_benchmarks_race.py.
    """
    prompts, responses, pairs = case.sizes
    written = 8 * case.numbers / speeds["stream"]
    if case.workload != "B":
        return max(written, (3 * pairs + prompts) / speeds["exp"])
    inner, outer = 2 * prompts * WIDTH * WIDTH, 2 * prompts * WIDTH * responses
    parameters = prompts * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH + WIDTH * responses + responses
    arithmetic = (
        (prompts * responses + pairs) / speeds["exp"]
        + 2 * prompts * WIDTH / speeds["tanh"]
        + parameters / speeds["root"]
        + 4 * (inner + outer) / speeds["product"]
    )
    return max(written, arithmetic)


def _time(pool: ThreadPoolExecutor, task: Callable[[int], object], cores: int) -> float:
    start = time.perf_counter()
    list(pool.map(task, range(cores)))
    return time.perf_counter() - start


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
