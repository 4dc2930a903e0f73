"""The chain rule in four spaces, against autograd of a second implementation, differences, and 300 digits."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from mpmath import mp, mpf

import lab
from lab.gradients import SPACES, Decomposition, decompose
from tests import plain, worlds
from tests.worlds import OBJECTIVES, POLICIES


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
