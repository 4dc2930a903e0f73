"""The chain rule in four spaces, against autograd of a second implementation, differences, and 300 digits."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

import lab
from lab import gradients
from lab.gradients import SPACES, Decomposition, decompose, log_prob_change, norms_and_cosine
from tests import plain, worlds
from tests.worlds import OBJECTIVES, POLICIES, draw


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-10) -> None:
    """Equal relative to the largest entry of each run."""
    scale = expected.flatten(1).abs().amax(1).clamp_min(1e-300)
    assert ((actual - expected).flatten(1).abs().amax(1) <= tolerance * scale).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_two_terms_sum_to_the_gradient_of_the_whole_loss(policy, objective):
    """Parameters: autograd through a network written anew. Logits: autograd through log-softmax."""
    for seed, scale in ((1, 0.3), (2, 1.0), (3, 3.0)):
        world, chosen = worlds.problem(), OBJECTIVES[objective]
        machine, theta = worlds.policy(policy, world), worlds.state(policy, world, scale, seed)
        found = decompose(machine, theta, chosen, world.preferences, world.target_log_prob)
        for run in range(world.runs):
            start = world.target_log_prob[run]
            expected = plain.gradient(machine, chosen, world.preferences, theta[run], start, run)
            close(found.parameter.sum(1)[run, None], expected[None])
            scores = plain.logits(machine, theta[run], run).requires_grad_()
            loss = plain.total_loss(chosen, world.preferences, scores.log_softmax(-1), start, run)
            close(found.logit.sum(1)[run, None], torch.autograd.grad(loss, scores)[0][None])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("policy", POLICIES)
def test_finite_differences_of_the_loss_have_the_gradient(policy, objective):
    """Central differences along random directions; their error falls with the square of the step, to 1e-7."""
    world, loss = worlds.problem(), OBJECTIVES[objective]
    machine, theta = worlds.policy(policy, world), worlds.state(policy, world)
    start = world.target_log_prob
    slope = decompose(machine, theta, loss, world.preferences, start).parameter.sum(1)
    for seed in range(3):
        direction = torch.nn.functional.normalize(draw(*theta.shape, seed=20 + seed), dim=-1)
        for run in range(world.runs):

            def total(step, run=run, direction=direction):
                table = plain.log_probs(machine, theta[run] + step * direction[run], run)
                return float(plain.total_loss(loss, world.preferences, table, start[run], run))

            expected, step = float(slope[run] @ direction[run]), 1e-5
            scale = max(abs(total(0)), float(slope[run].norm()))
            assert abs((total(step) - total(-step)) / (2 * step) - expected) < 1e-7 * scale


@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("policy", POLICIES)
def test_probabilities_sum_to_1_and_logit_gradients_to_0(policy, objective, scale):
    world = worlds.problem()
    machine, theta = worlds.policy(policy, world), worlds.state(policy, world, scale)
    found = decompose(machine, theta, OBJECTIVES[objective], world.preferences, world.target_log_prob)
    prob = found.log_prob.exp().sum(-1)
    torch.testing.assert_close(prob, torch.ones_like(prob), rtol=1e-13, atol=0)
    assert (found.logit.sum(-1).abs() <= 1e-14 * found.logit.abs().sum(-1)).all()
    for space in SPACES:
        assert not found.log_norm(space).isnan().any() and not (found.log_norm(space) == math.inf).any()
        assert (found.cosine(space).isnan() == found.log_norm(space).isneginf().any(-1)).all()


# --- What must not matter -------------------------------------------------------------------------------------------

numbers = st.floats(-30, 30)
tables = st.lists(numbers, min_size=18, max_size=18).map(lambda v: torch.tensor(v, dtype=torch.float64).view(1, 18))


def measure(found: Decomposition) -> list[torch.Tensor]:
    """Everything about a state that no relabelling may change, as plain numbers."""
    sizes = [found.log_norm(space) for space in SPACES]
    cosines = [found.cosine(space).nan_to_num(7.0) for space in SPACES]
    return [*(size.exp().nan_to_num() for size in sizes), *cosines]


def agree(first: Decomposition, second: Decomposition) -> None:
    for one, other in zip(measure(first), measure(second), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def table_of(theta: torch.Tensor, pairs: lab.Preferences, start: torch.Tensor) -> Decomposition:
    return decompose(lab.Tabular(3, 6), theta, lab.FlexDPO(0.3, 0.1), pairs, start)


START = worlds.problem(1).target_log_prob


@given(theta=tables, shift=st.lists(numbers, min_size=3, max_size=3))
def test_a_shift_of_a_prompts_logits_changes_nothing(theta, shift):
    moved = theta + torch.tensor(shift, dtype=torch.float64).repeat_interleave(6)
    agree(*(table_of(at, worlds.preferences(), START) for at in (theta, moved)))


@given(theta=tables, order=st.permutations(range(6)))
def test_relabelled_responses_have_relabelled_gradients(theta, order):
    """Response y of every prompt becomes response place[y]."""
    pairs, order = worlds.preferences(), torch.tensor(order)
    place = order.argsort()
    again = lab.Preferences(pairs.prompt, place[pairs.chosen], place[pairs.rejected], pairs.weight)
    one = table_of(theta, pairs, START)
    other = table_of(theta.view(1, 3, 6)[..., order].flatten(1), again, START[..., order])
    agree(one, other)
    torch.testing.assert_close(one.logit[..., order], other.logit, rtol=1e-11, atol=1e-14)


@given(theta=tables, share=st.floats(0, 1))
def test_a_pair_given_twice_with_shared_weight_is_that_pair(theta, share):
    """A share of 0 or 1 makes one of the two a pair of weight 0, which is as good as absent."""
    pairs = worlds.preferences()
    prompt, chosen, rejected = (torch.cat([m, m[:1]]) for m in (pairs.prompt, pairs.chosen, pairs.rejected))
    weight = torch.cat([pairs.weight, pairs.weight[:1]])
    weight[0], weight[-1] = share * pairs.weight[0], (1 - share) * pairs.weight[0]
    agree(*(table_of(theta, p, START) for p in (pairs, lab.Preferences(prompt, chosen, rejected, weight))))


@given(theta=tables, weight=st.floats(1e-3, 1e3))
def test_only_relative_weights_count(theta, weight):
    pairs = worlds.preferences()
    scaled = lab.Preferences(pairs.prompt, pairs.chosen, pairs.rejected, weight * pairs.weight)
    agree(*(table_of(theta, p, START) for p in (pairs, scaled)))


@given(theta=tables)
def test_swapped_pairs_swap_the_terms_of_a_symmetric_loss(theta):
    """In the IPO loss at 1/(2 beta) -> 0 a swap turns the margin's sign, so chosen and rejected terms change places."""
    pairs, loss = worlds.preferences(), lab.IPO(1e12)
    back = lab.Preferences(pairs.prompt, pairs.rejected, pairs.chosen, pairs.weight)
    one, other = (decompose(lab.Tabular(3, 6), theta, loss, p, START) for p in (pairs, back))
    torch.testing.assert_close(one.logit.flip(1), other.logit, rtol=1e-9, atol=1e-9)


# --- Measures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_norms_and_cosines_neither_overflow_nor_underflow(size):
    terms = size * torch.tensor([[[3.0, 4.0, 0.0], [-3.0, 4.0, 0.0]]], dtype=torch.float64)
    for scale in (None, torch.full((1, 2, 1), 2 * size, dtype=torch.float64)):
        log_norm, cosine = norms_and_cosine(terms, scale)
        expected = torch.full((1, 2), math.log(5) + math.log(size), dtype=torch.float64)
        torch.testing.assert_close(log_norm, expected, rtol=1e-14, atol=1e-14)
        assert float(cosine[0]) == pytest.approx(7 / 25, rel=1e-14)


def test_a_zero_gradient_has_norm_minus_infinity_no_cosine_and_a_zero_product():
    log_norm, cosine = norms_and_cosine(torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64))
    assert log_norm.tolist() == [[-math.inf, pytest.approx(math.log(5))]] and cosine.isnan().all()
    world = worlds.problem()
    found = decompose(lab.Tabular(3, 6), worlds.state("tabular", world), lab.SFT(), world.preferences, START)
    for space in SPACES:
        sign, log_size = found.inner(space)
        assert (sign == 0).all() and log_size.isneginf().all()


@pytest.mark.parametrize("scale", [1.0, 60.0], ids=["spread out", "nearly certain"])
def test_many_responses_are_summed_as_few_are(scale, monkeypatch):
    """From the left and from the right, or by a matrix: exact in the smallest entries of 1e-100 and less."""
    log_prob = (scale * draw(2, 1, 3, 9)).log_softmax(-1)
    table = draw(2, 2, 3, 9, seed=4) * torch.logspace(0, -80, 9, dtype=torch.float64)
    few = gradients.logit_gradient(log_prob, table)
    monkeypatch.setattr(gradients, "MANY", 0)
    torch.testing.assert_close(gradients.logit_gradient(log_prob, table), few, rtol=1e-13, atol=0)
    for response in range(9):  # an entry at a time, as it is defined
        others = [y for y in range(9) if y != response]
        prob, mine = log_prob.exp(), table[..., response]
        expected = mine * prob[..., others].sum(-1) - prob[..., response] * table[..., others].sum(-1)
        torch.testing.assert_close(few[..., response], expected, rtol=1e-12, atol=0)


def test_a_change_of_logits_moves_log_probabilities_by_the_softmaxs_derivative():
    scores, change = draw(2, 3, 6), draw(2, 3, 6, seed=1)
    _, expected = torch.autograd.functional.jvp(lambda z: z.log_softmax(-1), scores, change)
    torch.testing.assert_close(log_prob_change(scores.log_softmax(-1), change), expected, rtol=1e-12, atol=1e-14)


def test_an_unknown_space_is_refused():
    world = worlds.problem()
    found = decompose(lab.Tabular(3, 6), worlds.state("tabular", world), lab.SFT(), world.preferences, START)
    for ask in (found.log_norm, found.cosine, found.inner):
        with pytest.raises(
            ValueError, match=r"space is 'logits'; allowed are log_probability, probability, logit, par"
        ):
            ask("logits")


# --- Exact gradients in 300 digits ---------------------------------------------------------------------------------


def exact_logits(machine, theta: list, run: int) -> list[list]:
    """The scores [prompt][response] of one run from mpmath parameters."""
    match machine:
        case lab.Tabular():
            return [theta[x * machine.responses : (x + 1) * machine.responses] for x in range(machine.prompts)]
        case lab.LogLinear():
            offset, phi = machine.offset[run].tolist(), machine.features[run].tolist()
            return [
                [o + mp.fdot(row, theta) for o, row in zip(*prompt, strict=True)]
                for prompt in zip(offset, phi, strict=True)
            ]
    function = {"relu": lambda h: max(h, mpf(0)), "tanh": mp.tanh}[machine.activation]
    signals, first = [[mpf(x == y) for y in range(machine.prompts)] for x in range(machine.prompts)], 0
    for depth, outputs in enumerate((machine.width, machine.width, machine.responses)):
        inputs = len(signals[0])
        columns = [theta[first + k : first + inputs * outputs : outputs] for k in range(outputs)]
        bias = theta[first + inputs * outputs : first + (inputs + 1) * outputs]
        signals = [[mp.fdot(s, c) + b for c, b in zip(columns, bias, strict=True)] for s in signals]
        signals = [[function(h) for h in s] if depth < 2 else s for s in signals]
        first += (inputs + 1) * outputs
    return signals


def exact_loss(objective, run: int, u, v, chosen):
    """The loss of one pair from log-ratios u and v and log pi(chosen)."""

    def beta(name: str = "beta"):
        return mpf(float(plain.one(getattr(objective, name), run)))

    match objective:
        case lab.DPO():
            return mp.log1p(mp.exp(-beta() * (u - v)))
        case lab.FlexDPO():
            return mp.log1p(mp.exp(beta("beta_rejected") * v - beta("beta_chosen") * u))
        case lab.IPO():
            return (u - v - 1 / (2 * beta())) ** 2
        case lab.SLiC():
            return max(mpf(0), 1 - beta() * (u - v))
        case lab.SFT():
            return -chosen
    weights = [mpf(float(plain.one(weight, run))) for weight in objective.weights]
    return mp.fsum(w * exact_loss(o, run, u, v, chosen) for w, o in zip(weights, objective.objectives, strict=True))


def slope(function, *at):
    """The derivative at 0 to 100 digits: a central difference, its step far below the working precision's root."""
    step = mpf(10) ** -90
    return (function(step, *at) - function(-step, *at)) / (2 * step)


class ExactState:
    """One run's tables and d logits / d parameters in 300 digits."""

    def __init__(self, machine, theta: torch.Tensor, run: int) -> None:
        values, step = [mpf(value) for value in theta.tolist()], mpf(10) ** -90
        scores = exact_logits(machine, values, run)
        self.log_prob = [[z - mp.log(mp.fsum(mp.exp(w) for w in row)) for z in row] for row in scores]
        self.prob = [[mp.exp(log) for log in row] for row in self.log_prob]
        self.jacobian = []  # one row a parameter
        for index, value in enumerate(values):
            up, down = (
                exact_logits(machine, [*values[:index], value + change, *values[index + 1 :]], run)
                for change in (step, -step)
            )
            pairs = zip(sum(up, []), sum(down, []), strict=True)
            self.jacobian.append([(above - below) / (2 * step) for above, below in pairs])


def exact_terms(state: ExactState, objective, preferences, start, run) -> dict[str, list[list]]:
    """The flat gradients of the chosen and of the rejected term of one run in every space."""
    table, start = state.log_prob, start.tolist()
    by_log_prob = [[[mpf(0) for _ in row] for row in table] for _ in range(2)]
    columns = (preferences.prompt, preferences.chosen, preferences.rejected, preferences.weight)
    for x, c, r, weight in zip(*(column.tolist() for column in columns), strict=True):
        u, v = table[x][c] - start[x][c], table[x][r] - start[x][r]
        by_chosen = slope(lambda d, *at: exact_loss(objective, run, at[0] + d, at[1], at[2] + d), u, v, table[x][c])
        by_rejected = slope(lambda d, *at: exact_loss(objective, run, at[0], at[1] + d, at[2]), u, v, table[x][c])
        by_log_prob[0][x][c] += mpf(weight) * by_chosen
        by_log_prob[1][x][r] += mpf(weight) * by_rejected
    terms: dict[str, list[list]] = {space: [[], []] for space in SPACES}
    for term, rows in enumerate(by_log_prob):
        for row, prob in zip(rows, state.prob, strict=True):
            total = mp.fsum(row)
            terms["log_probability"][term] += row
            terms["probability"][term] += [a / p for a, p in zip(row, prob, strict=True)]
            terms["logit"][term] += [a - p * total for a, p in zip(row, prob, strict=True)]
    terms["parameter"] = [[mp.fdot(column, logit) for column in state.jacobian] for logit in terms["logit"]]
    return terms


def hold_against_exact(found: Decomposition, run: int, exact: dict[str, list[list]]) -> None:
    """Every log norm, cosine, inner product and magnitude to 1e-10 relative."""
    for space, (chosen, rejected) in exact.items():
        squares = [mp.fdot(term, term) for term in (chosen, rejected)]
        for term, square in enumerate(squares):
            log_norm = float(found.log_norm(space)[run, term])
            if square == 0:
                assert log_norm == -math.inf
            else:
                assert abs(log_norm - float(mp.log(square) / 2)) < 1e-10, (space, term)
        if 0 in squares:
            assert math.isnan(found.cosine(space)[run])
            continue
        product, size = mp.fdot(chosen, rejected), mp.sqrt(squares[0] * squares[1])
        assert abs(float(found.cosine(space)[run]) - float(product / size)) < 1e-10, space
        sign, log_size = (float(value[run]) for value in found.inner(space))
        if abs(product) > 1e-4 * size:  # else the product cancels and only its absolute error is small
            assert sign == mp.sign(product) and abs(log_size - float(mp.log(abs(product)))) < 1e-9
    magnitudes = found.probability_log_magnitude[run].flatten(1).tolist()
    for term in range(2):
        for actual, value in zip(magnitudes[term], exact["probability"][term], strict=True):
            assert actual == -math.inf if value == 0 else abs(actual - float(mp.log(abs(value)))) < 1e-10


@cache
def extreme_state(name: str) -> tuple[torch.Tensor, list[ExactState]]:
    """Parameters whose smallest log-probability is about -200 nats in every run, and the same in 300 digits."""
    world = worlds.problem()
    machine, theta = worlds.policy(name, world), worlds.state(name, world)
    last = (machine.width + 1) * machine.responses if name.startswith("mlp") else machine.parameter_count
    for _ in range(60):
        for run in range(world.runs):
            theta[run, -last:] *= -200 / float(plain.log_probs(machine, theta[run], run).min())
    with mp.workdps(300):
        return theta, [ExactState(machine, theta[run], run) for run in range(world.runs)]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_space_is_right_to_ten_digits_at_extreme_states(policy, objective):
    """log pi of -200 nats, and (through the reference) log-ratio margins of +-416, so margins of up to +-500."""
    world, loss = worlds.problem(), OBJECTIVES[objective]
    machine, pairs = worlds.policy(policy, world), world.preferences
    theta, states = extreme_state(policy)
    table = torch.stack([plain.log_probs(machine, theta[run], run) for run in range(world.runs)])
    assert ((table.amin((1, 2)) + 200).abs() < 2).all()
    for margin in (None, 416.0, -416.0):
        start = world.target_log_prob if margin is None else table.clone()
        if margin is not None:
            for x, c, r in zip(pairs.prompt.tolist(), pairs.chosen.tolist(), pairs.rejected.tolist(), strict=True):
                start[:, x, r] = start[:, x, c] - table[:, x, c] + table[:, x, r] + margin
        found = decompose(machine, theta, loss, pairs, start)
        with mp.workdps(300):
            for run, state in enumerate(states):
                hold_against_exact(found, run, exact_terms(state, loss, pairs, start[run], run))
