"""Stages of an experiment: what stands after `then`, read against what was said before, and written back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lab.experiments.checks import belongs, check_field, check_together
from lab.experiments.grammar import THEN, is_shown, read_stage, write_word
from lab.experiments.vocabulary import GRADIENTS, STAGED, WORDS, Value

Values = Mapping[str, tuple[Value, ...]]
LENGTHS = ("chosen_length", "rejected_length")


class Step(NamedTuple):
    """A stage of a line: the fields that it trains by, and its word for the reference ("" for none)."""

    values: dict[str, tuple[Value, ...]]
    reference: str


def read_stages(first: Values, texts: object) -> list[Step]:
    """Read the stages after the first.

    A word stays as it was last said, also where a stage between does not take it.

    Args:
        first: Every field of the first stage, checked.
        texts: What stands after each `then`, several or one.

    Returns:
        Every field of each later stage; one that the stage's words do not take is at its default.

    Raises:
        TypeError: A stage that is not text.
        ValueError: A word that is not allowed, that the stage does not take, or is a new axis of another computation.
    """
    said, steps = dict(first), []
    for text in texts if isinstance(texts, Iterable) and not isinstance(texts, str) else (texts,):
        if not isinstance(text, str):
            raise TypeError(
                f"{THEN}={text!r}: a stage is text; was given {type(text).__name__}. Write for example "
                "'beta=0.5 steps=300'."
            )
        given = {name: check_field(name, values) for name, values in read_stage(text).items()}
        reference = str(given.pop("reference", ("",))[0])
        for name, values in given.items():
            if len(values) > 1 and WORDS[name].sweep == "looped":
                raise ValueError(
                    f"'{THEN} {text.strip()}': {name} has {len(values)} values, each another computation, and a later "
                    "stage cannot branch into these. Give one value, and a line for each other one."
                )
        said |= given
        now = without_strangers(said, given)
        if _mutes_beta(now) and "beta" not in given:
            now["beta"] = WORDS["beta"].default
        check_together(now, given)
        steps.append(Step(now, reference))
    return steps


def write_stages(first: Values, steps: list[Step]) -> tuple[str, ...]:
    """Write what each stage changes, which `read_stages` takes back to the same fields."""
    said, before, texts = dict(first), first, []
    for now, reference in steps:
        words = []
        for name in (name for name in WORDS if name in STAGED):
            newly = is_shown(name, now) and not is_shown(name, before)
            counts = belongs(name, now) and not (name == "beta" and _mutes_beta(now))
            if name == "steps" or (counts and now[name] and (now[name] != said[name] or newly)):
                words.append(write_word(name, now[name]))
                said[name] = now[name]
        words += [write_word("reference", (reference,))] if reference else []
        texts.append(" ".join(words))
        before = now
    return tuple(texts)


def without_strangers(values: Values, given: Values) -> dict[str, tuple[Value, ...]]:
    """Return the values with those at their default that no chosen word takes and the user did not give."""
    own = dict(values)
    for name in WORDS:  # in this order, since a key may belong to another that goes
        if name not in given and not belongs(name, own):
            own[name] = WORDS[name].default
    return own


def check_stages(stages: list[Values]) -> None:
    """Check that the stages of a line, the first among them, fit each other.

    Raises:
        ValueError: An objective with a loop of its own, an axis of two meanings, or a response of two lengths.
    """
    for values in stages:
        alone = [str(word) for word in values["objective"] if word in (*GRADIENTS, "rm")]
        if alone:
            raise ValueError(
                f"{', '.join(alone)} has a training of its own kind, and a line with {THEN} is one of preference "
                "pairs from end to end. Give it a line of its own."
            )
    for name in WORDS:
        axes = {values[name] for values in stages if len(values[name]) > 1}
        if len(axes) > 1:
            raise ValueError(
                f"{' and '.join(write_word(name, axis) for axis in sorted(axes))}: two stages have different axes "
                f"{name}, and the record has one dimension of that name. Give both the same values."
            )
    for name in LENGTHS:
        found = sorted({values[name] for values in stages if belongs(name, values)})
        if len(found) > 1:
            raise ValueError(
                f"{' and '.join(write_word(name, length) for length in found)}: a response has the same tokens in all "
                "stages. Give one length."
            )


def _mutes_beta(values: Values) -> bool:
    """Tell whether each response has a beta of its own, so that the common one has no effect."""
    return bool(values["beta_chosen"] and values["beta_rejected"])
