"""The catalogue of objectives: each loss and both response weights against 60 digits, autograd and its own claims."""

from __future__ import annotations

import math
import textwrap
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from mpmath import mp, mpf

import lab
from lab.objectives import Objective, PairLogProbs
from lab.objectives.supervised import log1mexp
from tests import worlds
from tests.worlds import draw

KL = 0.3
RATIOS = ("reverse_kl", "forward_kl", "jensen_shannon", "alpha")


# The losses once more, as their papers write them, in 60 digits: u, v log-ratios, c, r log-probabilities, m, n lengths.
def nls(x):
    return mp.log1p(mp.exp(-x))


def s(x):
    return 1 / (1 + mp.exp(-x))


def smooth(x, e):
    return (1 - e) * nls(x) + e * nls(-x)


def odds(x):
    return x - mp.log(-mp.expm1(x))


def exo(z, e):
    return s(z) * (-nls(z) - mp.log(1 - e)) + s(-z) * (-nls(-z) - mp.log(e))


def discopop(z, tau):
    return s(-z / tau) * nls(z) + s(z / tau) * mp.exp(-z)


def phi(x, kind, a):
    return {
        "reverse_kl": lambda: x,
        "forward_kl": lambda: 1 - mp.exp(-x),
        "jensen_shannon": lambda: mp.log(2) - nls(x),
        "alpha": lambda: mp.expm1((a - 1) * x) / (a - 1),
    }[kind]()


B, E = mpf(0.5), mpf(0.1)  # beta and label smoothing, as doubles; 2.5 * 200 nats is a margin of 500
ORACLES = {
    "cdpo": (lab.CDPO(2.5, 0.1), lambda u, v, c, r, m, n: smooth(mpf(2.5) * (u - v), E)),
    "robust": (
        lab.RobustDPO(2.5, 0.1),
        lambda u, v, c, r, m, n: ((1 - E) * nls(mpf(2.5) * (u - v)) - E * nls(mpf(2.5) * (v - u))) / (1 - 2 * E),
    ),
    "exo": (lab.EXO(2.5, 0.1), lambda u, v, c, r, m, n: exo(mpf(2.5) * (u - v), E)),
    "discopop": (lab.DiscoPOP(2.5), lambda u, v, c, r, m, n: discopop(mpf(2.5) * (u - v), mpf(0.05))),
    "discopop wide": (lab.DiscoPOP(0.5, 2.0), lambda u, v, c, r, m, n: discopop(B * (u - v), mpf(2))),
    "dpo_avg": (lab.AveragedDPO(2.5), lambda u, v, c, r, m, n: nls(mpf(2.5) * (u / m - v / n))),
    "ipo_avg": (lab.AveragedIPO(0.5), lambda u, v, c, r, m, n: (u / m - v / n - 1) ** 2),
    "nca": (lab.NCA(0.5), lambda u, v, c, r, m, n: nls(B * u) + nls(-B * u) / 2 + nls(-B * v) / 2),
    "bco": (lab.BCO(2.5), lambda u, v, c, r, m, n: nls(mpf(2.5) * u) + nls(-mpf(2.5) * v)),
    "sppo": (lab.SPPO(0.5), lambda u, v, c, r, m, n: (u - 1) ** 2 + (v + 1) ** 2),
    "apo_zero": (lab.APOZero(2.5), lambda u, v, c, r, m, n: s(-mpf(2.5) * u) + s(mpf(2.5) * v)),
    "apo_down": (lab.APODown(0.5), lambda u, v, c, r, m, n: s(B * u) + s(-B * (u - v))),
    "caldpo": (lab.CalDPO(0.5), lambda u, v, c, r, m, n: nls(u - v) + (u - 1) ** 2 + (v + 1) ** 2),
    "dpop": (lab.DPOP(0.5, 3.0), lambda u, v, c, r, m, n: nls(B * (u - v - 3 * max(mpf(0), -u)))),
    "dposhift": (lab.DPOShift(2.5, 0.75), lambda u, v, c, r, m, n: nls(mpf(2.5) * (u - mpf(0.75) * v))),
    "chipo": (
        lab.ChiPO(0.5, 300.0),
        lambda u, v, c, r, m, n: nls(max(mpf(-300), min(mpf(300), B * (mp.exp(u) + u - mp.exp(v) - v)))),
    ),
    "kto": (
        lab.KTO(2.5, 1.5, 0.5),
        lambda u, v, c, r, m, n: (
            (mpf(1.5) * s(-mpf(2.5) * (u - mpf(KL))) + mpf(0.5) * s(-mpf(2.5) * (mpf(KL) - v))) / 2
        ),
    ),
    "apo_unpaired": (
        lab.APOZeroUnpaired(2.5, 1.5, 0.5),
        lambda u, v, c, r, m, n: (mpf(1.5) * s(-mpf(2.5) * u) + mpf(0.5) * s(mpf(2.5) * v)) / 2,
    ),
    "cpo": (lab.CPO(2.5, 0.7, 0.1), lambda u, v, c, r, m, n: smooth(mpf(2.5) * (c - r), E) - mpf(0.7) * c / m),
    "slichf": (lab.SLiCHF(0.5, 0.7), lambda u, v, c, r, m, n: max(mpf(0), 1 - B * (c - r)) - mpf(0.7) * c / m),
    "ipo_free": (lab.FreeIPO(0.5, 0.7), lambda u, v, c, r, m, n: (c / m - r / n - 1) ** 2 - mpf(0.7) * c / m),
    "simpo": (lab.SimPO(10.0, 1.5), lambda u, v, c, r, m, n: nls(10 * (c / m - r / n) - mpf(1.5))),
    "simpo smoothed": (lab.SimPO(10.0, 1.5, 0.1), lambda u, v, c, r, m, n: smooth(10 * (c / m - r / n) - mpf(1.5), E)),
    "alphapo": (
        lab.AlphaPO(0.5, 1.5, 0.0, 0.25),
        lambda u, v, c, r, m, n: nls(B * (mp.exp(-r / n / 4) - mp.exp(-c / m / 4)) * 4 - mpf(1.5)),
    ),
    "alphapo bounded": (
        lab.AlphaPO(0.5, 1.5, 0.0, -0.5),
        lambda u, v, c, r, m, n: nls(B * (mp.exp(c / m / 2) - mp.exp(r / n / 2)) * 2 - mpf(1.5)),
    ),
    "orpo": (lab.ORPO(0.5, 0.7), lambda u, v, c, r, m, n: -mpf(0.7) * c / m + B * nls(odds(c / m) - odds(r / n))),
    "tpo": (lab.TPO(2.5, 0.7, 0.1), lambda u, v, c, r, m, n: smooth(mpf(2.5) * (c - r), E) - mpf(0.7) * c / m),
    "tpo_l": (
        lab.TPOL(10.0, 1.5, 0.0, 0.7),
        lambda u, v, c, r, m, n: nls(10 * (c / m - r / n) - mpf(1.5)) - mpf(0.7) * c / m,
    ),
    "reward": (lab.RewardModel(0.7, 0.01), lambda u, v, c, r, m, n: nls(c - r - mpf(0.7)) + mpf(0.01) * (c + r) ** 2),
    "unlikelihood": (lab.Unlikelihood(0.7), lambda u, v, c, r, m, n: -c - mpf(0.7) * mp.log(-mp.expm1(r))),
    "sft_token": (lab.TokenSFT(), lambda u, v, c, r, m, n: -c / m),
    "gold": (lab.GoldSFT(), lambda u, v, c, r, m, n: -c / m),
    "wpo": (lab.WPO(lab.DPO(0.5)), lambda u, v, c, r, m, n: nls(B * (u - v)) * mp.exp(mpf(-0.2) + mpf(-0.9))),
    **{
        f"dpo {kind}": (
            lab.Divergence(lab.DPO(0.5), kind, 0.25),
            lambda u, v, c, r, m, n, kind=kind: nls(B * (phi(u, kind, mpf(0.25)) - phi(v, kind, mpf(0.25)))),
        )
        for kind in RATIOS
    },
    "ipo_avg alpha": (
        lab.Divergence(lab.AveragedIPO(0.5), "alpha", 1.5),
        lambda u, v, c, r, m, n: (phi(u, "alpha", mpf(1.5)) / m - phi(v, "alpha", mpf(1.5)) / n - 1) ** 2,
    ),
}

STATES = {  # chosen, rejected, their references, their lengths
    "somewhere": (-1.3, -2.1, -1.7, -1.2, 3.0, 5.0),
    "the other side": (-3.3, -1.1, -1.2, -1.9, 2.0, 7.0),
    "one token": (-0.9, -0.8, -0.4, -1.6, 1.0, 1.0),
    "rejected gone": (-0.5, -200.0, -0.6, -0.9, 2.0, 4.0),
    "chosen gone": (-200.0, -0.3, -0.9, -1.1, 2.0, 4.0),
    "both gone": (-190.0, -200.0, -1.2, -0.9, 4.0, 3.0),
    "rejected always was": (-0.5, -190.0, -0.6, -200.0, 1.0, 1.0),
    "chosen certain": (-1e-12, -30.0, -0.6, -0.9, 1.0, 1.0),
}
CERTAIN = (-1e-12, -1e-3, -0.6, -0.9, 1.0, 1.0)


def at(c, r, p, q, m, n) -> PairLogProbs:
    """One pair of one run, with all that any objective reads."""
    one = (torch.tensor([[value]], dtype=torch.float64) for value in (c, r, p, q))
    length = (torch.tensor([value], dtype=torch.float64) for value in (m, n))
    rest = (torch.tensor([[value]], dtype=torch.float64) for value in (KL, -0.2, -0.9))
    pairs, lengths, (kl, sure, unsure) = PairLogProbs(*one), tuple(length), rest
    return replace(
        pairs, chosen_length=lengths[0], rejected_length=lengths[1], kl=kl, chosen_confidence=sure,
        rejected_confidence=unsure,
    )  # fmt: skip


def members(scale: float) -> PairLogProbs:
    """Random log-probabilities [run, row, pair] of 3 runs, the reference's [run, 1, pair]."""
    shapes = ((3, 4, 5), (3, 4, 5), (3, 1, 5), (3, 1, 5))
    tables = [-(scale if k < 2 else 1) * draw(*shape, seed=k).abs() for k, shape in enumerate(shapes)]
    return replace(
        PairLogProbs(*tables),
        chosen_length=torch.tensor([1.0, 2, 3, 4, 9]),
        rejected_length=torch.tensor([2.0, 2, 8, 1, 5]),
        kl=draw(3, 4, 1, seed=9).abs(),
        chosen_confidence=-draw(3, 4, 5, seed=7).abs(),
        rejected_confidence=-draw(3, 4, 5, seed=8).abs(),
    )


def expected(loss, c, r, p, q, m, n):
    """The loss and its two derivatives, by central differences in 60 digits."""
    c, r, p, q, m, n = map(mpf, (c, r, p, q, m, n))

    def value(c, r):
        return loss(c - p, r - q, c, r, m, n)

    step = mpf(10) ** -22
    by_chosen = (value(c + step, r) - value(c - step, r)) / (2 * step)
    by_rejected = (value(c, r + step) - value(c, r - step)) / (2 * step)
    return value(c, r), by_chosen, by_rejected


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ORACLES)
def test_loss_and_weights_hold_the_papers_formula_in_60_digits(name, state):
    """Relative to 1e-11, tails of 1e-200 included; where two pushes cancel, relative to the larger of the two."""
    objective, loss = ORACLES[name]
    place = STATES[state]
    with mp.workdps(320):
        values = expected(loss, *place)
        found = (objective.loss(at(*place)), *objective.response_weights(at(*place)))
        for actual, value in zip(found, values, strict=True):
            assert math.isfinite(float(actual))
            if abs(value) < mpf(10) ** -307:
                assert abs(float(actual)) < 1e-300
                continue
            allowed = mpf(10) ** -11 * abs(value)
            if name in CANCELLING:
                allowed += mpf(10) ** -14
            assert abs(mpf(float(actual)) - value) <= allowed, (float(actual), float(value))


# Their pushes are differences of two, which can cancel to all digits but the last.
CANCELLING = ("nca", "apo_down", "caldpo", "exo", "wpo", "ipo_avg alpha", "chipo", "ipo_avg", "sppo", "ipo_free")


@pytest.mark.parametrize("scale", [1.0, 200.0])
@pytest.mark.parametrize("name", ORACLES)
def test_the_closed_form_is_what_autograd_makes_of_the_loss(name, scale):
    objective, pairs = ORACLES[name][0], members(scale)
    assert bool(torch.isfinite(objective.loss(pairs)).all())
    closed, auto = objective.response_weights(pairs), Objective.response_weights(objective, pairs)
    for one, other in zip(closed, auto, strict=True):
        assert one.shape == (3, 4, 5) and bool(torch.isfinite(one).all())
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ORACLES)
def test_it_works_in_inference_mode_and_in_float32(name):
    objective, pairs = ORACLES[name][0], members(1.0)
    names = [field.name for field in fields(pairs) if isinstance(getattr(pairs, field.name), torch.Tensor)]
    small = replace(pairs, **{each: getattr(pairs, each).float() for each in names})
    with torch.inference_mode():
        for weight, double in zip(objective.response_weights(small), objective.response_weights(pairs), strict=True):
            assert weight.dtype == torch.float32
            torch.testing.assert_close(weight.double(), double, rtol=1e-3, atol=1e-4)


def per_run(objective, factors: torch.Tensor):
    """The objective with one value a run in place of each number."""
    changed = {}
    for field in fields(objective):
        value = getattr(objective, field.name)
        if isinstance(value, float):
            changed[field.name] = value * factors
        elif isinstance(value, Objective):
            changed[field.name] = per_run(value, factors)
    return replace(objective, **changed)


@pytest.mark.parametrize("name", ORACLES)
def test_a_value_for_each_run_is_that_run_with_one_value(name):
    pairs, factors = members(1.0), torch.tensor([1.0, 0.5, 0.8], dtype=torch.float64)
    together = per_run(ORACLES[name][0], factors)
    tables = ("chosen", "rejected", "reference_chosen", "reference_rejected", "kl", "chosen_confidence",
              "rejected_confidence")  # fmt: skip
    for run in range(3):
        alone = per_run(ORACLES[name][0], factors[run : run + 1])
        row = replace(pairs, **{each: getattr(pairs, each)[run : run + 1] for each in tables})
        torch.testing.assert_close(alone.loss(row)[0], together.loss(pairs)[run], rtol=1e-12, atol=1e-15)
        for one, all_ in zip(alone.response_weights(row), together.response_weights(pairs), strict=True):
            torch.testing.assert_close(one[0], all_[run], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ORACLES)
def test_only_margin_and_needs_are_true_claims(name):
    objective, pairs = ORACLES[name][0], members(1.0)
    moved = replace(pairs, chosen=pairs.chosen + 2.5, rejected=pairs.rejected + 2.5)
    same = torch.allclose(objective.loss(pairs), objective.loss(moved), rtol=1e-12, atol=0)
    assert objective.only_margin <= same
    assert objective.only_margin == (name.split()[0] in ("cdpo", "robust", "exo", "discopop"))
    poorer = replace(pairs, kl=pairs.kl + 1)
    assert torch.equal(objective.loss(poorer), objective.loss(pairs)) == ("kl" not in objective.needs)


def test_as_the_chosen_response_becomes_certain_orpo_has_no_pole():
    """s(-x) / (1 - p) is 0 / 0 at p = 1; written out it is r / (p (1 - r) + r (1 - p)), here r / (1 - r) = 1 / 3."""
    for chosen in (-1e-300, 0.0):
        by_chosen, by_rejected = lab.ORPO(0.5, 0.0).response_weights(at(chosen, math.log(0.25), *CERTAIN[2:]))
        assert float(by_chosen) == pytest.approx(-0.5 / 3, rel=1e-14)
        assert float(by_rejected) == pytest.approx(0.0, abs=1e-15)


def test_log_of_1_minus_exp_holds_all_digits():
    with mp.workdps(400):
        for x in (-1e-300, -1e-20, -1e-3, -0.69314718, -0.6931472, -1.0, -40.0, -700.0):
            found = float(log1mexp(torch.tensor(x, dtype=torch.float64)))
            assert found == pytest.approx(float(mp.log(-mp.expm1(mpf(x)))), rel=1e-15)
    x = torch.tensor([-1e-3, -50.0], dtype=torch.float64, requires_grad=True)
    log1mexp(x).sum().backward()
    assert x.grad.tolist() == pytest.approx([-1 / math.expm1(1e-3), -1 / math.expm1(50)], rel=1e-12)


def test_aot_compares_equal_ranks():
    """Sorted by hand: a = (3, 1, 2) meets b = (10, 30, 20) as 3-30, 1-10, 2-20."""
    values = [[3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [10.0, 30.0, 20.0], [0.0, 0.0, 0.0]]
    pairs = PairLogProbs(*(torch.tensor([row], dtype=torch.float64) for row in values))
    d = torch.tensor([[-27.0, -9.0, -18.0]], dtype=torch.float64)
    torch.testing.assert_close(lab.AOT(0.5).loss(pairs), torch.log1p(torch.exp(-0.5 * d)))
    # u = (-7, -29, -18) and v = (1, 3, 2) - (4, 9, 5) = (-3, -6, -3): ranks of u are (2, 0, 1)
    pairs = replace(pairs, rejected=pairs.chosen.new_tensor([[1.0, 3, 2]]),
                    reference_rejected=pairs.chosen.new_tensor([[4.0, 9, 5.5]]))  # fmt: skip
    d = torch.tensor([[-7 + 3.0, -29 + 6.0, -18 + 3.5]], dtype=torch.float64)
    torch.testing.assert_close(lab.AOTUnpaired(0.5).loss(pairs), torch.log1p(torch.exp(-0.5 * d)))


@pytest.mark.parametrize("scale", [1.0, 200.0])
@pytest.mark.parametrize(
    "objective", [lab.AOT(0.5), lab.AOT(2.5, 0.1), lab.AOTUnpaired(0.5), lab.AOTUnpaired(2.5, 0.1)]
)
def test_transport_weights_are_the_slopes_of_the_sum_over_pairs(objective, scale):
    pairs = members(scale)
    closed, auto = objective.response_weights(pairs), Objective.response_weights(objective, pairs)
    for one, other in zip(closed, auto, strict=True):
        assert bool(torch.isfinite(one).all())
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)
    step, base = 1e-6, members(1.0)
    for pair in range(5):
        bump = torch.zeros(5, dtype=torch.float64)
        bump[pair] = step
        for side, weight in zip(("chosen", "rejected"), objective.response_weights(base), strict=True):
            ends = [objective.loss(replace(base, **{side: getattr(base, side) + sign * bump})) for sign in (1, -1)]
            slope = (ends[0] - ends[1]).sum(-1) / (2 * step)
            torch.testing.assert_close(weight[..., pair], slope, rtol=1e-6, atol=1e-7)


def test_aot_of_one_pair_is_cdpo():
    pairs = at(*STATES["somewhere"])
    for objective in (lab.AOT(0.5, 0.1), lab.AOTUnpaired(0.5, 0.1)):
        torch.testing.assert_close(objective.loss(pairs), lab.CDPO(0.5, 0.1).loss(pairs))


def test_kto_estimates_its_reference_point_from_the_pairs_and_lets_no_gradient_through():
    pairs = replace(members(1.0), kl=None)
    ratios = torch.cat((pairs.chosen_log_ratio, pairs.rejected_log_ratio), -1)
    given = replace(pairs, kl=ratios.mean(-1, keepdim=True).clamp(min=0))
    objective = lab.KTO(0.5)
    torch.testing.assert_close(objective.loss(pairs), objective.loss(given))
    for one, other in zip(objective.response_weights(pairs), Objective.response_weights(objective, given), strict=True):
        torch.testing.assert_close(one, other)


def test_variants_that_share_a_name_elsewhere_differ_here():
    pairs = at(*STATES["somewhere"])
    for one, other in (
        (lab.IPO(0.5), lab.AveragedIPO(0.5)),
        (lab.CDPO(0.5, 0.1), lab.RobustDPO(0.5, 0.1)),
        (lab.SLiC(0.5), lab.SLiCHF(0.5, 0.0)),
        (lab.SFT(), lab.TokenSFT()),
    ):
        assert float(one.loss(pairs)) != pytest.approx(float(other.loss(pairs)), rel=1e-3)


def test_edges_of_families_meet():
    pairs = members(1.0)
    for one, other in (
        (lab.CDPO(0.5, 0.0), lab.DPO(0.5)),
        (lab.RobustDPO(0.5, 0.0), lab.DPO(0.5)),
        (lab.DPOP(0.5, 0.0), lab.DPO(0.5)),
        (lab.DPOShift(0.5, 0.2), lab.FlexDPO(0.5, 0.1)),
        (lab.Divergence(lab.IPO(0.5), "reverse_kl"), lab.IPO(0.5)),
        (lab.Divergence(lab.DPO(0.5), "alpha", 1.0), lab.DPO(0.5)),
        (lab.Divergence(lab.DPO(0.5), "alpha", 0.0), lab.Divergence(lab.DPO(0.5), "forward_kl")),
        (lab.AlphaPO(2.0, 0.5, 0.0, 0.0), lab.SimPO(2.0, 0.5)),
        (lab.CPO(0.5, 0.7, 0.1), lab.TPO(0.5, 0.7, 0.1)),
        (lab.CPO(0.5, 0.7), lab.WeightedSum((lab.CPO(0.5, 0.0), lab.TokenSFT()), (1.0, 0.7))),
        (lab.TPOL(2.0, 0.5, 0.0, 0.7), lab.WeightedSum((lab.SimPO(2.0, 0.5), lab.GoldSFT()), (1.0, 0.7))),
    ):
        torch.testing.assert_close(one.loss(pairs), other.loss(pairs), rtol=1e-12, atol=1e-13)
        for a, b in zip(one.response_weights(pairs), other.response_weights(pairs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_a_gold_response_of_its_own_takes_the_likelihood_term():
    pairs = replace(members(1.0), gold=-draw(3, 4, 5, seed=5).abs(), gold_length=torch.tensor([1.0, 2, 3, 4, 5]))
    for whole, contrast in (
        (lab.TPO(0.5, 0.7), lab.TPO(0.5, 0.0)),
        (lab.TPOL(0.5, 0.5, 0.0, 0.7), lab.SimPO(0.5, 0.5)),
    ):
        torch.testing.assert_close(whole.loss(pairs), contrast.loss(pairs) - 0.7 * pairs.gold / 3)
        for one, other in zip(whole.response_weights(pairs), contrast.response_weights(pairs), strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lab.CDPO(0.1, 0.5), r"smoothing is 0.5; allowed are finite numbers >= 0 and < 0.5"),
        (lambda: lab.RobustDPO(0.1, -0.1), r"smoothing is -0.1; allowed are finite numbers >= 0 and < 0.5"),
        (lambda: lab.EXO(0.1, 0), r"smoothing is 0; allowed are finite numbers > 0 and < 0.5"),
        (lambda: lab.EXO(-1, 0.1), r"beta is -1; allowed are finite numbers > 0"),
        (lambda: lab.DiscoPOP(0.1, 0), r"tau is 0; allowed are finite numbers > 0"),
        (lambda: lab.DPOP(0.1, -1), r"penalty is -1; allowed are finite numbers >= 0"),
        (lambda: lab.DPOShift(0.1, 1.5), r"shift is 1.5; allowed are finite numbers > 0 and <= 1"),
        (lambda: lab.DPOShift(0.1, 0), r"shift is 0; allowed are finite numbers > 0 and <= 1"),
        (lambda: lab.ChiPO(0.1, 0), r"clip is 0; allowed are finite numbers > 0"),
        (lambda: lab.AOT(0.1, 0.7), r"smoothing is 0.7; allowed are finite numbers >= 0 and < 0.5"),
        (lambda: lab.KTO(0.1, -1), r"desirable_weight is -1; allowed are finite numbers >= 0"),
        (lambda: lab.KTO(0.1, 1, -2), r"undesirable_weight is -2; allowed are finite numbers >= 0"),
        (lambda: lab.CPO(0.1, -1), r"nll_weight is -1; allowed are finite numbers >= 0"),
        (lambda: lab.CPO(0.1, 1, 0.5), r"smoothing is 0.5; allowed"),
        (lambda: lab.SimPO(2, -0.5), r"gamma is -0.5; allowed are finite numbers >= 0"),
        (lambda: lab.SimPO(0), r"beta is 0; allowed are finite numbers > 0"),
        (lambda: lab.AlphaPO(2, 0.5, 0, math.inf), r"alpha is inf; allowed are finite numbers"),
        (lambda: lab.ORPO(0), r"beta is 0; allowed are finite numbers > 0"),
        (lambda: lab.TPO(0.1, -1), r"gold_weight is -1; allowed are finite numbers >= 0"),
        (lambda: lab.TPOL(0.1, 0.5, 0, -1), r"gold_weight is -1; allowed are finite numbers >= 0"),
        (lambda: lab.RewardModel(math.nan), r"margin is nan; allowed are finite numbers"),
        (lambda: lab.RewardModel(0, -0.1), r"center is -0.1; allowed are finite numbers >= 0"),
        (lambda: lab.Unlikelihood(-1), r"weight is -1; allowed are finite numbers >= 0"),
        (
            lambda: lab.Divergence(lab.DPO(0.1), "tv"),
            r"kind is 'tv'; allowed are reverse_kl, forward_kl, jensen_shannon",
        ),
        (
            lambda: lab.Divergence(lab.SimPO(2), "alpha"),
            r"SimPO is no loss of log-ratios alone; allowed are DPO, IPO, SL",
        ),
        (lambda: lab.Divergence(lab.DPO(0.1), "alpha", math.nan), r"alpha is nan; allowed are finite numbers"),
        (lambda: lab.WPO(lab.AOT(0.1)), r"WPO weighs pairs one by one, and AOT couples them; give it a loss of single"),
        (
            lambda: lab.WPO(lab.DPO(0.1)).loss(replace(members(1.0), chosen_confidence=None)),
            r"these pairs have none; give PairLogProbs chosen_confidence and rejected_confidence",
        ),
    ],
)
def test_settings_outside_the_papers_domain_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_recipe_for_a_new_objective_works():
    """The class printed in CONTRIBUTING, pasted and trained as it stands."""
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names: dict = {}
    exec(textwrap.dedent(text.partition("```python\n")[2].partition("```")[0]), names)
    objective, pairs = names["Exponential"](0.5), members(1.0)
    chosen, rejected = objective.response_weights(pairs)
    torch.testing.assert_close(chosen, -0.5 * torch.exp(-0.5 * pairs.log_ratio_margin))
    torch.testing.assert_close(rejected, -chosen)
    world = worlds.problem()
    record = lab.train(world, worlds.policy("mlp-tanh", world), objective, lab.SGD(0.1), steps=3,
                       start=worlds.state("mlp-tanh", world))  # fmt: skip
    total = (record.loss * record.pair_weight).sum("pair").mean("seed")
    assert float(total[-1]) < float(total[0])
