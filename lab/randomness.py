"""Seeded draws: one stream for each seed and purpose, so that no draw depends on another or on a batch's size."""

from __future__ import annotations

from collections.abc import Iterator

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


def uniforms(seeds: tuple[int, ...], stream: int, *shape: int) -> Iterator[Tensor]:
    """Yield fresh numbers in [0, 1) for ever, [run, *shape]; a run's depend on its seed alone."""
    generators = {seed: generator(seed, stream) for seed in dict.fromkeys(seeds)}
    while True:
        drawn = {seed: torch.rand(*shape, generator=g, dtype=torch.float64) for seed, g in generators.items()}
        yield torch.stack([drawn[seed] for seed in seeds])


def draw_cells(probability: Tensor, uniform: Tensor) -> Tensor:
    """Draw cells by the inverse of their cumulative probability, [..., draw], never one of probability 0.

    Args:
        probability: of each cell, [..., cell]; need not sum to 1.
        uniform: numbers in [0, 1), [..., draw].
    """
    ladder = probability.cumsum(-1)
    # Rounding may leave the last step below 1: scaled, and never beyond the last cell of any probability.
    cell = torch.searchsorted(ladder, (uniform * ladder[..., -1:]).contiguous(), right=True)
    last = (probability > 0).long().cumsum(-1).argmax(-1, keepdim=True)
    return torch.minimum(cell, last)


def per_seed(seeds: tuple[int, ...], stream: int, draw) -> Tensor:  # type: ignore[no-untyped-def]
    """Stack `draw(generator)` over the seeds, [run, ...]; equal seeds share one draw."""
    drawn = {seed: draw(generator(seed, stream)) for seed in dict.fromkeys(seeds)}
    return torch.stack([drawn[seed] for seed in seeds])
