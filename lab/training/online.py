"""Pair weights of data that the policy itself draws."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.comparisons import Online
from lab.problems import Problem
from lab.randomness import ROLLOUTS, uniforms
from lab.training.sending import sent


class OnlineWeights:
    """Weights of the pairs at every step, drawn anew from the policy every `refresh` steps.

    Args:
        problem: gives the data's law, seeds and sizes.
        online: the law.
        device: where the policy lies.
    """

    def __init__(self, problem: Problem, online: Online, device: torch.device) -> None:
        self.online = online.on(device)
        shape = (online.comparisons, problem.prompts, 1 + online.repeats)
        self.uniforms = uniforms(problem.seeds, ROLLOUTS, *shape) if online.comparisons else None
        self.weights: Tensor | None = None

    def at(self, step: int, log_prob: Tensor) -> Tensor:
        """Return the weights twice, for the chosen and for the rejected responses, [run, 2 * pair].

        Args:
            step: the update to come, from 0.
            log_prob: log pi as it stands, [run, prompt, response].
        """
        if self.weights is None or step % self.online.refresh == 0:
            uniform = None if self.uniforms is None else sent(next(self.uniforms), log_prob.device).movedim(1, -1)
            drawn = self.online.draw(log_prob, uniform)
            self.weights = torch.cat((drawn, drawn), -1)
        return self.weights
