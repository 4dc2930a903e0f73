"""States of a prompt that exercises of notebook 04 look at."""

from __future__ import annotations

import numpy as np


def drawn_states(generator: np.random.Generator, count: int, responses: int) -> tuple[np.ndarray, int, int]:
    """Draw policies from even to nearly certain ones, and which two responses are the pair.

    Returns:
        log π [state, response] in nats, and the positions of the chosen and of the rejected response.
    """
    logits = generator.normal(size=(count, responses)) * generator.uniform(0.1, 4, (count, 1))
    chosen, rejected = (int(place) for place in generator.choice(responses, 2, replace=False))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), chosen, rejected
