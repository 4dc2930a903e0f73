"""From the words of a line to the problem: fixed pairs, own ones, and the open world of drawn comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lab.comparisons import Online, bradley_terry, noisy_judge, population, sampled
from lab.experiments.experiment import Experiment
from lab.experiments.tables import read_pairs, read_start
from lab.policies.log_linear import draw_features
from lab.preferences import Preferences
from lab.problems import Problem, scenario_problem
from lab.randomness import SUPPORT, WORLD, per_seed
from lab.rewards import linear_rewards, normal_rewards

PerRun = Callable[[str], list[Any]]
Hyper = Callable[[str], float | Tensor]


def build_problem(experiment: Experiment, per_run: PerRun, hyper: Hyper) -> Problem:
    """Build the problem that an experiment without looped axes names.

    Args:
        experiment: the experiment.
        per_run: gives one value of a key for each run.
        hyper: gives the value of a key, a number or one a run.

    Returns:
        The problem of all runs.
    """
    if experiment.scenario == ("open",):
        return _open(experiment, per_run, hyper)
    sizes = _sizes(experiment)
    if experiment.scenario == ("own",):
        pairs = Preferences(*zip(*read_pairs(experiment.value("compare")), strict=True))
        seeds = tuple(int(seed) for seed in per_run("seed"))
        problem = Problem(pairs, _own_reference(experiment, per_run, seeds), seeds)
    else:
        pairs = Preferences.grid(*sizes, experiment.value("pairs"), roles=experiment.value("roles"))
        problem = scenario_problem(
            pairs,
            *sizes,
            scenario=per_run("scenario"),
            on=per_run("on"),
            off=per_run("off"),
            seeds=per_run("seed"),
            spread=experiment.value("spread"),
        )
    lengths = _said_lengths(experiment)
    if lengths != (1, 1):
        problem = replace(problem, lengths=_lengths(pairs, sizes, lengths))
    if experiment.value("truth") == "normal":
        problem = replace(problem, reward=normal_rewards(*sizes, seeds=problem.seeds, agreeing=pairs))
    return problem


def _open(experiment: Experiment, per_run: PerRun, hyper: Hyper) -> Problem:
    sizes, seeds = _sizes(experiment), tuple(int(seed) for seed in per_run("seed"))
    reference = _drawn_reference(experiment, per_run, seeds)
    if experiment.value("truth") == "linear":
        reward = linear_rewards(draw_features(*sizes, experiment.value("features"), seeds=seeds), seeds=seeds)
    else:
        reward = normal_rewards(*sizes, seeds=seeds)
    wins = bradley_terry(reward)
    if experiment.value("judge") == "noisy":
        wins = noisy_judge(reward, hyper("agreement"))
    share = torch.ones(sizes[0], dtype=torch.float64)
    share[sizes[0] - experiment.value("held") :] = 0
    sampler = _sampler(experiment, hyper, reference, reward, seeds)
    if experiment.value("data") == "population":
        pairs = population(sampler, wins, prompt_weight=share)
    else:
        pairs = sampled(
            sampler,
            wins,
            seeds=seeds,
            comparisons=experiment.value("comparisons"),
            repeats=experiment.value("repeats"),
            prompt_weight=share,
        )
    online = None
    if experiment.value("sampler") == "policy":
        drawn_each_time = 0 if experiment.value("data") == "population" else experiment.value("comparisons")
        online = Online(wins, experiment.value("refresh"), drawn_each_time, experiment.value("repeats"), share)
    return Problem(pairs, reference, seeds, reward=reward, online=online)


def _own_reference(experiment: Experiment, per_run: PerRun, seeds: tuple[int, ...]) -> Tensor:
    """Return log pi_ref as the line gives it, the same in every run, or drawn, [run, prompt, response]."""
    if not experiment.start:
        return _drawn_reference(experiment, per_run, seeds)
    log_prob = torch.tensor(read_start(experiment.value("start")), dtype=torch.float64).log()
    return (log_prob - log_prob.logsumexp(-1, keepdim=True)).repeat(len(seeds), 1, 1)


def _drawn_reference(experiment: Experiment, per_run: PerRun, seeds: tuple[int, ...]) -> Tensor:
    """Return the log-softmax of normal logits times the sharpness, [run, prompt, response]."""
    sizes = _sizes(experiment)
    drawn = per_seed(seeds, WORLD, lambda g: torch.randn(*sizes, generator=g, dtype=torch.float64))
    sharpness = torch.tensor(per_run("sharpness"), dtype=torch.float64).view(-1, 1, 1)
    return (sharpness * drawn).log_softmax(-1)


def _sampler(experiment: Experiment, hyper: Hyper, reference: Tensor, reward: Tensor, seeds: tuple[int, ...]) -> Tensor:
    """Return log s, the distribution that compared responses are drawn from, [run, prompt, response]."""
    match experiment.value("sampler"):
        case "reference" | "policy":  # the policy begins as the reference
            sampler = reference
        case "even":
            sampler = torch.zeros_like(reference)
        case "tilted":
            tilt = torch.as_tensor(hyper("tilt"), dtype=torch.float64).reshape(-1, 1, 1)
            sampler = reference + tilt * reward
        case other:
            raise ValueError(f"no sampler is built for the word {other!r}; add it to lab.experiments.worlds")
    covered = experiment.value("coverage")
    if covered:
        order = per_seed(seeds, SUPPORT, lambda g: torch.rand(*reference.shape[1:], generator=g, dtype=torch.float64))
        sampler = sampler.masked_fill(order.argsort(-1).argsort(-1) >= covered, -torch.inf)
    return sampler.log_softmax(-1)


def _sizes(experiment: Experiment) -> tuple[int, int]:
    return experiment.value("prompts"), experiment.value("responses")


def _said_lengths(experiment: Experiment) -> tuple[int, int]:
    """Return the tokens of chosen and of rejected responses as some stage says them; those that do, agree."""
    told = {(stage.value("chosen_length"), stage.value("rejected_length")) for stage, _ in experiment.stages()}
    return max(told)  # a stage that does not count tokens has 1 and 1


def _lengths(pairs: Preferences, sizes: tuple[int, int], lengths: tuple[int, int]) -> Tensor:
    """Return the tokens of every response, [prompt, response]: chosen, rejected, and 1 for the others."""
    table = torch.ones(sizes[0] * sizes[1], dtype=torch.float64)
    for places, length in zip(pairs.flat(sizes[1]).tensor_split(2), lengths, strict=True):
        table[places] = float(length)
    return table.view(sizes)
