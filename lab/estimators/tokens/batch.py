"""Drawn responses, token by token, and the three ratios that can be made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEVELS = ("token", "mean", "sum")


@dataclass(frozen=True)
class TokenBatch:
    """Drawn responses of unequal length, padded to the longest.

    Args:
        log_prob: log pi(token | those before it), [run, response, token], nats; any finite number where there is none.
        advantage: A, one a response, [run, response].
        mask: where a token is, of type bool, [run, response, token] or what broadcasts to it.
        old_log_prob: the same under the policy that drew; None if that is the policy itself, as it stands.
        reference_log_prob: the same under the reference policy; None where no term asks for it.
        total: tokens to divide by where an average is over more than this batch; None for those of this batch.

    Raises:
        ValueError: if shapes differ, a number is not finite, or `total` is not above 0.
    """

    log_prob: Tensor
    advantage: Tensor
    mask: Tensor
    old_log_prob: Tensor | None = None
    reference_log_prob: Tensor | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.log_prob.shape)
        if len(shape) != 3:
            raise ValueError(f"log_prob has shape {shape}; give [run, response, token]")
        for name in ("old_log_prob", "reference_log_prob"):
            other = getattr(self, name)
            if other is not None and tuple(other.shape) != shape:
                raise ValueError(
                    f"{name} has shape {tuple(other.shape)} and log_prob {shape}; give one a token in both"
                )
        if tuple(self.advantage.shape) != shape[:2]:
            raise ValueError(f"advantage has shape {tuple(self.advantage.shape)}; give one a response, {shape[:2]}")
        fits = self.mask.ndim <= 3 and all(
            mine in (1, size) for mine, size in zip(reversed(self.mask.shape), reversed(shape), strict=False)
        )
        if self.mask.dtype != torch.bool or not fits:
            raise ValueError(
                f"mask is {self.mask.dtype} of shape {tuple(self.mask.shape)}; give torch.bool that fits {shape}"
            )
        for name in ("log_prob", "advantage", "old_log_prob", "reference_log_prob"):
            value = getattr(self, name)
            if value is not None and not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} holds NaN or infinity; all must be finite, padding too: pad with 0")
        if self.total is not None and not 0 < self.total < float("inf"):
            raise ValueError(f"total is {self.total}; allowed are finite numbers > 0: give the tokens to divide by")

    @property
    def present(self) -> Tensor:
        """Return 1 where a token is and 0 where none is, [run, response, token]."""
        return self.mask.to(self.log_prob.dtype).expand_as(self.log_prob)

    @property
    def length(self) -> Tensor:
        """Return the tokens of every response, [run, response, 1]; 1 for one without, whose sums are 0 anyway."""
        return self.present.sum(-1, keepdim=True).clamp(min=1)

    @property
    def log_ratio(self) -> Tensor:
        """Return d = log pi - log pi_old of every token, 0 where there is none, [run, response, token]."""
        old = self.log_prob.detach() if self.old_log_prob is None else self.old_log_prob
        return (self.log_prob - old) * self.present

    def pooled(self, level: str) -> Tensor:
        """Compute the log-ratio of a level: d of every token ("token"), its mean over a response, or its sum.

        Returns:
            [run, response, token] for "token", else [run, response, 1]; exp of it is w, the importance weight.
        """
        if level == "token":
            return self.log_ratio
        total = self.log_ratio.sum(-1, keepdim=True)
        return total / self.length if level == "mean" else total

    def unpooled(self, slope: Tensor, level: str) -> Tensor:
        """Apply the transpose of `pooled`: from slopes in the log-ratio of a level to those in log pi of every token.

        Args:
            slope: c_t d loss_t / d(log-ratio of the level) of every token's loss, [run, response, token].
            level: one of LEVELS.

        Returns:
            sum_t slope_t d(log-ratio of t) / d log pi_s, [run, response, token].
        """
        if level == "token":
            return slope * self.present
        total = (slope * self.present).sum(-1, keepdim=True) * self.present
        return total / self.length if level == "mean" else total


def check_level(level: str) -> None:
    """Raise ValueError unless a level is one of LEVELS."""
    if level not in LEVELS:
        raise ValueError(f"level is {level!r}; allowed are {', '.join(LEVELS)}")


def check_bound(name: str, value: float | Tensor, least: float) -> None:
    """Raise ValueError unless a bound is at least `least`; infinity stands for none."""
    if not bool((torch.as_tensor(value, dtype=torch.float64) >= least).all()):
        raise ValueError(f"{name} is {value}; allowed are numbers >= {least:g}, and infinity for no bound")
