"""Which loop trains what, and why: the one place where the engine chooses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.util import find_spec

import torch

from lab.estimators import PolicyGradient
from lab.objectives import CDPO, DPO, EXO, IPO, BradleyTerry, DiscoPOP, Objective, RobustDPO, SLiC
from lab.optimizers import SGD, Adam, Momentum, Optimizer
from lab.policies import Policy
from lab.problems import Problem
from lab.training.recording import Record
from lab.training.stages import Stage

# Of these a logit whose gradient is always 0 never moves, and opposite gradients make opposite steps.
STILL = (SGD, Momentum, Adam)
# The losses that `lab.training.kernels` knows, with the settings that each has besides beta.
IN_KERNEL: dict[type[Objective], tuple[str, ...]] = {
    DPO: (),
    IPO: (),
    SLiC: (),
    CDPO: ("smoothing",),
    RobustDPO: ("smoothing",),
    EXO: ("smoothing",),
    DiscoPOP: ("tau",),
}
OWN = __name__.partition(".")[0]  # the package whose classes are known never to wait for a device within a step


@dataclass(frozen=True)
class Plan:
    """A loop and the reason for it.

    Args:
        loop: "margins" (`lab.training.margins`: only what moves), "states" (`lab.training.loop`: whole parameters),
            "rollouts" (`lab.training.rollouts`) or "scores" (`lab.training.scores`).
        why: one sentence.
        one_by_one: why a GPU is given the steps one by one; empty if it takes blocks of them as a CUDA graph
            (`lab.training.graphs`). On the processor it says nothing.
    """

    loop: str
    why: str
    one_by_one: str = ""


def plan(
    problem: Problem,
    policy: Policy,
    objective: Objective | PolicyGradient,
    optimizer: Optimizer,
    *,
    then: Sequence[Stage] = (),
    record: Record,
    batch: int = 0,
) -> Plan:
    """Choose the loop of a training; every choice gives the same numbers up to rounding.

    Args:
        problem: whether its pairs are given or drawn from the policy.
        policy: the policy.
        objective: the objective, or a policy gradient.
        optimizer: the optimiser.
        then: the stages that follow.
        record: what is kept.
        batch: pairs in each step; 0 for all.
    """
    if isinstance(objective, PolicyGradient):
        return Plan("rollouts", "the policy learns from what it draws", "what is drawn differs from step to step")
    if isinstance(objective, BradleyTerry):
        return Plan("scores", "a reward model has scores and no softmax", "only steps of policies are captured")
    objectives = (objective, *(stage.objective for stage in then))
    if not policy.parameters_are_logits:
        why = "the policy shares parameters between its logits"
    elif problem.online is not None:
        why = "the pairs are drawn from the policy as it stands"
    elif not all(each.only_margin and each.whole is each for each in objectives):
        why = "the loss depends on more than the margin, so that every logit moves"
    elif not all(type(each) in STILL for each in (optimizer, *(stage.optimizer for stage in then))):
        why = "the optimiser may move a logit without a gradient"
    elif {"predictions", "parameters"} & set(record.keep):
        why = "changes or parameters of whole states are kept"
    else:
        return Plan(
            "margins",
            "a loss of the margin alone moves no logit of a table but those that pairs name",
            "its steps are a few operations each",
        )
    return Plan("states", why, _one_by_one(problem, (policy, objective, optimizer, *then), batch))


def _one_by_one(problem: Problem, settings: Sequence[object], batch: int) -> str:
    """Return why steps of whole parameters cannot be captured, or nothing."""
    if problem.online is not None:
        return "what is drawn differs from step to step"
    if batch not in (0, len(problem.preferences)):
        return "mini-batches differ from step to step"
    for part in (each for setting in settings for each in _parts(setting)):
        name = type(part).__name__
        if isinstance(part, Objective) and type(part).response_weights is Objective.response_weights:
            return f"{name} has no closed form, and automatic differentiation is not captured"
        if type(part).__module__.partition(".")[0] != OWN:
            return f"{name} is not the lab's own, and may wait for the device"
    return ""


def _parts(setting: object) -> Iterator[object]:
    """Yield a setting and the settings in it."""
    if isinstance(setting, tuple):
        for part in setting:
            yield from _parts(part)
    elif isinstance(setting, Policy | Objective | Optimizer | Stage):
        yield setting
        for field in fields(setting) if is_dataclass(setting) else ():
            yield from _parts(getattr(setting, field.name))


def plan_steps(
    problem: Problem,
    objective: Objective,
    optimizer: Optimizer,
    *,
    then: Sequence[Stage] = (),
    batch: int = 0,
    device: torch.device,
) -> Plan:
    """Choose who takes the steps of a training by "margins"; either way gives the same numbers up to rounding.

    Args:
        problem: whose pairs may share responses.
        objective: the objective.
        optimizer: the optimiser.
        then: the stages that follow.
        batch: pairs of a step, 0 for all.
        device: where it computes.

    Returns:
        "kernel" (`lab.training.kernels`: all steps in one launch, a run's state in registers) or "margins", with the
        reason.
    """
    flat = problem.preferences.flat(problem.responses)
    if device.type != "cuda":
        why = f"the device is {device.type}, and the kernel is one of a GPU"
    elif without_kernels():
        why = without_kernels()
    elif type(objective) not in IN_KERNEL:
        why = f"the kernel does not know {type(objective).__name__}"
    elif type(optimizer) not in STILL:
        why = f"the kernel does not know {type(optimizer).__name__}"
    elif then:
        why = "stages follow"
    elif batch not in (0, len(problem.preferences)):
        why = "every step draws its pairs"
    elif len(flat.unique()) < len(flat):
        why = "a response is in two pairs, so that one number a pair does not tell of it"
    else:
        return Plan("kernel", "one kernel takes all steps, with what moves in registers")
    return Plan("margins", why)


def without_kernels() -> str:
    """Return why no kernel can be built on this machine, or nothing."""
    if find_spec("triton") is None:
        return "Triton, which builds the kernel, is not installed"
    if not ("CC" in os.environ or shutil.which("gcc") or shutil.which("clang")):
        return "no C compiler is found, without which Triton builds no kernel: install gcc, or name one in CC"
    return ""
