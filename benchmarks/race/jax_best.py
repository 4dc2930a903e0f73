"""JAX, tuned by hand, in one of several ways; the race takes the fastest of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.race import jax_networks, jax_tables
from benchmarks.race.cases import Case, World

CHUNKS = {"chunks of 64": 64, "chunks of 16": 16}


def prepare(
    case: Case, world: World, way: str
) -> tuple[Callable[[], Any], Callable[[Any, np.ndarray], dict[str, np.ndarray]]]:
    """Compile what trains all runs, and return it with what takes the recordings of some runs from its result.

    Where JAX sees several devices, the runs are spread over them: cores of one processor can be shown to it as such.

    Args:
        case: The case; its objective is DPO.
        world: What the runs start from.
        way: "dense" or "reduced" for tables, "chunks of 64" or "chunks of 16" for networks.
    """
    jax.config.update("jax_enable_x64", True)
    if case.workload == "B":
        train, given = jax_networks.chunked(case, world, CHUNKS[way])
        axis = 0
    else:
        train, given = {"dense": jax_tables.dense, "reduced": jax_tables.reduced}[way](case, world)
        axis = -1
    devices = jax.devices()
    if case.runs % len(devices) == 0:
        mesh = Mesh(np.array(devices), ("run",))
        cut = partial(_cut, axis)
        places, results = jax.tree.map(cut, given), jax.tree.map(cut, jax.eval_shape(train, *given))
        train = jax.shard_map(train, mesh=mesh, in_specs=places, out_specs=results, check_vma=False)
        given = tuple(jax.device_put(part, NamedSharding(mesh, at)) for part, at in zip(given, places, strict=True))
    else:
        given = tuple(jax.device_put(part, devices[0]) for part in given)
    compiled = jax.jit(train).lower(*given).compile()

    def once() -> Any:
        return jax.block_until_ready(compiled(*given))

    def sample(found: Any, runs: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: np.asarray(values) for name, values in found.items()}
        if case.workload == "B":
            return jax_networks.sample(found, runs)
        return jax_tables.sample(case, found, runs)

    return once, sample


def _cut(axis: int, array: Any) -> PartitionSpec:
    """Say that the runs, which stand first or last, are spread over the devices."""
    return PartitionSpec("run") if axis == 0 else PartitionSpec(*[None] * (len(array.shape) - 1), "run")
