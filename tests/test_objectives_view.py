"""What an objective sees in training beyond the pairs: lengths, the exact divergence, the policy's confidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from tests import worlds

LENGTHS = torch.arange(1.0, 19.0, dtype=torch.float64).view(3, 6)
EQUAL = lab.Preferences([0, 0, 2], [1, 1, 0], [2, 4, 3])


def trained(objective, policy: str = "tabular", **more):
    world = replace(worlds.problem(), lengths=LENGTHS)
    start = worlds.state(policy, world)
    return lab.train(world, worlds.policy(policy, world), objective, lab.SGD(0.05), steps=4, start=start, **more)


def seen(record, step: int, run: int) -> lab.PairLogProbs:
    """The pairs of one step of one run, looked up one by one."""
    log_prob, start = record.log_prob.values[run, step], record.reference_log_prob.values[run]
    x, c, r = (record[name].values for name in ("pair_prompt", "chosen", "rejected"))

    def row(values) -> torch.Tensor:
        return torch.tensor(np.asarray(values, dtype=np.float64))[None]

    kl = [(np.exp(log_prob[p]) * (log_prob[p] - start[p])).sum() for p in x]
    sure = log_prob - np.log((np.exp(log_prob) ** 2).sum(-1, keepdims=True))
    return lab.PairLogProbs(
        *(row(values) for values in (log_prob[x, c], log_prob[x, r], start[x, c], start[x, r])),
        chosen_length=LENGTHS[x, c],
        rejected_length=LENGTHS[x, r],
        kl=row([np.dot(kl, record.pair_weight.values)]),
        chosen_confidence=row(sure[x, c]),
        rejected_confidence=row(sure[x, r]),
    )


@pytest.mark.parametrize("policy", ["tabular", "mlp-tanh"])
@pytest.mark.parametrize(
    "objective",
    [
        lab.SimPO(2.0, 0.5),
        lab.AveragedIPO(0.5),
        lab.ORPO(0.5),
        lab.KTO(0.5),
        lab.WPO(lab.DPO(0.5)),
        lab.WeightedSum((lab.KTO(worlds.BETAS), lab.WPO(lab.SimPO(worlds.OTHERS))), (1.0, 0.5)),
        lab.Divergence(lab.DPO(worlds.BETAS), "alpha", worlds.OTHERS),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_record_holds_the_loss_of_the_very_pairs(objective, policy):
    record = trained(objective, policy)
    for run in range(3):
        alone = single(objective, run)
        for step in range(5):
            pairs = seen(record, step, run)
            np.testing.assert_allclose(record.loss.values[run, step], alone.loss(pairs)[0], rtol=1e-9)
            weights = torch.stack(alone.response_weights(pairs))[:, 0]
            np.testing.assert_allclose(record.response_weight.values[run, step], weights, rtol=1e-8, atol=1e-12)


def single(objective, run: int):
    """The objective of one run, with numbers in place of tensors."""
    changed = {}
    for name, value in vars(objective).items():
        if isinstance(value, torch.Tensor):
            changed[name] = float(value[run])
        elif isinstance(value, tuple):
            changed[name] = tuple(single(part, run) if hasattr(part, "loss") else part for part in value)
        elif hasattr(value, "loss"):
            changed[name] = single(value, run)
    return replace(objective, **changed)


def test_a_step_follows_those_weights():
    """One plain step of a table is -lr times the logit gradient of the weighted sum, KL and confidence held fixed."""
    objective = lab.WeightedSum((lab.KTO(0.5), lab.WPO(lab.SimPO(2.0))), (1.0, 0.5))
    record = trained(objective)
    for run in range(3):
        push = torch.stack(objective.response_weights(seen(record, 0, run)))[:, 0].numpy() * record.pair_weight.values
        table = np.zeros((3, 6))
        for pair, (x, c, r) in enumerate(zip(record.pair_prompt, record.chosen, record.rejected, strict=True)):
            table[int(x), int(c)] += push[0, pair]
            table[int(x), int(r)] += push[1, pair]
        logits = record.log_prob.values[run, 0]
        logits = logits - 0.05 * (table - np.exp(logits) * table.sum(-1, keepdims=True))
        after = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        np.testing.assert_allclose(record.log_prob.values[run, 1], after, rtol=1e-10)


def test_longer_responses_are_pushed_less_where_averages_count_and_no_less_where_sums_do():
    world = worlds.problem()
    start = worlds.state("tabular", world)
    weights = {}
    for name, lengths in (("short", None), ("long", torch.full((3, 6), 10.0))):
        for objective in (lab.SimPO(1.0, 0.0), lab.CPO(1.0, 0.0)):
            record = lab.train(
                replace(world, lengths=lengths), lab.Tabular(3, 6), objective, lab.SGD(0.1), steps=1, start=start
            )
            weights[name, type(objective).__name__] = abs(record.response_weight.isel(step=0)).mean().item()
    assert weights["long", "SimPO"] < 0.2 * weights["short", "SimPO"]
    assert weights["long", "CPO"] == weights["short", "CPO"]


def test_transport_trains_on_all_pairs_with_equal_weights_only():
    world = worlds.problem(pairs=EQUAL)
    start = worlds.state("tabular", world)
    keep = (lab.Tabular(3, 6), lab.AOTUnpaired(0.5), lab.SGD(0.1))
    record = lab.train(world, *keep, steps=3, start=start)
    assert np.isfinite(record.loss).all() and float(record.loss[:, -1].sum()) < float(record.loss[:, 0].sum())
    with pytest.raises(
        ValueError, match="batch is 2, and AOTUnpaired compares each pair with all others; allowed is 0"
    ):
        lab.train(world, *keep, steps=3, start=start, batch=2)
    uneven = replace(world, preferences=lab.Preferences([0, 0, 2], [1, 1, 0], [2, 4, 3], [1, 2, 3]))
    with pytest.raises(
        ValueError, match="AOTUnpaired compares each pair with all others as equals; give Preferences eq"
    ):
        lab.train(uneven, *keep, steps=3, start=start)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.zeros(3, 6), r"a response has length 0; allowed are finite numbers above 0: count its tokens"),
        (torch.full((3, 6), torch.nan), r"a response has length nan; allowed are finite numbers above 0"),
        (torch.ones(3, 5), r"lengths has shape \(3, 5\); allowed is \[prompt, response\], here \(3, 6\)"),
    ],
)
def test_lengths_that_are_none_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        replace(worlds.problem(), lengths=lengths)
