"""The solutions and drawings of notebook 07, against autograd and the lab's own estimators, optima and metrics."""

import numpy as np
import pytest
import torch
import xarray as xr

from lab.course import Mistake, reference
from lab.course.chapters.rlhf import two_worlds
from lab.course.drawings import rlhf as drawings
from lab.course.drawings.numbers import over_seeds
from lab.estimators import PolicyGradient, clipped, clipped_weight
from lab.intervals import median_interval
from lab.metrics import reward_at_kl as lab_reward_at_kl
from lab.optima import best_of_n as lab_best_of_n

policy_gradient, clipped_push, reward_at_kl, best_of_n = (reference(f"7.{place}") for place in range(1, 5))


def world(seed, size=5):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=size)
    return generator.normal(size=size), logits - np.logaddexp.reduce(logits), generator.normal(size=size)


def test_the_gradient_is_that_of_autograd_and_of_the_lab():
    for seed in range(10):
        logits, log_ref, reward = world(seed)
        leaf = torch.tensor(logits, requires_grad=True)
        log_prob = leaf.log_softmax(-1)
        score = torch.tensor(reward) - 0.4 * (log_prob - torch.tensor(log_ref))
        (log_prob.exp() * score).sum().backward()
        found = policy_gradient(logits, log_ref, reward, 0.4)
        assert found == pytest.approx(leaf.grad.numpy(), abs=1e-12)
        given = (torch.tensor(each)[None, None] for each in (log_prob.detach().numpy(), log_ref, reward))
        assert found == pytest.approx(-PolicyGradient(0.4).slope(*given)[0, 0].numpy(), abs=1e-12)


def test_the_climb_ends_at_the_tilted_reference():
    logits, log_ref, reward = world(2)
    for _ in range(10_000):
        logits = logits + policy_gradient(logits, log_ref, reward, 1.0)
    assert logits - np.logaddexp.reduce(logits) == pytest.approx(reference("1.1")(log_ref, reward, 1.0), abs=1e-6)


def test_the_clipped_push_is_that_of_autograd_and_of_the_lab():
    generator = np.random.default_rng(0)
    log_ratio, advantage = generator.normal(scale=0.5, size=200), generator.normal(size=200)
    leaf = torch.tensor(log_ratio, requires_grad=True)
    (-clipped(leaf, torch.tensor(advantage), 0.2, 0.2)).sum().backward()
    found = clipped_push(log_ratio, advantage, 0.2)
    assert found == pytest.approx(leaf.grad.numpy(), abs=1e-12)
    lab_weight = clipped_weight(torch.tensor(log_ratio), torch.tensor(advantage), 0.2, 0.2)
    assert found == pytest.approx(-lab_weight.numpy(), abs=1e-12)


def test_the_reward_at_equal_kl_is_that_of_the_labs_least_concave_line():
    generator = np.random.default_rng(1)
    for _ in range(10):
        kl = np.append(0.0, generator.uniform(0.1, 3, 7))
        reward = np.append(0.0, np.sqrt(kl[1:]) * generator.uniform(0.3, 1, 7))
        arrays = (xr.DataArray(each[1:], dims="beta") for each in (kl, reward))
        level = 0.6 * kl.max()
        exact = lab_reward_at_kl(*arrays, [level], over="beta", start=xr.DataArray(0.0))
        assert reward_at_kl(kl, reward, level) == pytest.approx(float(exact[0]), abs=1e-12)


def test_the_best_of_n_is_that_of_the_lab_and_sums_to_one():
    generator = np.random.default_rng(2)
    prob, reward = generator.dirichlet(np.ones(6)), generator.normal(size=6)
    draws = torch.tensor([1.0, 3.0, 20.0], dtype=torch.float64)
    exact = lab_best_of_n(torch.tensor(prob).log()[None, None], torch.tensor(reward)[None, None], draws).exp()
    for n, expected in zip((1, 3, 20), exact[0, :, 0].numpy(), strict=True):
        assert best_of_n(prob, reward, n) == pytest.approx(expected, abs=1e-12)
        assert best_of_n(prob, reward, n).sum() == pytest.approx(1)


def test_a_world_may_not_change_what_is_compared():
    judge = two_worlds.EXERCISE.judge
    for worlds in ((("steps=900", ""), ("", "")), (("", "samples=1"), ("", ""))):
        with pytest.raises(Mistake, match="not yours to choose"):
            judge([()], [worlds])
    with pytest.raises(Mistake, match="two pairs of texts"):
        judge([()], [("judge=noisy", "model_steps=10")])
    with pytest.raises(Mistake, match="cannot be read"):
        judge([()], [(("agreement=7 judge=noisy", ""), ("", ""))])


def test_a_number_over_seeds_is_its_median_and_interval():
    values = xr.DataArray(np.random.default_rng(3).normal(-2, 0.1, 24), dims="seed")
    median, low, high = median_interval(values.values, 0)
    assert over_seeds(values, 3) == f"{median:.3f} [{low:.3f}, {high:.3f}]".replace("-", "−")
    with pytest.raises(ValueError, match="Select first"):
        over_seeds(values.expand_dims("level"))


def test_the_drawing_at_equal_kl_tells_both_ends():
    share = xr.DataArray(np.full((6, 2), [0.25, 0.75]), dims=("seed", "level"), coords={"level": [0.5, 2.0]})
    figure, alt = drawings.at_equal_kl({"dpo": share})
    assert "DPO 0.25 and 0.75" in alt and "KL 0.5 and at KL 2" in alt
    assert figure.axes[0].get_ylabel() == "share of the possible gain"


def test_the_two_rewards_tell_where_the_true_one_is_largest():
    sweep = xr.Dataset(
        {
            "kl": (("seed", "point"), np.tile([1.0, 2.0, 4.0], (5, 1))),
            "true": (("seed", "point"), np.tile([0.5, 0.9, 0.6], (5, 1))),
            "learned": (("seed", "point"), np.tile([0.5, 1.5, 3.0], (5, 1))),
        }
    )
    _, alt = drawings.two_rewards({"ppo": sweep}, [0.0, 1.0, 2.0, 4.0])
    assert "true reward by PPO, learned reward: largest gain 0.90 at KL 2.0, 0.60 at KL 4.0" in alt
    assert "learned reward by PPO, learned reward: largest gain 3.00 at KL 4.0" in alt
