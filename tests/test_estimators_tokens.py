"""Losses of tokens: against autograd, plain loops over tokens, the lab's losses of whole responses, and invariances.

The same losses against numbers that TRL returned: tests/test_parity.py.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from lab.estimators.tokens import (
    CISPO,
    K3,
    LEVELS,
    METHODS,
    SAPO,
    VESPO,
    AStarPO,
    Clipped,
    Geometric,
    Term,
    TokenBatch,
    TokenLoss,
    group_advantages,
    left_out_advantages,
    optimal_value,
)
from tests.worlds import draw

RUNS, RESPONSES, TOKENS = 3, 6, 4
LENGTHS = torch.tensor([4, 1, 3, 2, 4, 1])
MASK = torch.arange(TOKENS) < LENGTHS[:, None]
EACH = torch.tensor([0.05, 0.3, 0.9], dtype=torch.float64)  # one value a run


def batch(*, old: bool = True, padding: float = 0.0, **more: object) -> TokenBatch:
    """Responses of unequal length, far enough from the policy that drew for every bound to hold somewhere."""
    tables = [draw(RUNS, RESPONSES, TOKENS, seed=seed).mul(scale) - 1.5 for seed, scale in ((0, 0.6), (1, 0.6), (2, 1))]
    policy, before, reference = (torch.where(MASK, table, padding) for table in tables)
    advantage = draw(RUNS, RESPONSES, seed=3)
    advantage[:, 4] = 0.0
    return replace(TokenBatch(policy, advantage, MASK, before if old else None, reference), **more)


TERMS: dict[str, Term] = {
    **{f"clipped by {level}": Clipped(0.2, 0.3, level=level) for level in LEVELS},
    "capped": Clipped(0.2, 0.2, 1.3),
    "a cap inside the clip": Clipped(0.2, 0.6, 1.1, "mean"),
    "unclipped": Clipped(math.inf, math.inf),
    "clipped by run": Clipped(EACH, EACH.flip(0), 1 + EACH),
    **{f"cispo by {level}": CISPO(1.2, level) for level in LEVELS},
    "cispo by run": CISPO(EACH),
    **{f"sapo by {level}": SAPO(0.5, 2.0, level) for level in LEVELS},
    "sapo by run": SAPO(EACH, EACH + 1),
    "vespo": VESPO(),
    "vespo by run": VESPO((EACH, 1.0), (2.0, EACH)),
    "geometric": Geometric(0.2, 0.4),
    "geometric by run": Geometric(EACH, 0.5 * EACH),
    "k3": K3(0.4, corrected=False),
    **{f"k3 corrected by {level}": K3(0.4, True, level) for level in LEVELS},
    "k3 by run": K3(EACH),
}
AVERAGES = {"response": None, "sum": None, "token": None, "budget": 7.0}


def by_autograd(loss: TokenLoss, given: TokenBatch) -> torch.Tensor:
    leaf = given.log_prob.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss.loss(replace(given, log_prob=leaf)).sum(), leaf)
    return slope


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", TERMS)
def test_the_closed_form_slope_is_the_derivative_of_the_loss(name, average, old) -> None:
    loss = TokenLoss((TERMS[name],), average, AVERAGES[average])
    torch.testing.assert_close(loss.slope(batch(old=old)), by_autograd(loss, batch(old=old)), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_with_kl_adds_the_slopes_of_both(name) -> None:
    method = METHODS[name]
    both = replace(method, terms=(*method.terms, K3(EACH)))
    torch.testing.assert_close(both.slope(batch()), by_autograd(both, batch()), rtol=1e-11, atol=1e-14)
    alone = TokenLoss((K3(EACH),), method.average, method.budget)
    torch.testing.assert_close(both.loss(batch()), method.loss(batch()) + alone.loss(batch()))


@pytest.mark.parametrize("name", TERMS)
def test_what_stands_where_no_token_is_counts_nothing(name) -> None:
    loss = TokenLoss((TERMS[name],), "response")
    for function in (loss.loss, loss.slope):
        assert torch.equal(function(batch()), function(batch(padding=-2.5)))
    assert not bool(loss.slope(batch(padding=-2.5))[:, ~MASK].any())


@pytest.mark.parametrize("name", TERMS)
def test_runs_do_not_see_each_other(name) -> None:
    """A run among others gives what it gives with its own settings alone."""
    loss, whole = TokenLoss((TERMS[name],), "token"), batch()
    swapped = {field: getattr(whole, field).flip(0) for field in ("log_prob", "advantage", "old_log_prob")}
    swapped |= {"reference_log_prob": whole.reference_log_prob.flip(0)}
    if "by run" in name:  # its settings stay behind
        assert not torch.allclose(loss.loss(replace(whole, **swapped)).flip(0), loss.loss(whole))
    else:
        torch.testing.assert_close(loss.loss(replace(whole, **swapped)).flip(0), loss.loss(whole))


@pytest.mark.parametrize("cap", [1.0, 1.1, 1.3, math.inf])
@pytest.mark.parametrize("advantage", [-1.5, 0.0, 0.8])
def test_the_capped_loss_is_the_formula_as_it_is_written(advantage, cap) -> None:
    log_ratio = torch.linspace(-1, 1, 101, dtype=torch.float64)
    found = Clipped(0.2, 0.25, cap).value(log_ratio, torch.tensor(advantage, dtype=torch.float64))
    ratios = [math.exp(float(d)) for d in log_ratio]
    expected = [-min(min(w, cap) * advantage, min(max(w, 0.8), 1.25) * advantage) for w in ratios]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


def test_losses_of_tokens_are_those_of_a_plain_loop() -> None:
    """One response after another, one token after another, in plain Python."""
    given = batch()

    def of_token(name: str, d: list[float], t: int, log_prob: float, a: float) -> float:
        w, mean = math.exp(d[t]), math.exp(sum(d) / len(d))
        match name:
            case "grpo" | "bnpo" | "dr_grpo" | "dapo":
                return -min(w * a, min(max(w, 0.8), 1.28 if name == "dapo" else 1.2) * a)
            case "gspo" | "luspo":
                return -min(mean * a, min(max(mean, 0.8), 1.2) * a)
            case "rloo":
                whole = math.exp(sum(d))
                return -min(whole * a, min(max(whole, 0.8), 1.2) * a)
            case "gmpo":
                bounded = [min(x, 0.4) if a > 0 else max(x, -0.4) for x in d]
                return -a * math.exp(sum(bounded) / len(d))
            case "cispo":
                return -min(w, 5.0) * a * log_prob
            case "sapo":
                heat = 1.0 if a > 0 else 1.05
                return -a * 4 / heat / (1 + math.exp(-heat * (w - 1)))
        k, lam = (2, 3) if a >= 0 else (3, 2)
        return -math.exp(lam + k * sum(d) - lam * math.exp(sum(d))) * a * log_prob

    for name, method in METHODS.items():
        for run in range(RUNS):
            rows = [given.log_prob[run, i, :n].tolist() for i, n in enumerate(LENGTHS)]
            before = [given.old_log_prob[run, i, :n].tolist() for i, n in enumerate(LENGTHS)]
            losses = []
            for row, old, a in zip(rows, before, given.advantage[run].tolist(), strict=True):
                d = [p - q for p, q in zip(row, old, strict=True)]
                losses.append([of_token(name, d, t, row[t], a) for t in range(len(row))])
            whole, count = sum(itertools.chain(*losses)), int(LENGTHS.sum())
            expected = {
                "response": np.mean([np.mean(each) for each in losses]),
                "sum": whole / RESPONSES,
                "token": whole / count,
                "budget": whole / (RESPONSES * 512),
            }[method.average]
            assert float(method.loss(given)[run]) == pytest.approx(expected, rel=1e-12), name


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"rloo", "dr_grpo", "luspo"}))
def test_where_the_policy_is_the_one_that_drew_the_pull_is_the_plain_policy_gradient(name) -> None:
    given, method = batch(old=False), METHODS[name]
    torch.testing.assert_close(method.slope(given), -method.shares(given) * given.advantage[..., None])


def test_rloo_takes_the_response_as_one_action_and_gspo_spreads_one_pull_over_it() -> None:
    given = batch(old=False)
    expected = -given.advantage[..., None] * MASK / RESPONSES
    torch.testing.assert_close(METHODS["rloo"].slope(given), expected)
    torch.testing.assert_close(METHODS["luspo"].slope(given), expected)
    pulls = METHODS["gspo"].slope(batch())
    assert torch.equal(pulls, pulls[..., :1] * MASK) and not torch.equal(METHODS["grpo"].slope(batch()), pulls)


@pytest.mark.parametrize("kl", ["k3", "k3_corrected"])
def test_responses_of_one_token_are_those_of_the_enumerable_worlds(kl) -> None:
    """The weights that `lab.GRPO` gives responses, by the shares of those drawn, summed over the draws of each."""
    samples, prompts, responses = 5, 2, 4
    now, old, reference = (draw(RUNS, prompts, responses, seed=seed).log_softmax(-1) for seed in range(3))
    drawn = torch.randint(responses, (RUNS, prompts, samples), generator=torch.Generator().manual_seed(0))
    share = torch.nn.functional.one_hot(drawn, responses).double().mean(2)
    method = lab.GRPO(0.4, samples=samples, kl=kl)
    expected = method.weights(
        now, reference, method.batch(old, reference, draw(RUNS, prompts, responses, seed=9), share)
    )
    reward = draw(RUNS, prompts, responses, seed=9).gather(-1, drawn)
    tokens = [table.gather(-1, drawn).flatten(1)[..., None] for table in (now, old, reference)]
    given = TokenBatch(
        tokens[0], group_advantages(reward).flatten(1), torch.ones(1, dtype=torch.bool), tokens[1], tokens[2]
    )
    for average in ("response", "token", "sum"):
        loss = TokenLoss((Clipped(), K3(0.4, corrected=kl == "k3_corrected")), average)
        pulls = loss.slope(given).view(RUNS, prompts, samples)
        torch.testing.assert_close(torch.zeros_like(now).scatter_add(-1, drawn, pulls), expected)


def test_the_correction_makes_the_pull_of_kl_that_of_the_right_divergence() -> None:
    """Averaged over the policy that drew: the corrected one descends KL(pi || pi_ref), the other KL(pi_ref || pi)."""
    policy, reference = draw(1, 8, seed=0).log_softmax(-1), draw(1, 8, seed=1).log_softmax(-1)
    every = TokenBatch(
        policy[..., None], torch.zeros(1, 8).double(), torch.ones(1, dtype=torch.bool), None, reference[..., None]
    )
    for corrected, divergence in {
        True: lambda now: (now.exp() * (now - reference)).sum(),
        False: lambda now: (reference.exp() * (reference - now)).sum(),
    }.items():
        pull = K3(1.0, corrected).pull(every, policy.exp()[..., None])[..., 0]
        found = pull - policy.exp() * pull.sum(-1, keepdim=True)
        logits = policy.clone().requires_grad_()
        (expected,) = torch.autograd.grad(divergence(logits.log_softmax(-1)), logits)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


def test_averages_weigh_long_responses_as_they_say() -> None:
    def shares(average: str, **more: object) -> torch.Tensor:
        return TokenLoss((Clipped(),), average, AVERAGES[average]).shares(batch(**more)).sum(-1)[0]

    lengths = LENGTHS.double()
    torch.testing.assert_close(shares("response"), torch.full_like(lengths, 1 / RESPONSES))
    torch.testing.assert_close(shares("sum"), lengths / RESPONSES)
    torch.testing.assert_close(shares("token"), lengths / 15)
    torch.testing.assert_close(shares("token", total=40), lengths / 40)
    torch.testing.assert_close(shares("budget"), lengths / (7 * RESPONSES))


def test_a_response_without_tokens_is_no_division_by_zero() -> None:
    empty = replace(batch(), mask=MASK & (LENGTHS[:, None] > 1))
    for name, method in METHODS.items():
        assert bool(torch.isfinite(method.loss(empty)).all() & torch.isfinite(method.slope(empty)).all()), name


def test_vespo_counts_a_response_most_where_its_ratio_is_k_over_lam_and_cispo_never_silences_one() -> None:
    ratios = torch.linspace(0.05, 3, 60, dtype=torch.float64)
    zeros, one = torch.zeros(1, 60, 1).double(), torch.ones(1, dtype=torch.bool)
    for sign, k, lam in ((1.0, 2.0, 3.0), (-1.0, 3.0, 2.0)):
        given = TokenBatch(ratios.log().view(1, 60, 1), torch.full((1, 60), sign).double(), one, zeros)
        weight = VESPO().weight(given)[0, :, 0]
        np.testing.assert_allclose(weight, ratios**k * torch.exp(lam - lam * ratios), rtol=1e-12)
        assert float(ratios[weight.argmax()]) == pytest.approx(k / lam, abs=0.03)
        capped = CISPO(1.5).weight(given)[0, :, 0]
        assert torch.equal(capped, ratios.log().exp().clamp(max=1.5)) and float(capped.min()) > 0


def test_a_gate_closes_smoothly_on_both_sides_and_is_ppo_where_it_is_open() -> None:
    log_ratio = torch.tensor([-20.0, 0.0, 8.0, 800.0], dtype=torch.float64)
    slope = SAPO(2.0, 2.0).slope(log_ratio, torch.tensor(0.7, dtype=torch.float64))
    assert float(slope[1]) == pytest.approx(-0.7) and float(slope[[0, 2, 3]].abs().max()) < 1e-8


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_advantages_of_groups_are_those_of_a_plain_loop(scale) -> None:
    reward = draw(RUNS, 3, 4)
    reward[0, 0] = 1.0  # a group without a spread
    for run, found in zip(reward.numpy(), group_advantages(reward, scale).numpy(), strict=True):
        for group, mine in zip(run, found, strict=True):
            spread = {"group": group.std(ddof=1) + 1e-4, "batch": run.std(ddof=1) + 1e-4, "none": 1.0}[scale]
            np.testing.assert_allclose(mine, (group - group.mean()) / spread, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("normalise", [False, True])
def test_advantages_by_leaving_out_are_those_of_a_plain_loop(normalise) -> None:
    reward = draw(RUNS, 3, 4)
    for run, found in zip(reward.numpy(), left_out_advantages(reward, normalise=normalise).numpy(), strict=True):
        expected = np.array([[r - np.delete(group, i).mean() for i, r in enumerate(group)] for group in run])
        if normalise:
            expected = (expected - expected.mean()) / (expected.std(ddof=1) + 1e-4)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_star_po_is_zero_at_the_optimum_and_nowhere_flat_beside_it() -> None:
    reference, reward = draw(RUNS, 2, 5, seed=0).log_softmax(-1), draw(RUNS, 2, 5, seed=1)
    best = lab.optima.optimum(reference, reward, torch.tensor([0.3], dtype=torch.float64))
    value = best.value[:, 0, :, None]
    objective = AStarPO(0.3)
    assert float(objective.loss(best.log_prob[:, 0], reference, reward, value).max()) < 1e-28
    assert float(objective.loss(reference, reference, reward, value).min()) > 0


def test_the_weights_of_a_star_po_are_the_derivative_of_its_loss() -> None:
    policy, reference, reward, value = (draw(RUNS, 2, 5, seed=seed) for seed in range(4))
    leaf = policy.clone().requires_grad_()
    (expected,) = torch.autograd.grad(AStarPO(EACH).loss(leaf, reference, reward, value).sum(), leaf)
    torch.testing.assert_close(AStarPO(EACH).weights(policy, reference, reward, value), expected)


def test_the_optimal_value_of_draws_is_the_exact_one_where_the_draws_are_the_reference() -> None:
    """Where the reference is even, one draw of each response is the reference; fewer draws fall short on average."""
    reward = draw(RUNS, 2, 5)
    even = torch.full_like(reward, -math.log(5))
    exact = lab.optima.optimum(even, reward, torch.tensor([0.3], dtype=torch.float64)).value[:, 0]
    torch.testing.assert_close(optimal_value(reward, 0.3), exact)
    pairs = torch.tensor(list(itertools.product(range(5), repeat=2)))
    assert bool((optimal_value(reward[..., pairs], 0.3).mean(-1) < exact).all())
    tiny = optimal_value(reward, torch.full((RUNS,), 1e-4, dtype=torch.float64))
    torch.testing.assert_close(tiny, reward.amax(-1), rtol=0, atol=2e-4)  # the best reward, less beta log 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Clipped(low=-0.1), "low is -0.1; allowed are numbers >= 0, and infinity for no bound"),
        (lambda: Clipped(cap=0.9), "cap is 0.9; allowed are numbers >= 1, and infinity"),
        (lambda: Clipped(level="sequence"), "level is 'sequence'; allowed are token, mean, sum"),
        (lambda: CISPO(math.nan), "cap is nan; allowed are numbers >= 0"),
        (lambda: Geometric(high=-1.0), "high is -1.0; allowed are numbers >= 0"),
        (lambda: SAPO(good=0.0), "good is 0; allowed are finite numbers"),
        (lambda: VESPO(bad=(1.0, -2.0)), "lam of bad is -2; allowed are finite numbers"),
        (lambda: K3(-1.0), "beta is -1; allowed are finite numbers"),
        (lambda: AStarPO(0.0), "beta is 0; allowed are finite numbers"),
        (lambda: TokenLoss(()), "terms is empty; give at least one term, such as Clipped()"),
        (lambda: TokenLoss((Clipped(),), "mean"), "average is 'mean'; allowed are response, sum, token, budget"),
        (lambda: TokenLoss((Clipped(),), "budget"), "budget is None with average='budget'; give one with"),
        (lambda: TokenLoss((Clipped(),), "sum", 3), "budget is 3 with average='sum'; give one with"),
        (lambda: TokenLoss((Clipped(),), "budget", 0), "budget is 0; allowed are finite numbers > 0"),
        (lambda: TokenLoss((Clipped(EACH[:2]),)).loss(batch()), "2 values of a hyper-parameter for 3 runs"),
        (lambda: TokenLoss((K3(0.1),)).loss(batch(reference_log_prob=None)), "no reference_log_prob and the KL"),
        (lambda: batch(total=0), "total is 0; allowed are finite numbers > 0"),
        (lambda: batch(mask=MASK.double()), "mask is torch.float64 of shape (6, 4); give torch.bool"),
        (lambda: batch(mask=MASK[:, :1].expand(6, 5)), "mask is torch.bool of shape (6, 5); give torch.bool that fits"),
        (lambda: batch(advantage=torch.ones(3)), "advantage has shape (3,); give one a response, (3, 6)"),
        (lambda: batch(log_prob=torch.ones(3, 6)), "log_prob has shape (3, 6); give [run, response, token]"),
        (lambda: batch(old_log_prob=torch.ones(3, 6)), "old_log_prob has shape (3, 6) and log_prob (3, 6, 4)"),
        (lambda: batch(padding=-math.inf), "log_prob holds NaN or infinity; all must be finite, padding too"),
        (lambda: group_advantages(torch.ones(1, 2, 3), "all"), "scale is 'all'; allowed are group, batch, none"),
        (lambda: group_advantages(torch.ones(2, 3)), "reward has shape (2, 3); give [run, prompt, draw] with"),
        (lambda: left_out_advantages(torch.ones(1, 2, 1)), "reward has shape (1, 2, 1); give [run, prompt, draw]"),
        (lambda: optimal_value(torch.ones(1, 2), -1.0), "beta is -1; allowed are finite numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_what_was_given_what_is_allowed_and_the_cure(make, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
