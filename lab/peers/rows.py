"""Responses of a case, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Found = dict[str, Tensor | list[Tensor]]


@dataclass(frozen=True)
class Rows:
    """Responses given token by token.

    Args:
        tokens: log-probabilities in nats, one tensor a response.
    """

    tokens: tuple[Tensor, ...]

    @classmethod
    def of(cls, rows: Any) -> Rows:
        """Read rows of numbers."""
        return cls(tuple(torch.tensor(row, dtype=torch.float64) for row in rows))

    @property
    def sums(self) -> Tensor:
        """Log-probabilities of the responses, [response]."""
        return torch.stack([row.sum() for row in self.tokens])

    @property
    def lengths(self) -> Tensor:
        """Tokens of the responses, [response]."""
        return torch.tensor([len(row) for row in self.tokens], dtype=torch.float64)

    def weighted(self, weights: list[Tensor]) -> Tensor:
        """Return sum_t weight_t log pi_t of every response, [response]."""
        return torch.stack([(row * weight).sum() for row, weight in zip(self.tokens, weights, strict=True)])
