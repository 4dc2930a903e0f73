"""Stages of a training: what changes on the way, while policy, data and the state of every run go on."""

from __future__ import annotations

from dataclasses import dataclass

from lab.objectives import Objective
from lab.optimizers import Optimizer

REFERENCES = ("before", "start", "stage")


@dataclass(frozen=True)
class Stage:
    """A stage that follows another one.

    The optimiser's memory goes on where its kind stays the same, with the new settings, and begins anew where it does
    not. Draws of mini-batches and of online comparisons go on.

    Args:
        objective: the objective of preference pairs from here on.
        optimizer: the optimiser from here on; its settings are numbers or [run].
        steps: number of updates, at least 1.
        reference: the reference policy from here on: that of the stage before ("before"), the policy at the start of
            the whole training ("start"), or the policy as it stands when this stage begins ("stage").

    Raises:
        ValueError: for steps < 1 or another reference.
    """

    objective: Objective
    optimizer: Optimizer
    steps: int
    reference: str = "before"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps of a stage is {self.steps}; allowed are 1 or more")
        if self.reference not in REFERENCES:
            raise ValueError(f"reference of a stage is {self.reference!r}; allowed are {', '.join(REFERENCES)}")
