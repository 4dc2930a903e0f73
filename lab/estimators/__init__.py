"""Policy gradients of the KL-regularised reward: exact, or estimated from responses that the policy itself draws."""

from lab.estimators import tokens
from lab.estimators.advantages import BASELINES, advantages
from lab.estimators.methods import GRPO, PPO, REINFORCE, RLOO, ExpectedReward
from lab.estimators.policy_gradient import KL_TERMS, Batch, PolicyGradient
from lab.estimators.surrogates import clipped, clipped_weight, k3, k3_weight

__all__ = [
    "BASELINES", "GRPO", "KL_TERMS", "PPO", "REINFORCE", "RLOO", "Batch", "ExpectedReward", "PolicyGradient",
    "advantages", "clipped", "clipped_weight", "k3", "k3_weight", "tokens",
]  # fmt: skip
