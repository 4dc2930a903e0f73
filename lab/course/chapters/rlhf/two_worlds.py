"""Exercise 7.5: a world for each of two methods."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lab.course.chapters.rlhf.goals import LEARNED
from lab.course.exercise import Exercise, Mistake, Wrong
from lab.course.rerunning import rerun

SEEDS = 10
FIXED = "adam lr=0.1 steps=300 prompts=16 truth=normal data=sampled"
METHODS = {"dpo": "tabular open dpo beta=0.1", "ppo": "tabular open ppo beta=0.1 reward_from=model"}
OF_WORLD = ("comparisons", "repeats", "judge", "agreement", "sharpness", "coverage")
OF_MODEL = ("model_steps", "model_lr")

NOT_YOURS = "that is not yours to choose. World and model are; what else the two methods do is the same in both worlds."
PPO_IS_NOT_AHEAD = "PPO is to be ahead in your first world, and the interval says the opposite."
DPO_IS_NOT_AHEAD = "DPO is to be ahead in your second world, and the interval says the opposite."
UNDECIDED = "the interval holds 0, so that the seeds do not decide."


def two_worlds():
    """Find a world in which PPO on a learned reward earns more true reward than DPO, and one of less.

    Both methods are trained on the same comparisons, in tables, by the lines

        tabular open dpo beta=0.1 REST WORLD
        tabular open ppo beta=0.1 reward_from=model MODEL REST WORLD

    where REST is "adam lr=0.1 steps=300 prompts=16 truth=normal data=sampled". WORLD holds some of
    comparisons, repeats, judge, agreement, sharpness, coverage, and MODEL some of model_steps,
    model_lr; `python -m lab lines` says what they mean. The check runs 10 seeds. The 95 % interval of
    the difference has to leave 0 out.

    Returns:
        Two pairs of texts: (WORLD, MODEL) where PPO is ahead, then one where DPO is ahead.
    """
    rest = "comparisons=64 sharpness=3 judge=noisy"
    return (f"{rest} agreement=0.7", "model_steps=10"), (f"{rest} agreement=1", "model_steps=10")


def _swapped():
    first, second = two_worlds()
    return second, first


def _ahead_in_both():
    first, _ = two_worlds()
    return first, first


def _trained_long():
    first, second = two_worlds()
    return (first[0], "model_steps=300"), second


def _weaker_ppo():
    first, second = two_worlds()
    return first, (first[0], "model_steps=300 samples=1 epochs=50")


def _judge(cases: list[tuple], outputs: list[Any]) -> None:
    worlds = outputs[0]
    if not isinstance(worlds, tuple | list) or len(worlds) != 2 or not all(map(_is_pair_of_texts, worlds)):
        raise Mistake("asked for are two pairs of texts: (WORLD, MODEL) where PPO is ahead, then the other one.")
    for place, (world, model), opposite in (
        ("first", worlds[0], PPO_IS_NOT_AHEAD),
        ("second", worlds[1], DPO_IS_NOT_AHEAD),
    ):
        for text, allowed in ((world, OF_WORLD), (model, OF_MODEL)):
            for token in text.split():
                if token.partition("=")[0] not in allowed:
                    raise Mistake(f"your {place} world says {token}, and {NOT_YOURS} Allowed are {', '.join(allowed)}.")
        middle, low, high = ahead(" ".join(world.split()), " ".join(model.split()))
        found = f"in your {place} world PPO's true reward less DPO's is {middle:.3f} [{low:.3f}, {high:.3f}]:"
        sign = 1 if place == "first" else -1
        if sign * low < 0 and sign * high < 0:
            raise Mistake(f"{found} {opposite}")
        if low <= 0 <= high:
            raise Mistake(f"{found} {UNDECIDED}")


@lru_cache(maxsize=64)
def ahead(world: str, model: str) -> tuple[float, float, float]:
    """Measure by how much PPO's true reward is above DPO's at the end: median over seeds and its 95 % interval.

    Args:
        world: Words of the world.
        model: Words of the reward model.

    Raises:
        Mistake: The lines cannot be run.
    """
    from lab import metrics
    from lab.intervals import median_interval

    earned = {}
    for name, method in METHODS.items():
        line = f"{method} {model if name == 'ppo' else ''} {FIXED} {world}"
        record = rerun(" ".join(line.split()), seeds=SEEDS)
        earned[name] = metrics.expected_reward(record).isel(step=-1).mean("prompt").transpose("seed", ...).values
    difference = earned["ppo"] - earned["dpo"]
    if difference.ndim > 1:
        raise Mistake("a setting has several values. Give one world at a time.")
    middle, low, high = median_interval(difference, 0)
    return float(middle), float(low), float(high)


def _is_pair_of_texts(pair: Any) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)


EXERCISE = Exercise(
    id="7.5",
    title="A world for each",
    minutes=15,
    difficulty=4,
    points=4,
    goal=LEARNED,
    solution=two_worlds,
    cases=lambda generator: [()],
    wrong=(
        Wrong(_swapped, PPO_IS_NOT_AHEAD),
        Wrong(_ahead_in_both, DPO_IS_NOT_AHEAD),
        Wrong(_trained_long, UNDECIDED),
        Wrong(_weaker_ppo, NOT_YOURS),
    ),
    hints=(
        "DPO and a reward model that is trained to the end learn much the same. So do not train it to the end.",
        "An early stop keeps a reward small. Ask when small rewards help: which labels deserve less trust?",
        "Take many comparisons, a sharp reference (sharpness=3), model_steps=10; then vary the judge's agreement.",
    ),
    judge=_judge,
)
