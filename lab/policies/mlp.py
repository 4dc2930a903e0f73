"""The paper's policy: a three-layer perceptron from a one-hot prompt to logits, with its derivatives written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lab.policies.base import Policy, Workspace, check_sizes
from lab.policies.passes import Passes
from lab.problems import Problem
from lab.randomness import WEIGHTS, per_seed


def _through_relu(gradient: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)


def _through_tanh(gradient: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.tanh_backward.grad_input(gradient, output, grad_input=gradient)


# activation: (itself; a gradient by its output carried back to its input, given that output), both in place
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "relu": (torch.relu_, _through_relu),
    "tanh": (torch.tanh_, _through_tanh),
}


PLAIN = {torch.float32: "float32", torch.float64: "float64"}  # what NumPy computes in


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

    def forward(self, parameters: Tensor, workspace: Workspace | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the logits [run, prompt, response] and both hidden layers [run, prompt, width]."""
        if (passes := self._passes(workspace, parameters)) is not None:
            first, second, logits = map(torch.from_numpy, passes.forward(parameters.numpy()))
            return logits, (first, second)
        function, _ = ACTIVATIONS[self.activation]
        w1, b1, w2, b2, w3, b3 = self.split(parameters)
        hidden = (len(parameters), self.prompts, self.width)
        # A one-hot prompt picks one row of W1.
        first = function(torch.add(w1, b1, out=_block(workspace, "first", parameters, *hidden)))
        second = function(torch.baddbmm(b2, first, w2, out=_block(workspace, "second", parameters, *hidden)))
        return torch.baddbmm(b3, second, w3), (first, second)

    def pullback(
        self,
        parameters: Tensor,
        memory: tuple[Tensor, Tensor],
        logit_gradient: Tensor,
        workspace: Workspace | None = None,
    ) -> Tensor:
        """Return v J by one reverse pass for all runs and terms, [run, term, parameter]."""
        if (passes := self._passes(workspace, parameters, *memory, logit_gradient)) is not None:
            return torch.from_numpy(passes.pullback(*_arrays(parameters, *memory, logit_gradient)))
        front, behind = self._backwards(parameters, memory, logit_gradient, workspace)
        first, second = memory
        runs, terms = logit_gradient.shape[:2]
        square = _block(workspace, "square", first, runs, terms, self.width, self.width)
        head = _block(workspace, "head", first, runs, terms, self.width, self.responses)
        gradients = (
            front,
            front.sum(2),
            torch.matmul(first.mT[:, None], behind, out=square),
            behind.sum(2),
            torch.matmul(second.mT[:, None], logit_gradient, out=head),
            logit_gradient.sum(2),
        )
        flat = [gradient.reshape(runs, terms, -1) for gradient in gradients]
        return torch.cat(flat, -1, out=_block(workspace, "gradient", first, runs, terms, self.parameter_count))

    def gram(
        self,
        parameters: Tensor,
        memory: tuple[Tensor, Tensor],
        logit_gradient: Tensor,
        workspace: Workspace | None = None,
    ) -> Tensor:
        """Return (v J)(v J)^T, [run, term, term], without forming v J.

        A weight's gradient is sum_x input(x) (x) d(x), with d the gradient by what its layer puts out, so two of them
        have the inner product sum_{x,x'} (input(x) . input(x')) d(x) . d'(x'); the first layer's inputs are one-hot.
        A bias's gradient is sum_x d(x).
        """
        if (passes := self._passes(workspace, parameters, *memory, logit_gradient)) is not None:
            return torch.from_numpy(passes.gram(*_arrays(parameters, *memory, logit_gradient)))
        front, behind = self._backwards(parameters, memory, logit_gradient, workspace)
        first, second = memory
        biases = torch.cat((front.sum(2), behind.sum(2), logit_gradient.sum(2)), -1)
        gram = torch.bmm(biases, biases.mT)
        gram.baddbmm_(front.flatten(2), front.flatten(2).mT)
        for inputs, by_output in ((first, behind), (second, logit_gradient)):
            weighted = torch.bmm(inputs, inputs.mT)[:, None] @ by_output
            gram.baddbmm_(weighted.flatten(2), by_output.flatten(2).mT)
        return gram

    def pull(
        self,
        parameters: Tensor,
        memory: tuple[Tensor, Tensor],
        logit_gradient: Tensor,
        workspace: Workspace | None = None,
        *,
        measured: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Return the sum of v J over the terms, and on the processor their inner products by the same reverse pass."""
        passes = self._passes(workspace, parameters, *memory, logit_gradient)
        if passes is None:
            return super().pull(parameters, memory, logit_gradient, workspace)
        given = _arrays(parameters, *memory, logit_gradient)
        if not measured:
            return torch.from_numpy(passes.pull(*given)), None
        gradient, *gram = map(torch.from_numpy, passes.pull_measured(*given))
        return gradient, (gram[0], gram[1])

    def pushforward(self, parameters: Tensor, memory: tuple[Tensor, Tensor], direction: Tensor) -> Tensor:
        """Return J v by one forward pass of tangents, [run, term, prompt, response]."""
        _, through = ACTIVATIONS[self.activation]
        first, second = memory
        _, _, w2, _, w3, _ = (weight[:, None] for weight in self.split(parameters))
        v1, c1, v2, c2, v3, c3 = self.split(direction)
        tangent = through(v1 + c1, first[:, None])
        tangent = through(tangent @ w2 + first[:, None] @ v2 + c2, second[:, None])
        return tangent @ w3 + second[:, None] @ v3 + c3

    def _passes(self, workspace: Workspace | None, *given: Tensor) -> Passes | None:
        """Return what computes a pass on the processor, or None where torch does it; logit gradients come last."""
        terms = given[-1].shape[1] if len(given) > 1 else 1
        plain = all(each.device.type == "cpu" and not each.requires_grad for each in given)
        if not plain or given[0].dtype not in PLAIN or not Passes.small(self.shapes, terms):
            return None
        key = (self.shapes, self.activation, len(given[0]), PLAIN[given[0].dtype])
        make = partial(Passes, *key)
        return make() if workspace is None else workspace.kept(key, make)

    def _backwards(
        self,
        parameters: Tensor,
        memory: tuple[Tensor, Tensor],
        logit_gradient: Tensor,
        workspace: Workspace | None,
    ) -> tuple[Tensor, Tensor]:
        """Carry the gradient back to what the first and the second layer put out, each [run, term, prompt, width]."""
        _, through = ACTIVATIONS[self.activation]
        _, _, w2, _, w3, _ = self.split(parameters)
        runs, terms, prompts, _ = logit_gradient.shape
        reached = []
        carried = logit_gradient
        for name, weight, output in (("behind", w3, memory[1]), ("front", w2, memory[0])):
            # Stacking terms as rows copies no weight.
            block = _block(workspace, name, output, runs, terms * prompts, self.width)
            carried = torch.bmm(carried.flatten(1, 2), weight.mT, out=block).unflatten(1, (terms, prompts))
            reached.append(through(carried, output[:, None]))
        return reached[1], reached[0]


def _arrays(*tensors: Tensor) -> Iterator[Any]:
    return (tensor.numpy() for tensor in tensors)


def _block(workspace: Workspace | None, name: str, like: Tensor, *shape: int) -> Tensor | None:
    """Return where to write, or None for fresh memory."""
    return None if workspace is None else workspace.block(name, like, *shape)
