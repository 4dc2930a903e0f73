"""From the settings of TRL's trainers that sample responses to the lab's losses of tokens and advantages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any

from torch import Tensor

from lab.estimators import tokens
from lab.peers.reading import OutOfScope
from lab.peers.settings import Settings, made

RATIOS = {"token": "token", "sequence": "mean"}
# Settings whose effect needs what a case does not hold, and the value at which they have none.
NEUTRAL = {"entropy_coef": 0, "top_entropy_quantile": 1, "off_policy_mask_threshold": None}
# What has done its work before: in the advantages or in V*, which a case gives.
DONE_BEFORE = ("num_generations", "scale_rewards", "normalize_advantages", "reward_clip_range", "beta1")
Judged = Callable[[Tensor], Tensor]


def grpo_loss(case: Settings) -> tokens.TokenLoss:
    """Return the loss of the GRPO trainer, KL included."""
    _settle(case)
    kind, (low, high) = case.get("loss_type", "dapo"), _bounds(case, 0.2)
    cap, budget = case.number("delta", inf), case.number("max_completion_length", 512)
    level = case.choice("importance_sampling_level", "token", RATIOS)
    gate = case.number("sapo_temperature_pos", 1.0), case.number("sapo_temperature_neg", 1.05)
    good = case.number("vespo_k_pos", 2.0), case.number("vespo_lambda_pos", 3.0)
    bad = case.number("vespo_k_neg", 3.0), case.number("vespo_lambda_neg", 2.0)
    beta, corrected = case.number("beta", 0.0), case.flag("use_bias_correction_kl", True)

    terms: dict[str, Callable[[], tokens.Term]] = {
        **dict.fromkeys(("grpo", "bnpo", "dr_grpo", "dapo", "luspo"), lambda: tokens.Clipped(low, high, cap, level)),
        "cispo": lambda: tokens.CISPO(high, level),  # TRL's bound is the weight itself here
        "sapo": lambda: tokens.SAPO(*gate, level),
        "vespo": lambda: tokens.VESPO(good, bad),
    }

    def built(name: str) -> tokens.TokenLoss:
        penalty = (tokens.K3(beta, corrected, level),) if beta else ()
        length = budget if name == "dr_grpo" else None
        return replace(tokens.METHODS[name], terms=(terms[name](), *penalty), budget=length)

    return made({name: partial(built, name) for name in terms}, kind)


def gmpo_loss(case: Settings) -> tokens.TokenLoss:
    """Return the loss of the GMPO trainer; its KL has no ratio."""
    _settle(case)
    (low, high), beta = _bounds(case, 0.4), case.number("beta", 0.0)

    def built() -> tokens.TokenLoss:
        penalty = (tokens.K3(beta, corrected=False),) if beta else ()
        return replace(tokens.METHODS["gmpo"], terms=(tokens.Geometric(low, high), *penalty))

    return made({"gmpo": built}, "gmpo")


def rloo_loss(case: Settings) -> tokens.TokenLoss:
    """Return the loss of the RLOO trainer; its KL is in the reward, hence in the advantages."""
    _settle(case)
    (low, high), _ = _bounds(case, 0.2), case.number("beta", 0.05)

    def built() -> tokens.TokenLoss:
        return replace(tokens.METHODS["rloo"], terms=(tokens.Clipped(low, high, level="sum"),))

    return made({"rloo": built}, "rloo")


def a2po_loss(case: Settings) -> tokens.AStarPO:
    """Return the loss of the A*-PO trainer."""
    _settle(case)
    beta = case.number("beta2", 1e-3)
    return made({"a2po": lambda: tokens.AStarPO(beta)}, "a2po")


def grpo_advantages(case: Settings) -> Judged:
    """Return what GRPO's trainer makes of rewards [run, prompt, draw]."""
    scales = {"group": "group", "batch": "batch", "none": "none", True: "group", False: "none"}
    scale = case.choice("scale_rewards", "group", scales)
    return lambda reward: tokens.group_advantages(reward, scale)


def rloo_advantages(case: Settings) -> Judged:
    """Return what RLOO's trainer makes of rewards [run, prompt, draw] that KL has been taken from."""
    normalise = case.flag("normalize_advantages", False)
    return lambda reward: tokens.left_out_advantages(reward, normalise=normalise)


def clip_range(case: Settings) -> tuple[float, float]:
    """Return the bounds of a reward, infinite if there are none."""
    given: Any = case.get("reward_clip_range", [-inf, inf])
    if not isinstance(given, list) or len(given) != 2 or not all(isinstance(x, int | float) for x in given):
        raise OutOfScope(f"reward_clip_range={given!r} is not two numbers")
    return float(given[0]), float(given[1])


def _bounds(case: Settings, default: float) -> tuple[float, float]:
    low = case.number("epsilon", default)
    return low, case.number("epsilon_high", low)


def _settle(case: Settings) -> None:
    for name, neutral in NEUTRAL.items():
        value = case.get(name, neutral)
        if value != neutral:
            raise OutOfScope(f"{name}={value!r}: what it adds is not in the case; the lab has {name}={neutral!r} only")
    for name in DONE_BEFORE:
        case.get(name, None)
