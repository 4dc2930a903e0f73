"""All predictors of a problem at once, and what each is called."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.gradients import pick_pairs
from lab.objectives import Objective
from lab.optimizers import Optimizer
from lab.policies import Policy
from lab.predictors.hidden import ches, feature_overlap, normalised_ches, unembedding_fall
from lab.predictors.slopes import (
    first_order_fall,
    first_update,
    gradient_cosine,
    interference,
    loss_gradient,
    others_fall,
    own_fall,
)
from lab.problems import Problem
from lab.threads import one_thread


@dataclass(frozen=True)
class Predictor:
    """What a predictor is called and what it looks at.

    Args:
        long_name: In a few words, as at an axis.
        units: Its unit.
        reach: "start" (two start probabilities), "pair" (the pair's own responses) or "all" (every pair of the loss).
    """

    long_name: str
    units: str
    reach: str

    def __post_init__(self) -> None:
        if self.reach not in ("start", "pair", "all"):
            raise ValueError(f"reach is {self.reach!r}; allowed are 'start', 'pair' and 'all': choose one of them")


# Larger is said to mean a deeper fall for all but those of the start, whose sign is an open question.
PREDICTORS: dict[str, Predictor] = {
    "ches": Predictor("CHES", "1", "pair"),
    "normalised_ches": Predictor("length-normalised CHES", "1", "pair"),
    "feature_overlap": Predictor("cosine of the hidden states", "1", "pair"),
    "unembedding_fall": Predictor("fall via the hidden state", "1", "pair"),
    "interference": Predictor("⟨g⁺,g⁻⟩ / ‖g⁺‖²", "1", "pair"),
    "gradient_cosine": Predictor("cosine of g⁺ and g⁻", "1", "pair"),
    "own_fall": Predictor("⟨g⁺,g⁻⟩ − ‖g⁺‖²", "nats", "pair"),
    "others_fall": Predictor("first-order fall, other pairs", "nats", "all"),
    "flow_fall": Predictor("first-order fall, all pairs", "nats", "all"),
    "step_fall": Predictor("the optimiser's first step", "nats", "all"),
    "chosen_start": Predictor("log π⁺ at the start", "nats", "start"),
    "rejected_start": Predictor("log π⁻ at the start", "nats", "start"),
    "start_margin": Predictor("log π⁺ − log π⁻ at the start", "nats", "start"),
}


def step_zero(
    problem: Problem, policy: Policy, objective: Objective, optimizer: Optimizer, parameters: Tensor
) -> dict[str, Tensor]:
    """Compute every predictor of every pair at step 0.

    Args:
        problem: pairs, weights, lengths.
        policy: the policy.
        objective: the objective; only the predictors that look at all pairs depend on it.
        optimizer: the optimiser; only `step_fall` depends on it. Its first step takes all pairs.
        parameters: the reference's parameters, [run, parameter], float64.

    Returns:
        By the names of PREDICTORS, each [run, pair]. The log of pi-/pi+ is minus `start_margin`: under ranks they
        are one predictor. Edit distances, the literature's baseline, do not exist for responses without text.

    Raises:
        ValueError: for parameters in another number type than float64, or an objective that reads more than pairs.
        TypeError: for a policy whose hidden states are not known.
    """
    if parameters.dtype != torch.float64:
        raise ValueError(
            f"parameters are {parameters.dtype}; allowed is torch.float64, since differences of large squares lose "
            "their digits otherwise: use parameters.double()"
        )
    pairs = problem.preferences
    with one_thread(), torch.inference_mode():
        log_prob = policy.forward(parameters)[0].log_softmax(-1).flatten(1)
        chosen, rejected = pick_pairs(log_prob, pairs.flat(problem.responses).to(log_prob.device))
        gradient = loss_gradient(policy, parameters, objective, problem)
        return {
            "ches": ches(policy, parameters, pairs),
            "normalised_ches": normalised_ches(policy, parameters, problem),
            "feature_overlap": feature_overlap(policy, parameters, pairs),
            "unembedding_fall": unembedding_fall(policy, parameters, pairs),
            "interference": interference(policy, parameters, pairs),
            "gradient_cosine": gradient_cosine(policy, parameters, pairs),
            "own_fall": own_fall(policy, parameters, pairs),
            "others_fall": others_fall(policy, parameters, objective, problem),
            "flow_fall": first_order_fall(policy, parameters, pairs, -gradient),
            "step_fall": first_order_fall(policy, parameters, pairs, first_update(optimizer, gradient)),
            "chosen_start": chosen,
            "rejected_start": rejected,
            "start_margin": chosen - rejected,
        }
