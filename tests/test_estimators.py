"""Policy gradients: against autograd of the exact objective, plain loops over draws, and many repeated samples."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from lab import estimators
from lab.estimators import BASELINES, GRPO, PPO, REINFORCE, RLOO, ExpectedReward, PolicyGradient
from lab.gradients import logit_gradient
from lab.optima import optimum, reward_and_kl
from lab.training.rollouts import RolloutChunk
from tests.worlds import draw

RUNS, PROMPTS, RESPONSES = 3, 2, 5
BETAS = torch.tensor([0.0, 0.1, 2.0], dtype=torch.float64)


def world(runs: int = RUNS) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A policy, a reference and a reward."""
    tables = [draw(RUNS, PROMPTS, RESPONSES, seed=seed) for seed in range(3)]
    policy, reference, reward = (each[:1].expand(runs, -1, -1) if runs != RUNS else each for each in tables)
    return policy.log_softmax(-1), reference.log_softmax(-1), reward


def logit_slope(method: PolicyGradient, log_prob, reference, reward, share=None) -> torch.Tensor:
    """The gradient in the logits of one update on a fresh batch."""
    batch = method.batch(log_prob, reference, reward, share)
    return logit_gradient(log_prob[:, None], method.weights(log_prob, reference, batch)[:, None])[:, 0]


def by_autograd(beta, log_prob, reference, reward, *, forward_kl: bool = False) -> torch.Tensor:
    logits = log_prob.clone().requires_grad_()
    now = logits.log_softmax(-1)
    earned, kl = reward_and_kl(now, reference, reward)
    if forward_kl:
        kl = (reference.exp() * (reference - now)).sum(-1)
    (gradient,) = torch.autograd.grad((beta.view(-1, 1) * kl - earned).mean(-1).sum(), logits)
    return gradient


EXACT = {
    "KL in the reward": ExpectedReward(BETAS),
    "KL in the loss": ExpectedReward(BETAS, kl="exact"),
    "no baseline": ExpectedReward(BETAS, baseline="none"),
    "mean of the batch": REINFORCE(BETAS, samples=0, baseline="mean"),
    "leave one out": RLOO(BETAS, samples=0),
    "corrected k3": ExpectedReward(BETAS, kl="k3_corrected"),
    "PPO at ratio 1": PPO(BETAS, samples=0, whiten=False),
}


@pytest.mark.parametrize("name", EXACT)
def test_with_infinitely_many_draws_the_first_update_descends_the_exact_objective(name) -> None:
    torch.testing.assert_close(logit_slope(EXACT[name], *world()), by_autograd(BETAS, *world()), rtol=1e-11, atol=1e-13)


def test_the_k3_estimate_descends_the_other_divergence() -> None:
    """On average over the policy its gradient is that of KL(pi_ref || pi), not of KL(pi || pi_ref)."""
    found = logit_slope(ExpectedReward(BETAS, kl="k3"), *world())
    torch.testing.assert_close(found, by_autograd(BETAS, *world(), forward_kl=True), rtol=1e-11, atol=1e-13)
    assert float((found - by_autograd(BETAS, *world())).abs().max()) > 0.01


def test_grpo_scales_each_prompt_by_its_own_spread() -> None:
    """Without KL its expectation is the policy gradient over the standard deviation of the prompt's rewards: biased."""
    log_prob, reference, reward = world()
    found = logit_slope(GRPO(0.0, samples=0), log_prob, reference, reward)
    mean = (log_prob.exp() * reward).sum(-1, keepdim=True)
    spread = (log_prob.exp() * (reward - mean) ** 2).sum(-1, keepdim=True).sqrt()
    plain = by_autograd(torch.zeros(RUNS), log_prob, reference, reward)
    torch.testing.assert_close(found, plain / (spread + 1e-4), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.2), (0.1, 0.5), (math.inf, math.inf)])
def test_the_clipped_weight_is_the_derivative_of_the_clipped_loss(low, high) -> None:
    log_ratio = torch.linspace(-1.3, 1.3, 40, dtype=torch.float64).requires_grad_()
    for advantage in (-2.0, 0.7):
        loss = estimators.clipped(log_ratio, torch.tensor(advantage, dtype=torch.float64), low, high)
        (expected,) = torch.autograd.grad(loss.sum(), log_ratio)
        found = estimators.clipped_weight(log_ratio.detach(), torch.tensor(advantage, dtype=torch.float64), low, high)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


def test_clipping_stops_a_response_on_the_right_side_only() -> None:
    """Zero where a good one has risen or a bad one has fallen too far; a good one that fell is still pulled back."""
    inside, above, below = (torch.tensor(math.log(w), dtype=torch.float64) for w in (1.1, 1.3, 0.7))
    good, bad = torch.tensor(1.0).double(), torch.tensor(-1.0).double()
    weight = estimators.clipped_weight
    assert float(weight(above, good, 0.2, 0.2)) == 0 and float(weight(below, bad, 0.2, 0.2)) == 0
    assert float(weight(below, good, 0.2, 0.2)) == pytest.approx(-0.7)
    assert float(weight(above, bad, 0.2, 0.2)) == pytest.approx(1.3)
    assert float(weight(inside, good, 0.2, 0.2)) == pytest.approx(-1.1)


def test_the_k3_weight_is_the_derivative_of_k3_and_k3_averages_to_the_divergence() -> None:
    log_prob, reference, _ = world()
    leaf = log_prob.clone().requires_grad_()
    (expected,) = torch.autograd.grad(estimators.k3(leaf, reference).sum(), leaf)
    torch.testing.assert_close(estimators.k3_weight(log_prob, reference), expected)
    average = (log_prob.exp() * estimators.k3(log_prob, reference)).sum(-1)
    torch.testing.assert_close(average, reward_and_kl(log_prob, reference, reference)[1])
    assert bool((estimators.k3(log_prob, reference) >= 0).all())


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("baseline", BASELINES)
def test_advantages_are_those_of_a_plain_loop_over_the_draws(baseline, whiten) -> None:
    samples, score = 6, draw(RUNS, PROMPTS, RESPONSES)
    drawn = torch.randint(RESPONSES, (RUNS, PROMPTS, samples), generator=torch.Generator().manual_seed(0))
    share = torch.nn.functional.one_hot(drawn, RESPONSES).double().mean(2)
    value = draw(RUNS, PROMPTS, seed=7)
    found = estimators.advantages(score, share, samples, baseline=baseline, value=value, whiten=whiten)
    for run in range(RUNS):
        rewards = [[float(score[run, x, y]) for y in drawn[run, x]] for x in range(PROMPTS)]
        everything = list(itertools.chain(*rewards))
        expected = []
        for x, mine in enumerate(rewards):
            for k, r in enumerate(mine):
                others = mine[:k] + mine[k + 1 :]
                expected.append(
                    {
                        "none": r,
                        "mean": r - np.mean(everything),
                        "leave_one_out": r - np.mean(others),
                        "group": (r - np.mean(mine)) / (np.std(mine, ddof=1) + 1e-4),
                        "value": r - float(value[run, x]),
                    }[baseline]
                )
        if whiten:
            expected = (np.array(expected) - np.mean(expected)) / (np.std(expected) + 1e-8)
        mine = [float(found[run, x, y]) for x in range(PROMPTS) for y in drawn[run, x]]
        np.testing.assert_allclose(mine, expected, rtol=1e-12)


UNBIASED = {
    "REINFORCE": REINFORCE(0.3, samples=3),
    "RLOO": RLOO(0.3, samples=3),
    "an exact critic": PolicyGradient(0.3, samples=3),
    "KL in the loss": PolicyGradient(0.3, samples=3, kl="exact"),
    "corrected k3": PolicyGradient(0.3, samples=3, kl="k3_corrected"),
}


def mean_slope(method: PolicyGradient, times: int = 40_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard error of the sampled gradient in the logits over many batches, and the exact one."""
    log_prob, reference, reward = world(times)
    uniform = torch.rand(
        times, PROMPTS, method.samples, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    share = RolloutChunk._share(log_prob, uniform)
    slopes = logit_slope(method, log_prob, reference, reward, share)
    return slopes.mean(0), slopes.std(0) / math.sqrt(times)


@pytest.mark.parametrize("name", UNBIASED)
def test_sampled_gradients_average_to_the_exact_one(name) -> None:
    mean, error = mean_slope(UNBIASED[name])
    exact = by_autograd(torch.full((1,), 0.3, dtype=torch.float64), *(each[:1] for each in world()))[0]
    assert bool(((mean - exact).abs() <= 5 * error).all())


def test_a_baseline_from_the_batch_itself_shrinks_the_gradient() -> None:
    """REINFORCE with the batch's mean: its own draw is in its baseline, which takes 1 / (prompts K) of the gradient."""
    mean, error = mean_slope(REINFORCE(0.3, samples=3, baseline="mean"))
    exact = by_autograd(torch.full((1,), 0.3, dtype=torch.float64), *(each[:1] for each in world()))[0]
    shrunk = exact * (1 - 1 / (PROMPTS * 3))
    assert bool(((mean - shrunk).abs() <= 5 * error).all()) and not bool(((mean - exact).abs() <= 5 * error).all())


def every_batch(samples: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Every batch that a policy can draw, as shares [batch, prompt, response], and its probability [batch]."""
    log_prob = world()[0][0]
    shares, chances = [], []
    for drawn in itertools.product(range(RESPONSES), repeat=PROMPTS * samples):
        table = torch.tensor(drawn).view(PROMPTS, samples)
        shares.append(torch.nn.functional.one_hot(table, RESPONSES).double().mean(1))
        chances.append(log_prob.gather(1, table).sum().exp())
    return torch.stack(shares), torch.stack(chances)


def expected_slope(method: PolicyGradient, now: torch.Tensor | None = None) -> torch.Tensor:
    """The sampled gradient in the logits, summed over every batch; `now` is a policy that has moved on since."""
    share, chance = every_batch(method.samples)
    log_prob, reference, reward = (each[:1].expand(len(share), -1, -1) for each in world())
    batch = method.batch(log_prob, reference, reward, share)
    log_prob = log_prob if now is None else now.expand_as(log_prob)
    slope = logit_gradient(log_prob[:, None], method.weights(log_prob, reference, batch)[:, None])[:, 0]
    return torch.einsum("b,bpy->py", chance, slope)


def exact_slope(beta: float = 0.3, now: torch.Tensor | None = None) -> torch.Tensor:
    log_prob, reference, reward = (each[:1] for each in world())
    log_prob = log_prob if now is None else now
    return by_autograd(torch.full((1,), beta, dtype=torch.float64), log_prob, reference, reward)[0]


@pytest.mark.parametrize("name", [*UNBIASED, "PPO without whitening"])
def test_the_sum_over_every_batch_is_the_exact_gradient(name) -> None:
    """What `test_sampled_gradients_average_to_the_exact_one` sees within an error, to the last digits."""
    method = replace({**UNBIASED, "PPO without whitening": PPO(0.3, whiten=False)}[name], samples=2)
    torch.testing.assert_close(expected_slope(method), exact_slope(), rtol=1e-11, atol=1e-13)


def test_at_ratio_one_ppo_is_the_policy_gradient_on_every_batch() -> None:
    share, _ = every_batch()
    given = [each[:1].expand(len(share), -1, -1) for each in world()]
    clipped, plain = PPO(0.3, samples=2, whiten=False), PolicyGradient(0.3, samples=2)
    torch.testing.assert_close(logit_slope(clipped, *given, share), logit_slope(plain, *given, share))


def test_grpo_of_two_draws_climbs_the_win_rate_against_a_draw_and_not_the_reward() -> None:
    """Two standardised draws are +-1/sqrt(2), but for the floor: who won is left, and by how much is lost."""
    found = expected_slope(GRPO(0.0, samples=2))
    log_prob, _, reward = (each[0] for each in world())
    apart = reward[:, :, None] - reward[:, None, :]
    standardised = (apart / 2) / (apart.abs() / math.sqrt(2) + 1e-4)
    wins = (standardised * log_prob.exp()[:, None, :]).sum(-1)  # of each response, against another draw; means are 0
    torch.testing.assert_close(found, -log_prob.exp() * wins / PROMPTS, rtol=1e-11, atol=1e-13)
    away = torch.nn.functional.cosine_similarity(found.flatten(), exact_slope(0.0).flatten(), dim=0)
    assert 0 < float(away) < 0.995


def test_whitening_is_no_mere_scale_of_the_gradient() -> None:
    """The spread of a batch depends on what was drawn: its mean direction is another one, though it still climbs."""
    found = expected_slope(PPO(0.3, samples=2))
    away = torch.nn.functional.cosine_similarity(found.flatten(), exact_slope().flatten(), dim=0)
    assert 0 < float(away) < 0.999


def test_later_updates_on_a_batch_are_unbiased_without_clip_but_for_the_kl_of_the_policy_that_drew() -> None:
    """With KL in the loss: exact. With KL in the reward the batch remembers log pi_old / pi_ref. A clip is a bias."""
    now = draw(1, PROMPTS, RESPONSES, seed=11).log_softmax(-1)
    in_loss = PolicyGradient(0.3, samples=2, epochs=2, kl="exact")
    torch.testing.assert_close(expected_slope(in_loss, now), exact_slope(0.3, now), rtol=1e-11, atol=1e-13)
    stale = expected_slope(PolicyGradient(0.3, samples=2, epochs=2), now)
    old, reference, reward = (each[:1] for each in world())
    remembered = by_autograd(torch.zeros(1), now, reference, reward - 0.3 * (old - reference))[0]
    torch.testing.assert_close(stale, remembered, rtol=1e-11, atol=1e-13)
    assert float((stale - exact_slope(0.3, now)).abs().max()) > 1e-3
    clipped = expected_slope(PPO(0.3, samples=2, whiten=False, kl="exact"), now)
    assert float((clipped - exact_slope(0.3, now)).abs().max()) > 1e-2


def problem(seeds: tuple[int, ...] = (5, 6, 7)) -> lab.Problem:
    _, reference, reward = world()
    rows = [(5, 6, 7).index(seed) for seed in seeds]
    return lab.Problem(lab.Preferences.grid(PROMPTS, RESPONSES), reference[rows], seeds, reward=reward[rows])


METHODS = {
    "exact": ExpectedReward(0.3),
    "REINFORCE": REINFORCE(0.3),
    "RLOO": RLOO(0.3),
    "GRPO": GRPO(0.3),
    "PPO": PPO(0.3),
    "infinite PPO": PPO(0.3, samples=0),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_run_is_the_same_alone_and_in_a_batch(name) -> None:
    train = {"steps": 12, "record": lab.Record(every=3, keep=())}
    policy, rate = lab.Tabular(PROMPTS, RESPONSES), lab.Adam(0.05)
    together = lab.train(problem(), policy, METHODS[name], rate, **train)
    alone = lab.train(problem((6,)), policy, METHODS[name], rate, **train)
    for variable in ("log_prob", "loss", "response_weight"):
        np.testing.assert_array_equal(together[variable].values[1], alone[variable].values[0])


@pytest.mark.parametrize("policy", ["tabular", "loglinear", "mlp"])
def test_the_exact_gradient_climbs_to_the_optimum_of_the_reward(policy) -> None:
    """A table gets there; a policy that shares its parameters never earns more than the optimum does."""
    place, rate = problem(), 30.0 if policy == "tabular" else 0.2
    made = {
        "tabular": lambda: lab.Tabular(PROMPTS, RESPONSES),
        "loglinear": lambda: lab.LogLinear.drawn(place, features=4),
        "mlp": lambda: lab.MLP(PROMPTS, RESPONSES, 8),
    }[policy]()
    ds = lab.train(place, made, ExpectedReward(0.3), lab.SGD(rate), steps=2500, record=lab.Record(50, ()))
    reference = torch.from_numpy(ds["reference_log_prob"].values)
    best = optimum(reference, place.reward, torch.tensor([0.3], dtype=torch.float64))
    earned = -ds["loss"].values  # [run, step, pair]: one pair a prompt
    limit = best.value[:, 0].numpy()[:, None]
    assert (earned <= limit + 1e-9).all()
    assert (np.diff(earned.mean(-1)[:, ::5]) > -1e-12).all()
    if policy == "tabular":
        np.testing.assert_allclose(earned[:, -1], limit[:, 0], atol=1e-6)


def test_the_record_holds_the_objective_and_its_slope_at_the_pairs() -> None:
    place = problem()
    ds = lab.train(place, lab.Tabular(PROMPTS, RESPONSES), PPO(0.3), lab.SGD(0.5), steps=6, record=lab.Record(keep=()))
    log_prob = torch.from_numpy(ds["log_prob"].values)
    earned, kl = reward_and_kl(log_prob, place.target_log_prob[:, None], place.reward[:, None])
    np.testing.assert_allclose(
        ds["loss"].values, (0.3 * kl - earned)[..., place.preferences.prompt].numpy(), rtol=1e-12
    )
    logits = log_prob.clone().requires_grad_()
    earned, kl = reward_and_kl(logits.log_softmax(-1), place.target_log_prob[:, None], place.reward[:, None])
    (slope,) = torch.autograd.grad((0.3 * kl - earned).sum(), logits)
    flat = place.preferences.flat(RESPONSES)
    expected = torch.stack(slope.flatten(2)[..., flat].tensor_split(2, -1), 2)
    np.testing.assert_allclose(ds["response_weight"].values, expected.numpy(), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(
        lab.metrics.expected_reward(ds).values, reward_and_kl(log_prob, log_prob, place.reward[:, None])[0].numpy()
    )


def test_a_learned_reward_is_climbed_and_the_true_one_judges() -> None:
    place = problem()
    method = ExpectedReward(0.1, reward=-place.reward)
    ds = lab.train(place, lab.Tabular(PROMPTS, RESPONSES), method, lab.Adam(0.05), steps=300, record=lab.Record(50, ()))
    earned = lab.metrics.expected_reward(ds).isel(step=[0, -1])
    assert bool((earned.isel(step=1) < earned.isel(step=0)).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PPO(-0.1), "beta is -0.1; allowed are finite numbers >= 0"),
        (lambda: PPO(0.1, samples=-1), "samples is -1; allowed are 0 or more"),
        (lambda: PPO(0.1, epochs=0), "epochs is 0; allowed are 1 or more"),
        (lambda: PPO(0.1, clip=0.0), "clip is 0.0; allowed are numbers > 0, and infinity for no clip"),
        (lambda: PPO(0.1, kl="k1"), "kl is 'k1'; allowed are reward, exact, k3, k3_corrected"),
        (lambda: PPO(0.1, baseline="critic"), "baseline is 'critic'; allowed are none, mean, leave_one_out"),
        (lambda: RLOO(0.1, samples=1), "samples is 1 and the baseline leave_one_out compares draws; give samples=2"),
        (lambda: PPO(0.1, reward=torch.tensor([[[math.nan]]])), "reward holds NaN or infinity; all must be finite"),
        (lambda: go(PPO(0.1), reward=None), "PPO climbs a reward and there is none: give the problem a true reward"),
        (lambda: go(PPO(0.1, reward=torch.zeros(3, 1, 1))), "the reward has shape (3, 1, 1); it must be [run, prompt,"),
        (lambda: go(PPO(0.1), batch=1), "batch is 1 with a policy gradient, which draws its own; allowed is 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_its_cure(call, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def go(method: PolicyGradient, batch: int = 0, **changes: object) -> object:
    place = replace(problem(), **changes)
    return lab.train(place, lab.Tabular(PROMPTS, RESPONSES), method, lab.SGD(1.0), steps=1, batch=batch)
