"""What an objective sees (log-probabilities of pairs) and what it gives (one loss a pair, and its response weights)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from math import inf
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class PairLogProbs:
    """Log-probabilities in nats of the two responses of every pair, each [run, ..., pair], and what else is known.

    Args:
        chosen: log pi(chosen) under the policy.
        rejected: log pi(rejected) under the policy.
        reference_chosen: log pi_ref(chosen).
        reference_rejected: log pi_ref(rejected).
        sampler_chosen: log-probability of the chosen response under the policy that sampled it, or None.
        sampler_rejected: likewise for the rejected response.
        chosen_length: tokens of the chosen response, for objectives that average over tokens; a number or [pair].
        rejected_length: likewise for the rejected response.
        gold: log pi(gold) of a third, best response, or None where the chosen one is the best there is.
        gold_length: tokens of the gold response.
        kl: KL(pi || pi_ref), [run, ..., 1], the reference point of KTO, or None to estimate it from the pairs.
        chosen_confidence: log pi(chosen) - log sum_y pi(y)^2 (a mean over tokens), or None where no table is at hand.
        rejected_confidence: likewise for the rejected response.
    """

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    sampler_chosen: Tensor | None = None
    sampler_rejected: Tensor | None = None
    chosen_length: float | Tensor = 1.0
    rejected_length: float | Tensor = 1.0
    gold: Tensor | None = None
    gold_length: float | Tensor = 1.0
    kl: Tensor | None = None
    chosen_confidence: Tensor | None = None
    rejected_confidence: Tensor | None = None

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


@dataclass(frozen=True, slots=True)
class Margins(PairLogProbs):
    """Pairs of which the log-ratio margin is known and stands for `chosen`, with zeros for all else, [run, ..., pair].

    All that a loss of the margin alone can tell apart; and the margin need not be put together anew at every look.
    """

    @property
    def log_ratio_margin(self) -> Tensor:
        """Return the margin, [run, ..., pair]."""
        return self.chosen

    @classmethod
    def of(cls, margin: Tensor) -> Margins:
        """Stand for pairs of these margins."""
        zero = margin.new_zeros(())
        return cls(margin, zero, zero, zero)


class Objective(ABC):
    """A loss of preference pairs. It sees log-probabilities, never parameters.

    A new objective is a frozen dataclass with `loss`. `response_weights` then follows by automatic differentiation; a
    closed form written beside the loss is faster and is tested against it.
    """

    def __init_subclass__(cls) -> None:
        """Leave a class with a loss of its own no closed form of its parent's, which is that of another loss."""
        super().__init_subclass__()
        for name in ("response_weights", "only_margin", "margin_slope"):
            if "loss" in vars(cls) and name not in vars(cls):
                setattr(cls, name, vars(Objective)[name])

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return beta of the chosen and of the rejected response, which define implicit rewards; NaN without a beta."""
        return float("nan"), float("nan")

    @property
    def needs(self) -> frozenset[str]:
        """Return which of "kl" and "confidence" the loss reads: they cost a look at the whole table."""
        return frozenset()

    @property
    def couples_pairs(self) -> bool:
        """Return whether the loss of a pair depends on the other pairs: it then needs all of them, equally weighted."""
        return False

    @property
    def only_margin(self) -> bool:
        """Return whether the loss of a pair depends on `log_ratio_margin` alone.

        The softmax's normaliser then cancels, and a table's logits can stand for its log-probabilities.
        """
        return False

    @property
    def whole(self) -> Objective:
        """Return the objective that a record tells of: itself, unless training follows only a part of it."""
        return self

    @abstractmethod
    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return the loss of every pair, unreduced, [run, ..., pair]."""

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return d loss / d log pi(chosen) and d loss / d log pi(rejected), each [run, ..., pair]."""
        with torch.inference_mode(False), torch.enable_grad():
            # Training runs in inference mode, whose tensors autograd refuses; their copies made here it takes.
            given = {field.name: getattr(pairs, field.name) for field in fields(pairs)}
            copies = replace(pairs, **{n: t.detach().clone() for n, t in given.items() if isinstance(t, Tensor)})
            chosen, rejected = copies.chosen.requires_grad_(), copies.rejected.requires_grad_()
            total = self.loss(copies).sum()
            weights = torch.autograd.grad(total, (chosen, rejected), allow_unused=True, materialize_grads=True)
        return weights[0], weights[1]

    def margin_slope(self, margin: Tensor) -> Tensor:
        """Return d loss / d log_ratio_margin of a loss of the margin alone, [run, ..., pair].

        Its pushes are equal and opposite: this on log pi(chosen), its negative on log pi(rejected).

        Args:
            margin: the log-ratio margin, [run, ..., pair].
        """
        return self.response_weights(Margins.of(margin))[0]


@dataclass(frozen=True)
class Scaled(Objective):
    """An objective with one beta, the scale of both implicit rewards.

    Args:
        beta: inverse temperature, > 0; a number or one a run, [run].
    """

    beta: float | Tensor

    def __post_init__(self) -> None:
        check_hyper("beta", self.beta)

    @property
    def betas(self) -> tuple[float | Tensor, float | Tensor]:
        """Return beta twice."""
        return self.beta, self.beta


def per_run(value: float | Tensor, like: Tensor) -> float | Tensor:
    """Shape a hyper-parameter, a number or one value a run, so that it broadcasts over [run, ...].

    Raises:
        ValueError: if there are several values but not one for each run.
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.shape[0] != like.shape[0]:
        raise ValueError(
            f"{len(value)} values of a hyper-parameter for {like.shape[0]} runs; give one number or one a run"
        )
    return value.to(like).view(-1, *(1,) * (like.ndim - 1))


def as_tensor(value: float | Tensor, like: Tensor) -> Tensor:
    """Return a hyper-parameter as a tensor that broadcasts over [run, ...], in full precision from the start."""
    value = per_run(value, like)
    if isinstance(value, Tensor) and value.device == like.device:
        return value.to(like)
    # Filled where it is needed, and not sent there, which would wait for the device.
    return torch.full((), float(value), dtype=like.dtype, device=like.device)


def logsigmoid(x: Tensor) -> Tensor:
    """Return log s(x), laid out in memory as x is; torch's own copies an x laid out in another order."""
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda dim: -strides[dim])
    places = [order.index(dim) for dim in range(x.ndim)]
    return functional.logsigmoid(x.permute(order)).permute(places)


def check_hyper(
    name: str,
    value: float | Tensor,
    *,
    positive: bool = True,
    low: float = 0.0,
    below: float = inf,
    at_most: float = inf,
) -> None:
    """Raise unless a hyper-parameter is a number or [run], finite and within its bounds.

    Args:
        name: what it is called in the error.
        value: the hyper-parameter.
        positive: whether `low` itself is out of bounds.
        low: lower bound; -inf for none.
        below: upper bound that is out of bounds itself.
        at_most: upper bound that is allowed.
    """
    if not isinstance(value, Real | Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}; give a number, or a torch.Tensor with one value a run")
    values = torch.as_tensor(value, dtype=torch.float64)
    if values.ndim > 1:
        raise ValueError(f"{name} has shape {tuple(values.shape)}; give one number or one a run, [run]")
    bad = ~torch.isfinite(values) | (values < low) | (values >= below) | (values > at_most)
    bad |= (values == low) & positive
    if bool(bad.any()):
        worst = float(values.reshape(-1)[bad.reshape(-1)][0])
        bounds = [f"{'>' if positive else '>='} {low:g}"] if low > -inf else []
        bounds += [f"{sign} {bound:g}" for sign, bound in (("<", below), ("<=", at_most)) if bound < inf]
        raise ValueError(f"{name} is {worst:g}; allowed are finite numbers {' and '.join(bounds)}".rstrip())
