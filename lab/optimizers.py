"""Optimisers over [run, parameter], with a learning rate for each run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import check_hyper

FUSED = 5_000  # entries from which torch's one-pass Adam repays its call


class Optimizer(ABC):
    """A rule that turns gradients into updates. The object holds settings only; its memory is a tuple of tensors."""

    lr: float | Tensor

    @abstractmethod
    def memory(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the memory before the first step, each [run, parameter]."""

    @abstractmethod
    def update(self, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> Tensor:
        """Return the change of the parameters, [run, parameter], and advance `memory` in place.

        Steps count from 1; the count is a number, or a float64 tensor without dimensions on the gradient's device.
        """

    def advance(self, parameters: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> None:
        """Change the parameters in place, as `update` would up to rounding, and advance `memory`."""
        parameters.add_(self.update(gradient, memory, step))

    def learning_rate(self, like: Tensor) -> float | Tensor:
        """Return the learning rate as a number or a [run, 1] column."""
        return self.lr.to(like).view(-1, 1) if isinstance(self.lr, Tensor) and self.lr.ndim else self.lr


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: change = -lr g.

    Args:
        lr: learning rate, > 0; a number or one a run, [run].
    """

    lr: float | Tensor

    def __post_init__(self) -> None:
        check_hyper("lr", self.lr)

    def memory(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Return nothing: gradient descent has no memory."""
        return ()

    def update(self, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> Tensor:
        """Return -lr g, [run, parameter]."""
        return gradient * -self.learning_rate(gradient)

    def advance(self, parameters: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> None:
        """Subtract lr g in one pass."""
        _subtract(parameters, gradient, self.learning_rate(gradient))


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Heavy-ball momentum: m <- momentum m + g, change = -lr m.

    Args:
        lr: learning rate, > 0; a number or one a run, [run].
        momentum: decay of the running sum in [0, 1); a number or one a run, [run].

    Source: Polyak 1964, in the form of torch.optim.SGD with dampening 0.
    """

    lr: float | Tensor
    momentum: float | Tensor = 0.9

    def __post_init__(self) -> None:
        check_hyper("lr", self.lr)
        check_hyper("momentum", self.momentum, positive=False)
        if not bool((torch.as_tensor(self.momentum) < 1).all()):
            raise ValueError(f"momentum is {self.momentum}; allowed are numbers in [0, 1)")

    def memory(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the running sum of gradients, zeros."""
        return (torch.zeros_like(parameters),)

    def update(self, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> Tensor:
        """Return -lr m after m <- momentum m + g, [run, parameter]."""
        return self._remember(gradient, memory) * -self.learning_rate(gradient)

    def advance(self, parameters: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> None:
        """Subtract lr m in one pass."""
        _subtract(parameters, self._remember(gradient, memory), self.learning_rate(gradient))

    def _remember(self, gradient: Tensor, memory: tuple[Tensor, ...]) -> Tensor:
        decay = self.momentum
        if isinstance(decay, Tensor) and decay.ndim:
            decay = decay.to(gradient).view(-1, 1)
        return memory[0].mul_(decay).add_(gradient)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: change = -lr m_hat / (sqrt(v_hat) + eps), with bias-corrected running means m of g and v of g^2.

    Args:
        lr: learning rate, > 0; a number or one a run, [run].
        beta1: decay of m.
        beta2: decay of v.
        eps: added to the root, in the gradient's unit, > 0; a number or one a run, [run].

    Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1; defaults as in torch.optim.Adam.
    """

    lr: float | Tensor
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float | Tensor = 1e-8

    def __post_init__(self) -> None:
        check_hyper("lr", self.lr)
        check_hyper("eps", self.eps)
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"Adam's beta1, beta2 are {self.beta1}, {self.beta2}; allowed are numbers in [0, 1)")

    def memory(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the two running means, zeros, and room for a step."""
        return torch.zeros_like(parameters), torch.zeros_like(parameters), torch.zeros_like(parameters)

    def update(self, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> Tensor:
        """Return -lr m_hat / (sqrt(v_hat) + eps), [run, parameter]."""
        mean, square, _ = memory
        rate = self.learning_rate(gradient)
        if self._fuses(gradient, memory):
            return self._unit(gradient, memory, step) * rate
        mean.lerp_(gradient, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        correction = (1 - self.beta2**step) ** 0.5  # applied to eps and rate, which are fewer numbers than v
        eps = self.eps.to(gradient).view(-1, 1) if isinstance(self.eps, Tensor) and self.eps.ndim else self.eps
        root = square.sqrt().add_(eps * correction)
        rate = rate * (correction / (self.beta1**step - 1))  # negative: a descent direction
        return torch.div(mean, root, out=root).mul_(rate)

    def advance(self, parameters: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> None:
        """Change the parameters in the pass that advances the means, where there is one learning rate for all runs."""
        rate = self.learning_rate(gradient)
        if not self._fuses(gradient, memory):
            super().advance(parameters, gradient, memory, step)
        elif isinstance(rate, Tensor) and rate.ndim:
            parameters.addcmul_(self._unit(gradient, memory, step), rate)
        else:
            self._fused(torch._fused_adam_, parameters, gradient, memory, step, float(rate))

    def _fuses(self, gradient: Tensor, memory: tuple[Tensor, ...]) -> bool:
        """Return whether torch's one-pass step can be taken, and pays: on a GPU, where every call costs, always."""
        if isinstance(self.eps, Tensor) and self.eps.ndim:
            return False
        if gradient.device.type == "cpu":
            return gradient.numel() >= FUSED
        return gradient.stride() == memory[0].stride()  # which the GPU's kernel insists on

    def _unit(self, gradient: Tensor, memory: tuple[Tensor, ...], step: int | Tensor) -> Tensor:
        """Take torch's one-pass step of a learning rate of 1 in the room for it, and return that."""
        # At that rate a weight decay of 1 first takes away all that stood there.
        self._fused(torch._fused_adamw_, memory[2], gradient, memory, step, 1.0, decay=1.0)
        return memory[2]

    def _fused(
        self,
        one_pass: Callable[..., None],
        moved: Tensor,
        gradient: Tensor,
        memory: tuple[Tensor, ...],
        step: int | Tensor,
        rate: float,
        decay: float = 0.0,
    ) -> None:
        """Take torch's one-pass step of one learning rate."""
        # Filled where it is needed, and not sent there, which would wait for the device.
        if isinstance(step, Tensor):
            count = step.to(torch.float32)
        else:
            count = torch.full((), float(step), dtype=torch.float32, device=gradient.device)
        # What `torch.optim` calls in the end; of few runs its way there takes longer than the step.
        one_pass(
            [moved], [gradient], [memory[0]], [memory[1]], [], [count],
            lr=rate, beta1=self.beta1, beta2=self.beta2, weight_decay=decay, eps=float(self.eps),
            amsgrad=False, maximize=False,
        )  # fmt: skip


def _subtract(parameters: Tensor, direction: Tensor, rate: float | Tensor) -> None:
    """Subtract rate * direction in place; the rate is a number or a [run, 1] column."""
    if isinstance(rate, Tensor):
        parameters.addcmul_(direction, rate, value=-1)
    else:
        parameters.sub_(direction, alpha=rate)
