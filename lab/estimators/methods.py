"""The named methods: `PolicyGradient` with the settings that each is known by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lab.estimators.policy_gradient import PolicyGradient


@dataclass(frozen=True)
class ExpectedReward(PolicyGradient):
    """The exact gradient of -(E r - beta KL), what every method here estimates."""


@dataclass(frozen=True)
class REINFORCE(PolicyGradient):
    """Policy gradient from single draws: -(r - b) d log pi, with no baseline unless asked.

    Source: Williams 1992.
    """

    samples: int = 4
    baseline: str = "none"


@dataclass(frozen=True)
class RLOO(PolicyGradient):
    """REINFORCE with the mean of a prompt's other draws as the baseline; KL in the reward.

    Source: Ahmadian et al. 2024 (arXiv 2402.14740).
    """

    samples: int = 4
    baseline: str = "leave_one_out"


@dataclass(frozen=True)
class GRPO(PolicyGradient):
    """Advantages standardised within a prompt's draws, a clipped ratio, and KL in the loss by its k3 estimate.

    Source: Shao et al. 2024 (DeepSeekMath, arXiv 2402.03300).
    """

    samples: int = 8
    clip: float | Tensor = 0.2
    baseline: str = "group"
    kl: str = "k3"


@dataclass(frozen=True)
class PPO(PolicyGradient):
    """Several updates a batch under a clipped ratio, an exact critic, whitened advantages, KL in the reward.

    Source: Schulman et al. 2017 (arXiv 1707.06347); KL in the reward as in Ziegler et al. 2019 (arXiv 1909.08593). The
    critic is exact here, E r under the policy that drew: what a learned one would add is its own error.
    """

    samples: int = 8
    epochs: int = 4
    clip: float | Tensor = 0.2
    whiten: bool = True
