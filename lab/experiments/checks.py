"""What makes an experiment valid: each field by itself, and the fields together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from numbers import Integral, Real

from lab.experiments.grammar import nearest, write_field, write_value
from lab.experiments.own_world import check_own
from lab.experiments.tables import read_pairs, read_start, write_pairs, write_start
from lab.experiments.vocabulary import COUPLED, GRADIENTS, KEPT, STAGE_WORDS, WORDS, Value, Word, takers

# (chosen, rejected) start probability of each scenario, by the key that sets it.
STARTS = {"s1": ("on", "on"), "s2": ("off", "on"), "s3": ("on", "off"), "s4": ("off", "off")}

Values = Mapping[str, tuple[Value, ...]]


def check_field(name: str, given: object) -> tuple[Value, ...]:
    """Check one field and return its values as a tuple of plain Python values.

    Args:
        name: A field of the experiment.
        given: One value, or several (a list, a tuple, an array) for an axis.

    Returns:
        The values, typed; `keep` in its canonical order.

    Raises:
        TypeError: A value of another type.
        ValueError: No value, a value that is not allowed, a repeated one, or an axis where none is possible.
    """
    word = WORDS.get(name) or STAGE_WORDS[name]
    several: Iterable[object]
    if given is None:
        several = ()
    elif isinstance(given, str | Real) or not isinstance(given, Iterable):
        several = (given,)
    else:
        several = given
    values = tuple(_check_value(name, word, value) for value in several)
    if not values and not word.optional:
        raise ValueError(f"{name} has no value; {name} is {word.allowed}. Give at least one.")
    shown = write_field(name, values)
    if len(values) > 1 and word.sweep == "fixed":
        joined = {"keep": "words", "pairs": "pairs", "table": "rows"}.get(word.kind)
        cure = f"Join its {joined} by '+'." if joined else "Give one value, and a line for each other one."
        raise ValueError(f"{shown}: {name} cannot be an axis, because it changes the shape of the record. {cure}")
    repeated = [write_value(value) for value in dict.fromkeys(values) if values.count(value) > 1]
    if repeated:
        raise ValueError(f"{shown}: {', '.join(repeated)} stands twice on the {name} axis. Take one out.")
    return values


def check_together(values: Values, given: Iterable[str]) -> None:
    """Check that the fields fit each other.

    Args:
        values: Every field, checked by itself.
        given: The fields that were set by the user; one that no chosen word takes is an error.

    Raises:
        ValueError: A key that belongs to none of the chosen words, start probabilities of 1 or more,
            more pairs than the responses allow, or a batch larger than the number of pairs.
    """
    given = list(given)
    for name in given:
        _check_owner(name, values)
    if values["beta_chosen"] and values["beta_rejected"] and values["beta"] != WORDS["beta"].default:
        raise ValueError(
            f"{write_field('beta', values['beta'])} has no effect: beta_chosen and beta_rejected are both given. "
            "Take out beta or one of the two."
        )
    if "open" in values["scenario"]:
        _check_open(values, given)
    elif "own" in values["scenario"]:
        check_own(values, given)
    else:
        _check_world(values)
    _check_reward(values)


def belongs(name: str, values: Values) -> bool:
    """Tell whether any chosen word takes the field."""
    word = WORDS[name]
    return not word.owner or any(owner in word.owned_by for owner in values[word.owner])


def _check_value(name: str, word: Word, value: object) -> Value:
    if word.kind in ("whole", "real"):
        return _check_number(name, word, value)
    if not isinstance(value, str):
        raise TypeError(
            f"{name}={value!r}: {name} is {word.allowed}; was given {type(value).__name__}. Give it as text."
        )
    if word.kind == "keep":
        return _check_keep(value)
    if word.kind == "pairs":
        return write_pairs(read_pairs(value))
    if word.kind == "table":
        return write_start(read_start(value))
    if value not in word.choices:
        near = nearest(value, list(word.choices))
        raise ValueError(f"{name}={value}: {name} is {word.allowed}.{near or ' Choose one of them.'}")
    return value


def _check_number(name: str, word: Word, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name}={value!r}: {name} is {word.allowed}; was given {type(value).__name__}. Give it as a number."
        )
    if word.kind == "whole" and not isinstance(value, Integral):
        raise TypeError(f"{name}={value!r}: {name} is {word.allowed}; was given {type(value).__name__}. Give an int.")
    # Adding 0 turns a negative zero into the plain one, which prints and reads back the same.
    number = int(value) if isinstance(value, Integral) and word.kind == "whole" else float(value) + 0.0
    low = number > word.low if word.open_low else number >= word.low
    high = number < word.high if word.open_high else number <= word.high
    if not (math.isfinite(number) and low and high):
        raise ValueError(f"{name}={write_value(number)}: {name} is {word.allowed}. {_cure(name, word)}")
    return number


def _cure(name: str, word: Word) -> str:
    example = word.default[0] if word.default else {"whole": 500, "real": 0.001}[word.kind]
    zero = " Leave it out for none." if name in ("sft_weight",) else ""
    return f"Write for example {name}={write_value(example)}.{zero}"


def _check_keep(value: str) -> str:
    if value == "none":
        return value
    parts = value.split("+")
    for part in parts:
        if part not in KEPT:
            near = nearest(part, [*KEPT, "none"])
            raise ValueError(
                f"keep={value}: '{part}' cannot be kept; keep is {WORDS['keep'].allowed}."
                f"{near or ' Write for example keep=gradients+predictions.'}"
            )
    if len(set(parts)) < len(parts):
        raise ValueError(f"keep={value}: a word stands twice. Name each of {', '.join(KEPT)} at most once.")
    return "+".join(word for word in KEPT if word in parts)


def _check_owner(name: str, values: Values) -> None:
    word = WORDS[name]
    if not word.owner:
        return
    chosen = [str(value) for value in values[word.owner]]
    strangers = [value for value in chosen if value not in word.owned_by]
    owners = takers(name)
    above = WORDS[word.owner]
    if not strangers and above.owner and len(values[name]) > 1:  # along an axis, all must take what it belongs to
        chosen = [str(value) for value in values[above.owner]]
        strangers = [value for value in chosen if value not in above.owned_by]
        owners = takers(word.owner)
    if not strangers:
        return
    shown = write_field(name, values[name])
    if len(strangers) == len(chosen):
        raise ValueError(
            f"{shown}: {name} belongs to {owners}, and the {word.owner} here is {', '.join(chosen)}. "
            f"Take {name} out, or choose {owners}."
        )
    if word.owned_by == ("flex",):
        raise ValueError(
            f"{shown}: {name} belongs to objective flex, and {', '.join(strangers)} in the same sweep has no such key. "
            "Run flex on a line of its own."
        )
    if len(values[name]) > 1:
        raise ValueError(
            f"{shown}: the axis {name} belongs to {owners}, and {', '.join(strangers)} would only repeat "
            f"along it. Give one {name}, or leave {', '.join(strangers)} out."
        )


def _check_world(values: Values) -> None:
    prompts, responses, pairs = (int(values[name][0]) for name in ("prompts", "responses", "pairs"))
    if 2 * pairs > responses:
        raise ValueError(
            f"pairs={pairs} responses={responses}: each pair of a prompt needs 2 responses of its own, {2 * pairs} in "
            f"all. Give responses={2 * pairs + 1} or more (one is then unseen), or pairs={responses // 2} or fewer."
        )
    for batch in values["batch"]:
        if int(batch) > prompts * pairs:
            raise ValueError(
                f"batch={batch}: batch is at most the number of pairs, which is {prompts * pairs} "
                f"(prompts={prompts} times pairs={pairs}). Write batch=0 for the full batch."
            )
        coupled = [str(objective) for objective in values["objective"] if objective in COUPLED]
        if coupled and int(batch) not in (0, prompts * pairs):
            raise ValueError(
                f"batch={batch}: {', '.join(coupled)} compares each pair with all others and needs them in every step. "
                "Write batch=0 for the full batch."
            )
    for scenario, on, off in product(values["scenario"], values["on"], values["off"]):
        _check_start(str(scenario), {"on": float(on), "off": float(off)}, unseen=responses - 2 * pairs, pairs=pairs)


def _check_open(values: Values, given: Iterable[str]) -> None:
    if len(values["scenario"]) > 1:
        raise ValueError(
            f"{write_field('scenario', values['scenario'])}: an open scenario has other pairs than the rest. "
            "Give it a line of its own."
        )
    fixed = [name for name in given if name in ("pairs", "roles", "on", "off", "spread", "overlap")]
    if fixed:
        raise ValueError(
            f"{write_field(fixed[0], values[fixed[0]])}: {fixed[0]} belongs to scenarios of fixed pairs, and the "
            f"scenario here is open, in which any two responses may be compared. Take {fixed[0]} out, or choose s1 to "
            "s4."
        )
    if any(int(length) != 1 for name in ("chosen_length", "rejected_length") for length in values[name]):
        raise ValueError(
            "chosen_length and rejected_length belong to scenarios of fixed pairs, and in an open one every response "
            "may be either. Take them out."
        )
    if "none" in values["truth"]:
        raise ValueError("the scenario is open and there is no true reward to compare by. Write truth=normal.")
    if "policy" in values["sampler"] and (any(values["coverage"]) or any(values["batch"])):
        raise ValueError(
            "sampler=policy draws whole sets of comparisons of any response. Take coverage and batch out, or choose "
            "another sampler."
        )
    responses, prompts = int(values["responses"][0]), int(values["prompts"][0])
    for covered in values["coverage"]:
        if int(covered) == 1 or int(covered) > responses:
            raise ValueError(
                f"coverage={covered}: a comparison needs 2 responses and there are {responses}. Give 2 to {responses}, "
                "or 0 for all."
            )
    for held in values["held"]:
        if int(held) >= prompts:
            raise ValueError(f"held={held}: of {prompts} prompts at least one needs data. Give 0 to {prompts - 1}.")
    coupled = [str(objective) for objective in values["objective"] if objective in COUPLED]
    if coupled:
        raise ValueError(
            f"{', '.join(coupled)} compares each pair with all others as equals, and the pairs of an open scenario "
            "have weights. Choose s1, s2, s3 or s4, or another objective."
        )
    pairs = prompts * responses * (responses - 1)
    for batch in values["batch"]:
        if int(batch) > pairs:
            raise ValueError(f"batch={batch}: batch is at most the number of pairs, which is {pairs} here.")


def _check_reward(values: Values) -> None:
    climbing = [str(word) for word in values["objective"] if word in GRADIENTS]
    if climbing and "none" in values["truth"] and "truth" in values["reward_from"]:
        raise ValueError(
            f"{', '.join(climbing)} climbs a reward and there is none. Write truth=normal, or reward_from=model for a "
            "reward model of the pairs."
        )
    if climbing and any(int(batch) for batch in values["batch"]):
        raise ValueError(
            f"{write_field('batch', values['batch'])}: {', '.join(climbing)} draws its own responses. Give samples "
            "instead."
        )
    if "linear" in values["truth"] and "open" not in values["scenario"]:
        raise ValueError("truth=linear need not agree with fixed pairs. Write truth=normal, or choose scenario open.")


def _check_start(scenario: str, level: dict[str, float], *, unseen: int, pairs: int) -> None:
    chosen, rejected = (level[key] for key in STARTS[scenario])
    total = chosen + rejected
    keys = sorted(set(STARTS[scenario]), reverse=True)
    given = " ".join(f"{key}={write_value(level[key])}" for key in keys)
    start = (
        f"{given}: in scenario {scenario} the chosen {'responses' if pairs > 1 else 'response'} of a prompt "
        f"{'start at a sum of' if pairs > 1 else 'starts at'} {write_value(chosen)} and the rejected at "
        f"{write_value(rejected)}, together {total:.6g}"
    )
    if unseen and total >= 1:
        raise ValueError(
            f"{start}; it must stay below 1, so that the {unseen} unseen responses have a share. "
            f"Lower {' or '.join(keys)}{' below 0.5' if len(keys) == 1 else ''}."
        )
    if not unseen and abs(total - 1) > 1e-9:
        raise ValueError(
            f"{start}; with no unseen response it must be exactly 1. Give more responses, or "
            f"{keys[0] + '=0.5' if len(keys) == 1 else ' and '.join(keys) + ' that sum to 1'}."
        )
