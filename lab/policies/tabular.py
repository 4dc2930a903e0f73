"""The tabular softmax policy: one free logit for every prompt and response."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.policies.base import Policy, Workspace, check_sizes
from lab.problems import Problem


@dataclass(frozen=True)
class Tabular(Policy):
    """logits(x, y) = theta[x, y]: nothing is shared, so a table can only do what the pairs tell it.

    Args:
        prompts: number of prompts.
        responses: number of responses of every prompt.

    Raises:
        ValueError: for fewer than 1 prompt or 2 responses.
    """

    prompts: int
    responses: int

    def __post_init__(self) -> None:
        check_sizes(self.prompts, self.responses)

    @property
    def parameter_count(self) -> int:
        """Number of parameters of one run: one for each prompt and response."""
        return self.prompts * self.responses

    @property
    def parameters_are_logits(self) -> bool:
        """Always true: the table's parameters are the logits."""
        return True

    def start(self, problem: Problem) -> Tensor:
        """Return the target's log-probabilities as logits, [run, parameter]."""
        return problem.target_log_prob.flatten(1).clone()

    def scorer(self, problem: Problem) -> tuple[Policy, Tensor]:
        """Return the table itself and zeros."""
        return self, torch.zeros(problem.runs, self.parameter_count, dtype=torch.float64)

    def forward(self, parameters: Tensor, workspace: Workspace | None = None) -> tuple[Tensor, None]:
        """Return the logits, a view of the parameters, [run, prompt, response]."""
        return parameters.view(-1, self.prompts, self.responses), None

    def pullback(
        self, parameters: Tensor, memory: None, logit_gradient: Tensor, workspace: Workspace | None = None
    ) -> Tensor:
        """Return the logit gradient itself, flattened, [run, term, parameter]."""
        return logit_gradient.flatten(2)

    def pushforward(self, parameters: Tensor, memory: None, direction: Tensor) -> Tensor:
        """Return the direction itself as logits, [run, term, prompt, response]."""
        return direction.unflatten(2, (self.prompts, self.responses))
