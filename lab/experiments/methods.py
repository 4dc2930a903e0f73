"""From the words of a policy gradient or a reward model to the method itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from lab import estimators as e
from lab.experiments.experiment import Experiment
from lab.objectives import BradleyTerry

METHODS: dict[str, type[e.PolicyGradient]] = {
    "pg": e.ExpectedReward,
    "reinforce": e.REINFORCE,
    "rloo": e.RLOO,
    "grpo": e.GRPO,
    "ppo": e.PPO,
}
# key of the line: the setting behind it; one that the line leaves out keeps the method's own value
SETTINGS = {"samples": "samples", "epochs": "epochs", "ratio_clip": "clip", "baseline": "baseline", "kl": "kl",
            "rollouts": "rollouts"}  # fmt: skip


def build_method(
    experiment: Experiment, hyper: Callable[[str], float | Tensor], reward: Tensor | None
) -> e.PolicyGradient:
    """Build the policy gradient that an experiment with one objective names.

    Args:
        experiment: the experiment.
        hyper: gives the value of a key, a number or one a run.
        reward: what is climbed, [run, prompt, response]; None is the true reward.
    """
    method = METHODS[experiment.value("objective")](hyper("beta"), reward=reward)
    given: dict[str, Any] = {field: hyper(key) for key, field in SETTINGS.items() if getattr(experiment, key)}
    if experiment.whiten:
        given["whiten"] = experiment.value("whiten") == "yes"
    return replace(method, **given)


def build_reward_model(hyper: Callable[[str], float | Tensor]) -> BradleyTerry:
    """Build the loss of reward models, of the word rm and behind reward_from=model."""
    return BradleyTerry(margin=hyper("reward_margin"), center=hyper("centering"))
