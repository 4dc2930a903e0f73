"""Small sets of comparisons for the exercises of notebook 02."""

from __future__ import annotations

import numpy as np


def drawn_wins(generator: np.random.Generator, responses: int, comparisons: int) -> np.ndarray:
    """Draw how often each response beat each other, [winner, loser]: couples at random, labels by a reward's odds."""
    reward = generator.normal(size=responses)
    wins = np.zeros((responses, responses))
    for _ in range(comparisons):
        first, second = generator.choice(responses, 2, replace=False)
        won = generator.random() < 1 / (1 + np.exp(reward[second] - reward[first]))
        wins[(first, second) if won else (second, first)] += 1
    return wins
