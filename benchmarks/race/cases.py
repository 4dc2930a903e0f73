"""What is raced: the cases, the numbers that every peer starts from, and what every peer records.

NumPy only: a peer's process may hold neither torch nor JAX.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZES = {"A": (4, 10, 1), "B": (4, 10, 1), "C": (64, 1000, 4), "D": (4, 10, 1)}  # prompts, responses, pairs a prompt
WIDTH = 64
RATES = {("A", "sgd"): 1.0, ("A", "adam"): 0.01, ("B", "adam"): 1e-3, ("C", "sgd"): 8.0, ("D", "sgd"): 0.5}
RECORDINGS = ("chosen", "rejected", "unseen", "pair_gradient", "logit_norm")
OF_NETWORKS = ("parameter_norm", "parameter_cosine")


@dataclass(frozen=True)
class Case:
    """Runs that every peer takes through the same steps, with the state of every step recorded.

    Args:
        workload: A, a table of 4 prompts and 10 responses with one pair a prompt; B, a network 4-64-64-10 (tanh) in
            the same world; C, a table of 64 prompts and 1000 responses with four pairs a prompt; D, A with another
            objective.
        optimizer: "sgd" or "adam".
        runs: Number of runs, each with a beta and a learning rate of its own.
        steps: Number of updates.
        objective: Its word on an experiment line.

    Raises:
        ValueError: For a workload or an optimiser that is not raced, or fewer than 1 run or step.
    """

    workload: str
    optimizer: str
    runs: int
    steps: int
    objective: str = "dpo"

    def __post_init__(self) -> None:
        if (self.workload, self.optimizer) not in RATES:
            known = ", ".join(" ".join(each) for each in RATES)
            raise ValueError(f"workload and optimiser are {self.workload} {self.optimizer}; allowed are {known}")
        if min(self.runs, self.steps) < 1:
            raise ValueError(f"runs is {self.runs} and steps is {self.steps}; allowed are 1 or more")

    @property
    def name(self) -> str:
        """Return such as "A sgd 1024", the name of the case in results."""
        middle = self.objective if self.workload == "D" else self.optimizer
        return f"{self.workload} {middle} {self.runs}"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Return the numbers of prompts, responses and pairs."""
        prompts, responses, pairs = SIZES[self.workload]
        return prompts, responses, prompts * pairs

    @property
    def recordings(self) -> tuple[str, ...]:
        """Return the names of what is recorded."""
        return (*RECORDINGS, *(OF_NETWORKS if self.workload == "B" else ()))

    @property
    def numbers(self) -> int:
        """Return how many numbers are recorded of one run at one step."""
        prompts, _, pairs = self.sizes
        return 4 * pairs + prompts + 2 + (3 if self.workload == "B" else 0)


@dataclass(frozen=True)
class World:
    """What every peer starts from; pairs stand in the order of their prompts, equally many of each.

    Args:
        start: Logits [run, prompt, response] for a table; W1, b1, W2, b2, W3, b3, each [run, in, out], for a network.
        prompt: Prompt of each pair, [pair].
        chosen: Chosen response of each pair, [pair].
        rejected: Rejected response of each pair, [pair].
        beta: Beta of each run, [run].
        lr: Learning rate of each run, [run].
    """

    start: tuple[np.ndarray, ...]
    prompt: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray
    beta: np.ndarray
    lr: np.ndarray


def world(case: Case) -> World:
    """Draw the start of every run; the same numbers in every process.

    Args:
        case: The case.

    Returns:
        The world, float64.
    """
    prompts, responses, pairs = case.sizes
    generator = np.random.default_rng(20_240)
    if case.workload == "B":
        shapes = ((prompts, WIDTH), (1, WIDTH), (WIDTH, WIDTH), (1, WIDTH), (WIDTH, responses), (1, responses))
        inputs = (prompts, prompts, WIDTH, WIDTH, WIDTH, WIDTH)
        start = tuple(
            generator.uniform(-(fan_in**-0.5), fan_in**-0.5, (case.runs, *shape))
            for shape, fan_in in zip(shapes, inputs, strict=True)
        )
    else:
        logits = generator.normal(0, 1, (case.runs, prompts, responses))
        start = (logits - np.log(np.exp(logits).sum(-1, keepdims=True)),)
    each = pairs // prompts
    prompt = np.repeat(np.arange(prompts), each)
    # Shifted from prompt to prompt, as in the lab's own grids.
    place = prompt + 2 * np.tile(np.arange(each), prompts) * (responses // (2 * each))
    rate = RATES[case.workload, case.optimizer]
    return World(
        start,
        prompt,
        place % responses,
        (place + responses // (2 * each)) % responses,
        generator.uniform(0.05, 0.5, case.runs),
        rate * generator.uniform(0.5, 1.0, case.runs),
    )


def disagreement(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Return the largest relative difference of two peers' recordings, with numbers below 1e-3 taken as 1e-3.

    Args:
        found: Recordings by name.
        expected: Those of the other peer.

    Returns:
        max |a - b| / max(|b|, 1e-3); 0 where both are the same infinity, as the log of a gradient that is not there;
        infinite where only one of them is, where there is no number, and where shapes differ.
    """
    worst = 0.0
    for name, wanted in expected.items():
        if found[name].shape != wanted.shape:
            return float("inf")
        apart = found[name] != wanted
        one, other = found[name][apart], wanted[apart]
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            return float("inf")
        worst = max(worst, float((np.abs(one - other) / np.maximum(np.abs(other), 1e-3)).max(initial=0.0)))
    return worst
