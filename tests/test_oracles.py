"""Why to believe the lab: exact results that its numbers must obey, each derived beside its test.

The rest of the evidence, by subject: `test_gradients` (four spaces against autograd and 300 digits), `test_objectives`
(50 digits), `test_policies` (derivatives), `test_training` (every trajectory against torch.optim, run by run).

Notation: one pair of a prompt, table of logits z, m the margin, h = m / beta the log-ratio margin, s = beta sigma(-m)
the push of DPO, eta the learning rate, t = eta * step. A step of gradient descent is z+ += eta s, z- -= eta s.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mpmath import findroot, mp

import lab
from lab.gradients import decompose, log_prob_change
from tests import plain
from tests.worlds import draw

ONE_PAIR = lab.Preferences([0], [0], [1])


def one_pair_world(runs: int, responses: int, *, spread: float = 1.0, seed: int = 0) -> lab.Problem:
    """One prompt with one pair; every run starts from another distribution."""
    target = (spread * draw(runs, 1, responses, seed=seed)).log_softmax(-1)
    return lab.Problem(ONE_PAIR, target, tuple(range(runs)))


def log_ratio_margin(record) -> torch.Tensor:
    """h of every run and step of a record with one pair, [..., step]."""
    ratio = record.log_prob - record.reference_log_prob
    return torch.from_numpy((ratio.isel(response=0) - ratio.isel(response=1)).isel(prompt=0).values)


def descend(world: lab.Problem, objective, lr, steps: int, **options):
    table = lab.Tabular(world.prompts, world.responses)
    return lab.train(world, table, objective, lab.SGD(lr), steps=steps, record=lab.Record(keep=()), **options)


# --- One pair in a table ----------------------------------------------------------------------------------------------
#
# Gradient flow has dz+/dt = s and dz-/dt = -s, and log-softmax shifts both alike, so dm/dt = 2 beta^2 sigma(-m), or
# (1 + e^m) dm = 2 beta^2 dt. From m(0) = 0 this integrates to m + e^m = 1 + 2 beta^2 t.


@pytest.mark.parametrize("responses", [2, 3, 10])
def test_the_margin_of_one_pair_obeys_its_law(responses):
    """m + e^m = 1 + 2 beta^2 t up to the step size: the error is linear in it, for any beta and any start."""
    betas = torch.linspace(0.05, 1.5, 60, dtype=torch.float64)
    time = 20 / betas**2  # so that 2 beta^2 t = 40 in every run
    errors = []
    for steps in (400, 800, 1600):
        margin = betas[:, None] * log_ratio_margin(
            descend(one_pair_world(60, responses, spread=3.0), lab.DPO(betas), time / steps, steps)
        )
        law = 1 + 2 * (betas**2 * time)[:, None] * torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        errors.append((margin + margin.exp() - law).abs().amax(-1))
    assert (errors[0] < 0.1 * 40 / 10).all()
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert ((coarse / fine - 2).abs() < 0.1).all()


def test_the_law_knows_neither_the_start_nor_the_number_of_responses():
    """Gradient descent itself is m' = m + 2 beta^2 eta sigma(-m), whatever the table around the pair."""
    beta, lr, margin = 0.3, 2.0, [0.0]
    for _ in range(50):
        margin.append(margin[-1] + 2 * beta**2 * lr / (1 + math.exp(margin[-1])))
    for responses in (2, 5, 17):
        found = beta * log_ratio_margin(descend(one_pair_world(20, responses, spread=5.0), lab.DPO(beta), lr, 50))
        torch.testing.assert_close(
            found, torch.tensor([margin], dtype=torch.float64).expand(20, -1), rtol=1e-10, atol=1e-12
        )


def test_each_of_several_prompts_follows_the_law_with_its_share_of_the_time():
    """The loss is a mean over pairs: four prompts of a table each move as one pair with eta / 4."""
    world = lab.Problem(lab.Preferences.grid(4, 10), draw(1, 4, 10).log_softmax(-1), (0,))
    alone = log_ratio_margin(descend(one_pair_world(1, 10), lab.DPO(0.5), 0.25, 30))[0]
    record, pairs = descend(world, lab.DPO(0.5), 1.0, 30), world.preferences
    ratio = torch.from_numpy((record.log_prob - record.reference_log_prob).values)[0]
    together = ratio[:, pairs.prompt, pairs.chosen] - ratio[:, pairs.prompt, pairs.rejected]
    torch.testing.assert_close(together, alone[:, None].expand(-1, 4), rtol=1e-10, atol=1e-12)


def law(beta: float, time: float) -> float:
    """h(t) = m / beta from the law."""
    right = 1 + 2 * beta**2 * time
    return float(findroot(lambda m: m + mp.exp(m) - right, math.log1p(beta**2 * time))) / beta


CROSSINGS = [(0.05, 0.1, 860.7), (0.1, 0.5, 94.9), (0.1, 1.0, 52.4), (0.5, 1.0, 8.61)]


@pytest.mark.parametrize(("small", "large", "time"), CROSSINGS)
def test_a_larger_beta_is_ahead_early_and_behind_late(small, large, time):
    """h of two betas crosses once, where the law says: in the formula to 3 digits, in a training to 1 %."""
    crossing = float(findroot(lambda t: law(large, t) - law(small, t), (0.9 * time, 1.1 * time), tol=1e-9))
    assert crossing == pytest.approx(time, rel=6e-4)
    steps = 1000
    found = log_ratio_margin(
        descend(
            one_pair_world(2, 10), lab.DPO(torch.tensor([small, large], dtype=torch.float64)), 2 * time / steps, steps
        )
    )
    ahead = found[1] > found[0]
    last = int(ahead.nonzero().max())
    assert ahead[1 : last + 1].all() and not ahead[last + 1 :].any()
    assert (last + 0.5) * 2 * time / steps == pytest.approx(time, rel=0.01)


def test_the_log_ratio_margin_has_no_optimum_but_grows_like_a_logarithm():
    """e^m = 2 beta^2 t + 1 - m, so h -> log(2 beta^2 t) / beta: smaller betas end further away."""
    betas = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    rates = 0.5 / betas**2  # 2 beta^2 eta = 1
    record = descend(one_pair_world(3, 10), lab.DPO(betas), rates, 4000)
    found = log_ratio_margin(record)
    assert (found.diff(dim=-1) > 0).all()
    torch.testing.assert_close(found[:, -1], math.log(4000) / betas, rtol=2e-3, atol=0)


def test_ipo_in_a_table_closes_in_on_its_target_geometrically():
    """dh = -4 eta (h - c) with c = 1/(2 beta), so h_k = c (1 - (1 - 4 eta)^k) exactly, at any step size below 1/2."""
    for beta, lr in ((0.1, 0.01), (0.5, 0.2), (1.0, 0.49)):
        found = log_ratio_margin(descend(one_pair_world(10, 6, spread=4.0), lab.IPO(beta), lr, 40))
        steps = torch.arange(41, dtype=torch.float64)
        expected = (1 - (1 - 4 * lr) ** steps) / (2 * beta)
        torch.testing.assert_close(found, expected.expand(10, -1), rtol=1e-10, atol=1e-10)


def test_slic_in_a_table_walks_straight_to_its_margin_and_stops():
    """h grows by 2 beta eta a step until beta h >= 1."""
    beta, lr = 0.5, 0.11
    found = log_ratio_margin(descend(one_pair_world(10, 6, spread=4.0), lab.SLiC(beta), lr, 40))
    expected = torch.arange(41, dtype=torch.float64).clamp_max(math.ceil(1 / (2 * beta**2 * lr))) * 2 * beta * lr
    torch.testing.assert_close(found, expected.expand(10, -1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("optimizer", [lab.SGD(3.0), lab.Momentum(1.0), lab.Adam(0.1)])
@pytest.mark.parametrize("objective", [lab.DPO(0.3), lab.IPO(0.4), lab.SLiC(0.4)])
def test_a_margin_loss_in_a_table_moves_two_logits_oppositely_and_no_other(objective, optimizer):
    """The normaliser cancels in the margin: unseen logits never move and z+ + z- is conserved, for any optimiser."""
    world = one_pair_world(5, 7)
    record = lab.train(
        world, lab.Tabular(1, 7), objective, optimizer, steps=30, record=lab.Record(keep=("parameters",))
    )
    moved = record.parameters - record.parameters.isel(step=0)
    assert (abs(moved[..., 2:]) < 1e-9).all() and (abs(moved[..., 0]).max("step") > 0.1).all()
    np.testing.assert_allclose(moved[..., 0], -moved[..., 1], rtol=1e-9, atol=1e-9)


# --- A table shows no degradation -------------------------------------------------------------------------------------
#
# d log pi_y = dz_y - sum_w pi_w dz_w with dz = s (e+ - e-):
# d log pi+ = s (1 - pi+ + pi-) > 0,  d log pi- = -s (1 + pi+ - pi-) < 0,  d log pi_u = s (pi- - pi+).


@pytest.mark.parametrize("spread", [0.1, 2.0, 15.0])
def test_no_table_lets_its_chosen_response_fall_under_gradient_flow(spread):
    """2000 random states and references: the three rates, their signs, and sum_y pi_y d log pi_y = 0."""
    runs, responses, beta = 2000, 6, 0.4
    world = one_pair_world(runs, responses, spread=spread)
    theta = spread * draw(runs, responses, seed=9)
    found = decompose(lab.Tabular(1, responses), theta, lab.DPO(beta), ONE_PAIR, world.target_log_prob)
    rate = log_prob_change(found.log_prob, -found.logit.sum(1))[:, 0]
    prob, h = found.log_prob[:, 0].exp(), (found.log_prob - world.target_log_prob)[:, 0]
    push = beta * torch.sigmoid(-beta * (h[:, 0] - h[:, 1]))
    others = prob[:, 1:].sum(-1)  # 1 - pi+ without cancellation
    torch.testing.assert_close(rate[:, 0], push * (others + prob[:, 1]), rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(rate[:, 1], -push * (1 + prob[:, 0] - prob[:, 1]), rtol=1e-9, atol=1e-15)
    unseen = push * (prob[:, 1] - prob[:, 0])
    torch.testing.assert_close(rate[:, 2:], unseen[:, None].expand(-1, 4), rtol=1e-9, atol=1e-15)
    clear = (prob[:, 1] - prob[:, 0]).abs() > 1e-9
    assert (rate[:, 0] > 0).all() and (rate[:, 1] < 0).all()
    assert (rate[clear, 2:].sign() == (prob[:, 1] - prob[:, 0])[clear, None].sign()).all()
    assert ((prob * rate).sum(-1).abs() < 1e-14).all()


def test_nor_does_it_at_any_step_size_and_its_unseen_mass_falls_once_chosen_leads():
    """Along z+ + a, z- - a the chosen probability rises for every a >= 0, so no learning rate makes it fall."""
    rates = torch.logspace(-2, 4, 200, dtype=torch.float64)
    for objective in (lab.DPO(0.1), lab.DPO(1.0), lab.SLiC(0.5)):
        log_prob = torch.from_numpy(descend(one_pair_world(200, 8, spread=3.0), objective, rates, 30).log_prob.values)[
            :, :, 0
        ]
        chosen, rejected, unseen = log_prob[..., 0], log_prob[..., 1], log_prob[..., 2:].logsumexp(-1)
        assert (chosen.diff(dim=-1) > -1e-12).all() and (rejected.diff(dim=-1) < 1e-12).all()
        leads = (chosen >= rejected)[:, :-1]
        assert (unseen.diff(dim=-1)[leads] < 1e-12).all()


# --- One step of any policy -------------------------------------------------------------------------------------------
#
# With g = grad log pi: d log pi+ = eta s (|g+|^2 - <g+, g->), d log pi- = eta s (<g+, g-> - |g-|^2), to order eta^2.


def pair_gram(policy, theta: torch.Tensor, run: int) -> torch.Tensor:
    """<g_y, g_w> of the pair's two responses at one run's state, [2, 2]."""
    gradients = torch.autograd.functional.jacobian(lambda at: plain.log_probs(policy, at, run)[0, :2], theta)
    return gradients @ gradients.T


def small_policies(world: lab.Problem) -> dict[str, tuple]:
    network = lab.MLP(1, world.responses, 5, "tanh")
    linear = lab.LogLinear.drawn(world, features=3, overlap=0.9)
    return {
        "tabular": (lab.Tabular(1, world.responses), world.target_log_prob.flatten(1)),
        "loglinear": (linear, 0.3 * draw(world.runs, 3, seed=4)),
        "mlp": (network, 0.7 * draw(world.runs, network.parameter_count, seed=5)),
    }


@pytest.mark.parametrize("name", ["tabular", "loglinear", "mlp"])
def test_one_step_moves_both_responses_by_their_gradients_inner_products(name):
    """Predicted by the formula, recorded as `linear_change`, realised up to eta^2: halving it quarters the error."""
    world, beta = one_pair_world(40, 6), 0.5
    policy, start = small_policies(world)[name]
    push = beta / 2  # at the reference m = 0
    errors = []
    for lr in (2e-3, 1e-3, 5e-4):
        record = lab.train(
            world, policy, lab.DPO(beta), lab.SGD(lr), steps=1, start=start, record=lab.Record(keep=("predictions",))
        )
        for run in range(world.runs):
            gram = pair_gram(policy, start[run], run)
            expected = lr * push * (gram[:, 0] - gram[:, 1])
            np.testing.assert_allclose(record.linear_change[run, 0, 0, :2], expected, rtol=1e-9, atol=1e-15)
            np.testing.assert_allclose(
                record.predicted_change[run, 0].sum("term")[0, :2], expected, rtol=1e-9, atol=1e-15
            )
        errors.append(
            abs(record.realised_change - record.linear_change).isel(step=0).max(("prompt", "response")).values
        )
    for coarse, fine in zip(errors, errors[1:], strict=False):
        np.testing.assert_allclose(coarse / fine, 4, rtol=0.05)


def test_chosen_falls_exactly_where_its_gradient_is_more_the_rejected_ones_than_its_own():
    """Delta log pi+ < 0 iff <g+, g-> > |g+|^2: it happens with shared parameters, and never in a table."""
    world = one_pair_world(300, 6, spread=2.0)
    falls = {}
    for name, (policy, start) in small_policies(world).items():
        record = lab.train(
            world, policy, lab.DPO(0.5), lab.SGD(1e-6), steps=1, start=start, record=lab.Record(keep=("predictions",))
        )
        grams = [pair_gram(policy, start[run], run) for run in range(world.runs)]
        by_formula = [bool(gram[0, 1] > gram[0, 0]) for gram in grams]
        realised = record.realised_change.isel(step=0, prompt=0, response=0).values < 0
        assert realised.tolist() == by_formula
        falls[name] = realised.sum()
    assert falls["tabular"] == 0 and 10 < falls["loglinear"] < 290


# --- Four spaces ------------------------------------------------------------------------------------------------------


def test_each_space_tells_its_own_story_of_one_pair():
    """dl/dlog pi = -+s; dl/dpi = -s/pi+, s/pi-, so their ratio is pi+/pi-; dl/dz = -s (e+ - e-): the tails cancel."""
    world, beta = one_pair_world(50, 5, spread=10.0), 0.7
    theta = 10 * draw(50, 5, seed=3)
    found = decompose(lab.Tabular(1, 5), theta, lab.DPO(beta), ONE_PAIR, world.target_log_prob)
    log_prob = found.log_prob[:, 0]
    h = (found.log_prob - world.target_log_prob)[:, 0]
    push = beta * torch.sigmoid(-beta * (h[:, 0] - h[:, 1]))
    zero, one = torch.zeros(50, 5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(found.log_probability[:, 0, 0], zero - push[:, None] * one[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(found.log_probability[:, 1, 0], zero + push[:, None] * one[1], rtol=1e-12, atol=0)
    magnitude = found.probability_log_magnitude[:, :, 0]
    torch.testing.assert_close(magnitude[:, 0, 0], push.log() - log_prob[:, 0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(magnitude[:, 1, 1], push.log() - log_prob[:, 1], rtol=1e-12, atol=1e-12)
    ratio = magnitude[:, 1, 1] - magnitude[:, 0, 0]
    torch.testing.assert_close(ratio, log_prob[:, 0] - log_prob[:, 1], rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found.logit.sum(1)[:, 0], push[:, None] * (one[1] - one[0]), rtol=1e-12, atol=1e-16)
    assert (found.cosine("log_probability") == 0).all() and (found.cosine("probability") == 0).all()


def test_the_softmax_factor_has_its_norm():
    """log pi has the logit Jacobian I - 1 pi^T, with squared Frobenius norm V - 2 + V |pi|^2."""
    for size in (2, 3, 10, 50):
        log_prob = (3 * draw(4, size)).log_softmax(-1)
        jacobian = log_prob_change(log_prob[:, None], torch.eye(size, dtype=torch.float64).expand(4, -1, -1))
        expected = size - 2 + size * log_prob.exp().square().sum(-1)
        torch.testing.assert_close(jacobian.square().sum((-2, -1)), expected, rtol=1e-12, atol=0)
