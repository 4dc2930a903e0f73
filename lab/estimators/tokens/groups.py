"""Advantages of rewards that came in groups, one group a prompt: as a table of draws rather than of responses."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.estimators.advantages import SPREAD_FLOOR, advantages

SCALES = ("group", "batch", "none")


def group_advantages(reward: Tensor, scale: str = "group") -> Tensor:
    """Compute A = (r - mean of the group) / (a standard deviation + 1e-4), of K - 1 or N - 1 degrees of freedom.

    Args:
        reward: r of every draw, [run, prompt, draw], two draws a prompt or more.
        scale: whose standard deviation: each "group"'s own, that of all rewards of the "batch", or "none" at all.

    Returns:
        [run, prompt, draw].

    Raises:
        ValueError: for an unknown scale, another shape, or a single draw.

    Source: group: Shao et al. 2024 (GRPO, arXiv 2402.03300); none: Dr. GRPO (arXiv 2503.20783); batch: TRL 1.16.0.
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; allowed are {', '.join(SCALES)}")
    _check(reward)
    if scale == "group":
        return advantages(reward, _even(reward), reward.shape[-1], baseline="group")
    centred = reward - reward.mean(-1, keepdim=True)
    if scale == "none":
        return centred
    return centred / (reward.flatten(1).std(-1)[:, None, None] + SPREAD_FLOOR)


def left_out_advantages(reward: Tensor, *, normalise: bool = False) -> Tensor:
    """Compute A_i = r_i - mean of the group's other rewards; if asked, then scaled over the batch.

    Args:
        reward: r of every draw, [run, prompt, draw], two draws a prompt or more.
        normalise: whether A is then (A - mean of all) / (standard deviation of all + 1e-4).

    Returns:
        [run, prompt, draw].

    Raises:
        ValueError: for another shape, or a single draw.

    Source: Ahmadian et al. 2024 (RLOO, arXiv 2402.14740); normalise: REINFORCE++ (arXiv 2501.03262), floor as in TRL.
    """
    _check(reward)
    found = advantages(reward, _even(reward), reward.shape[-1], baseline="leave_one_out")
    if not normalise:
        return found
    every = found.flatten(1)
    return (found - every.mean(-1)[:, None, None]) / (every.std(-1)[:, None, None] + SPREAD_FLOOR)


def _even(reward: Tensor) -> Tensor:
    return torch.full_like(reward, 1 / reward.shape[-1])


def _check(reward: Tensor) -> None:
    if reward.ndim != 3 or reward.shape[-1] < 2:
        raise ValueError(
            f"reward has shape {tuple(reward.shape)}; give [run, prompt, draw] with two draws a prompt or more"
        )
