"""The two workloads of a GPU, at any size and on any device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import lab
from benchmarks.race.cases import WIDTH, Case, World, world
from lab.training import record_tables
from lab.training.kernels import launch
from lab.training.kernels.observing import recorded_shapes, still

SIZES = {"A": ("sgd", 1_000_000, 500), "B": ("adam", 16_384, 500)}


def tables(case: Case, device: str) -> Callable[[], int]:
    """Return what trains tables and leaves every recording of every step on the device.

    It returns the bytes that it wrote.
    """
    problem, objective, optimizer, start = _tables(case, world(case), device)

    def train() -> int:
        found = record_tables(problem, objective, optimizer, steps=case.steps, start=start, device=device)
        return sum(value.nbytes for value in found.values())

    return train


def networks(case: Case, device: str) -> Callable[[], int]:
    """Return what trains networks by `lab.train`, and returns the bytes of the record, which ends up on the host."""
    given = world(case)
    prompts, responses, _ = case.sizes
    policy = lab.MLP(prompts, responses, WIDTH, "tanh")
    start = torch.cat([torch.from_numpy(part).flatten(1) for part in given.start], 1)
    target = policy.forward(start)[0].log_softmax(-1)
    problem = lab.Problem(_pairs(given), target, tuple(range(case.runs)))
    objective, optimizer = lab.DPO(torch.from_numpy(given.beta)), lab.Adam(torch.from_numpy(given.lr))

    def train() -> int:
        record = lab.train(problem, policy, objective, optimizer, steps=case.steps, start=start, device=device)
        return record.nbytes

    return train


def rehearse(case: Case) -> float:
    """Train a few tables by the kernel, as Triton interprets it, and by plain torch.

    Triton must be imported with TRITON_INTERPRET=1.

    Returns:
        How far both are apart at most, relative, with numbers below 1e-3 taken as 1e-3.
    """
    problem, objective, optimizer, start = _tables(case, world(case), "cpu")
    plain = record_tables(problem, objective, optimizer, steps=case.steps, start=start)
    written = {
        name: start.new_empty(case.steps + 1, *shape, case.runs) for name, shape in recorded_shapes(problem).items()
    }
    with np.errstate(all="ignore"):  # Triton's interpreter is NumPy, which tells of infinities
        launch(
            problem, objective, optimizer, start,
            steps=case.steps, every=1, written=written, tables=still(problem, start),
        )  # fmt: skip
    apart = [
        (written[name].movedim(-1, 0) - value).abs() / value.abs().clamp_min(1e-3) for name, value in plain.items()
    ]
    return max(float(each.max()) for each in apart)


def _tables(case: Case, given: World, device: str) -> tuple[lab.Problem, lab.DPO, lab.SGD, Tensor]:
    target = torch.from_numpy(given.start[0])
    problem = lab.Problem(_pairs(given), target, tuple(range(case.runs)))
    beta, lr = (torch.from_numpy(each).to(device) for each in (given.beta, given.lr))
    return problem, lab.DPO(beta), lab.SGD(lr), target.flatten(1).to(device)


def _pairs(given: World) -> lab.Preferences:
    return lab.Preferences(*(torch.from_numpy(each) for each in (given.prompt, given.chosen, given.rejected)))
