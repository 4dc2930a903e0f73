"""Limits in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from lab.theory.limits import EDGE, Ends, Limits
from lab.theory.places import START
from lab.theory.tails import Tail

RIGHT_WAY = {"chosen": -1, "rejected": 1}
WAYS = {-1: "up", 1: "down"}


def ending(tail: Tail, term: str) -> str:
    """Say how a push ends, in a few words; t is the distance along the ray, in nats."""
    back = "" if tail.sign in (0, RIGHT_WAY[term]) else ", the wrong way"
    match tail.law:
        case "none":
            return "is 0 throughout"
        case "cutoff":
            return f"is 0 from t = {tail.rate:.4g} on"
        case "constant":
            return f"stays, {abs(tail.value):.3g} {WAYS[tail.sign]}{back}"
    shape = {
        "exponential": f"like exp({tail.rate:.3g} t)".replace("(1 t", "(t").replace("(-1 t", "(-t"),
        "power": f"like t^{tail.rate:.2g}".removesuffix("^1"),
        "faster": "faster than any exponential",
    }[tail.law]
    return f"{'grows' if tail.grows else 'vanishes'} {shape}{back}"


def target(limits: Limits) -> str:
    """Say where the pushes end for good, in a few words: a margin, two of them, or none."""
    ends = {term: limits.target(term) for term in RIGHT_WAY}
    words = {term: f"{turn.how} at {turn.margin:.4g}" for term, turn in ends.items() if turn is not None}
    if len(set(words.values())) == 1 and len(words) == 2:
        return f"both: {words['chosen']}"
    return "; ".join(f"{term} {word}" for term, word in words.items()) or "none"


def sentences(limits: Limits) -> Iterator[str]:
    """Say what the limits are, a sentence for each question."""
    margin = "u - v" if limits.reads_reference else "c - r"
    yield f"At the start (u = v = 0, both responses at {START:g}): {_start(limits)}."
    yield f"As π(rejected) → 0 (v = -t, u = 0): {_both(limits.rejected_gone)}."
    yield f"As π(chosen) → 1 (π(chosen) = 1 - exp(-t), v = -1): {_both(limits.chosen_certain)}."
    yield f"At large margins (u = t, v = -t): {_both(limits.far_right)}."
    yield f"Far on the wrong side (u = -t, v = t): {_both(limits.far_wrong)}."
    yield f"Target, as a margin {margin} along u = -v: {target(limits)}."
    others = [turn for turn in limits.turns if turn not in (limits.target("chosen"), limits.target("rejected"))]
    if others:
        listed = "; ".join(f"{turn.term} {turn.how} at {turn.margin:.4g}" for turn in others)
        yield f"Other places where a push changes: {listed}."
    outlives = "outlives" if limits.chosen_outlives else "does not outlive"
    yield f"The push on the chosen response {outlives} the rejected response."
    yield "The pushes are " + ("equal and opposite everywhere." if limits.balanced else "not equal and opposite.")
    for name, way, place in (("chosen", "down", limits.lowers_chosen), ("rejected", "up", limits.raises_rejected)):
        where = f"nowhere within {EDGE:g} nats" if place is None else f"first at u = {place[0]:g}, v = {place[1]:g}"
        yield f"It pushes the {name} response {way}: {where}."


def _both(ends: Ends) -> str:
    chosen, rejected = ending(ends.chosen, "chosen"), ending(ends.rejected, "rejected")
    return f"the push on the chosen {chosen}; that on the rejected {rejected}"


def _start(limits: Limits) -> str:
    parts = []
    for term, push in zip(RIGHT_WAY, limits.start, strict=True):
        parts.append(
            f"{term} pushed {WAYS[1 if push > 0 else -1]} by {abs(push):.3g}" if push else f"{term} not pushed"
        )
    return ", ".join(parts)
