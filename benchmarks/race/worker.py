"""One peer in a process of its own: reads orders as lines of JSON, answers each with a line of JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.memory import peak
from benchmarks.race.cases import Case, world

MODULES = {"plain": "plain", "record": "ours", "recordings": "ours", "natural": "jax_natural"}


@dataclass(frozen=True)
class Prepared:
    """What is timed, and how its recordings are taken out.

    Args:
        once: Does it once.
        sample: Takes the recordings of some runs, [run, step, ...], out of what `once` returned.
    """

    once: Callable[[], Any]
    sample: Callable[[Any, np.ndarray], dict[str, np.ndarray]]


def prepare(case: Case, way: str, runs: np.ndarray) -> tuple[Prepared, float]:
    """Make a peer ready for a case; compiles where the peer compiles.

    Args:
        case: The case.
        way: "plain", "record", "recordings", "natural", or a way of `benchmarks.race.jax_best`.
        runs: The runs that the plain loop trains, and all are compared on.

    Returns:
        What is timed, and the seconds that it took to get ready, imports and the drawing of the start not counted.
    """
    module = importlib.import_module(f"benchmarks.race.{MODULES.get(way, 'jax_best')}")
    given = world(case)
    start = time.perf_counter()
    if way == "plain":
        train = module.prepare(case, given)
        found = Prepared(lambda: train(runs), lambda found, _: found)
    elif way in ("record", "recordings"):
        once, compute = module.prepare(case, given)
        found = (
            Prepared(once, lambda found, some: compute(found.isel(seed=some)))
            if way == "record"
            else Prepared(lambda: compute(once()), module.sample)
        )
    else:
        found = Prepared(*(module.prepare(case, given) if way == "natural" else module.prepare(case, given, way)))
    return found, time.perf_counter() - start


def answer(order: dict[str, Any], ready: dict[str, Prepared]) -> dict[str, Any]:
    """Do what an order says.

    Args:
        order: "do", one of "versions", "prepare", "time", "sample", "memory" and "forget", and what it needs.
        ready: What was prepared, by its way.

    Returns:
        The answer.
    """
    if order["do"] == "versions":
        return {name: str(importlib.import_module(name).__version__) for name in order["of"]}
    if order["do"] == "forget":
        ready.clear()
        return {}
    way = order["way"]
    if order["do"] == "prepare":
        ready[way], seconds = prepare(Case(**order["case"]), way, np.array(order["runs"]))
        return {"seconds": seconds}
    if order["do"] == "memory":
        _, taken = peak(ready[way].once)
        return {"bytes": taken}
    start = time.perf_counter()
    found = ready[way].once()
    seconds = time.perf_counter() - start
    if order["do"] == "sample":
        np.savez(order["file"], **ready[way].sample(found, np.array(order["runs"])))
    return {"seconds": seconds}


def main() -> None:
    """Answer orders until there are no more; what else is printed goes to the error stream."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    ready: dict[str, Prepared] = {}
    for line in sys.stdin:
        try:
            said = answer(json.loads(line), ready)
        except Exception as problem:  # the race names the peer, and goes on or not
            said = {"error": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(said), file=channel, flush=True)


if __name__ == "__main__":
    main()
