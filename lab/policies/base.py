"""What every policy offers: the map from parameters to logits, and its derivative applied from either side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from lab.problems import Problem

Made = TypeVar("Made")


class Workspace:
    """Memory that the passes of a loop write anew at every step: fresh memory costs more than what is computed in it.

    What a pass in a workspace returns holds until the next pass of its kind and shape there.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Any] = {}

    def block(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return the block of that name and shape, with what was last written there."""
        return self.kept((name, shape, like.dtype, like.device), lambda: like.new_empty(shape))

    def kept(self, key: tuple[object, ...], make: Callable[[], Made]) -> Made:
        """Return what was made when the key was first asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        found: Made = self._kept[key]
        return found


class Policy(ABC):
    """A softmax policy over responses: pi(y|x) = softmax over y of logits(x, y).

    All parameters of a run are one flat vector, so parameters are [run, parameter] for every policy. A policy sees
    parameters, never a loss. With J = d logits / d parameters, `pullback` computes v J and `pushforward` computes J v;
    both take a `term` dimension, so that the chosen and the rejected term stay apart.

    Passes that are given a workspace may write there what they return; without one they allocate.
    """

    @property
    @abstractmethod
    def parameter_count(self) -> int:
        """Number of parameters of one run."""

    @property
    def parameters_are_logits(self) -> bool:
        """Whether J is the identity, so that logit space and parameter space are one."""
        return False

    @abstractmethod
    def start(self, problem: Problem) -> Tensor | None:
        """Return parameters whose policy has exactly the problem's target, [run, parameter].

        None means that no closed form exists and the reference must be fitted (`lab.references.fit_reference`).
        """

    @abstractmethod
    def scorer(self, problem: Problem) -> tuple[Policy, Tensor]:
        """Return the same network as a reward model, with parameters of which all scores are 0, [run, parameter]."""

    @abstractmethod
    def forward(self, parameters: Tensor, workspace: Workspace | None = None) -> tuple[Tensor, Any]:
        """Return the logits [run, prompt, response], and what `pullback` and `pushforward` need of this pass."""

    @abstractmethod
    def pullback(
        self, parameters: Tensor, memory: Any, logit_gradient: Tensor, workspace: Workspace | None = None
    ) -> Tensor:
        """Return v J: [run, term, prompt, response] to [run, term, parameter]."""

    def gram(
        self, parameters: Tensor, memory: Any, logit_gradient: Tensor, workspace: Workspace | None = None
    ) -> Tensor:
        """Return the inner products of the terms' parameter gradients, (v J)(v J)^T, [run, term, term]."""
        gradients = self.pullback(parameters, memory, logit_gradient, workspace)
        return gradients @ gradients.mT

    def pull(
        self,
        parameters: Tensor,
        memory: Any,
        logit_gradient: Tensor,
        workspace: Workspace | None = None,
        *,
        measured: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Return the sum of v J over the terms, [run, parameter], the same bits whether or not terms are measured.

        With it comes what `lab.gradients.scaled_gram` returns, if that is asked for and is a by-product here.
        """
        return self.pullback(parameters, memory, logit_gradient.sum(1, keepdim=True), workspace)[:, 0], None

    @abstractmethod
    def pushforward(self, parameters: Tensor, memory: Any, direction: Tensor) -> Tensor:
        """Return J v: [run, term, parameter] to [run, term, prompt, response]."""


def check_sizes(prompts: int, responses: int) -> None:
    """Raise ValueError unless there is at least one prompt, with at least two responses to choose from."""
    if prompts < 1 or responses < 2:
        raise ValueError(
            f"the policy has {prompts} prompts and {responses} responses; allowed are at least 1 prompt "
            "and 2 responses: give the problem's sizes"
        )
