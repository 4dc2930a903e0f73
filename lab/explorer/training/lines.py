"""Changes of a line: one word set to another value, and the words that then have no place taken out."""

from __future__ import annotations

from dataclasses import fields

from lab.experiments.checks import belongs
from lab.experiments.experiment import Experiment
from lab.experiments.vocabulary import WORDS


def with_word(experiment: Experiment, name: str, text: str) -> Experiment:
    """Set one word of an experiment.

    Args:
        experiment: the experiment.
        name: the word's field, such as "beta".
        text: its value as a line writes it, "" to leave it out.

    Returns:
        The experiment with that word; words that its objective, policy or scenario does not take are left out.

    Raises:
        TypeError, ValueError: as `Experiment.parse`.
    """
    word = WORDS[name]
    value = {"whole": int, "real": float}.get(word.kind, str)
    try:
        given = (value(text),) if text else word.default
    except ValueError:
        raise ValueError(f"{name}={text}: {name} is {word.allowed}. Give one.") from None
    values = {field.name: getattr(experiment, field.name) for field in fields(experiment)} | {name: given}
    for other in WORDS:  # in this order, since a word may belong to another that goes
        if not belongs(other, values):
            values[other] = WORDS[other].default
    return Experiment(**values)
