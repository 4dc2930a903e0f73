"""Objectives: each loss and its two response weights against autograd, a second implementation and 50 digits."""

from __future__ import annotations

import pytest
import torch

from lab.objectives import Objective, PairLogProbs
from tests import plain
from tests.worlds import OBJECTIVES, draw

NORMAL, EXTREME = 1.0, 200.0
nats = st.floats(-250, 0)


def members(scale: float, *, rows: int = 4, pairs: int = 5, seed: int = 0) -> PairLogProbs:
    """Random log-probabilities [run, row, pair] of 3 runs, the reference's [run, 1, pair] as in a record."""
    return PairLogProbs(
        -scale * draw(3, rows, pairs, seed=seed).abs(),
        -scale * draw(3, rows, pairs, seed=seed + 1).abs(),
        -draw(3, 1, pairs, seed=seed + 2).abs(),
        -draw(3, 1, pairs, seed=seed + 3).abs(),
    )


def one_pair(chosen: float, rejected: float, start_chosen: float = 0.0, start_rejected: float = 0.0) -> PairLogProbs:
    return PairLogProbs(
        *(torch.tensor([[v]], dtype=torch.float64) for v in (chosen, rejected, start_chosen, start_rejected))
    )


def agree(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("scale", [NORMAL, EXTREME])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_and_closed_form_weights_agree_with_autograd(name, scale):
    objective, pairs = OBJECTIVES[name], members(scale)
    agree_pairs = PairLogProbs(
        pairs.chosen.clone().requires_grad_(),
        pairs.rejected.clone().requires_grad_(),
        pairs.reference_chosen,
        pairs.reference_rejected,
    )
    loss = torch.stack(
        [
            plain.pair_loss(objective, run, agree_pairs.chosen[run], agree_pairs.rejected[run],
                            pairs.reference_chosen[run], pairs.reference_rejected[run])
            for run in range(3)
        ]
    )  # fmt: skip
    by_plain = torch.autograd.grad(
        loss.sum(), (agree_pairs.chosen, agree_pairs.rejected), allow_unused=True, materialize_grads=True
    )
    torch.testing.assert_close(objective.loss(pairs), loss.detach(), rtol=1e-10, atol=1e-14)
    closed, fallback = objective.response_weights(pairs), Objective.response_weights(objective, pairs)
    for term in range(2):
        assert closed[term].shape == pairs.chosen.shape
        torch.testing.assert_close(closed[term], by_plain[term], rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(closed[term], fallback[term], rtol=1e-10, atol=1e-14)
