"""What the lab computes for one case of a parity file: the loss, its parts, and every gradient that the file has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lab import objectives as o
from lab.peers import settings
from lab.peers.reading import Group, OutOfScope
from lab.peers.rows import Found, Rows
from lab.peers.sampled import given_advantages, policy_gradient, regression
from lab.peers.sampled_settings import gmpo_loss, grpo_advantages, grpo_loss, rloo_advantages, rloo_loss
from lab.peers.settings import Settings


def compute(group: Group, case: Mapping[str, Any]) -> Found:
    """Compute the outputs of a case with the lab's objectives.

    Args:
        group: the case's group.
        case: inputs and settings.

    Returns:
        Output name to values.

    Raises:
        OutOfScope: if the lab has no such objective, or the case a setting that the lab does not know.
    """
    known = ADVANTAGES if group.kind == "advantages" else LOSSES
    if group.trainer not in known:
        what = "advantages of a trainer" if known is ADVANTAGES else "trainer"
        raise OutOfScope(f"no {what} {group.trainer!r} in the lab; it has {', '.join(known)}")
    case_settings = Settings(case["hyper"])
    try:
        found = known[group.trainer](case, case_settings)
    except KeyError as missing:
        raise OutOfScope(f"a case has no {missing}") from None
    case_settings.check()
    return found


def evaluate(objective: o.Objective, pairs: o.PairLogProbs) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss and response weights of every pair, each [pair], of a batch of one run."""
    chosen, rejected = objective.response_weights(pairs)
    return objective.loss(pairs).flatten(), chosen.flatten(), rejected.flatten()


def _dpo(case: Mapping[str, Any], hyper: Settings) -> Found:
    rows = {name: Rows.of(case[name]) for name in ("chosen", "rejected", "ref_chosen", "ref_rejected")}
    chosen, rejected = rows["chosen"].lengths, rows["rejected"].lengths
    tail = hyper.number("ld_alpha", 1.0)
    # LD-DPO counts tokens past the shorter response's length less, before any loss sees the sum.
    shorter = torch.minimum(chosen, rejected)
    weights = {name: _discounted(responses, shorter, tail) for name, responses in rows.items()}
    sums = {name: rows[name].weighted(weights[name])[None] for name in rows}
    confidences: list[Tensor | None] = [None, None]
    if hyper.get("use_weighting", False):
        confidences = [
            torch.stack([(a - b).mean() for a, b in zip(rows[name].tokens, squares.tokens, strict=True)])[None]
            for name in ("chosen", "rejected")
            for squares in [Rows.of(case[f"log_sum_sq_probs_{name}"])]
        ]
    pairs = o.PairLogProbs(
        sums["chosen"], sums["rejected"], sums["ref_chosen"], sums["ref_rejected"],
        chosen_length=chosen, rejected_length=rejected,
        chosen_confidence=confidences[0], rejected_confidence=confidences[1],
    )  # fmt: skip
    found: Found = {}
    parts = settings.dpo_objectives(hyper)
    loss, by_chosen, by_rejected = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for _, objective, weight in parts:
        each, c, r = evaluate(objective, pairs)
        loss, by_chosen, by_rejected = loss + weight * each.mean(), by_chosen + weight * c, by_rejected + weight * r
    if len(parts) == 1:
        found["per_example"] = _in_their_order(parts[0][0], each, pairs)
    for name, slope in (("chosen", by_chosen / len(chosen)), ("rejected", by_rejected / len(chosen))):
        found[f"grad_{name}_tokens"] = [weight * s for weight, s in zip(weights[name], slope, strict=True)]
        if all(bool((weight == weight[0]).all()) for weight in weights[name]):  # one number then says it for all tokens
            found[f"grad_{name}"] = torch.stack([row[0] for row in found[f"grad_{name}_tokens"]])
    return found | {"loss": loss}


def _discounted(responses: Rows, shorter: Tensor, tail: float) -> list[Tensor]:
    """Return the weights of tokens: 1 up to the shorter response's length, `tail` beyond it."""
    weights = []
    for row, short in zip(responses.tokens, shorter.tolist(), strict=True):
        weight = torch.full_like(row, tail)
        weight[: int(short)] = 1.0
        weights.append(weight)
    return weights


def _in_their_order(name: str, losses: Tensor, pairs: o.PairLogProbs) -> Tensor:
    """Return the losses as TRL lists them: sorted for optimal transport, one number for all of SFT."""
    match name:
        case "aot":
            return losses[(pairs.chosen - pairs.rejected).flatten().argsort()]
        case "aot_unpaired":
            return losses[pairs.chosen_log_ratio.flatten().argsort()]
        case "sft":
            return losses.mean().expand(len(losses))
    return losses


def _free(case: Mapping[str, Any]) -> tuple[Rows, Rows, o.PairLogProbs]:
    chosen, rejected = Rows.of(case["chosen"]), Rows.of(case["rejected"])
    none = torch.full((1, len(chosen.tokens)), torch.nan, dtype=torch.float64)  # a reference that no loss may read
    lengths = (chosen.lengths, rejected.lengths)
    pairs = o.PairLogProbs(
        chosen.sums[None], rejected.sums[None], none, none, chosen_length=lengths[0], rejected_length=lengths[1]
    )
    return chosen, rejected, pairs


def _cpo(case: Mapping[str, Any], hyper: Settings) -> Found:
    objective, weight = settings.cpo_objective(hyper)
    pairs = _free(case)[2]
    each, by_chosen, by_rejected = evaluate(objective, pairs)
    likelihood, slope, _ = evaluate(o.TokenSFT(), pairs)
    return {
        "per_example": each,
        "nll": likelihood.mean() if weight else torch.zeros(()),
        "loss": each.mean() + weight * likelihood.mean(),
        "grad_chosen": (by_chosen + weight * slope) / len(each),
        "grad_rejected": by_rejected / len(each),
    }


def _tpo(case: Mapping[str, Any], hyper: Settings) -> Found:
    objective, weight = settings.tpo_objective(hyper)
    each, by_chosen, by_rejected = evaluate(objective, _free(case)[2])
    found: Found = {"grad_chosen": by_chosen / len(each), "grad_rejected": by_rejected / len(each)}
    found |= {"per_example": each, "loss": each.mean()}
    if weight:
        # The gold response is a third one: its likelihood is that of a chosen response in pairs of its own.
        gold = _free({"chosen": case["gold"], "rejected": case["rejected"]})[2]
        likelihood, slope, _ = evaluate(o.GoldSFT(), gold)
        found |= {"loss": each.mean() + weight * likelihood.mean(), "grad_gold": weight * slope / len(each)}
        found |= {"nll": likelihood.mean()}
    return found


def _orpo(case: Mapping[str, Any], hyper: Settings) -> Found:
    each, by_chosen, by_rejected = evaluate(o.ORPO(hyper.number("beta", 0.1), 0.0), _free(case)[2])
    # TRL's likelihood counts the tokens of the prompt as well.
    whole = [[*prompt, *chosen] for prompt, chosen in zip(case["prompt"], case["chosen"], strict=True)]
    likelihood, slope, _ = evaluate(o.TokenSFT(), _free({"chosen": whole, "rejected": case["rejected"]})[2])
    return {
        "per_example": each,
        "nll": likelihood.mean(),
        "loss": each.mean() + likelihood.mean(),
        "grad_chosen": (by_chosen + slope) / len(each),
        "grad_rejected": by_rejected / len(each),
    }


def _kto(case: Mapping[str, Any], hyper: Settings) -> Found:
    policy, reference = Rows.of(case["policy"]).sums[None], Rows.of(case["ref"]).sums[None]
    kl = None
    if "kl_policy" in case:
        mismatched = torch.tensor([case["kl_policy"], case["kl_ref"]], dtype=torch.float64)
        kl = (mismatched[0] - mismatched[1]).mean().clamp(min=0).view(1, 1)
    # Each response stands on both sides, desirable and not; a pair's loss is the mean of its two sides.
    pairs = o.PairLogProbs(policy, policy, reference, reference, kl=kl)
    desirable, by_desirable, _ = evaluate(settings.kto_objective(hyper, True), pairs)
    undesirable, _, by_undesirable = evaluate(settings.kto_objective(hyper, False), pairs)
    good = torch.tensor(case["label"])
    each, slope = torch.where(good, desirable, undesirable), torch.where(good, by_desirable, by_undesirable)
    found: Found = {"per_example": 2 * each, "loss": 2 * each.mean(), "grad_policy": 2 * slope / len(each)}
    return found if kl is None else found | {"kl": kl.squeeze()}


def _reward(case: Mapping[str, Any], hyper: Settings) -> Found:
    chosen, rejected = (torch.tensor(case[f"reward_{name}"], dtype=torch.float64)[:, None] for name in _SIDES)
    margin: float | Tensor = 0.0 if case["margin"] is None else torch.tensor(case["margin"], dtype=torch.float64)
    none = torch.full_like(chosen, torch.nan)
    objective = o.RewardModel(margin, hyper.number("center_rewards_coefficient", 0.0))
    each, by_chosen, by_rejected = evaluate(objective, o.PairLogProbs(chosen, rejected, none, none))
    found: Found = {"grad_reward_chosen": by_chosen / len(each), "grad_reward_rejected": by_rejected / len(each)}
    return found | {"per_example": each, "loss": each.mean()}


_SIDES = ("chosen", "rejected")


def _online(case: Mapping[str, Any], hyper: Settings) -> Found:
    penalty = hyper.number("missing_eos_penalty", 0.0)
    rewards = torch.tensor(case["rewards"], dtype=torch.float64) - penalty * ~torch.tensor(case["has_eos"])
    first, second = rewards.chunk(2)
    better = first >= second
    (p1, p2), (r1, r2) = (Rows.of(case[name]).sums.chunk(2) for name in ("policy", "ref"))
    sides = [torch.where(better, *two)[None] for two in ((p1, p2), (p2, p1), (r1, r2), (r2, r1))]
    each, by_chosen, by_rejected = evaluate(settings.online_objective(hyper), o.PairLogProbs(*sides))
    slopes = torch.cat([torch.where(better, by_chosen, by_rejected), torch.where(better, by_rejected, by_chosen)])
    found: Found = {"first_is_chosen": better.double(), "grad_policy": slopes / len(each)}
    return found | {"per_example": each, "loss": each.mean()}


Computation = Callable[[Mapping[str, Any], Settings], Found]

LOSSES: dict[str, Computation] = {
    "dpo": _dpo, "cpo": _cpo, "tpo": _tpo, "orpo": _orpo, "kto": _kto, "reward": _reward, "online_dpo": _online,
    "grpo": partial(policy_gradient, grpo_loss), "gmpo": partial(policy_gradient, gmpo_loss),
    "rloo": partial(policy_gradient, rloo_loss), "a2po": regression,
}  # fmt: skip
ADVANTAGES: dict[str, Computation] = {
    "grpo": partial(given_advantages, grpo_advantages),
    "rloo": partial(given_advantages, rloo_advantages),
}
