"""Small worlds for the exercises of notebook 01: one prompt, a reference, a reward."""

from __future__ import annotations

import numpy as np


def drawn_world(generator: np.random.Generator, responses: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw log π_ref, nats, and r, each [response]."""
    logits = generator.normal(size=responses)
    return logits - np.logaddexp.reduce(logits), scale * generator.normal(size=responses)
