"""What the tests of recordings on the device share: worlds, losses, and the same recordings by `lab.metrics`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import lab
from lab.objectives import Objective
from tests import worlds
from tests.worlds import BETAS, OTHERS

RATES = torch.tensor([0.02, 0.1, 0.3], dtype=torch.float64)
OPTIMIZERS = {
    "sgd": lab.SGD(RATES),
    "sgd of one rate": lab.SGD(0.3),
    "momentum": lab.Momentum(RATES, torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)),
    "adam": lab.Adam(RATES / 10, eps=1e-4),
    "adam with other decays": lab.Adam(0.02, 0.5, 0.9, torch.tensor([1e-2, 1e-3, 1e-4], dtype=torch.float64)),
}
PAIRS = {
    "one a prompt": lab.Preferences.grid(worlds.PROMPTS, worlds.RESPONSES, 1),
    "two a prompt, in any order": lab.Preferences(
        [2, 0, 1, 2, 1, 0], [1, 3, 5, 0, 2, 1], [2, 5, 1, 4, 3, 0], [1.0, 0.2, 2.0, 0.7, 0.1, 0.9]
    ),
    "no response unseen": lab.Preferences.grid(worlds.PROMPTS, worlds.RESPONSES, 3),
    "several of unequal weight": lab.Preferences([0, 0, 2, 2], [1, 3, 5, 0], [2, 5, 1, 4], [1.0, 0.2, 2.0, 0.7]),
    "positive weights of runs": lab.Preferences(
        [0, 1, 2], [1, 0, 3], [2, 4, 1], [[1.0, 2.0, 0.5], [0.2, 1.0, 1.0], [3.0, 0.1, 1.0]]
    ),
    "weights of runs": lab.Preferences(
        [0, 1, 2], [1, 0, 3], [2, 4, 1], [[1.0, 2.0, 0.5], [0.0, 1.0, 1.0], [3.0, 0.1, 1.0]]
    ),
}  # fmt: skip


def losses(kind: type[Objective]) -> Iterator[Objective]:
    """An objective of that kind with numbers, and with one value a run."""
    for beta, other in ((0.4, 0.1), (BETAS, OTHERS / 2.1)):
        yield kind(beta, other) if len(kind.__dataclass_fields__) > 1 else kind(beta)


def from_record(world: lab.Problem, objective, optimizer, *, steps: int, every: int = 1) -> dict[str, torch.Tensor]:
    """The recordings of `lab.training.record_tables`, from the record of `lab.train`."""
    policy = lab.Tabular(world.prompts, world.responses)
    record = lab.train(world, policy, objective, optimizer, steps=steps, record=lab.Record(every, ()))
    of = lab.metrics
    found = {
        "chosen_log_prob": of.chosen_log_prob(record),
        "rejected_log_prob": of.rejected_log_prob(record),
        "log_unseen_mass": of.log_unseen_mass(record),
        "pair_gradient_log_magnitude": of.pair_gradient_log_magnitude(record).transpose("seed", "step", "term", "pair"),
        "gradient_log_norm": of.gradient_log_norm(record).sel(space="logit"),
    }
    return {name: torch.from_numpy(array.values.copy()) for name, array in found.items()}


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    """Equal names, shapes and numbers; the log of nothing is -inf in both."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].double().cpu(), values, rtol=tolerance, atol=tolerance, err_msg=name)
