"""What an objective sees (log-probabilities of pairs) and what it gives (one loss a pair, and its response weights)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PairLogProbs:
    """Log-probabilities in nats of the two responses of every pair, each [run, ..., pair].

    Args:
        chosen: log pi(chosen) under the policy.
        rejected: log pi(rejected) under the policy.
        reference_chosen: log pi_ref(chosen).
        reference_rejected: log pi_ref(rejected).
        sampler_chosen: log-probability of the chosen response under the policy that sampled it, or None.
        sampler_rejected: likewise for the rejected response.
    """

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    sampler_chosen: Tensor | None = None
    sampler_rejected: Tensor | None = None

    @property
    def chosen_log_ratio(self) -> Tensor:
        """Return log pi(chosen) - log pi_ref(chosen), [run, ..., pair]."""
        return self.chosen - self.reference_chosen

    @property
    def rejected_log_ratio(self) -> Tensor:
        """Return log pi(rejected) - log pi_ref(rejected), [run, ..., pair]."""
        return self.rejected - self.reference_rejected

    @property
    def log_ratio_margin(self) -> Tensor:
        """Return chosen_log_ratio - rejected_log_ratio, [run, ..., pair]."""
        return (self.chosen - self.reference_chosen) - (self.rejected - self.reference_rejected)


class Objective(ABC):
    """A loss of preference pairs. It sees log-probabilities, never parameters.

    A new objective is a frozen dataclass with `loss`. `response_weights` then follows by automatic differentiation; a
    closed form written beside the loss is faster and is tested against it.
    """

    def __init_subclass__(cls) -> None:
        """Leave a class with a loss of its own no closed form of its parent's, which is that of another loss."""
        super().__init_subclass__()
        for name in ("response_weights", "only_margin"):
            if "loss" in vars(cls) and name not in vars(cls):
                setattr(cls, name, vars(Objective)[name])

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return beta of the chosen and of the rejected response, which define implicit rewards; NaN without a beta."""
        return float("nan"), float("nan")

    @property
    def only_margin(self) -> bool:
        """Return whether the loss of a pair depends on `log_ratio_margin` alone.

        The softmax's normaliser then cancels, and a table's logits can stand for its log-probabilities.
        """
        return False

    @abstractmethod
    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the loss of every pair, unreduced, [run, ..., pair]."""

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return d loss / d log pi(chosen) and d loss / d log pi(rejected), each [run, ..., pair]."""
        with torch.inference_mode(False), torch.enable_grad():
            # Training runs in inference mode, whose tensors autograd refuses; their copies made here it takes.
            chosen, rejected = (table.detach().clone().requires_grad_() for table in (pairs.chosen, pairs.rejected))
            reference = (pairs.reference_chosen.clone(), pairs.reference_rejected.clone())
            sampler = (
                None if table is None else table.clone() for table in (pairs.sampler_chosen, pairs.sampler_rejected)
            )
            total = self.loss(PairLogProbs(chosen, rejected, *reference, *sampler)).sum()
            weights = torch.autograd.grad(total, (chosen, rejected), allow_unused=True, materialize_grads=True)
        return weights[0], weights[1]


def per_run(value: float | Tensor, like: Tensor) -> float | Tensor:
    """Shape a hyper-parameter, a number or one value a run, so that it broadcasts over [run, ...].

    Raises:
        ValueError: if there are several values but not one for each run.
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if len(value) != like.shape[0]:
        raise ValueError(
            f"{len(value)} values of a hyper-parameter for {like.shape[0]} runs; give one number or one a run"
        )
    return value.to(like).view(-1, *(1,) * (like.ndim - 1))


def check_hyper(name: str, value: float | Tensor, *, positive: bool = True) -> None:
    """Raise unless a hyper-parameter is a number or [run], finite and > 0 (or >= 0 if not `positive`)."""
    if not isinstance(value, Real | Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}; give a number, or a torch.Tensor with one value a run")
    values = torch.as_tensor(value, dtype=torch.float64)
    if values.ndim > 1:
        raise ValueError(f"{name} has shape {tuple(values.shape)}; give one number or one a run, [run]")
    bad = ~torch.isfinite(values) | (values <= 0 if positive else values < 0)
    if bool(bad.any()):
        worst = float(values.reshape(-1)[bad.reshape(-1)][0])
        raise ValueError(f"{name} is {worst:g}; allowed are finite numbers {'> 0' if positive else '>= 0'}")
