"""Exercise 5.2: Four ways to suffer."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.scenarios.goals import MEASURE
from lab.course.exercise import Exercise, Wrong


def suffering(prob, chosen, rejected):
    """Measure four ways in which a policy may have suffered, for every seed: an array [4, seed].

    prob is pi(y|x), [seed, step, prompt, response]; chosen and rejected hold the responses of
    each prompt's one pair, [prompt]. All four are averaged over prompts first. In this order:
    the chosen mass at the last step; the chosen mass gained since the first step; the chosen
    mass lost from its highest point over the steps to the last; the unseen mass gained since
    the first step.
    """
    prompts = np.arange(prob.shape[2])
    up, down = prob[:, :, prompts, chosen].mean(-1), prob[:, :, prompts, rejected].mean(-1)
    unseen = 1 - up - down
    return np.stack([up[:, -1], up[:, -1] - up[:, 0], up.max(1) - up[:, -1], unseen[:, -1] - unseen[:, 0]])


def _peak_of_each_prompt(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    up = prob[:, :, np.arange(prob.shape[2]), chosen]
    found[2] = (up.max(1) - up[:, -1]).mean(-1)
    return found


def _lost_since_start(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    found[2] = -found[1]
    return found


def _all_but_chosen(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    found[3] = -found[1]
    return found


def _unseen_from_minimum(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    prompts = np.arange(prob.shape[2])
    unseen = 1 - (prob[:, :, prompts, chosen] + prob[:, :, prompts, rejected]).mean(-1)
    found[3] = unseen[:, -1] - unseen.min(1)
    return found


def _every_chosen_of_every_prompt(prob, chosen, rejected):
    up, down = (prob[:, :, :, each].mean((2, 3)) for each in (chosen, rejected))
    unseen = 1 - up - down
    return np.stack([up[:, -1], up[:, -1] - up[:, 0], up.max(1) - up[:, -1], unseen[:, -1] - unseen[:, 0]])


def _loss_below_zero(prob, chosen, rejected):
    return suffering(prob, chosen, rejected) * np.array([1, 1, -1, 1])[:, None]


def _seeds_first(prob, chosen, rejected):
    return suffering(prob, chosen, rejected).T


def _over_seeds_too(prob, chosen, rejected):
    return suffering(prob, chosen, rejected).mean(1)


def _prob_cases(rng: np.random.Generator) -> list[tuple]:
    def one(seeds: int, steps: int, prompts: int, responses: int) -> tuple:
        prob = rng.dirichlet(np.full(responses, 0.7), (seeds, steps, prompts))
        pairs = np.array([rng.choice(responses, 2, replace=False) for _ in range(prompts)])
        return prob, pairs[:, 0], pairs[:, 1]

    return [one(3, 6, 4, 10), one(5, 9, 2, 5), one(1, 2, 1, 3)]


EXERCISE = Exercise(
    id="5.2",
    title="Four ways to suffer",
    minutes=12,
    difficulty=2,
    points=3,
    goal=MEASURE,
    solution=suffering,
    cases=_prob_cases,
    wrong=(
        Wrong(
            _peak_of_each_prompt,
            "each prompt peaks at a step of its own; the task averages over prompts before it looks for the peak.",
        ),
        Wrong(_lost_since_start, "what is lost counts from the highest point over the steps, not from the start."),
        Wrong(_all_but_chosen, "unseen is what neither response of the pair has: the rejected one is not unseen."),
        Wrong(
            _unseen_from_minimum,
            "the last row is the unseen mass gained since the first step, not since its minimum.",
        ),
        Wrong(_over_seeds_too, "keep the seeds: without one number a seed there is no interval later."),
        Wrong(
            _every_chosen_of_every_prompt,
            "prob[:, :, :, chosen] takes every prompt's chosen response in every prompt. Index prompt and response "
            "together.",
        ),
        Wrong(_loss_below_zero, "what is lost is the peak less the end, above 0."),
        Wrong(_seeds_first, "your array is [seed, 4]; asked for is [4, seed]."),
    ),
    hints=(
        "prob[:, :, prompts, chosen] with prompts = np.arange(...) picks one response of each prompt.",
        "First make three curves [seed, step]: chosen, rejected, and unseen = 1 - chosen - rejected.",
        "np.stack of last, last - first, curve.max(1) - last, and unseen last - first.",
    ),
)
