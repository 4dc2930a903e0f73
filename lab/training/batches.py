"""Mini-batches as pair weights: a pair outside the batch has weight 0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import torch
from torch import Tensor

from lab.preferences import Preferences
from lab.randomness import BATCHES, per_seed
from lab.training.sending import sent

EPOCHS_AHEAD = 64  # drawn at once, to bound memory


def pair_weights(preferences: Preferences, batch: int, seeds: tuple[int, ...], like: Tensor) -> Iterator[Tensor]:
    """Yield the normalised pair weights of one step after the other, for ever, [2 * pair] or [run, 2 * pair].

    They stand twice, once for the chosen and once for the rejected responses.

    In each epoch a run's seed orders the pairs anew; consecutive `batch` of them make a step, the last one of an epoch
    may be smaller. Within a batch the weights are the pairs' own, normalised to sum to 1.

    Args:
        preferences: the pairs and their weights.
        batch: pairs a step; 0 means all pairs in every step.
        seeds: the runs' seeds.
        like: gives dtype and device.
    """
    weight = preferences.weight.to(like)
    if batch in (0, len(preferences)):
        yield from repeat(preferences.of_terms(like))
    batches = -(-len(preferences) // batch)
    for block in _blocks():
        # Each block is drawn from the start of the stream, so that it depends on the seed and its number alone.
        order = per_seed(seeds, BATCHES, lambda g, block=block: _order(g, block, len(preferences)))
        batch_of = sent(order.argsort(-1) // batch, like.device)  # [run, epoch, pair]
        for epoch in range(EPOCHS_AHEAD):
            for k in range(batches):
                chosen = weight * (batch_of[:, epoch] == k)
                share = chosen / chosen.sum(-1, keepdim=True).clamp_min(torch.finfo(like.dtype).tiny)
                yield torch.cat((share, share), -1)


def _blocks() -> Iterator[int]:
    block = 0
    while True:
        yield block
        block += 1


def _order(generator: torch.Generator, block: int, pairs: int) -> Tensor:
    for _ in range(block):
        torch.rand(EPOCHS_AHEAD, pairs, generator=generator, dtype=torch.float64)
    return torch.rand(EPOCHS_AHEAD, pairs, generator=generator, dtype=torch.float64).argsort(-1)
