"""A world of the reader's own: the table that edits it, and the line that it makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from lab.experiments.experiment import Experiment
from lab.experiments.tables import own, read_pairs, read_start
from lab.experiments.vocabulary import WORDS

if TYPE_CHECKING:
    import xarray as xr

FIXED = (
    "pairs",
    "roles",
    "on",
    "off",
    "spread",
    "sharpness",
    "overlap",
)  # words that a world of one's own does not take
DIGITS = 4


def world_of(experiment: Experiment, record: xr.Dataset) -> str:
    """Write a run's start probabilities and pairs as the table shows them.

    Args:
        experiment: the experiment.
        record: its record; where the line itself has no probabilities, those of the first seed's reference are taken,
            rounded so that each row still sums to 1.

    Returns:
        JSON: `start` [prompt][response] and `pairs` [[prompt, chosen, rejected, weight]], all as text.
    """
    if experiment.scenario == ("own",) and experiment.start:
        start = [[f"{value:g}" for value in row] for row in read_start(str(experiment.start[0]))]
    else:
        first = np.exp(record["reference_log_prob"].isel(seed=0).transpose("prompt", "response").values)
        start = [[f"{value:.{DIGITS}g}" for value in rounded(row)] for row in first]
    if experiment.scenario == ("own",):
        pairs = [[f"{value:g}" for value in pair] for pair in read_pairs(str(experiment.compare[0]))]
    else:
        columns = (record[name].values for name in ("pair_prompt", "chosen", "rejected"))
        pairs = [[*map(str, pair), "1"] for pair in zip(*columns, strict=True)]
    return json.dumps({"start": start, "pairs": pairs})


def rounded(row: np.ndarray) -> np.ndarray:
    """Round probabilities to DIGITS decimals, none to 0, and let the largest make up for it: they sum to 1."""
    values = np.maximum(np.round(row, DIGITS), 10.0**-DIGITS)
    values[np.argmax(values)] += 1 - values.sum()
    return np.round(values, DIGITS)


def with_world(experiment: Experiment, text: str) -> Experiment:
    """Put an edited table in place of the scenario.

    Args:
        experiment: the experiment.
        text: the table, as `world_of` writes it.

    Returns:
        The experiment in the scenario `own` of those pairs and probabilities.

    Raises:
        ValueError: for a cell that is no number, and as `Experiment` for what makes no world.
    """
    table = json.loads(text)
    pairs = [[_whole(cell) for cell in row[:3]] + [_number(cell) for cell in row[3:]] for row in table["pairs"]]
    start = [[_number(cell) for cell in row] for row in table["start"]]
    if not pairs:
        raise ValueError("there is no pair left. Add one: its prompt, and the responses that it prefers and refuses.")
    _, compare, begin = own(pairs, start).split()
    values = {name: getattr(experiment, name) for name in WORDS} | {name: WORDS[name].default for name in FIXED}
    values |= {
        "scenario": ("own",), "compare": (compare.removeprefix("compare="),), "start": (begin.removeprefix("start="),),
        "prompts": (len(start),), "responses": (len(start[0]),),
    }  # fmt: skip
    return Experiment(**values, then=experiment.then)


def _whole(cell: str) -> int:
    if not cell.isdigit():
        raise ValueError(
            f"a pair has '{cell}' where a prompt or a response stands; give a whole number, counted from 0"
        )
    return int(cell)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"'{cell}' is no number; give a probability above 0, or the weight of a pair") from None
