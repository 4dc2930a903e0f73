"""The lab as its users have it: `lab.train`, and the recordings by `lab.metrics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import lab
from benchmarks.race.cases import WIDTH, Case, World
from lab.experiments.experiment import Experiment
from lab.experiments.losses import build_objective


def prepare(case: Case, world: World) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]:
    """Return what trains all runs, and what computes the recordings of its record.

    Args:
        case: The case.
        world: What the runs start from.
    """
    prompts, responses, _ = case.sizes
    parts = [torch.from_numpy(part) for part in world.start]
    pairs = lab.Preferences(*(torch.from_numpy(each) for each in (world.prompt, world.chosen, world.rejected)))
    policy: Any
    if case.workload == "B":
        policy = lab.MLP(prompts, responses, WIDTH, "tanh")
        start = torch.cat([part.flatten(1) for part in parts], 1)
    else:
        policy = lab.Tabular(prompts, responses)
        start = parts[0].flatten(1)
    target = policy.forward(start)[0].log_softmax(-1)
    problem = lab.Problem(pairs, target, tuple(range(case.runs)))
    network = case.workload == "B"
    line = f"{'mlp' if network else 'tabular'} s1 {case.objective} {case.optimizer} lr=1 steps={case.steps}"
    experiment = Experiment.parse(line)  # lr and beta are the runs' own
    beta, lr = torch.from_numpy(world.beta), torch.from_numpy(world.lr)
    objective = build_objective(experiment, lambda key: beta if key == "beta" else experiment.value(key))
    optimizer = {"sgd": lab.SGD, "adam": lab.Adam}[case.optimizer](lr)

    def train() -> Any:
        return lab.train(
            problem, policy, objective, optimizer, steps=case.steps, start=start, attrs={"experiment": line}
        )

    return train, lambda record: recordings(record, case)


def recordings(record: Any, case: Case) -> dict[str, Any]:
    """Compute from a record what every peer records, [run, step, ...] each."""
    metrics = lab.metrics
    norms = metrics.gradient_log_norm(record, ("logit", "parameter") if case.workload == "B" else ("logit",))
    found = {
        "chosen": metrics.chosen_log_prob(record),
        "rejected": metrics.rejected_log_prob(record),
        "unseen": metrics.log_unseen_mass(record),
        "pair_gradient": metrics.pair_gradient_log_magnitude(record).transpose("seed", "step", "term", "pair"),
        "logit_norm": norms.sel(space="logit"),
    }
    if case.workload == "B":
        found["parameter_norm"] = norms.sel(space="parameter")
        found["parameter_cosine"] = record["parameter_cosine"]
    return {name: each.values for name, each in found.items()}


def sample(found: dict[str, np.ndarray], runs: np.ndarray) -> dict[str, np.ndarray]:
    """Take the recordings of some runs."""
    return {name: values[runs] for name, values in found.items()}
