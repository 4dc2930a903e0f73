"""Preference data: judges, infinitely many comparisons as weights, and finitely many drawn ones."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch

import lab
from lab.comparisons import Online, bradley_terry, noisy_judge, population, sampled
from lab.experiments.losses import CATALOGUE, build_objective
from lab.experiments.vocabulary import COUPLED
from lab.gradients import logit_gradient
from lab.objectives import BradleyTerry
from lab.objectives.view import PairView
from lab.optima import optimum
from tests.worlds import draw

RUNS, PROMPTS, RESPONSES = 3, 2, 4
SEEDS = (5, 6, 7)


def world() -> tuple[torch.Tensor, torch.Tensor]:
    return draw(RUNS, PROMPTS, RESPONSES).log_softmax(-1), draw(RUNS, PROMPTS, RESPONSES, seed=1)


def test_bradley_terry_is_the_logistic_function_of_the_difference_even_far_out() -> None:
    reward = torch.tensor([[[0.0, 3.0, 400.0]]], dtype=torch.float64)
    wins = bradley_terry(reward)[0, 0]
    assert float(wins[1, 0]) == pytest.approx(1 / (1 + math.exp(-3)), rel=1e-14)
    assert float(wins[0, 2]) == pytest.approx(math.exp(-400), rel=1e-12) and float(wins[0, 0]) == 0.5


def test_a_judge_agrees_as_often_as_asked_and_halves_ties() -> None:
    reward = torch.tensor([[[1.0, 2.0, 2.0]]], dtype=torch.float64)
    expected = torch.tensor([[0.5, 0.1, 0.1], [0.9, 0.5, 0.5], [0.9, 0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(noisy_judge(reward, 0.9)[0, 0], expected)
    rates = noisy_judge(reward.expand(2, -1, -1), torch.tensor([0.6, 1.0], dtype=torch.float64))
    assert rates[:, 0, 1, 0].tolist() == pytest.approx([0.6, 1.0])


def test_population_weights_are_those_of_two_draws_and_a_label() -> None:
    """Summed by hand over every couple of draws, given that the two differ."""
    sampler, reward = world()
    pairs, wins = population(sampler, bradley_terry(reward)), bradley_terry(reward)
    found = {
        (x, c, r): pairs.weight[:, k]
        for k, (x, c, r) in enumerate(
            zip(*(v.tolist() for v in (pairs.prompt, pairs.chosen, pairs.rejected)), strict=True)
        )
    }
    assert len(found) == len(pairs) == PROMPTS * RESPONSES * (RESPONSES - 1)
    prob = sampler.exp()
    for run, prompt in itertools.product(range(RUNS), range(PROMPTS)):
        apart = 1 - float((prob[run, prompt] ** 2).sum())
        for i, j in itertools.permutations(range(RESPONSES), 2):
            both = 2 * prob[run, prompt, i] * prob[run, prompt, j] / apart
            expected = both * wins[run, prompt, i, j] / PROMPTS
            assert float(found[prompt, i, j][run]) == pytest.approx(float(expected), rel=1e-12)


def test_drawn_data_average_to_the_population_within_their_error() -> None:
    """40 comparisons for each of 3000 seeds: every pair's mean weight within five standard errors."""
    sampler, reward = (each[:1].expand(3000, -1, -1) for each in world())
    wins = bradley_terry(reward)
    drawn = sampled(sampler, wins, seeds=tuple(range(3000)), comparisons=40, repeats=2).weight
    exact = population(sampler[:1], wins[:1]).weight[0]
    error = drawn.std(0) / math.sqrt(3000)
    assert bool(((drawn.mean(0) - exact).abs() <= 5 * error).all())


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """Weights of the pairs of 2000 samples of 25 comparisons a prompt, all of one world, [sample, pair]."""
    sampler, reward = (each[:1].expand(2000, -1, -1) for each in world())
    return sampled(sampler, bradley_terry(reward), seeds=tuple(range(2000)), comparisons=25).weight


def built(word: str):
    if word == "rm":
        return BradleyTerry(margin=0.2, center=0.1)
    line = lab.Experiment.parse(f"tabular s1 {word} sgd lr=1 steps=1")
    return build_objective(line, line.value)


@pytest.mark.parametrize("word", [*(word for word in CATALOGUE if word not in COUPLED), "rm"])
def test_the_loss_of_drawn_data_lies_within_its_error_of_the_exact_one(word, drawn) -> None:
    """Of every objective that the pairs of an open scenario can train, and its gradient in the policy's logits."""
    sampler, reward = (each[:1] for each in world())
    policy_log_prob = draw(1, PROMPTS, RESPONSES, seed=9).log_softmax(-1)
    exact = population(sampler, bradley_terry(reward))
    flat, objective = exact.flat(RESPONSES), built(word)
    view = PairView.of(lab.Problem(exact, sampler, SEEDS[:1]), objective.needs, sampler.flatten(1))
    pairs = view(policy_log_prob.flatten(1))
    values = [(weight * objective.loss(pairs)).sum(-1, keepdim=True) for weight in (drawn, exact.weight)]
    push = torch.cat(objective.response_weights(pairs), -1)
    slopes = [
        torch.zeros(len(weight), PROMPTS * RESPONSES, dtype=torch.float64)
        .index_add_(1, flat, torch.cat((weight, weight), -1) * push)
        .view(-1, PROMPTS, RESPONSES)
        for weight in (drawn, exact.weight)
    ]
    slopes = [logit_gradient(policy_log_prob, each).flatten(1) for each in slopes]
    for sample, whole in (values, slopes):
        error = sample.std(0) / math.sqrt(len(sample))
        assert bool(((sample.mean(0) - whole[0]).abs() <= 5 * error + 1e-14).all())
        assert float(error.max()) > 0 and float((sample[0] - whole[0]).abs().max()) > 1e-3  # one sample is not exact


def test_fewer_comparisons_are_the_first_of_more_and_a_seed_has_its_own() -> None:
    sampler, reward = world()
    wins = bradley_terry(reward)
    few, more = (sampled(sampler, wins, seeds=SEEDS, comparisons=n).weight * n * PROMPTS for n in (20, 21))
    assert bool((more - few > -1e-9).all()) and float((more - few).sum()) == pytest.approx(RUNS * PROMPTS)
    alone = sampled(sampler[1:2], wins[1:2], seeds=(6,), comparisons=20).weight * 20 * PROMPTS
    torch.testing.assert_close(few[1:2], alone)


def test_a_response_that_the_sampler_never_draws_is_in_no_pair() -> None:
    sampler = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]], dtype=torch.float64).log()
    wins = bradley_terry(torch.zeros(1, 1, 4, dtype=torch.float64))
    for pairs in (population(sampler, wins), sampled(sampler, wins, seeds=(0,), comparisons=500)):
        named = (pairs.chosen < 2) & (pairs.rejected < 2)
        assert float(pairs.weight[0, ~named].sum()) == 0 and float(pairs.weight[0].sum()) == pytest.approx(1)


def test_prompts_may_be_left_out() -> None:
    sampler, reward = world()
    pairs = population(sampler, bradley_terry(reward), prompt_weight=torch.tensor([0.0, 2.0]))
    assert float(pairs.weight[:, pairs.prompt == 0].sum()) == 0


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_dpo_on_the_whole_population_finds_the_optimum_of_the_reward(beta) -> None:
    """In a table, from Bradley-Terry labels of every couple: KL(pi* || pi) below 1e-6, whatever the sampler was."""
    reference, reward = world()
    for sampler in (reference, draw(RUNS, PROMPTS, RESPONSES, seed=4).log_softmax(-1)):
        problem = lab.Problem(population(sampler, bradley_terry(reward)), reference, SEEDS)
        ds = lab.train(
            problem, lab.Tabular(PROMPTS, RESPONSES), lab.DPO(beta), lab.Adam(0.03), steps=2500,
            record=lab.Record(every=2500, keep=()),
        )  # fmt: skip
        best = optimum(reference, reward, torch.tensor([beta], dtype=torch.float64)).log_prob[:, 0]
        found = torch.from_numpy(ds["log_prob"].values[:, -1])
        assert float((best.exp() * (best - found)).sum(-1).max()) < 1e-6


def test_online_data_are_those_of_the_policy_as_it_stands() -> None:
    """One exact online step is a step on the population of the start; fewer refreshes keep older data."""
    reference, reward = world()
    wins = bradley_terry(reward)
    pairs = population(torch.zeros_like(reference), wins)  # what the record speaks of; not what is trained on
    table, dpo, rate = lab.Tabular(PROMPTS, RESPONSES), lab.DPO(0.5), lab.SGD(2.0)

    def train(problem: lab.Problem, steps: int, start: torch.Tensor | None = None) -> torch.Tensor:
        ds = lab.train(problem, table, dpo, rate, steps=steps, start=start, record=lab.Record(keep=()))
        return torch.from_numpy(ds["log_prob"].values)

    online = train(lab.Problem(pairs, reference, SEEDS, online=Online(wins)), 3)
    rounds = train(lab.Problem(pairs, reference, SEEDS, online=Online(wins, refresh=2)), 3)
    first = train(lab.Problem(population(reference, wins), reference, SEEDS), 2)
    torch.testing.assert_close(online[:, 1], first[:, 1])
    torch.testing.assert_close(rounds[:, 2], first[:, 2])
    assert float((online[:, 2] - first[:, 2]).abs().max()) > 1e-4


def test_drawn_online_data_average_to_the_exact_ones_and_depend_on_the_seed_alone() -> None:
    reference, reward = (each[:1].expand(3000, -1, -1) for each in world())
    wins = bradley_terry(reward)
    uniform = torch.rand(3000, PROMPTS, 2, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = Online(wins, comparisons=20).draw(reference, uniform)
    exact = Online(wins[:1]).draw(reference[:1], None)[0]
    torch.testing.assert_close(exact, population(reference[:1], wins[:1]).weight[0])
    assert bool(((drawn.mean(0) - exact).abs() <= 5 * drawn.std(0) / math.sqrt(3000)).all())
    few, three = world()
    law = Online(bradley_terry(three), comparisons=5)
    pairs, table = population(few, law.wins), lab.Tabular(PROMPTS, RESPONSES)
    settings = {"steps": 4, "record": lab.Record(keep=())}
    together = lab.train(lab.Problem(pairs, few, SEEDS, online=law), table, lab.DPO(0.5), lab.SGD(2.0), **settings)
    rows = slice(1, 2)
    alone = lab.train(
        lab.Problem(pairs.of_runs(rows), few[rows], (6,), online=law.of_runs(rows)), table, lab.DPO(0.5), lab.SGD(2.0),
        **settings,
    )  # fmt: skip
    torch.testing.assert_close(
        torch.from_numpy(together["log_prob"].values[1]), torch.from_numpy(alone["log_prob"].values[0])
    )


def test_runs_with_data_of_their_own_are_their_single_runs() -> None:
    sampler, reward = world()
    pairs = sampled(sampler, bradley_terry(reward), seeds=SEEDS, comparisons=30)
    policy, dpo, rate = lab.Tabular(PROMPTS, RESPONSES), lab.DPO(0.5), lab.SGD(1.0)
    together = lab.train(lab.Problem(pairs, sampler, SEEDS), policy, dpo, rate, steps=20, batch=5)
    assert together["pair_weight"].dims == ("seed", "pair")
    for run, seed in enumerate(SEEDS):
        rows = slice(run, run + 1)
        alone = lab.Problem(pairs.of_runs(rows), sampler[rows], (seed,))
        single = lab.train(alone, policy, dpo, rate, steps=20, batch=5)
        for name in ("log_prob", "loss", "pair_weight"):
            torch.testing.assert_close(
                torch.from_numpy(together[name].values[run]),
                torch.from_numpy(single[name].values[0]),
                rtol=1e-13,
                atol=1e-15,
            )
        mine = lab.metrics.total_loss(together).sel(seed=seed).values
        torch.testing.assert_close(torch.from_numpy(mine), torch.from_numpy(lab.metrics.total_loss(single).values[0]))


def test_records_of_other_data_join_along_a_new_axis() -> None:
    sampler, reward = world()
    records = []
    for wins in (bradley_terry(reward), noisy_judge(reward)):
        problem = lab.Problem(population(sampler, wins), sampler, SEEDS)
        records.append(
            lab.train(problem, lab.Tabular(PROMPTS, RESPONSES), lab.DPO(0.5), lab.SGD(1.0), steps=3,
                      attrs={"experiment": "a line", "lab_version": "0"})
        )  # fmt: skip
    joined = lab.trajectory.combine(records, "judge", ["noisy", "sure"])
    assert joined["pair_weight"].dims == ("judge", "seed", "pair")
    for name, record in zip(["noisy", "sure"], records, strict=True):
        there = lab.metrics.total_loss(joined).sel(judge=name)
        torch.testing.assert_close(
            torch.from_numpy(there.values), torch.from_numpy(lab.metrics.total_loss(record).values)
        )


def test_unseen_responses_are_those_that_a_run_s_own_data_never_name() -> None:
    sampler = torch.tensor([[[0.5, 0.5, 0.0, 0.0]], [[0.0, 0.3, 0.3, 0.4]]], dtype=torch.float64).log()
    reference = draw(2, 1, 4).log_softmax(-1)
    problem = lab.Problem(population(sampler, bradley_terry(draw(2, 1, 4))), reference, (0, 1))
    ds = lab.train(problem, lab.Tabular(1, 4), lab.DPO(0.5), lab.SGD(1.0), steps=2)
    mask = lab.metrics.unseen_mask(ds)
    assert mask.dims == ("seed", "prompt", "response")
    assert mask.values[:, 0].tolist() == [[False, False, True, True], [True, False, False, False]]
    prob = ds["log_prob"].values[:, :, 0]
    expected = [torch.from_numpy(prob[0, :, 2:]).exp().sum(-1), torch.from_numpy(prob[1, :, :1]).exp().sum(-1)]
    found = torch.from_numpy(lab.metrics.unseen_mass(ds).values[..., 0])
    torch.testing.assert_close(found, torch.stack(expected))
    with pytest.raises(ValueError, match="runs of this record have data of their own, so that each has other unseen"):
        lab.metrics.gainers(ds)


def test_weights_of_other_runs_are_refused() -> None:
    sampler, reward = world()
    pairs = population(sampler, bradley_terry(reward)).of_runs(slice(0, 2))
    with pytest.raises(ValueError, match="pair weights are those of 2 runs and there are 3; give one row a run"):
        lab.Problem(pairs, sampler, SEEDS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, w: population(s, w[:, :1]), "wins has shape (3, 1, 4, 4); it must be [run, prompt, i, j], here (3"),
        (lambda s, w: population(s, w * 0.9), "wins holds P(i over j) and P(j over i) that do not sum to 1"),
        (lambda s, w: population(torch.full_like(s, -torch.inf), w), "a sampler has all its mass on one response"),
        (lambda s, w: population(s, w, prompt_weight=torch.zeros(2)), "prompt_weight is [0.0, 0.0]; give 2 numbers"),
        (lambda s, w: sampled(s, w, seeds=SEEDS, comparisons=0), "comparisons is 0; allowed are 1 or more"),
        (lambda s, w: sampled(s, w, seeds=(1,), comparisons=3), "1 seeds for 3 runs; give one seed a run"),
        (lambda s, w: Online(w, refresh=0), "refresh is 0; allowed are 1 or more"),
        (lambda s, w: population(s, w * math.nan), "wins holds P(i over j) and P(j over i) that do not sum to 1"),
        (lambda s, w: population(s, w * 3 - 1), "wins holds P(i over j) and P(j over i) that do not sum to 1"),
        (lambda s, w: Online(w * math.nan), "wins holds P(i over j) and P(j over i) that do not sum to 1"),
        (lambda s, w: noisy_judge(world()[1], 1.2), "agreement is 1.2; allowed are numbers from 0.5 to 1: a judge"),
        (lambda s, w: noisy_judge(world()[1], 0.4), "agreement is 0.4; allowed are numbers from 0.5 to 1: a judge"),
        (lambda s, w: noisy_judge(world()[1], math.nan), "agreement is nan; allowed are numbers from 0.5 to 1"),
        (lambda s, w: noisy_judge(spoilt(math.nan)), "reward holds NaN or infinity; a judge needs finite rewards"),
        (lambda s, w: bradley_terry(spoilt(math.nan)), "reward holds NaN or infinity; a judge needs finite rewards"),
        (lambda s, w: bradley_terry(spoilt(math.inf)), "reward holds NaN or infinity; a judge needs finite rewards"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_its_cure(call, message) -> None:
    sampler, reward = world()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(sampler, bradley_terry(reward))


def spoilt(value: float) -> torch.Tensor:
    """Rewards with one such number among them."""
    reward = world()[1].clone()
    reward[0, 0, 0] = value
    return reward
