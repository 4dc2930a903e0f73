"""Pairs and start probabilities of one's own, as text of an experiment line and back."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, NamedTuple

from lab.experiments.grammar import write_value

PAIRS_EXAMPLE = "0:3>7+1:2>5*2"
START_EXAMPLE = "0.45/0.45/0.1+0.2/0.3/0.5"
FEWEST_RESPONSES = 3
TOLERANCE = 1e-6  # of a row's sum, which is then made exactly 1

_PAIR = re.compile(r"([0-9]+):([0-9]+)>([0-9]+)(?:\*(.*))?")


class Pair(NamedTuple):
    """A weighted pair of the line: `prompt:chosen>rejected*weight`, counted from 0."""

    prompt: int
    chosen: int
    rejected: int
    weight: float = 1.0


def own(pairs: Iterable[Sequence[Any]], start: Iterable[Sequence[float]] | None = None) -> str:
    """Write the words of an own scenario, for where s1 would stand in a line.

    Args:
        pairs: (prompt, chosen, rejected) or (prompt, chosen, rejected, weight), one a pair, counted from 0.
        start: the reference's probabilities, [prompt, response]; None leaves them to be drawn.

    Returns:
        Such as "own compare=0:3>7+1:2>5*2 start=0.45/0.45/0.1+0.2/0.3/0.5".

    Raises:
        TypeError: A prompt or response that is no whole number.
        ValueError: As `read_pairs` and `read_start`, which take the text back.

    Source: own definition; tests/test_experiment_own.py.
    """
    given = [Pair(*(index(place) for place in row[:3]), *(float(weight) for weight in row[3:])) for row in pairs]
    words = ["own", f"compare={write_pairs(read_pairs(write_pairs(given)))}"]
    if start is not None:
        rows = tuple(tuple(float(value) for value in row) for row in start)
        words.append(f"start={write_start(read_start(write_start(rows)))}")
    return " ".join(words)


def read_pairs(text: str) -> tuple[Pair, ...]:
    """Read the pairs of `compare=`.

    Raises:
        ValueError: A pair that is malformed, prefers a response to itself, or has no weight above 0.
    """
    return tuple(_read_pair(part, text) for part in text.split("+"))


def write_pairs(pairs: Iterable[Pair]) -> str:
    """Write pairs in the shortest way that `read_pairs` takes back; a weight of 1 is left out."""
    return "+".join(
        f"{pair.prompt}:{pair.chosen}>{pair.rejected}{'' if pair.weight == 1 else f'*{write_value(pair.weight)}'}"
        for pair in pairs
    )


def read_start(text: str) -> tuple[tuple[float, ...], ...]:
    """Read the start probabilities of `start=`, a row for each prompt, as they are written.

    Raises:
        ValueError: A value that is no probability above 0, rows of different or of too small length, or a row that
            does not sum to 1 within 1e-6.
    """
    rows = tuple(tuple(_read_probability(value, text) for value in row.split("/")) for row in text.split("+"))
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"start={text}: its rows have {', '.join(map(str, lengths))} responses. Give every prompt equally many."
        )
    if lengths[0] < FEWEST_RESPONSES:
        raise ValueError(
            f"start={text}: a prompt has at least {FEWEST_RESPONSES} responses, and here it has {lengths[0]}. Write "
            f"for example start={START_EXAMPLE}: '/' between responses, '+' between prompts."
        )
    for prompt, row in enumerate(rows):
        if abs(math.fsum(row) - 1) > TOLERANCE:
            raise ValueError(
                f"start={text}: the probabilities of prompt {prompt} sum to {math.fsum(row):.9g}, and they must sum to "
                f"1 within {TOLERANCE:g}. Change one of them."
            )
    return rows


def write_start(rows: Iterable[Iterable[float]]) -> str:
    """Write start probabilities in the shortest way that `read_start` takes back to the same numbers."""
    return "+".join("/".join(write_value(float(value)) for value in row) for row in rows)


def share_responses(pairs: Iterable[Pair]) -> bool:
    """Tell whether any two pairs of a prompt name the same response."""
    places = [(pair.prompt, response) for pair in pairs for response in (pair.chosen, pair.rejected)]
    return len(set(places)) < len(places)


def _read_pair(part: str, text: str) -> Pair:
    found = _PAIR.fullmatch(part)
    if not found:
        raise ValueError(
            f"compare={text}: '{part}' is no pair. Write prompt:chosen>rejected, with *weight where it is not 1, and "
            f"join pairs by '+', as in compare={PAIRS_EXAMPLE}; in a shell, put the whole line between quotes."
        )
    prompt, chosen, rejected = (int(place) for place in found.groups()[:3])
    if chosen == rejected:
        raise ValueError(f"compare={text}: '{part}' prefers response {chosen} to itself. Name two different responses.")
    weight = _number(found[4]) if found[4] is not None else 1.0
    if not 0 < weight < math.inf:
        raise ValueError(
            f"compare={text}: the weight of '{part}' is no finite number above 0. Write for example "
            f"{prompt}:{chosen}>{rejected}*2, or leave the pair out."
        )
    return Pair(prompt, chosen, rejected, weight)


def _read_probability(value: str, text: str) -> float:
    probability = _number(value)
    if probability == 0:
        raise ValueError(
            f"start={text}: a response has probability 0. A softmax gives every response some, and a named one of 0 "
            "would have no log-ratio. Write a small one instead, such as 1e-6."
        )
    if not 0 < probability <= 1:
        raise ValueError(
            f"start={text}: '{value}' is no probability above 0. Write for example start={START_EXAMPLE}: '/' between "
            "responses, '+' between prompts."
        )
    return probability


def _number(text: str) -> float:
    """Read a number; NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
