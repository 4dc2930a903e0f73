"""What the lab computes for a case of sampled responses: policy-gradient losses, a regression, and advantages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lab.estimators.tokens import K3, TokenBatch, TokenLoss
from lab.peers.reading import OutOfScope
from lab.peers.rows import Found, Rows
from lab.peers.sampled_settings import Judged, a2po_loss, clip_range
from lab.peers.settings import Settings


def policy_gradient(built: Callable[[Settings], TokenLoss], case: Mapping[str, Any], hyper: Settings) -> Found:
    """Compute the loss of a trainer, and its gradient in the log-probability of every token.

    Args:
        built: from settings to the loss.
        case: inputs.
        hyper: settings.
    """
    loss = built(hyper)
    rows = Rows.of(case["policy"])
    # BNPO averages over this batch's tokens, the others over those of all batches that make one update.
    whole = loss.average == "token" and hyper.get("loss_type", "dapo") != "bnpo"
    batch = TokenBatch(
        log_prob=_padded(rows),
        advantage=torch.tensor(case["advantages"], dtype=torch.float64)[None],
        mask=pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows.tokens], batch_first=True)[None],
        old_log_prob=_like(rows, case["old"]) if "old" in case else None,
        reference_log_prob=_like(rows, case["ref"]) if any(isinstance(term, K3) for term in loss.terms) else None,
        total=case["num_items_in_batch"] if whole else None,
    )
    slopes = [slope[: len(row)] for slope, row in zip(loss.slope(batch)[0], rows.tokens, strict=True)]
    found: Found = {"loss": loss.loss(batch)[0], "grad_policy_tokens": slopes}
    if all(
        len(slope) and bool((slope == slope[0]).all()) for slope in slopes
    ):  # one number then says it for all tokens
        found["grad_policy"] = torch.stack([slope[0] for slope in slopes])
    return found


def regression(case: Mapping[str, Any], hyper: Settings) -> Found:
    """Compute the loss of the A*-PO trainer, and its gradient in the log-probability of every response."""
    objective = a2po_loss(hyper)
    policy, reference = Rows.of(case["policy"]).sums[None], Rows.of(case["ref"]).sums[None]
    reward, value = (torch.tensor(case[name], dtype=torch.float64)[None] for name in ("rewards", "v_star"))
    each = objective.loss(policy, reference, reward, value)[0]
    weights = objective.weights(policy, reference, reward, value)[0]
    return {"per_example": each, "loss": each.mean(), "grad_policy": weights / len(each)}


def given_advantages(judged: Callable[[Settings], Judged], case: Mapping[str, Any], hyper: Settings) -> Found:
    """Compute the advantages of rewards that stand in groups of `num_generations`, one after another.

    Args:
        judged: from settings to what makes advantages of rewards.
        case: inputs.
        hyper: settings.
    """
    find, rewards, draws = judged(hyper), case["rewards"], hyper.number("num_generations", 8.0)
    low, high = clip_range(hyper)
    if not all(isinstance(reward, int | float) for reward in rewards):
        raise OutOfScope("a reward is not a number; the lab judges one reward a response")
    if not draws.is_integer() or draws < 2 or len(rewards) % draws:
        raise OutOfScope(f"num_generations={draws:g} for {len(rewards)} rewards; groups have two or more, all as many")
    score = torch.tensor(rewards, dtype=torch.float64).clamp(low, high)
    beta = hyper.number("beta", 0.0)
    if beta:
        score = score - beta * (Rows.of(case["old"]).sums - Rows.of(case["ref"]).sums)
    return {"advantages": find(score.view(1, -1, int(draws)))}


def _padded(rows: Rows) -> Tensor:
    return pad_sequence(list(rows.tokens), batch_first=True)[None]


def _like(rows: Rows, other: Any) -> Tensor:
    read = Rows.of(other)
    if [len(row) for row in read.tokens] != [len(row) for row in rows.tokens]:
        raise ValueError("rows of different length")
    return _padded(read)
