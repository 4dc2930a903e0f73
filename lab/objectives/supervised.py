"""Supervised objectives: what the pairs teach when the comparison is ignored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.objectives.base import Objective, PairLogProbs


@dataclass(frozen=True)
class SFT(Objective):
    """Supervised fine-tuning on the chosen response ("Preferred-FT"): -log pi(chosen); the rejected one is ignored.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), section 6, baseline Preferred-FT.
    """

    def loss(self, pairs: PairLogProbs) -> Tensor:
        """Return -log pi(chosen), [run, ..., pair]."""
        return -pairs.chosen

    def response_weights(self, pairs: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return -1 and 0, each [run, ..., pair]."""
        return -torch.ones_like(pairs.chosen), torch.zeros_like(pairs.rejected)
