"""What is varied, one thing at a time, and how cost and memory follow it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import lab
from benchmarks.memory import peak


@dataclass(frozen=True)
class Point:
    """One training.

    Args:
        runs: Runs.
        steps: Updates; every state is recorded.
        prompts: Prompts.
        responses: Responses of every prompt.
        pairs: Pairs of every prompt.
        width: Units of both hidden layers of a network; 0 for a table.
        objective: "dpo", whose table advances what moves only, or "kto", whose table moves as a whole.
    """

    runs: int = 256
    steps: int = 200
    prompts: int = 4
    responses: int = 10
    pairs: int = 1
    width: int = 0
    objective: str = "dpo"

    @property
    def parameters(self) -> int:
        """Return the number of parameters of one run."""
        return _policy(self).parameter_count


NETWORK = Point(runs=64, steps=50, width=64)
WHOLE = Point(runs=256, steps=100, objective="kto")
# name of the sweep: where it stands, the field that is varied, and its values
SWEEPS: Mapping[str, tuple[Point, str, tuple[int, ...]]] = {
    "table, runs": (Point(), "runs", (1, 4, 16, 64, 256, 1024, 4096)),
    "table, steps": (Point(), "steps", (50, 100, 200, 400, 800)),
    "table, prompts": (Point(), "prompts", (4, 16, 64, 256)),
    "table, responses": (Point(), "responses", (10, 40, 160, 640)),
    "table, pairs": (Point(responses=64), "pairs", (1, 2, 4, 8, 16)),
    # What moves as a whole: nothing is reduced.
    "whole table, runs": (WHOLE, "runs", (1, 4, 16, 64, 256, 1024)),
    "whole table, responses": (WHOLE, "responses", (10, 40, 160, 640)),
    "network, runs": (NETWORK, "runs", (1, 4, 16, 64, 256)),
    "network, steps": (NETWORK, "steps", (25, 50, 100, 200)),
    "network, width": (NETWORK, "width", (16, 32, 64, 128, 256)),
    "network, prompts": (NETWORK, "prompts", (4, 8, 16, 32)),
}


def points(name: str, quick: bool) -> list[tuple[int, Point]]:
    """Return the values of a sweep and the trainings that belong to them; a quick sweep keeps the two smallest."""
    base, field, values = SWEEPS[name]
    return [(value, replace(base, **{field: value})) for value in (values[:2] if quick else values)]


def measure(point: Point, rounds: int) -> dict[str, float]:
    """Train a point and measure it.

    Args:
        point: The training.
        rounds: Timed trainings; one before them does not count.

    Returns:
        Median seconds of a training, bytes of memory at its peak, and bytes of the record once every number of it was
        looked at.
    """
    train = _ready(point)
    train()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        train()
        times.append(time.perf_counter() - start)
    record, taken = peak(train)
    return {"seconds": statistics.median(times), "peak": float(taken), "record": float(record.nbytes)}


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Fit y = c x^a in logs to the upper half of the values, where fixed costs weigh least, and return a.

    Args:
        x: What was varied.
        y: What followed; a 0, such as a peak below what can be seen, counts as 1.
    """
    half = slice(len(x) // 2 if len(x) > 3 else 0, None)
    return float(np.polyfit(np.log(np.array(x[half])), np.log(np.maximum(np.array(y[half]), 1e-12)), 1)[0])


def _policy(point: Point) -> Any:
    sizes = (point.prompts, point.responses)
    return lab.MLP(*sizes, point.width, "tanh") if point.width else lab.Tabular(*sizes)


def _ready(point: Point) -> Callable[[], Any]:
    pairs = lab.Preferences.grid(point.prompts, point.responses, point.pairs)
    seeds, generator = tuple(range(point.runs)), torch.Generator().manual_seed(1)
    shape = (point.runs, point.prompts, point.responses)
    target = torch.randn(shape, generator=generator, dtype=torch.float64).log_softmax(-1)
    problem, policy = lab.Problem(pairs, target, seeds), _policy(point)
    start = policy.initial(seeds) if point.width else target.flatten(1)
    objective = {"dpo": lab.DPO, "kto": lab.KTO}[point.objective](0.1)
    optimizer = lab.Adam(1e-3) if point.width else lab.SGD(0.5)
    return lambda: lab.train(problem, policy, objective, optimizer, steps=point.steps, start=start)
