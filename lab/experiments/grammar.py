"""The text of an experiment line: read into typed values, and written back in canonical form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from lab.experiments.vocabulary import EXAMPLE, STAGE_WORDS, STAGED, WORDS, Value, Word

THEN = "then"

_BARE = {choice: name for name, word in WORDS.items() if word.kind == "bare" for choice in word.choices}
_KEYS = [name for name, word in WORDS.items() if word.kind != "bare"]
_CHOICE_KEYS = {choice: name for name in _KEYS for choice in WORDS[name].choices}


def split(line: object) -> list[str]:
    """Split a line at every `then` into its first part and those of later stages.

    Raises:
        TypeError: The line is not text.
    """
    if not isinstance(line, str):
        raise TypeError(
            f"An experiment is a line of text; was given {line!r} ({type(line).__name__}). "
            f"Write for example '{EXAMPLE}'."
        )
    return re.split(rf"(?<!\S){THEN}(?!\S)", line)


def read(line: str) -> dict[str, tuple[Value, ...]]:
    """Read the first part of a line into the values that it gives, without defaults.

    Args:
        line: The experiment line up to any `then`; the order of its words is free.

    Returns:
        Field name to values, numbers already typed but not yet checked against their bounds.

    Raises:
        ValueError: The line is empty, or has an unknown, malformed, repeated or missing word.
    """
    given = _read(line, WORDS)
    if not given:
        raise ValueError(f"The experiment line is empty. Write for example '{EXAMPLE}'.")
    missing = [_lacking(name, word) for name, word in WORDS.items() if word.required and name not in given]
    if missing:
        raise ValueError(f"'{line.strip()}' lacks {'; '.join(missing)}. A complete line: '{EXAMPLE}'.")
    return given


def read_stage(text: str) -> dict[str, tuple[Value, ...]]:
    """Read what stands after a `then`, as `read` does; a stage may leave out any word but says at least one.

    Raises:
        ValueError: Nothing, or an unknown, malformed or repeated word, or one that belongs to the first part.
    """
    given = _read(text, {**WORDS, **STAGE_WORDS})
    if not given:
        raise ValueError(f"'{THEN}' is followed by nothing. Say what changes, at least the steps: {THEN} steps=300.")
    for name in given:
        if name not in STAGED and name not in STAGE_WORDS:
            raise ValueError(
                f"'{THEN} {text.strip()}': {name} is settled by the first part of the line, for all stages. Give it "
                f"there; after {THEN} may stand an objective, an optimizer, their keys, lr, steps, terms, reference."
            )
    return given


def _read(line: str, words: Mapping[str, Word]) -> dict[str, tuple[Value, ...]]:
    given: dict[str, tuple[Value, ...]] = {}
    source: dict[str, str] = {}
    for token in re.sub(r"\s*([,=])\s*", r"\1", line).split():
        name, texts = _split(token, words)
        if name in given:
            raise ValueError(
                f"{name} is given twice: '{source[name]}' and '{token}'. {_once(name, source[name], token)}"
            )
        given[name] = tuple(_typed(name, text) for text in texts)
        source[name] = token
    return given


def write(values: Mapping[str, tuple[Value, ...]]) -> str:
    """Write values as a canonical line, which `read` takes back to the same values."""
    parts = []
    for name, word in WORDS.items():
        given = values[name]
        if not given or (given == word.default and not is_shown(name, values)):
            continue
        if name in ("prompts", "responses") and values["start"]:
            continue  # they follow from it
        parts.append(write_word(name, given))
    return " ".join(parts)


def write_field(name: str, values: tuple[Value, ...]) -> str:
    """Write a field with its name, as in beta=0.05,0.1 or scenario=s1,s2."""
    return f"{name}={','.join(write_value(value) for value in values)}"


def write_word(name: str, values: tuple[Value, ...]) -> str:
    """Write a field as it stands in a line: a bare word without its name."""
    bare = name in WORDS and WORDS[name].kind == "bare"
    return ",".join(map(str, values)) if bare else write_field(name, values)


def write_value(value: Value) -> str:
    """Write one value: the shortest decimal that reads back to the same number."""
    if not isinstance(value, float):
        return str(value)
    text = repr(value)
    if "e" in text:
        digits, _, power = text.partition("e")
        return f"{digits}e{int(power)}"
    return text.removesuffix(".0")


def nearest(text: str, words: list[str]) -> str:
    """Name the nearest valid word as a sentence, or nothing when none is near."""
    near = get_close_matches(text.lower(), words, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def explain() -> str:
    """List the valid words of a line, one kind after the other."""
    kinds = [f"{name}: {', '.join(word.choices)}" for name, word in WORDS.items() if word.kind == "bare"]
    return "; ".join([*kinds, f"keys: {', '.join(f'{name}=' for name in _KEYS)}", f"{THEN} before a further stage"])


def _split(token: str, words: Mapping[str, Word]) -> tuple[str, list[str]]:
    """Split a token into its field and the texts of its values."""
    name, equals, text = token.partition("=")
    texts = (text if equals else token).split(",")
    if equals and name in STAGE_WORDS and name not in words:
        raise ValueError(f"'{token}': {name} belongs to a stage after {THEN}, and this is the first. Take it out.")
    if equals and name not in _KEYS and name not in STAGE_WORDS:
        raise ValueError(_unknown_key(token, name, text))
    if equals and "=" in text:
        raise ValueError(f"'{token}' has more than one '='. Put a space between two keys: beta=0.1 lr=1e-3.")
    if "" in texts:
        raise ValueError(
            f"'{token}' has an empty value. Put one value between commas and after '=', as in beta=0.05,0.1."
        )
    if equals:
        return name, texts
    for word in texts:
        if word not in _BARE:
            raise ValueError(_unknown_word(word))
    kinds = list(dict.fromkeys(_BARE[word] for word in texts))
    if len(kinds) > 1:
        raise ValueError(
            f"'{token}' joins {' and '.join(kinds)}; a comma joins values of one kind to make an axis. "
            f"Put spaces between them: {' '.join(texts)}."
        )
    return kinds[0], texts


def _unknown_key(token: str, name: str, text: str) -> str:
    if name in _BARE or (name in _CHOICE_KEYS and name not in WORDS):
        return f"'{token}': {name} takes no value. Write {name if name in _BARE else f'{_CHOICE_KEYS[name]}={name}'}."
    if name in WORDS:
        return f"'{token}': {name} is written without a key. Write {text or WORDS[name].choices[0]}."
    return f"'{name}' in '{token}' is not a key of the experiment line.{nearest(name, _KEYS)} Valid words: {explain()}."


def _unknown_word(word: str) -> str:
    if word in _KEYS:
        return f"'{word}' has no value. Write {word}=VALUE; {word} is {WORDS[word].allowed}."
    if word in _CHOICE_KEYS:
        return f"'{word}' stands without its key. Write {_CHOICE_KEYS[word]}={word}."
    if re.fullmatch(r"[-+]?[\d.].*", word):
        return f"The number '{word}' stands without its key. Write KEY={word}, with a key of {', '.join(_KEYS)}."
    return f"'{word}' is not a word of the experiment line.{nearest(word, [*_BARE, *_KEYS])} Valid words: {explain()}."


def _typed(name: str, text: str) -> Value:
    """Turn the text of a value into its type; bounds are checked by the experiment."""
    word = WORDS.get(name) or STAGE_WORDS[name]
    if word.kind not in ("whole", "real"):
        return text
    try:
        return int(text) if word.kind == "whole" else float(text)
    except ValueError:
        example = word.default or (("500",) if word.kind == "whole" else ("1e-3",))
        raise ValueError(
            f"{name}={text}: {name} is {word.allowed}, and '{text}' is not one. "
            f"Write for example {name}={write_value(example[0])}."
        ) from None


def _once(name: str, first: str, second: str) -> str:
    """Say how to mend a field given twice."""
    if name in STAGE_WORDS or WORDS[name].sweep == "fixed" or first == second:
        return "Keep one of them."
    return f"Keep one, or join the values by a comma to make an axis: {first},{second.removeprefix(f'{name}=')}."


def _lacking(name: str, word: Word) -> str:
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} ({word.allowed})" if word.kind == "bare" else f"{name}= ({word.allowed})"


def is_shown(name: str, values: Mapping[str, tuple[Value, ...]]) -> bool:
    """Tell whether a field stands in the canonical line at its default."""
    word = WORDS[name]
    if name == "beta" and values["beta_chosen"] and values["beta_rejected"]:
        return False
    belongs = not word.owner or any(owner in word.owned_by for owner in values[word.owner])
    return word.shown and belongs
