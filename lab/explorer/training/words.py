"""What the scene says: the sentence that sums a state up, its table, and the alt text of each panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots
from lab.experiments.experiment import Experiment
from lab.experiments.grammar import write_value
from lab.experiments.vocabulary import WORDS
from lab.explorer.training.lines import last_stage, seams
from lab.explorer.training.panels import push, response_roles, sentence_of_changes
from lab.explorer.training.records import MEDIAN, Reading

if TYPE_CHECKING:
    from lab.plots import Role

SAME = 0.005  # a probability that moved less than this is drawn as level


def heading(line: str, seeds: str) -> str:
    """Name a run in a few words: policy, scenario, objective, optimiser of its last stage, seeds."""
    experiment = Experiment.parse(line)
    stage = last_stage(experiment)
    objective, optimizer = (str(stage.value(name)) for name in ("objective", "optimizer"))
    betas = {"β": stage.beta, "β⁺": stage.beta_chosen, "β⁻": stage.beta_rejected}
    if objective not in WORDS["beta"].owned_by or (stage.beta_chosen and stage.beta_rejected):
        betas.pop("β")
    loss = " ".join([_label(objective), *(f"{sign}={write_value(given[0])}" for sign, given in betas.items() if given)])
    if stage.value("sft_weight"):
        loss += f" + {write_value(stage.value('sft_weight'))} SFT"
    if stage.value("terms") != "both":
        loss += f", {stage.value('terms')} term only"
    since = f" since step {seams(experiment)[-1]}" if experiment.then else ""
    count = experiment.value("seeds")
    which = f"seed {seeds}" if seeds != MEDIAN else "1 seed" if count == 1 else f"median of {count} seeds"
    training = f"{_label(optimizer)} {write_value(stage.value('lr'))}{since}"
    return " · ".join([str(stage.value("policy")), str(stage.value("scenario")), loss, training, which])


def summary(reading: Reading, seeds: str, at: int) -> str:
    """Say in one sentence where a run stands at a recorded state."""
    parts = []
    for role, curve in reading.probability.items():
        now, start = float(curve.median[at]), float(curve.median[0])
        began = f" (started {number(start)})" if role is plots.CHOSEN else ""
        parts.append(f"{role.label} {number(now)}{began} {arrow(start, now)}")
    return f"{heading(reading.line, seeds)} · step {reading.steps[at]}: {', '.join(parts)}"


def numbers(reading: Reading, at: int) -> dict[str, float]:
    """Return the numbers of the summary by name, with the loss."""
    found = {role.label: float(curve.median[at]) for role, curve in reading.probability.items()}
    loss = metrics.total_loss(reading.shown).isel(step=at)
    return {"step": float(reading.steps[at]), **found, "loss": float(np.median(loss.values))}


def rows(readings: Sequence[Reading], at: int) -> list[tuple[str, ...]]:
    """Return the table beside the pictures: a row for each role of each run, numbers with their intervals."""
    table: list[tuple[str, ...]] = []
    for index, reading in enumerate(readings):
        place = min(at, len(reading.steps) - 1)
        for role, curve in reading.probability.items():
            change = reading.change[role]
            table.append(
                (
                    "shown" if index == 0 else f"pin {index}",
                    role.label,
                    str(reading.steps[place]),
                    number(curve.median[0]),
                    number(curve.median[place]),
                    _interval(curve.low[place], curve.high[place]),
                    f"{change.median[place]:+.2f}".replace("-", "−"),
                )
            )
    return table


HEADER = ("run", "response", "step", "probability at the start", "now", "95 % interval", "change of log π (nats)")


def alt_of_curves(readings: Sequence[Reading], what: str) -> str:
    """Say what the panel of probabilities or of changes shows, from start over its extremes to the end."""
    current = readings[0]
    parts = []
    for role, curve in getattr(current, what).items():
        heights = curve.median
        if what == "change":
            parts.append(f"{role.label} ends at {signed(heights[-1])} nats")
            continue
        peak = int(np.argmax(heights))
        rises = heights[peak] - max(heights[0], heights[-1]) >= SAME
        top = f" over {number(heights[peak])} at step {current.steps[peak]}" if rises else ""
        parts.append(f"{role.label} from {number(heights[0])}{top} to {number(heights[-1])}")
    name = "Probability" if what == "probability" else "Change of log-probability since step 0"
    pinned = f"; {len(readings) - 1} pinned for comparison" if len(readings) > 1 else ""
    return f"{name} over {current.steps[-1]} steps: {'; '.join(parts)}{pinned}."


def alt_of_responses(reading: Reading, at: int, prompt: int) -> str:
    """Say what each response of a prompt has at a state, likeliest first."""
    here = metrics.prob(reading.shown.isel(step=[at])).isel(step=0, prompt=prompt)
    values = np.median(here.transpose("seed", "response").values, axis=0)
    roles = response_roles(reading.shown, prompt)
    order = np.argsort(-values, kind="stable")
    parts = [f"{response} ({roles[response].label}) {number(values[response])}" for response in order]
    return f"Probability of each response of prompt {prompt} at step {reading.steps[at]}: {', '.join(parts)}."


def alt_of_step(reading: Reading, at: int, prompt: int) -> str:
    """Say how hard the two terms push and what the next step does to each response of a prompt."""
    pushes = " and ".join(f"{term} by {signed(push(reading, at, prompt, term))}" for term in ("chosen", "rejected"))
    return (
        f"At step {reading.steps[at]} prompt {prompt}'s responses are pushed: {pushes}. The next step changes log π: "
        f"{sentence_of_changes(reading, at, prompt)}."
    )


def number(value: float) -> str:
    """Write a probability: two digits, in powers of ten where it is small."""
    if not np.isfinite(value):
        return "not finite"
    return f"{value:.2f}" if value >= 0.01 or value == 0 else f"{value:.1e}"


def signed(value: float) -> str:
    """Write a number with its sign and two digits."""
    return f"{value:+.2g}".replace("-", "−")


def arrow(start: float, now: float) -> str:
    """Return ↑, ↓ or → for a probability that rose, fell or stayed within SAME of its start."""
    return "→" if abs(now - start) < SAME else "↑" if now > start else "↓"


def _label(word: str) -> str:
    """Write an objective or an optimiser as the field does: by its role, or else by the name of its class."""
    known: dict[str, Role] = {**plots.OBJECTIVES, **plots.OPTIMIZERS}
    if word in known:
        return known[word].label
    from lab.experiments.losses import CATALOGUE

    return CATALOGUE[word][0].__name__.strip("<>")


def _interval(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}" if np.isfinite(low) else "one seed"
