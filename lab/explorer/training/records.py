"""The records behind the scene, kept in memory, and what is read off them for a line and a choice of seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots
from lab.experiments.experiment import Experiment
from lab.experiments.vocabulary import GRADIENTS

if TYPE_CHECKING:
    import xarray as xr

    from lab.plots import Role, Summary

MEDIAN = "median"
STATES = 60  # as many recorded steps as a cursor can tell apart
MOST_NUMBERS = 4_000_000  # log-probabilities of every step of a table that are kept for a moment


@dataclass(frozen=True, eq=False)
class Reading:
    """One line as the scene shows it.

    Args:
        line: the line.
        experiment: the experiment that it names.
        record: its record, of every seed.
        shown: the seeds that are shown, all or one; still with the dimension `seed`.
        probability: probability over steps, by role.
        change: change of log-probability since the start over steps, by role, in nats.
    """

    line: str
    experiment: Experiment
    record: xr.Dataset
    shown: xr.Dataset
    probability: dict[Role, Summary]
    change: dict[Role, Summary]

    @property
    def steps(self) -> np.ndarray:
        """The recorded steps."""
        return self.record["step"].values


def explorable(line: str) -> Experiment:
    """Read a line and see that the scene can show it.

    Raises:
        TypeError, ValueError: as `Experiment.parse`; and for a line that sweeps, an open scenario, or an objective that
            has no pairs to push.
    """
    experiment = Experiment.parse(line)
    if experiment.axes:
        axes = ", ".join(experiment.axes)
        raise ValueError(
            f"'{line.strip()}' sweeps {axes}, and the explorer shows one setting at a time. Give {axes} one value, and "
            "pin the run to compare it with another."
        )
    if experiment.scenario == ("open",):
        raise ValueError(
            "the scenario is open, in which every run has pairs of its own, and the explorer shows fixed pairs. Choose "
            "s1, s2, s3 or s4; lab.picture(lab.run(line)) draws an open one."
        )
    word = experiment.value("objective")
    if word in (*GRADIENTS, "rm"):
        raise ValueError(
            f"{word} has no pairs to push, and the explorer shows the pushes. Choose an objective of pairs, such as "
            f"dpo; lab.picture(lab.run(line)) draws {word}."
        )
    return experiment


@lru_cache(maxsize=24)
def record_of(line: str) -> xr.Dataset:
    """Run a line, with what the scene needs of it recorded, and keep the record in memory.

    Args:
        line: a line that `explorable` takes.

    Returns:
        The record of about 50 states with the changes of each next step; more or fewer where the line itself says
        `every=`.
    """
    from lab.experiments.running import run

    experiment = explorable(line)
    every = int(experiment.every[0]) if experiment.every != (1,) else stride(experiment.updates)
    numbers = experiment.updates * math.prod(int(experiment.value(name)) for name in ("seeds", "prompts", "responses"))
    if experiment.policy == ("tabular",) and numbers <= MOST_NUMBERS:
        return _with_changes(run(replace(experiment, every=(1,), keep=("none",))), every)
    return run(replace(experiment, every=(every,), keep=("predictions",)))


def _with_changes(record: xr.Dataset, every: int) -> xr.Dataset:
    """Thin a table's record of every step, and add what each next step did, as `keep=predictions` would record it.

    A table's step changes log π by the change of its logits but for a shift of each prompt, and the first-order change
    is blind to shifts: it follows from the realised one. That spares the engine two thirds of its time.

    Source: own derivation; tests/test_explorer.py holds it against keep=predictions.
    """
    import torch

    from lab.gradients import log_prob_change

    last = record.sizes["step"] - 1
    rows = np.array([*range(0, last, every), last])
    order = ("seed", "step", "prompt", "response")
    whole = record["log_prob"].transpose(*order)
    now, after = whole.isel(step=rows), whole.isel(step=np.minimum(rows + 1, last))
    realised = after.values - now.values
    realised[..., -1, :, :] = np.nan  # no step follows the last state
    linear = log_prob_change(torch.from_numpy(now.values), torch.from_numpy(realised)).numpy()
    return record.isel(step=rows).assign(realised_change=(order, realised), linear_change=(order, linear))


def row_of(record: xr.Dataset, step: int) -> int:
    """Return the recorded row next to a step; -1 is the last step."""
    steps = record["step"].values
    return len(steps) - 1 if step < 0 else int(np.abs(steps - step).argmin())


def stride(steps: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, ... that leaves at most STATES recorded states of so many steps."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if steps <= digit * power * STATES:
                return digit * power
        power *= 10


@lru_cache(maxsize=48)
def reading(line: str, seeds: str = MEDIAN) -> Reading:
    """Read a line's record for the curves.

    Args:
        line: a line that `explorable` takes.
        seeds: "median" for all of them, or the number of one.

    Returns:
        The reading, kept in memory.

    Raises:
        ValueError: if the line has no such seed.
    """
    record = record_of(line)
    shown = record if seeds == MEDIAN else record.sel(seed=[_seed(record, seeds)])
    probability = {
        plots.CHOSEN: metrics.over_pairs(metrics.chosen_prob(shown), shown),
        plots.REJECTED: metrics.over_pairs(metrics.rejected_prob(shown), shown),
    }
    log_probability = {
        plots.CHOSEN: metrics.over_pairs(metrics.chosen_log_prob(shown), shown),
        plots.REJECTED: metrics.over_pairs(metrics.rejected_log_prob(shown), shown),
    }
    if bool(metrics.unseen_mask(shown).any()):
        probability[plots.UNSEEN] = metrics.over_prompts(metrics.unseen_mass(shown), shown)
        log_probability[plots.UNSEEN] = metrics.over_prompts(metrics.log_unseen_mass(shown), shown)
    change = {role: array - array.isel(step=0, drop=True) for role, array in log_probability.items()}
    return Reading(
        line=line,
        experiment=explorable(line),
        record=record,
        shown=shown,
        probability={role: plots.over_seeds(array) for role, array in probability.items()},
        change={role: plots.over_seeds(array) for role, array in change.items()},
    )


def _seed(record: xr.Dataset, seeds: str) -> int:
    known = [int(seed) for seed in record["seed"].values]
    if not seeds.isdigit() or int(seeds) not in known:
        raise ValueError(f"the seed shown is '{seeds}'; allowed are {MEDIAN} and {', '.join(map(str, known))}")
    return int(seeds)
