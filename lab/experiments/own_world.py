"""What makes a scenario of one's own valid: its pairs and start probabilities, and the other words beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.experiments.grammar import write_field
from lab.experiments.tables import PAIRS_EXAMPLE, Pair, read_pairs, read_start, share_responses
from lab.experiments.vocabulary import COUPLED, WORDS, Value

SIZES = ("prompts", "responses")

Values = Mapping[str, tuple[Value, ...]]


def settle_sizes(values: Values) -> dict[str, tuple[Value, ...]]:
    """Return prompts and responses as start= gives them, or nothing without it.

    Raises:
        ValueError: They are given otherwise.
    """
    if not values["start"]:
        return {}
    rows = read_start(str(values["start"][0]))
    found: dict[str, tuple[Value, ...]] = {"prompts": (len(rows),), "responses": (len(rows[0]),)}
    for name, size in found.items():
        if values[name] not in (WORDS[name].default, size):
            raise ValueError(contradicting(name, values[name], size))
    return found


def contradicting(name: str, given: tuple[Value, ...], size: tuple[Value, ...]) -> str:
    """Say that a size and the start probabilities do not fit."""
    return f"{write_field(name, given)} contradicts start=, which has {size[0]} {name}. Take {name} out."


def check_own(values: Values, given: Iterable[str]) -> None:
    """Check an own scenario.

    Args:
        values: Every field, checked by itself, the sizes settled.
        given: The fields that were set by the user.

    Raises:
        ValueError: No pairs, pairs beyond the sizes, a batch larger than their number, or a key that fixed layouts,
            disjoint pairs, equal weights or a drawn reference would need.
    """
    if len(values["scenario"]) > 1:
        raise ValueError(
            f"{write_field('scenario', values['scenario'])}: an own scenario has other pairs than the rest. "
            "Give it a line of its own."
        )
    if not values["compare"]:
        raise ValueError(
            f"the scenario is own and has no pairs. Write compare={PAIRS_EXAMPLE}, which is "
            "prompt:chosen>rejected*weight."
        )
    for name in given:
        if name in ("pairs", "roles", "on", "off", "spread"):
            raise ValueError(
                f"{write_field(name, values[name])}: {name} belongs to s1 to s4, and the scenario here is own, whose "
                f"pairs and probabilities are those of compare= and start=. Take {name} out, or choose s1 to s4."
            )
        if name == "sharpness" and values["start"]:
            raise ValueError(
                f"{write_field(name, values[name])} has no effect: start= gives the reference. Take one of the two out."
            )
    pairs = read_pairs(str(values["compare"][0]))
    _check_within(pairs, values)
    _check_batch(pairs, values)
    _check_shared(pairs, values, given)


def _check_within(pairs: tuple[Pair, ...], values: Values) -> None:
    for name, size, places in (
        ("prompts", int(values["prompts"][0]), [pair.prompt for pair in pairs]),
        ("responses", int(values["responses"][0]), [max(pair.chosen, pair.rejected) for pair in pairs]),
    ):
        if max(places) >= size:
            more = "Give start= more of them" if values["start"] else f"Give {name}={max(places) + 1}"
            raise ValueError(
                f"{write_field('compare', values['compare'])}: there are {size} {name}, 0 to {size - 1}, and a pair "
                f"names {name[:-1]} {max(places)}. {more}, or change the pair."
            )


def _check_batch(pairs: tuple[Pair, ...], values: Values) -> None:
    coupled = [str(objective) for objective in values["objective"] if objective in COUPLED]
    for batch in values["batch"]:
        if int(batch) > len(pairs):
            raise ValueError(
                f"batch={batch}: batch is at most the number of pairs, which is {len(pairs)}. Write batch=0 for the "
                "full batch."
            )
        if coupled and int(batch) not in (0, len(pairs)):
            raise ValueError(
                f"batch={batch}: {', '.join(coupled)} compares each pair with all others and needs them in every step. "
                "Write batch=0 for the full batch."
            )
    if coupled and len({pair.weight for pair in pairs}) > 1:
        raise ValueError(
            f"{write_field('compare', values['compare'])}: {', '.join(coupled)} compares each pair with all others as "
            "equals. Take the weights out, or choose another objective."
        )


def _check_shared(pairs: tuple[Pair, ...], values: Values, given: Iterable[str]) -> None:
    """Refuse what is defined for pairs that share no response only."""
    shown = write_field("compare", values["compare"])
    if share_responses(pairs):
        if "normal" in values["truth"]:
            raise ValueError(
                f"{shown}: two pairs of a prompt share a response, and truth=normal agrees with disjoint pairs only. "
                "Take truth out, or give each response to one pair."
            )
        if "overlap" in given:
            raise ValueError(
                f"{shown}: two pairs of a prompt share a response, whose features cannot have one overlap with each "
                "partner. Take overlap out, or give each response to one pair."
            )
    chosen, rejected = ({(pair.prompt, getattr(pair, role)) for pair in pairs} for role in ("chosen", "rejected"))
    if chosen & rejected and (values["chosen_length"] != (1,) or values["rejected_length"] != (1,)):
        raise ValueError(
            f"{shown}: a response is chosen in one pair and rejected in another, and cannot have both chosen_length "
            "and rejected_length. Take them out."
        )
