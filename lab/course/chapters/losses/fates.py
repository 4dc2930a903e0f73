"""Exercise 6.3: What is left in the end."""

from __future__ import annotations

from lab.course.chapters.losses.goals import FADE
from lab.course.drawings.losses import chosen_push
from lab.course.exercise import Exercise, Mistake, Wrong

LOSSES = ("dpo", "ipo", "slic", "cdpo", "simpo", "kto", "orpo")
FAR = 1000.0  # nats
FADED = 0.01  # of the push at the start
LASTING = 0.5
LONG = 100.0  # nats from which a push that is still there counts as one that stays


def fates():
    """Say what becomes of each loss's push on the chosen response, once the rejected one is gone.

    Return a dict with the keys "dpo", "ipo", "slic", "cdpo", "simpo", "kto", "orpo". Each value
    is a pair: a word, and a fall of the rejected response in nats at which it can be seen. With
    p = chosen_push(loss, fall) over its value at fall 0, the words are "fades" (0 < p < 0.01),
    "stops" (p is 0), "turns" (p < 0: the chosen response is pulled down) and "stays" (p > 0.5
    at a fall of 100 nats or more). It has to hold there and from there on.
    """
    return {
        "dpo": ("fades", 100),
        "ipo": ("turns", 20),
        "slic": ("stops", 20),
        "cdpo": ("turns", 100),
        "simpo": ("fades", 100),
        "kto": ("stays", 1000),
        "orpo": ("stays", 1000),
    }


def _all_fade():
    return {loss: ("fades", 100) for loss in LOSSES}


def _seen_too_near():
    return {**fates(), "dpo": ("fades", 30)}


def _target_taken_for_an_end():
    return {**fates(), "ipo": ("stops", 5)}


def _smoothing_overlooked():
    return {**fates(), "cdpo": ("fades", 21)}


def _only_the_margin_counts():
    return {**fates(), "kto": ("fades", 100)}


def _one_missing():
    return {loss: fate for loss, fate in fates().items() if loss != "orpo"}


def _stays_for_now():
    return {**fates(), "slic": ("stays", 9)}


NOT_ALL = "asked for are all seven losses."
FADES_NOT = "its push on the chosen response has a part that never asks for the rejected one."
OTHERWISE = "ask what is left of its push 100 nats out, and further."
TOO_NEAR = "that is not yet so at this fall: go further out."
PASSES = "its push does not end there: ask again a few nats further out."
SMOOTHED = "it believes that some labels are wrong, so it has a margin that it wants and no more."
HINGED = "a push that is constant for a while is not there for ever."


def share(loss: str, fall: float) -> float:
    """Compute what is left of the push on the chosen response, as a share of its start."""
    return float(chosen_push(loss, float(fall)) / chosen_push(loss, 0.0))


def word_for(left: float) -> str:
    """Find the word for a share of the push: fades, stops, turns or stays; "" between the words."""
    if left <= 0:
        return "turns" if left < 0 else "stops"
    return "fades" if left < FADED else "stays" if left > LASTING else ""


def _judge(cases: list[tuple], outputs: list) -> None:
    given = outputs[0]
    if not isinstance(given, dict) or set(given) != set(LOSSES):
        raise Mistake(f"the keys are {', '.join(map(str, given))}; {NOT_ALL}")
    reasons = {"kto": FADES_NOT, "orpo": FADES_NOT, "ipo": PASSES, "cdpo": SMOOTHED, "slic": HINGED}
    for loss in LOSSES:
        word, fall = given[loss]
        if not 0 <= float(fall) <= FAR:
            raise Mistake(f"{loss} is seen at a fall of {fall:g} nats; give one from 0 to {FAR:g}.")
        here, end = share(loss, fall), share(loss, FAR)
        if word != word_for(end):
            raise Mistake(f"{loss} is said to be one that {word}: {reasons.get(loss, OTHERWISE)}")
        if word != word_for(here) or (word == "stays" and fall < LONG):
            raise Mistake(f"{loss}, {word} at {fall:g} nats: {here:.3g} of the push is left, {TOO_NEAR}")


EXERCISE = Exercise(
    id="6.3",
    title="What is left in the end",
    minutes=10,
    difficulty=3,
    points=3,
    goal=FADE,
    solution=fates,
    cases=lambda rng: [()],
    wrong=(
        Wrong(_all_fade, PASSES),
        Wrong(_seen_too_near, TOO_NEAR),
        Wrong(_target_taken_for_an_end, PASSES),
        Wrong(_smoothing_overlooked, SMOOTHED),
        Wrong(_only_the_margin_counts, FADES_NOT),
        Wrong(_one_missing, NOT_ALL),
        Wrong(_stays_for_now, HINGED),
    ),
    hints=(
        "Print chosen_push(loss, [0, 5, 10, 20, 50, 100, 1000]) for each, over its first value.",
        "Three of them stop or turn at a margin of their own: IPO at 1/(2 beta), SLiC at 1/beta, cDPO where the "
        "sigmoid says what its labels say.",
        "Two stay, since their push has a part that never asks for the rejected response; DPO and SimPO fade, yet are "
        "above 1 % until beyond 50 nats.",
    ),
    judge=_judge,
)
