"""True rewards r(x, y): what a preference was about, known here exactly and never shown to an objective."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.preferences import Preferences
from lab.randomness import REWARDS, per_seed


def normal_rewards(
    prompts: int, responses: int, *, seeds: tuple[int, ...], agreeing: Preferences | None = None
) -> Tensor:
    """Draw rewards, such that they agree with given pairs.

    r(x, y) ~ N(0, 1), independently; where the rejected response of a pair would be the better one, the two rewards
    change places. The better of two draws has mean 1/sqrt(pi) = 0.56, the other one -0.56, an unseen response 0.

    Args:
        prompts: number of prompts.
        responses: number of responses of every prompt.
        seeds: seed of each run, [run].
        agreeing: pairs whose chosen response is to be the better one; None exchanges nothing.

    Returns:
        r, [run, prompt, response], float64 on the CPU.

    Raises:
        ValueError: if a pair is out of range, or two pairs share a response: no exchange need then satisfy both.

    Source: own definition; tests/test_rewards.py.
    """
    reward = per_seed(seeds, REWARDS, lambda g: torch.randn(prompts * responses, generator=g, dtype=torch.float64))
    if agreeing is not None:
        agreeing.check_within(prompts, responses)
        flat = agreeing.flat(responses)
        if len(flat.unique()) < len(flat):
            raise ValueError(
                "two pairs of a prompt share a response; rewards are drawn for disjoint pairs only: "
                "give each response to one pair, or set Problem.reward yourself"
            )
        chosen, rejected = flat.tensor_split(2)
        better, worse = (choose(reward[:, chosen], reward[:, rejected]) for choose in (torch.maximum, torch.minimum))
        reward[:, chosen], reward[:, rejected] = better, worse
    return reward.view(-1, prompts, responses)


def linear_rewards(features: Tensor, *, seeds: tuple[int, ...]) -> Tensor:
    """Draw rewards that features explain: r(x, y) = phi(x, y) . w with w ~ N(0, 1), the same w for every prompt.

    What is learned about one prompt's features then holds for all prompts.

    Args:
        features: phi, [run, prompt, response, feature].
        seeds: seed of each run, [run].

    Returns:
        r, [run, prompt, response], float64.

    Source: own definition; tests/test_rewards.py.
    """
    weights = per_seed(seeds, REWARDS, lambda g: torch.randn(features.shape[-1], generator=g, dtype=torch.float64))
    return torch.einsum("rpyf,rf->rpy", features, weights)
