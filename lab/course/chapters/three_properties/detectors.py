"""Exercise 4.3: Detectors of the three properties."""

from __future__ import annotations

import numpy as np

from lab.course.chapters.three_properties.goals import MEASURE
from lab.course.exercise import Exercise, Wrong


def three_properties(log_chosen, log_rejected, unseen, loss):
    """Return which of the three properties one run has.

    drop: from the first state to the last, log π⁻ falls by over 10 nats more than log π⁺ rises; a
    log π⁺ that ends below its start counts as no rise.

    degradation: π⁺ ends more than 0.01 below its peak, and the loss ends below its value there.

    dispersion: u ends more than 0.01 above its minimum, ends above its start by any amount, and the
    loss ends below its value at the minimum. Of equal peaks or minima the first counts.

    Args:
        log_chosen: log π⁺, [step], nats.
        log_rejected: log π⁻, [step], nats.
        unseen: u, the mass of the unseen responses, [step].
        loss: [step], nats.

    Returns:
        A dict of "drop", "degradation" and "dispersion", each True or False.
    """
    chosen = np.exp(log_chosen)
    peak, least = np.argmax(chosen), np.argmin(unseen)
    rise = max(log_chosen[-1] - log_chosen[0], 0.0)
    return {
        "drop": bool(log_rejected[0] - log_rejected[-1] - rise > 10),
        "degradation": bool(chosen[peak] - chosen[-1] > 0.01 and loss[-1] < loss[peak]),
        "dispersion": bool(unseen[-1] - unseen[least] > 0.01 and unseen[-1] > unseen[0] and loss[-1] < loss[least]),
    }


def _final_below_initial(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    fell = bool(np.exp(log_chosen[0]) - np.exp(log_chosen[-1]) > 0.01 and loss[-1] < loss[0])
    return {**found, "degradation": fell}


def _drop_of_the_rejected_alone(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    return {**found, "drop": bool(log_rejected[0] - log_rejected[-1] > 10)}


def _dispersion_below_the_start(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    least = np.argmin(unseen)
    return {**found, "dispersion": bool(unseen[-1] - unseen[least] > 0.01 and loss[-1] < loss[least])}


def _blind_to_the_loss(log_chosen, log_rejected, unseen, loss):
    return three_properties(log_chosen, log_rejected, unseen, -np.arange(len(loss)))


def _deepest_dip(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    chosen = np.exp(log_chosen)
    dip = np.max(np.maximum.accumulate(chosen) - chosen)
    return {**found, "degradation": bool(dip > 0.01 and loss[-1] < loss[0])}


def _margin_for_a_drop(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    margin = (log_chosen[-1] - log_chosen[0]) - (log_rejected[-1] - log_rejected[0])
    return {**found, "drop": bool(margin > 10)}


def _fall_in_nats(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    peak = np.argmax(log_chosen)
    return {**found, "degradation": bool(log_chosen[peak] - log_chosen[-1] > 0.01 and loss[-1] < loss[peak])}


def _drop_with_any_change(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    fall = log_rejected[0] - log_rejected[-1]
    return {**found, "drop": bool(fall - abs(log_chosen[-1] - log_chosen[0]) > 10)}


def _drop_deepened_by_a_fall(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    fall = log_rejected[0] - log_rejected[-1]
    return {**found, "drop": bool(fall - (log_chosen[-1] - log_chosen[0]) > 10)}


def _drop_in_probability(log_chosen, log_rejected, unseen, loss):
    found = three_properties(log_chosen, log_rejected, unseen, loss)
    fall, rise = np.exp(log_rejected[0]) - np.exp(log_rejected[-1]), np.exp(log_chosen[-1]) - np.exp(log_chosen[0])
    return {**found, "drop": bool(fall > max(rise, 0.0))}


def _trajectories(generator: np.random.Generator) -> list[tuple]:
    """Plant runs, each with shape and loss of its own: all three, none, one each, and those that fool a quick rule."""
    time = np.linspace(0.0, 1.0, 60)
    falling, rising = 0.7 * np.exp(-6 * time), 0.02 + 0.6 * time

    def run(chosen, rejected_nats, unseen, loss=falling):
        jitter = 1 + 0.001 * generator.uniform(-1, 1)
        ways = (np.interp(time, np.linspace(0, 1, len(knots)), knots) for knots in (chosen, rejected_nats, unseen))
        chosen, rejected, unseen = (jitter * way for way in ways)
        return np.log(chosen), rejected - 0.8, unseen, loss.copy()

    return [
        run((0.45, 0.98, 0.6), (0, -70), (0.1, 0.01, 0.4)),  # all three
        run((0.45, 0.7, 0.97), (0, -3), (0.1, 0.05, 0.02)),  # none
        run((0.45, 0.8, 0.99), (0, -40), (0.1, 0.05, 0.01)),  # the drop alone
        run((0.45, 0.98, 0.6), (0, -4), (0.1, 0.01, 0.05)),  # degradation; unseen rise and stay below their start
        run((0.3, 0.25, 0.2), (0, -4), (0.1, 0.3, 0.5)),  # a fall from the start, and dispersion
        run((0.02, 0.6, 0.3), (0, -30), (0.1, 0.2, 0.6)),  # ends above its start and below its peak
        run((0.02, 0.4, 0.01), (0, -11), (0.5, 0.3, 0.2)),  # a falling chosen response does not deepen the drop
        run((0.002, 0.5, 0.9), (0, -12), (0.3, 0.2, 0.08)),  # a fall of 12 nats that buys a rise of 6
        run((0.45, 0.1, 0.95), (0, -20), (0.1, 0.6, 0.02)),  # a dip that heals
        run((0.9, 0.7, 0.5), (0, -9.5), (0.05, 0.2, 0.3), loss=rising),  # the loss rises: not a case of learning
        run((0.45, 0.9, 0.895), (0, -9.9), (0.1, 0.05, 0.055)),  # all below the thresholds
        run((0.5, 0.6, 0.3), (0, -9.7), (0.2, 0.1, 0.12)),  # the margin passes 10 nats? no: neither does the drop
        run((0.05, 0.3, 0.01), (0, -9.5), (0.3, 0.2, 0.31)),  # a fall of the chosen response is no rise of the other
        run((0.01, 0.2, 0.5), (0, -9.0), (0.5, 0.4, 0.3)),  # a margin of 13 nats, a drop of 5
        run((0.01, 0.03, 0.022), (0, -8.0), (0.5, 0.45, 0.4)),  # a fall of 0.3 nats, and of 0.008 in probability
        run((0.3, 0.1, 0.01), (0, -12), (0.2, 0.3, 0.5)),  # the chosen response falls by 3.4 nats: no rise to subtract
    ]


EXERCISE = Exercise(
    id="4.3", title="Detectors of the three", minutes=20, difficulty=3, points=5, goal=MEASURE,
    solution=three_properties, cases=_trajectories,
    wrong=(
        Wrong(_final_below_initial, "You compare the end with the start. A response that goes from 0.02 to 0.6 and "
              "back to 0.3 ends above its start, and has lost half of what it had."),
        Wrong(_drop_of_the_rejected_alone, "You count the fall of the rejected response alone. Where 12 nats of fall "
              "buy 6 nats of rise, the fall is no waste: subtract the rise."),
        Wrong(_dispersion_below_the_start, "You report a run whose unseen mass ends below its start: it first fell, "
              "then got a part of that back. Read the definition's second condition."),
        Wrong(_blind_to_the_loss, "You report a run whose loss rises. A run that unlearns its pairs loses the chosen "
              "response for a dull reason; the definitions ask for a falling loss."),
        Wrong(_deepest_dip, "You report a dip that heals before the end. Compare the peak with the last state."),
        Wrong(_margin_for_a_drop, "You measure the margin, in which a rise of the chosen response and a fall of the "
              "rejected one add up. In the drop the rise is subtracted."),
        Wrong(_fall_in_nats, "You measure the fall of the chosen response in nats. The definition is about π⁺: a fall "
              "from 0.03 to 0.022 is 0.3 nats and below 0.01."),
        Wrong(_drop_with_any_change, "You subtract the size of the chosen response's change. Where it falls there is "
              "no rise to subtract."),
        Wrong(_drop_deepened_by_a_fall, "Where the chosen response ends below its start, its fall adds to your drop. "
              "The definition counts it as no rise: 0."),
        Wrong(_drop_in_probability, "You compare probabilities. The drop is in nats: a response at 0.45 cannot lose "
              "more than 0.45, and can lose 70 nats."),
    ),
    hints=(
        "np.argmax and np.argmin give the step of the first peak and of the first minimum.",
        "Each property is one comparison of the last state with an earlier one: the start, the peak, the minimum. Only "
        "then come the conditions.",
        "drop: (log π⁻ first − last) − max(log π⁺ last − first, 0) > 10. The others: a difference above 0.01, and "
        "loss[-1] below the loss at the peak or minimum.",
    ),
)  # fmt: skip
