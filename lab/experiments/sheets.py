"""What is known of an objective, for a word of the experiment line: its equation, pushes, limits and source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.experiments.experiment import Experiment
from lab.experiments.grammar import nearest, write_value
from lab.experiments.losses import CATALOGUE, build_objective
from lab.experiments.vocabulary import WORDS
from lab.objectives import WPO, Objective
from lab.theory.catalogue import formula
from lab.theory.formulas import FUNCTIONS, SYMBOLS, Formula
from lab.theory.limits import Limits, limits


@dataclass(frozen=True)
class Sheet:
    """An objective with its theory.

    Args:
        word: the word of the experiment line.
        settings: its settings by the keys of the line, such as {"beta": "0.1"}.
        objective: the objective, with these settings.
        formula: its loss and pushes in closed form.
        limits: what becomes of the pushes, computed for these settings.
    """

    word: str
    settings: Mapping[str, str]
    objective: Objective
    formula: Formula
    limits: Limits

    @property
    def about(self) -> str:
        """Return what the objective's own documentation says: name and equation, then what it means."""
        text = inspect.cleandoc(type(self.objective).__doc__ or "")
        return re.split(r"\n\n(?:Args|Source|Raises):?", text)[0]

    def meaning(self, name: str) -> str:
        """Say what a name in the formula stands for: a number for a setting, nothing for exp and the like."""
        inner = self.objective.objective if isinstance(self.objective, WPO) else self.objective
        if name in SYMBOLS:
            return SYMBOLS[name]
        return FUNCTIONS[name][0] if name in FUNCTIONS else f"{getattr(inner, name):g}"

    @property
    def source(self) -> str:
        """Return paper and equation."""
        found = re.search(
            r"^Source: (.*?)(?:\n\n|\Z)", inspect.cleandoc(type(self.objective).__doc__ or ""), re.S | re.M
        )
        return " ".join(found[1].split()) if found else ""


def sheets(words: str = "") -> tuple[Sheet, ...]:
    """Compute the theory of some objectives, or of all.

    Args:
        words: words of objectives and settings that they take, as on the experiment line: "dpo", "dpo ipo beta=0.5",
            "simpo gamma=1 chosen_length=20"; without an objective, all of them.

    Returns:
        A sheet for each objective, in the given order.

    Raises:
        ValueError: if a word is no objective, or a setting is not theirs or has several values; the cure is named.
    """
    tokens = words.split()
    named = [each for token in tokens if "=" not in token for each in token.split(",") if each]
    given = [token for token in tokens if "=" in token]
    for name in named:
        if name not in CATALOGUE:
            raise ValueError(
                f"'{name}' is no objective.{nearest(name, list(CATALOGUE))} There are {', '.join(CATALOGUE)}."
            )
    for token in given:
        _check(token)
    chosen = dict.fromkeys(named or CATALOGUE)
    line = Experiment.parse(f"tabular s1 {','.join(chosen)} {' '.join(given)} sgd lr=1 steps=1")
    return tuple(_sheet(cell) for cell, _ in line.cells())


def _check(token: str) -> None:
    key, _, value = token.partition("=")
    # What training does with the gradient is nothing of the objective.
    allowed = [name for name, word in WORDS.items() if word.owner == "objective" and name != "terms"]
    if key not in allowed:
        raise ValueError(
            f"'{key}' is no setting of an objective.{nearest(key, allowed)} There are {', '.join(allowed)}."
        )
    if "," in value:
        raise ValueError(f"'{token}' has several values; limits are computed for one. Give one value.")


def _sheet(line: Experiment) -> Sheet:
    word = line.value("objective")
    objective = build_objective(line, line.value)
    lengths = {name: line.value(name) for name in ("chosen_length", "rejected_length")}
    keys = {key: getattr(line, key) or line.beta for key in CATALOGUE[word][1].values()}
    settings = {key: write_value(values[0]) for key, values in keys.items()}
    settings |= {key: write_value(value) for key, value in lengths.items() if value != 1}
    return Sheet(word, settings, objective, formula(objective), limits(objective, **lengths))
