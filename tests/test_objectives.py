"""Objectives: each loss and its two response weights against autograd, a second implementation and 50 digits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from mpmath import mp, mpf

import lab
from lab.objectives import Objective, PairLogProbs
from tests import plain
from tests.worlds import BETAS, OBJECTIVES, OTHERS, draw

NORMAL, EXTREME = 1.0, 200.0  # log-probabilities of about so many nats
betas = st.floats(0.01, 2)
nats = st.floats(-200, 0)


def members(scale: float, *, rows: int = 4, pairs: int = 5, seed: int = 0) -> PairLogProbs:
    """Random log-probabilities [run, row, pair] of 3 runs, the reference's [run, 1, pair] as in a record."""
    return PairLogProbs(
        -scale * draw(3, rows, pairs, seed=seed).abs(),
        -scale * draw(3, rows, pairs, seed=seed + 1).abs(),
        -draw(3, 1, pairs, seed=seed + 2).abs(),
        -draw(3, 1, pairs, seed=seed + 3).abs(),
    )


def pair(*log_probs: float) -> PairLogProbs:
    """One pair of one run: chosen, rejected, reference chosen, reference rejected."""
    return PairLogProbs(*(torch.tensor([[value]], dtype=torch.float64) for value in log_probs))


def swapped(pairs: PairLogProbs) -> PairLogProbs:
    return PairLogProbs(pairs.rejected, pairs.chosen, pairs.reference_rejected, pairs.reference_chosen)


@pytest.mark.parametrize("scale", [NORMAL, EXTREME])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_and_weights_agree_with_autograd(name, scale):
    """Closed form = autograd of a loss written anew = the base class's own autograd, to 1e-10."""
    objective, pairs = OBJECTIVES[name], members(scale)
    chosen, rejected = (table.clone().requires_grad_() for table in (pairs.chosen, pairs.rejected))
    starts = (pairs.reference_chosen, pairs.reference_rejected)
    expected = torch.stack(
        [plain.pair_loss(objective, run, *(table[run] for table in (chosen, rejected, *starts))) for run in range(3)]
    )
    slopes = torch.autograd.grad(expected.sum(), (chosen, rejected), allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(objective.loss(pairs), expected.detach(), rtol=1e-10, atol=0)
    for weights in (objective.response_weights(pairs), Objective.response_weights(objective, pairs)):
        for weight, slope in zip(weights, slopes, strict=True):
            torch.testing.assert_close(weight, slope, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if "per run" in name])
def test_a_value_for_each_run_is_that_run_with_one_value(name):
    together, pairs = OBJECTIVES[name], members(NORMAL)
    for run in range(3):
        alone = single(together, run)
        row = PairLogProbs(*(getattr(pairs, field)[run : run + 1] for field in PairLogProbs.__slots__[:4]))
        assert torch.equal(alone.loss(row)[0], together.loss(pairs)[run])
        for one, all_ in zip(alone.response_weights(row), together.response_weights(pairs), strict=True):
            assert torch.equal(one[0], all_[run])


def single(objective, run: int):
    """The objective of one run, with numbers in place of tensors."""
    if isinstance(objective, lab.WeightedSum):
        weights = tuple(float(plain.one(weight, run)) for weight in objective.weights)
        return lab.WeightedSum(tuple(single(part, run) for part in objective.objectives), weights)
    return type(objective)(*(float(plain.one(getattr(objective, name), run)) for name in vars(objective)))


@given(margin=st.floats(-500, 500), beta=betas)
def test_losses_and_weights_hold_50_digits_at_any_margin(margin, beta):
    """Margins to +-500 nats, where s(-margin) is 1e-217 and 1 - s(margin) is 0 in float64."""
    ratio = margin / beta
    assume(abs(margin - 1) > 1e-9)  # at the hinge's corner rounding decides
    at = pair(0.0, -ratio, 0.0, 0.0)
    with mp.workdps(50):
        m = mpf(beta) * mpf(ratio)
        push = mpf(beta) / (1 + mp.exp(m))
        error = mpf(ratio) - 1 / (2 * mpf(beta))
        expected = {
            lab.DPO(beta): (mp.log1p(mp.exp(-m)), -push, push),
            lab.FlexDPO(beta, beta): (mp.log1p(mp.exp(-m)), -push, push),
            lab.IPO(beta): (error**2, 2 * error, -2 * error),
            lab.SLiC(beta): (max(mpf(0), 1 - m), *((-mpf(beta), mpf(beta)) if m < 1 else (0, 0))),
        }
        for objective, values in expected.items():
            found = (objective.loss(at), *objective.response_weights(at))
            for actual, value in zip(found, values, strict=True):
                # 2e-13: the rounding of the margin itself, exponentiated
                assert abs(mpf(float(actual)) - value) <= mpf("2e-13") * abs(value) + mpf("1e-13") * (
                    isinstance(objective, lab.IPO | lab.SLiC) * max(1, abs(ratio))
                ), objective


@given(beta=betas, log_probs=st.tuples(nats, nats, nats, nats))
def test_swapping_chosen_and_rejected_turns_the_margin_round(beta, log_probs):
    """-log s(m) and -log s(-m) differ by m; their pushes add up to beta; IPO's errors add up to -1/beta."""
    pairs = pair(*log_probs)
    back = swapped(pairs)
    assert torch.equal(back.log_ratio_margin, -pairs.log_ratio_margin)
    margin = beta * pairs.log_ratio_margin
    dpo, flex, ipo = lab.DPO(beta), lab.FlexDPO(beta, beta / 2), lab.IPO(beta)
    torch.testing.assert_close(dpo.loss(back) - dpo.loss(pairs), margin, rtol=1e-12, atol=1e-12)
    (down, up), (back_down, back_up) = dpo.response_weights(pairs), dpo.response_weights(back)
    assert torch.equal(down, -up) and torch.equal(back_down, -back_up)
    torch.testing.assert_close(up + back_up, torch.full_like(up, beta), rtol=1e-12, atol=0)
    other = lab.FlexDPO(beta / 2, beta)
    torch.testing.assert_close(
        other.loss(back) - flex.loss(pairs),
        beta * pairs.chosen_log_ratio - beta / 2 * pairs.rejected_log_ratio,
        rtol=1e-12,
        atol=1e-12,
    )
    pull, back_pull = ipo.response_weights(pairs)[0] / 2, ipo.response_weights(back)[0] / 2
    torch.testing.assert_close(pull + back_pull, torch.full_like(pull, -1 / beta), rtol=1e-12, atol=1e-9)


@given(beta=betas, chosen=nats, rejected=nats)
def test_at_the_reference_the_margin_is_0_and_dpo_loses_log_2(beta, chosen, rejected):
    pairs = pair(chosen, rejected, chosen, rejected)
    assert float(pairs.log_ratio_margin) == float(pairs.chosen_log_ratio) == float(pairs.rejected_log_ratio) == 0
    for objective in (lab.DPO(beta), lab.FlexDPO(beta, beta / 3)):
        assert float(objective.loss(pairs)) == pytest.approx(math.log(2), rel=1e-15)
    assert float(lab.IPO(beta).loss(pairs)) == pytest.approx(1 / (2 * beta) ** 2, rel=1e-15)
    assert float(lab.SLiC(beta).loss(pairs)) == 1
    assert float(lab.SFT().loss(pairs)) == -chosen


@given(beta=betas, log_probs=st.tuples(nats, nats, nats, nats), shift=nats)
def test_only_log_ratios_count(beta, log_probs, shift):
    """Chosen and its reference shifted together, and both responses shifted together, change no pairwise loss."""
    c, r, start_c, start_r = log_probs
    for objective in (lab.DPO(beta), lab.IPO(beta), lab.SLiC(beta)):
        whole = objective.loss(pair(c, r, start_c, start_r))
        for moved in (pair(c + shift, r, start_c + shift, start_r), pair(c + shift, r + shift, start_c, start_r)):
            torch.testing.assert_close(objective.loss(moved), whole, rtol=1e-10, atol=1e-10)


def test_slic_at_its_corner_has_no_push():
    """The derivative at the hinge is a choice: 0, as the relu of the base class's autograd has it."""
    at = pair(0.0, -2.0, 0.0, 0.0)
    for weights in (lab.SLiC(0.5).response_weights(at), Objective.response_weights(lab.SLiC(0.5), at)):
        assert [float(weight) for weight in weights] == [0, 0]


@dataclass(frozen=True)
class Clipped(Objective):
    """A ratio to the sampler's policy, clipped: what a policy-gradient objective reads from the third table."""

    def loss(self, pairs: PairLogProbs) -> torch.Tensor:
        assert pairs.sampler_chosen is not None and pairs.sampler_rejected is not None
        better, worse = (pairs.chosen - pairs.sampler_chosen).exp(), (pairs.rejected - pairs.sampler_rejected).exp()
        return worse.clamp(min=0.8) - better.clamp(max=1.2)


def test_an_objective_may_read_the_samplers_log_probabilities():
    values = (-1.0, -2.0, -1.5, -1.5, -1.1, -2.1)
    with torch.inference_mode():
        pairs = PairLogProbs(*(torch.tensor([[value]], dtype=torch.float64) for value in values))
        chosen, rejected = Clipped().response_weights(pairs)
    assert float(chosen) == pytest.approx(-math.exp(0.1)) and float(rejected) == pytest.approx(math.exp(0.1))


@dataclass(frozen=True)
class Penalised(lab.DPO):
    """DPO that minds how likely its chosen response is: another loss, without closed forms."""

    def loss(self, pairs: PairLogProbs) -> torch.Tensor:
        return super().loss(pairs) + pairs.chosen**2


def test_a_loss_that_overrides_another_inherits_none_of_its_closed_forms():
    objective, pairs = Penalised(0.2), members(NORMAL)
    chosen, rejected = lab.DPO(0.2).response_weights(pairs)
    found = objective.response_weights(pairs)
    torch.testing.assert_close(found[0], chosen + 2 * pairs.chosen, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(found[1], rejected, rtol=1e-10, atol=1e-14)
    assert not objective.only_margin and lab.DPO(0.2).only_margin and objective.betas == (0.2, 0.2)


def test_flex_with_equal_betas_is_dpo_and_a_sum_of_one_is_itself():
    pairs = members(NORMAL)
    for one, other in (
        (lab.FlexDPO(BETAS, BETAS), lab.DPO(BETAS)),
        (lab.WeightedSum((lab.IPO(0.2),), (1.0,)), lab.IPO(0.2)),
    ):
        torch.testing.assert_close(one.loss(pairs), other.loss(pairs), rtol=1e-13, atol=1e-15)
        for a, b in zip(one.response_weights(pairs), other.response_weights(pairs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15)


def test_betas_define_implicit_rewards():
    assert lab.DPO(0.3).betas == (0.3, 0.3) and lab.FlexDPO(0.1, OTHERS).betas == (0.1, OTHERS)
    assert lab.WeightedSum((lab.FlexDPO(0.1, 0.2), lab.SFT()), (1.0, 1.0)).betas == (0.1, 0.2)
    assert all(math.isnan(beta) for beta in lab.SFT().betas)


@pytest.mark.parametrize(
    ("objective", "loss", "slope"),
    [
        (lab.DPO(0.1), math.log1p(math.exp(-0.6)), -0.1 / (1 + math.exp(0.6))),
        (lab.SLiC(0.1), 0.4, -0.1),
        (lab.IPO(0.1), 1.0, 2.0),
    ],
)
def test_losses_at_a_log_ratio_margin_of_6(objective, loss, slope):
    pairs = pair(-1.0, -9.0, -3.0, -5.0)
    assert float(pairs.log_ratio_margin) == 6
    assert float(objective.loss(pairs)) == pytest.approx(loss, rel=1e-14)
    chosen, rejected = objective.response_weights(pairs)
    assert float(chosen) == pytest.approx(slope, rel=1e-14) and float(rejected) == pytest.approx(-slope, rel=1e-14)


def test_losses_of_four_pairs_worked_by_hand():
    """Log-ratios (.2, -.1, .2, -.1) and (-.3, .3, -.2, .2), so h = (.5, -.4, .4, -.3); IPO: mean of (h - 5)^2."""
    rows = [(-2, -3.1, -1.4, -2.5), (-3.5, -2, -2.8, -1.9), (-2.2, -3, -1.6, -2.4), (-3.2, -2.3, -2.6, -2.1)]
    pairs = PairLogProbs(*(torch.tensor([row], dtype=torch.float64) for row in rows))
    margins = [0.05, -0.04, 0.04, -0.03]
    assert (0.1 * pairs.log_ratio_margin)[0].tolist() == pytest.approx(margins, abs=1e-15)
    dpo = sum(math.log1p(math.exp(-m)) for m in margins) / 4
    assert float(lab.DPO(0.1).loss(pairs).mean()) == pytest.approx(dpo, rel=1e-14) == pytest.approx(0.690853, abs=5e-7)
    ipo = (4.5**2 + 5.4**2 + 4.6**2 + 5.3**2) / 4
    assert float(lab.IPO(0.1).loss(pairs).mean()) == pytest.approx(ipo, rel=1e-13) == pytest.approx(24.665, abs=5e-7)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: lab.DPO(0), ValueError, r"beta is 0; allowed are finite numbers > 0"),
        (lambda: lab.DPO(-0.1), ValueError, r"beta is -0.1; allowed are finite numbers > 0"),
        (lambda: lab.IPO(math.nan), ValueError, r"beta is nan; allowed are finite numbers > 0"),
        (lambda: lab.SLiC(math.inf), ValueError, r"beta is inf; allowed are finite numbers > 0"),
        (lambda: lab.DPO(torch.tensor([0.1, -2.0])), ValueError, r"beta is -2; allowed are finite numbers > 0"),
        (lambda: lab.FlexDPO(0.1, 0), ValueError, r"beta_rejected is 0; allowed are finite numbers > 0"),
        (lambda: lab.FlexDPO(torch.tensor([math.nan]), 1), ValueError, r"beta_chosen is nan; allowed"),
        (lambda: lab.DPO(torch.ones(2, 2)), ValueError, r"beta has shape \(2, 2\); give one number or one a run"),
        (lambda: lab.DPO([0.1, 0.2]), TypeError, r"beta is a list; give a number, or a torch.Tensor with one"),
        (lambda: lab.IPO(np.ones(4)), TypeError, r"beta is a ndarray; give a number, or a torch.Tensor with one"),
        (lambda: lab.DPO("0.1"), TypeError, r"beta is a str; give a number"),
        (lambda: lab.WeightedSum((), ()), ValueError, r"0 objectives and 0 weights; give one weight an objective"),
        (lambda: lab.WeightedSum((lab.SFT(),), (1.0, 2.0)), ValueError, r"1 objectives and 2 weights; give one"),
        (lambda: lab.WeightedSum((lab.SFT(),), (-1.0,)), ValueError, r"weight is -1; allowed are finite numbers >= 0"),
        (lambda: lab.WeightedSum((lab.SFT(),), (math.nan,)), ValueError, r"weight is nan; allowed are finite"),
        (
            lambda: lab.DPO(torch.ones(2)).loss(members(NORMAL)),
            ValueError,
            r"2 values of a hyper-parameter for 3 runs; give one number or one a run",
        ),
    ],
)
def test_bad_hyper_parameters_are_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_that_claims_to_see_only_the_margin_sees_nothing_else(name):
    """A table relies on it: its logits then stand for its log-probabilities."""
    objective, pairs = OBJECTIVES[name], members(NORMAL)
    shifted = replace(pairs, chosen=pairs.chosen + 2.5, rejected=pairs.rejected + 2.5)
    claims = name.split()[0] in ("dpo", "ipo", "slic") and "+" not in name
    assert objective.only_margin == claims
    if claims:
        torch.testing.assert_close(objective.loss(pairs), objective.loss(shifted), rtol=1e-12, atol=0)
        chosen, rejected = objective.response_weights(pairs)
        assert torch.equal(chosen, -rejected)
