"""What no program beats on a GPU: a bound in seconds, from the device's properties and a count of the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.race.cases import WIDTH, Case

# Instructions of the float64 units for one number, on the usual path, as counted in the machine code that Triton 3.7.1
# makes for compute capability 9.0; tanh as an exponential and a quotient.
COSTS = {"exp": 18, "log": 28, "quotient": 8, "root": 8, "tanh": 26}
# Of a data centre's cards: float64 instructions of a multiprocessor and clock, and how much more its matrix units do.
FULL = {(6, 0): (32, 1), (7, 0): (32, 1), (8, 0): (32, 2), (9, 0): (64, 2), (10, 0): (64, 1)}
FEW = (2, 1)  # of all others
STATES = 3  # numbers that Adam keeps of a parameter, itself included


@dataclass(frozen=True)
class Card:
    """A GPU.

    Args:
        name: What it calls itself.
        processors: Multiprocessors.
        clock: Cycles a second, at most.
        bandwidth: Bytes a second to and from its memory.
        float64: Float64 instructions of a multiprocessor and cycle; a product with a sum is one.
        matrix: How many times as many its matrix units do.
        near: Bytes that a multiprocessor holds in shared memory.
    """

    name: str
    processors: int
    clock: float
    bandwidth: float
    float64: int
    matrix: int
    near: int

    @classmethod
    def of(cls, properties: Any) -> Card:
        """Read `torch.cuda.get_device_properties`; its clocks are in kHz, its bus in bits, two transfers a cycle."""
        float64, matrix = FULL.get((properties.major, properties.minor), FEW)
        return cls(
            properties.name,
            properties.multi_processor_count,
            1e3 * properties.clock_rate,
            1e3 * properties.memory_clock_rate * 2 * properties.memory_bus_width / 8,
            float64,
            matrix,
            properties.shared_memory_per_multiprocessor,
        )

    @property
    def arithmetic(self) -> float:
        """Return float64 instructions a second."""
        return self.processors * self.float64 * self.clock


def table_bound(card: Card, case: Case) -> dict[str, float]:
    """Bound a table's training with everything recorded on the device.

    Its recordings are written once. Of functions it takes, at every step, a pair's push (an exponential and a quotient)
    and its logarithm; a prompt's three exponentials of logits, logarithm and quotient; a run's two logarithms of norms.

    Args:
        card: The GPU.
        case: The case, of workload A.

    Returns:
        Seconds by what limits: "memory" and "arithmetic".

    Source: own count; tests/test_benchmarks_gpu.py.
    """
    prompts, _, pairs = case.sizes
    states = case.runs * (case.steps + 1)
    instructions = (
        (pairs + 2 * pairs + prompts) * COSTS["exp"]
        + (pairs + prompts + 2) * COSTS["log"]
        + (pairs + prompts) * COSTS["quotient"]
    )
    return {
        "memory": 8 * case.numbers * states / card.bandwidth,
        "arithmetic": instructions * states / card.arithmetic,
    }


def network_bound(card: Card, case: Case, recorded: int) -> dict[str, float]:
    """Bound a network's training.

    Products of matrices (forward, backward for both terms, gradient) run on the matrix units; activations, softmax and
    Adam's roots and quotients beside them. Where a run's parameters and Adam's two means do not fit the shared memory
    of a multiprocessor, they are read and written at every step.

    Args:
        card: The GPU.
        case: The case, of workload B.
        recorded: Bytes of its record.

    Returns:
        Seconds by what limits: "memory", "products" and "arithmetic", and for comparison "stepwise", of any program
        that reads and writes the state at every step although it would fit.

    Source: own count; tests/test_benchmarks_gpu.py.
    """
    prompts, responses, pairs = case.sizes
    steps = case.runs * case.steps
    parameters = prompts * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH + WIDTH * responses + responses
    products = 4 * (prompts * WIDTH * WIDTH + prompts * WIDTH * responses)
    instructions = (
        (prompts * responses + pairs) * COSTS["exp"]
        + 2 * prompts * WIDTH * COSTS["tanh"]
        + parameters * (COSTS["root"] + COSTS["quotient"])
    )
    state = 8 * STATES * parameters
    moved = 0 if state <= card.near else 2 * state * steps
    return {
        "memory": (recorded + moved) / card.bandwidth,
        "products": products * steps / (card.arithmetic * card.matrix),
        "arithmetic": instructions * steps / card.arithmetic,
        "stepwise": (recorded + 2 * state * steps) / card.bandwidth,
    }


def limit(bound: dict[str, float]) -> tuple[str, float]:
    """Return what limits most, and its seconds, "stepwise" left out: the units work at the same time."""
    return max(((name, seconds) for name, seconds in bound.items() if name != "stepwise"), key=lambda each: each[1])
