"""What is varied, one thing at a time, and how cost and memory follow it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import lab
from benchmarks.memory import peak
from lab.training import plan
from lab.training.budget import record_bytes


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


# What is trained, by its name: a table of which only what moves is advanced, one that moves as a whole, and a network.
TABLE = Point()
WHOLE = Point(steps=100, objective="kto")
NETWORK = Point(runs=64, steps=50, width=64)
# Pairs share no response, as in the world of one pair.
ROOMY = 64
KINDS = {"table": TABLE, "whole table": WHOLE, "network": NETWORK}
# name of the sweep: where it stands, the field that is varied, and its values
SWEEPS: Mapping[str, tuple[Point, str, tuple[int, ...]]] = {
    "table, runs": (TABLE, "runs", (16, 64, 256, 1024, 4096)),
    "table, steps": (TABLE, "steps", (50, 200, 800, 3200)),
    "table, prompts": (TABLE, "prompts", (4, 16, 64, 256)),
    "table, responses": (TABLE, "responses", (10, 40, 160, 640)),
    "table, pairs": (replace(TABLE, responses=ROOMY), "pairs", (1, 2, 4, 8, 16)),
    "whole table, runs": (WHOLE, "runs", (16, 64, 256, 1024)),
    "whole table, steps": (WHOLE, "steps", (25, 100, 400)),
    "whole table, prompts": (WHOLE, "prompts", (4, 16, 64)),
    "whole table, responses": (WHOLE, "responses", (10, 40, 160)),
    "whole table, pairs": (replace(WHOLE, responses=ROOMY), "pairs", (1, 4, 16)),
    "network, runs": (NETWORK, "runs", (16, 64, 256, 1024)),
    "network, steps": (NETWORK, "steps", (25, 50, 100, 200)),
    "network, prompts": (NETWORK, "prompts", (4, 8, 16, 32)),
    "network, responses": (NETWORK, "responses", (10, 40, 160)),
    "network, pairs": (replace(NETWORK, responses=ROOMY), "pairs", (1, 4, 16)),
    "network, width": (NETWORK, "width", (16, 32, 64, 128, 256)),
}
SEEN = 2e6  # bytes: a smaller peak drowns in the pages that the system gives at once


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
        Seconds of the fastest training, bytes of memory at its peak, and bytes that it records.
    """
    train, recorded = _ready(point)
    train()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        train()
        times.append(time.perf_counter() - start)
    _, taken = peak(train)
    return {"seconds": min(times), "peak": float(taken), "record": float(recorded)}


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Fit y = c x^a in logs to the upper half of the values, where fixed costs weigh least, and return a.

    Args:
        x: What was varied.
        y: What followed.
    """
    half = slice(len(x) // 2 if len(x) > 3 else 0, None)
    return float(np.polyfit(np.log(np.array(x[half])), np.log(np.array(y[half])), 1)[0])


def _policy(point: Point) -> Any:
    sizes = (point.prompts, point.responses)
    return lab.MLP(*sizes, point.width, "tanh") if point.width else lab.Tabular(*sizes)


def _ready(point: Point) -> tuple[Callable[[], Any], int]:
    """Return what trains a point, and the bytes that it records."""
    pairs = lab.Preferences.grid(point.prompts, point.responses, point.pairs)
    seeds, generator = tuple(range(point.runs)), torch.Generator().manual_seed(1)
    shape = (point.runs, point.prompts, point.responses)
    target = torch.randn(shape, generator=generator, dtype=torch.float64).log_softmax(-1)
    problem, policy = lab.Problem(pairs, target, seeds), _policy(point)
    start = policy.initial(seeds) if point.width else target.flatten(1)
    objective = {"dpo": lab.DPO, "kto": lab.KTO}[point.objective](0.1)
    optimizer = lab.Adam(1e-3) if point.width else lab.SGD(0.5)
    loop = plan(problem, policy, objective, optimizer, record=lab.Record()).loop
    recorded = record_bytes(problem, policy, lab.Record(), point.steps, loop=loop)
    return lambda: lab.train(problem, policy, objective, optimizer, steps=point.steps, start=start), recorded
