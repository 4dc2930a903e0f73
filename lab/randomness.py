"""Seeded draws: one stream for each seed and purpose, so that no draw depends on another or on a batch's size."""

from __future__ import annotations

import torch
from torch import Tensor

# The purposes. A new one is appended: the numbers are part of what a seed means.
WORLD, FEATURES, WEIGHTS, BATCHES, REWARDS, COMPARISONS, ROLLOUTS, SUPPORT = range(8)
_STREAMS = 16


def generator(seed: int, stream: int) -> torch.Generator:
    """Return the generator of one seed and purpose, independent of torch's global state.

    Args:
        seed: the run's seed, 0 or larger.
        stream: one of `WORLD`, `FEATURES`, `WEIGHTS`, `BATCHES`, `REWARDS`, `COMPARISONS`,
            `ROLLOUTS`, `SUPPORT`.

    Raises:
        ValueError: if the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; allowed are 0, 1, 2, ...; give a non-negative integer")
    return torch.Generator().manual_seed(seed * _STREAMS + stream)


def per_seed(seeds: tuple[int, ...], stream: int, draw) -> Tensor:  # type: ignore[no-untyped-def]
    """Stack `draw(generator)` over the seeds, [run, ...]; equal seeds share one draw."""
    drawn = {seed: draw(generator(seed, stream)) for seed in dict.fromkeys(seeds)}
    return torch.stack([drawn[seed] for seed in seeds])
