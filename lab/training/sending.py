"""The way of what is drawn on the processor to the device that computes with it."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """Return drawn numbers on a device, without waiting for a GPU.

    They are drawn on the processor, so that a seed means the same everywhere. A GPU fetches them by itself out of
    memory that the system may not move meanwhile; torch keeps that memory until it has.
    """
    if device.type != "cuda":
        return drawn.to(device)
    return drawn.pin_memory().to(device, non_blocking=True)
