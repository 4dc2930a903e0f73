"""The paper's policy: a three-layer perceptron from a one-hot prompt to logits, with its derivatives written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.policies.base import Policy, check_sizes
from lab.problems import Problem
from lab.randomness import WEIGHTS, per_seed

# activation: (function, its derivative as a function of its own output)
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "relu": (torch.relu, lambda h: (h > 0).to(h.dtype)),
    "tanh": (torch.tanh, lambda h: 1 - h * h),
}


@dataclass(frozen=True)
class MLP(Policy):
    """logits(x) = f(f(W1[x] + b1) W2 + b2) W3 + b3: one row of W1 for each prompt, everything behind it shared.

    Args:
        prompts: number of prompts, the length of the one-hot input.
        responses: number of responses, the length of the output.
        width: units in each of the two hidden layers.
        activation: "relu" or "tanh".

    Raises:
        ValueError: for fewer than 1 prompt or 2 responses, a width below 1 or an unknown activation.

    Source: Yan et al. 2024 (arXiv 2406.07327), toy model; width and activation are not given there.
    """

    prompts: int
    responses: int
    width: int = 64
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_sizes(self.prompts, self.responses)
        if self.width < 1:
            raise ValueError(f"width is {self.width}; allowed are 1 or more")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; allowed are {', '.join(ACTIVATIONS)}")

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of W1, b1, W2, b2, W3, b3, in their order within the flat vector."""
        width = self.width
        return (
            (self.prompts, width),
            (1, width),
            (width, width),
            (1, width),
            (width, self.responses),
            (1, self.responses),
        )

    @property
    def parameter_count(self) -> int:
        """Number of parameters of one run (5130 for 4-64-64-10)."""
        return sum(rows * columns for rows, columns in self.shapes)

    def start(self, problem: Problem) -> None:
        """Return None: a network has no closed form, its reference is fitted."""

    def scorer(self, problem: Problem) -> tuple[Policy, Tensor]:
        """Return the network itself, drawn as by `initial` but with a last layer of zeros."""
        drawn = self.initial(problem.seeds)
        for head in self.split(drawn)[4:]:
            head.zero_()
        return self, drawn

    def initial(self, seeds: tuple[int, ...]) -> Tensor:
        """Draw every weight and bias uniformly in +-1/sqrt(inputs of its layer), [run, parameter]."""
        fan_in = (self.prompts, self.prompts, self.width, self.width, self.width, self.width)

        def draw(generator: torch.Generator) -> Tensor:
            uniform = 2 * torch.rand(self.parameter_count, generator=generator, dtype=torch.float64) - 1
            return torch.cat([piece.flatten() * n**-0.5 for piece, n in zip(self.split(uniform), fan_in, strict=True)])

        return per_seed(seeds, WEIGHTS, draw)

    def split(self, flat: Tensor) -> list[Tensor]:
        """View a flat [..., parameter] vector as W1, b1, W2, b2, W3, b3, each [..., rows, columns]."""
        sizes = [rows * columns for rows, columns in self.shapes]
        pieces = flat.split(sizes, dim=-1)
        return [piece.unflatten(-1, shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def forward(self, parameters: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the logits [run, prompt, response] and both hidden layers [run, prompt, width]."""
        function, _ = ACTIVATIONS[self.activation]
        w1, b1, w2, b2, w3, b3 = self.split(parameters)
        first = function(w1 + b1)  # a one-hot prompt picks one row of W1
        second = function(torch.baddbmm(b2, first, w2))
        return torch.baddbmm(b3, second, w3), (first, second)

    def pullback(self, parameters: Tensor, memory: tuple[Tensor, Tensor], logit_gradient: Tensor) -> Tensor:
        """Return v J by one reverse pass for all runs and terms, [run, term, parameter]."""
        front, behind = self._backwards(parameters, memory, logit_gradient)
        first, second = memory
        runs, terms = logit_gradient.shape[:2]
        gradients = (
            front,
            front.sum(2),
            first.mT[:, None].expand(-1, terms, -1, -1) @ behind,
            behind.sum(2),
            second.mT[:, None].expand(-1, terms, -1, -1) @ logit_gradient,
            logit_gradient.sum(2),
        )
        return torch.cat([gradient.reshape(runs, terms, -1) for gradient in gradients], -1)

    def gram(self, parameters: Tensor, memory: tuple[Tensor, Tensor], logit_gradient: Tensor) -> Tensor:
        """Return (v J)(v J)^T, [run, term, term], without forming v J.

        A layer's gradient is sum_x input(x) (x) d(x), with d the gradient by what the layer puts out, so two of them have
        the inner product sum_{x,x'} (input(x) . input(x') + 1) d(x) . d'(x'); the 1 is the bias.
        """
        front, behind = self._backwards(parameters, memory, logit_gradient)
        first, second = memory
        one_hot = torch.eye(self.prompts, dtype=first.dtype, device=first.device)
        gram = torch.zeros((), dtype=first.dtype, device=first.device)
        for kernel, by_output in (
            (one_hot, front),
            (first @ first.mT, behind),
            (second @ second.mT, logit_gradient),
        ):
            weighted = (kernel + 1).unsqueeze(-3) @ by_output
            gram = gram + weighted.flatten(2) @ by_output.flatten(2).mT
        return gram

    def pushforward(self, parameters: Tensor, memory: tuple[Tensor, Tensor], direction: Tensor) -> Tensor:
        """Return J v by one forward pass of tangents, [run, term, prompt, response]."""
        _, derivative = ACTIVATIONS[self.activation]
        first, second = memory
        _, _, w2, _, w3, _ = (weight[:, None] for weight in self.split(parameters))
        v1, c1, v2, c2, v3, c3 = self.split(direction)
        tangent = (v1 + c1) * derivative(first)[:, None]
        tangent = (tangent @ w2 + first[:, None] @ v2 + c2) * derivative(second)[:, None]
        return tangent @ w3 + second[:, None] @ v3 + c3

    def _backwards(
        self, parameters: Tensor, memory: tuple[Tensor, Tensor], logit_gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Carry the gradient back to what the first and the second layer put out, each [run, term, prompt, width]."""
        _, derivative = ACTIVATIONS[self.activation]
        first, second = memory
        _, _, w2, _, w3, _ = self.split(parameters)
        behind = self._through(logit_gradient, w3) * derivative(second)[:, None]
        return self._through(behind, w2) * derivative(first)[:, None], behind

    @staticmethod
    def _through(gradient: Tensor, weight: Tensor) -> Tensor:
        """Carry [run, term, prompt, out] back through [run, in, out]; stacking terms as rows copies no weight."""
        return (gradient.flatten(1, 2) @ weight.mT).unflatten(1, gradient.shape[1:3])
