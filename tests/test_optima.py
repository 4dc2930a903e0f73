"""The closed-form optimum, its frontier and Best-of-N: against enumeration, autograd, 60 digits and simulation."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch
from mpmath import mp

from lab.optima import best_of_n, best_of_n_kl_bound, optimum, reward_and_kl
from tests.worlds import draw

RUNS, PROMPTS, RESPONSES = 3, 2, 5
BETAS = torch.tensor([1e-3, 0.05, 0.3, 1.0, 20.0], dtype=torch.float64)


def world(seed: int = 0, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    reference = (spread * draw(RUNS, PROMPTS, RESPONSES, seed=seed)).log_softmax(-1)
    return reference, draw(RUNS, PROMPTS, RESPONSES, seed=seed + 100)


@pytest.mark.parametrize("spread", [1.0, 60.0], ids=["ordinary", "tails of exp(-100)"])
def test_the_optimum_agrees_with_sixty_digits(spread) -> None:
    mp.dps = 60
    reference, reward = world(spread=spread)
    found = optimum(reference, reward, BETAS)
    for run, b, prompt in itertools.product(range(RUNS), range(len(BETAS)), range(PROMPTS)):
        beta = mp.mpf(float(BETAS[b]))
        logs = [mp.mpf(float(p)) for p in reference[run, prompt]]
        norm = mp.log(mp.fsum(mp.exp(x) for x in logs))  # a rounded table sums to 1 only to 1e-16
        rewards = [mp.mpf(float(r)) for r in reward[run, prompt]]
        log_z = mp.log(mp.fsum(mp.exp(x - norm + r / beta) for x, r in zip(logs, rewards, strict=True)))
        log_probs = [x - norm + r / beta - log_z for x, r in zip(logs, rewards, strict=True)]
        kl = mp.fsum(mp.exp(q) * (q - x + norm) for q, x in zip(log_probs, logs, strict=True))
        expected = mp.fsum(mp.exp(q) * r for q, r in zip(log_probs, rewards, strict=True))
        at = (run, b, prompt)
        assert float(found.log_partition[at]) == pytest.approx(float(log_z), rel=1e-12, abs=1e-12)
        assert float(found.value[at]) == pytest.approx(float(beta * log_z), rel=1e-12, abs=1e-12)
        assert float(found.kl[at]) == pytest.approx(float(kl), rel=1e-10, abs=1e-12)
        assert float(found.reward[at]) == pytest.approx(float(expected), rel=1e-10, abs=1e-12)
        expected_logs = torch.tensor([float(q) for q in log_probs], dtype=torch.float64)
        torch.testing.assert_close(found.log_prob[at], expected_logs, rtol=1e-12, atol=1e-11)


def test_no_policy_has_a_higher_regularised_reward() -> None:
    """The value is reached by the optimum and by none of 200 random policies; its gradient in the logits is zero."""
    reference, reward = world()
    found = optimum(reference, reward, BETAS)
    beta = BETAS[:, None]
    torch.testing.assert_close(found.reward - beta * found.kl, found.value, rtol=1e-11, atol=1e-11)
    for seed in range(200):
        other = (3 * draw(RUNS, 1, PROMPTS, RESPONSES, seed=seed)).log_softmax(-1)
        earned, kl = reward_and_kl(other, reference[:, None], reward[:, None])
        assert bool((earned - beta * kl <= found.value).all())
    logits = found.log_prob.clone().requires_grad_()
    earned, kl = reward_and_kl(logits.log_softmax(-1), reference[:, None], reward[:, None])
    (gradient,) = torch.autograd.grad((earned - beta * kl).sum(), logits)
    assert float(gradient.abs().max()) < 1e-12


def test_the_frontier_rises_with_slope_beta() -> None:
    """d E r / d KL by central differences in log beta, to 1e-6; below these betas the optimum has all but settled."""
    reference, reward = world()
    betas = torch.logspace(-0.5, 1, 12, dtype=torch.float64)
    step = 1e-4
    lower, upper = (optimum(reference, reward, betas * math.exp(sign * step)) for sign in (-1, 1))
    slope = (upper.reward - lower.reward) / (upper.kl - lower.kl)
    torch.testing.assert_close(slope, betas[:, None].expand_as(slope), rtol=1e-6, atol=0)


def enumerate_best(log_prob: torch.Tensor, reward: torch.Tensor, n: int) -> torch.Tensor:
    """Sum over all draws of n responses; the best of them, ties shared equally among the drawn best ones."""
    prob, found = log_prob.exp().tolist(), [0.0] * len(log_prob)
    for drawn in itertools.product(range(len(prob)), repeat=n):
        top = max(reward[y] for y in drawn)
        best = [y for y in drawn if reward[y] == top]
        for y in best:
            found[y] += math.prod(prob[z] for z in drawn) / len(best)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct rewards", "ties"])
def test_best_of_n_is_the_sum_over_all_draws(ties) -> None:
    reference, reward = world()
    if ties:
        reward = reward.round()
    counts = torch.tensor([1.0, 2, 3, 5], dtype=torch.float64)
    found = best_of_n(reference, reward, counts).exp()
    for run, prompt, (k, n) in itertools.product(range(RUNS), range(PROMPTS), enumerate(counts.tolist())):
        expected = enumerate_best(reference[run, prompt], reward[run, prompt], int(n))
        torch.testing.assert_close(found[run, k, prompt], expected, rtol=1e-12, atol=1e-14)


def test_best_of_n_agrees_with_simulation() -> None:
    """16 draws, 200 000 times: every frequency within five standard errors."""
    reference, reward = world(seed=3)
    table, worth, times = reference[0, 0], reward[0, 0], 200_000
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(table.exp().expand(times, -1), 16, replacement=True, generator=generator)
    best = drawn.gather(1, worth[drawn].argmax(1, keepdim=True))[:, 0]
    frequency = torch.bincount(best, minlength=RESPONSES) / times
    exact = best_of_n(reference, reward, torch.tensor([16.0], dtype=torch.float64))[0, 0, 0].exp()
    error = (exact * (1 - exact) / times).sqrt()
    assert bool(((frequency - exact).abs() <= 5 * error + 1e-12).all())


def test_best_of_n_loses_no_tail_over_a_million_draws() -> None:
    mp.dps = 400
    reference, reward = world(spread=20.0)
    n = 10**6
    found = best_of_n(reference, reward, torch.tensor([float(n)], dtype=torch.float64))[:, 0]
    torch.testing.assert_close(
        torch.logsumexp(found, -1), torch.zeros(RUNS, PROMPTS, dtype=torch.float64), rtol=0, atol=1e-9
    )
    for run, prompt, y in itertools.product(range(RUNS), range(PROMPTS), range(RESPONSES)):
        probs = [mp.exp(mp.mpf(float(x))) for x in reference[run, prompt]]
        total = mp.fsum(probs)
        worse = (
            mp.fsum(p for p, r in zip(probs, reward[run, prompt], strict=True) if r < reward[run, prompt, y]) / total
        )
        exact = mp.log((worse + probs[y] / total) ** n - worse**n)
        assert float(found[run, prompt, y]) == pytest.approx(float(exact), rel=1e-9, abs=1e-8)


def test_kl_of_best_of_n_stays_below_its_bound_and_nears_it_without_atoms() -> None:
    reference, reward = world()
    counts = torch.tensor([1.0, 2, 4, 16, 128], dtype=torch.float64)
    _, kl = reward_and_kl(best_of_n(reference, reward, counts), reference[:, None], reward[:, None])
    bound = torch.tensor([best_of_n_kl_bound(n) for n in counts.tolist()], dtype=torch.float64)
    assert bool((kl <= bound[:, None] + 1e-12).all()) and float(kl[:, 0].abs().max()) < 1e-12
    even = torch.full((1, 1, 4096), -math.log(4096), dtype=torch.float64)
    _, kl = reward_and_kl(
        best_of_n(even, draw(1, 1, 4096), counts), even[:, None], torch.zeros(1, 1, 1, 4096, dtype=torch.float64)
    )
    torch.testing.assert_close(kl[0, :, 0], bound, rtol=1e-2, atol=1e-4)


def test_a_response_that_is_never_drawn_is_never_the_best() -> None:
    reference = torch.tensor([[[0.0, -math.inf, -math.inf]]], dtype=torch.float64)
    reward = torch.tensor([[[0.0, 1.0, -1.0]]], dtype=torch.float64)
    best = best_of_n(reference, reward, torch.tensor([7.0], dtype=torch.float64))
    assert best[0, 0, 0].exp().tolist() == [1.0, 0.0, 0.0]
    assert optimum(reference, reward, BETAS).log_prob[0, :, 0].exp().tolist() == [[1.0, 0.0, 0.0]] * len(BETAS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda a, r: optimum(a, r[:, :1], BETAS),
            "reference_log_prob has shape (3, 2, 5) and reward (3, 1, 5); both are",
        ),
        (lambda a, r: optimum(a, r * math.nan, BETAS), "reward holds NaN or infinity; all must be finite: correct it"),
        (lambda a, r: optimum(a, r, -BETAS), "betas is -0.001; allowed are finite numbers > 0"),
        (lambda a, r: optimum(a, r, BETAS[0]), "betas has shape (); give one dimension, [beta]"),
        (lambda a, r: best_of_n(a, r, BETAS), "draws is 0.001; allowed are finite numbers >= 1"),
        (lambda a, r: best_of_n(a, r, BETAS[:, None]), "draws has shape (5, 1); give one dimension, [n]"),
        (lambda a, r: best_of_n_kl_bound(0.5), "draws is 0.5; allowed are finite numbers >= 1"),
    ],
)
def test_bad_input_is_refused_with_its_cure(call, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call(*world())
