"""The controls of the scene, read from the vocabulary of the line."""

from __future__ import annotations

import math

from lab.experiments.checks import belongs
from lab.experiments.experiment import Experiment
from lab.experiments.grammar import write_value
from lab.experiments.vocabulary import GRADIENTS, WORDS, Value
from lab.explorer.scene import Control
from lab.explorer.training.lines import last_stage
from lab.explorer.training.records import MEDIAN, record_of, row_of
from lab.explorer.training.state import GUESS_TEXTS, GUESSES, Training
from lab.explorer.training.worlds import world_of

WORLD = ("scenario", "policy")
LOSS = ("objective", "beta", "beta_chosen", "beta_rejected", "sft_weight", "terms")
OPTIMISER = ("optimizer", "lr", "steps", "seeds")
ADVANCED = ("prompts", "responses", "on", "off", "width", "activation", "features", "momentum", "eps", "batch",
            "divergence", "divergence_alpha", "dtype")  # fmt: skip
VIEW = ("line", "cursor", "shown", "prompt", "log", "pins", "pin", "branch", "guess", "again", "world")
NOT_OWN = ("prompts", "responses", "on", "off")  # a world of one's own brings these itself

LABELS = {
    "scenario": "start of the responses", "beta": "β", "beta_chosen": "β⁺ (chosen)", "beta_rejected": "β⁻ (rejected)",
    "sft_weight": "weight of SFT", "optimizer": "optimiser", "lr": "learning rate", "dtype": "precision",
    "terms": "terms that act", "on": "start probability, likely", "off": "start probability, unlikely",
}  # fmt: skip
# In this order a two by two: above, the chosen response starts likely; on the left, the rejected one does.
SCENARIOS = {
    "s1": "both start likely",
    "s3": "only the chosen one likely",
    "s2": "only the rejected one likely",
    "s4": "neither starts likely",
}
TEXTS = {"terms": ("both", "chosen only", "rejected only")}

# The stops of each slider: close enough to see a curve bend, few enough to write as short numbers.
STOPS: dict[str, tuple[Value, ...]] = {
    "steps": (20, 50, 100, 200, 300, 500, 800, 1000, 2000, 5000),
    "seeds": (1, 4, 8, 12, 24),
    "sft_weight": (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "smoothing": (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
    "prompts": (1, 2, 3, 4, 6, 8, 12, 16),
    "responses": (3, 4, 5, 6, 8, 10, 12, 16, 20),
    "width": (4, 8, 16, 32, 64, 128),
    "features": (4, 8, 16, 32, 64, 128),
    "batch": (0, 1, 2, 4),
    "on": (0.1, 0.2, 0.3, 0.4, 0.45, 0.49),
    "off": (1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.1),
    "momentum": (0.0, 0.5, 0.8, 0.9, 0.95, 0.99),
    "eps": (1e-10, 1e-8, 1e-6, 1e-4, 1e-3),
}
DECADES = {"beta": (-3, 1), "beta_chosen": (-3, 1), "beta_rejected": (-3, 1), "lr": (-5, 1)}
DIGITS = (1.0, 1.3, 1.8, 2.5, 3.2, 5.0, 7.0)


def controls(state: Training) -> tuple[Control, ...]:
    """List the controls of a state: those of the line's last stage, then those of the view."""
    experiment = Experiment.parse(state.line)
    return (*of_the_line(last_stage(experiment)), *_of_the_view(state))


def of_the_line(experiment: Experiment) -> tuple[Control, ...]:
    """List the controls of the words that a line's own policy, objective and optimiser take."""
    values = {name: getattr(experiment, name) for name in WORDS}
    own = [
        name for name, word in WORDS.items()
        if word.owner in ("objective", "divergence") and belongs(name, values) and name not in (*LOSS, *ADVANCED)
        and word.kind in ("real", "whole", "choice")
    ]  # fmt: skip
    live = experiment.value("policy") == "tabular"
    found = []
    for group, names in {
        "world": WORLD, "loss": (*LOSS, *own), "training": OPTIMISER, "advanced": ADVANCED,
    }.items():  # fmt: skip
        found += [
            _word(experiment, name, group, live)
            for name in names
            if belongs(name, values)
            and not (name in NOT_OWN and experiment.scenario == ("own",))
            and not (name == "beta" and experiment.beta_chosen and experiment.beta_rejected)
        ]
    return tuple(found)


def keys() -> tuple[str, ...]:
    """List every key that a control may have, for whoever hides or locks one."""
    named = (*WORLD, *LOSS, *OPTIMISER, *ADVANCED)
    own = [name for name, word in WORDS.items() if word.owner in ("objective", "divergence") and name not in named]
    return (*named, *own, *VIEW)


def stops(name: str, current: tuple[Value, ...]) -> tuple[str, ...]:
    """Return the values that a slider steps through, the current one among them."""
    word = WORDS[name]
    if name in STOPS:
        values = STOPS[name]
    elif name in DECADES:
        values = _log(*DECADES[name])
    elif word.kind == "whole":
        values = tuple(value for value in (0, 1, 2, 3, 5, 10, 20, 50) if value >= word.low)
    elif math.isfinite(word.high):
        values = tuple(round(word.low + share * (word.high - word.low), 6) for share in _INSIDE)
    else:
        scale = float(word.default[0]) if word.default and word.default[0] else 1.0
        values = tuple(float(f"{scale * factor:.6g}") for factor in _FACTORS)
    if word.kind == "real" and math.isfinite(word.low) and not word.open_low and name not in (*STOPS, *DECADES):
        values = (word.low, *values)
    numbers = sorted({*values, *current}, key=float)
    return tuple(write_value(value) for value in numbers)


_INSIDE = tuple(round(0.05 * k, 2) for k in range(1, 20))
_FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _log(low: int, high: int) -> tuple[float, ...]:
    return (*(float(f"{digit}e{power}") for power in range(low, high) for digit in DIGITS), float(f"1e{high}"))


def _word(experiment: Experiment, name: str, group: str, live: bool) -> Control:
    word, given = WORDS[name], getattr(experiment, name)
    label = LABELS.get(name, name.replace("_", " "))
    if name == "scenario":
        value = str(experiment.value(name))
        known = tuple(SCENARIOS) if value in SCENARIOS else (*SCENARIOS, value)
        texts = tuple(f"{key}: {SCENARIOS[key]}" if key in SCENARIOS else f"{key}: your own pairs" for key in known)
        return Control(name, label, "grid", value, known, texts, group, word.about)
    if word.choices:
        allowed = tuple(choice for choice in word.choices if choice not in (*GRADIENTS, "rm"))
        texts = TEXTS.get(name, ())
        return Control(name, label, "select", str(experiment.value(name)), allowed, texts, group, word.about)
    choices = stops(name, given)
    if word.optional:
        choices = ("", *choices)
    texts = tuple(choice or "as β" for choice in choices)
    return Control(
        name, label, "slider", write_value(given[0]) if given else "", choices, texts, group, word.about, live
    )


def _of_the_view(state: Training) -> tuple[Control, ...]:
    line = Control("line", "experiment line", "text", state.line, group="line", about="Enter runs it")
    if state.waiting:
        return (
            line,
            Control("guess", "Where does the chosen response end?", "question", "", GUESSES, GUESS_TEXTS, "predict"),
        )
    record = record_of(state.line)
    steps = [str(step) for step in record["step"].values]
    step = steps[row_of(record, state.step)]
    seeds = (MEDIAN, *(str(seed) for seed in record["seed"].values))
    prompts = tuple(str(prompt) for prompt in range(record.sizes["prompt"]))
    shown = [
        line,
        Control(
            "cursor", "step", "cursor", step, tuple(steps), (), "view", "the state that the lower panels show", True
        ),
        Control("shown", "seed", "select", state.seeds, seeds, ("all: median", *seeds[1:]), "view"),
        Control("prompt", "prompt", "select", str(state.prompt), prompts, (), "view"),
        Control("log", "logarithmic heights", "toggle", "yes" if state.log else "no", ("no", "yes"), (), "view"),
        Control("pin", "pin this run", "button", group="compare", about="keeps its curves beside what comes next"),
        Control(
            "branch",
            f"branch at step {step}",
            "button",
            group="compare",
            about="pins this run and begins a new stage here: what is changed next holds from this step on",
            locked=step in (steps[0], steps[-1]),
        ),
        Control("pins", "pinned runs", "pins", "", state.pins, (), "compare"),
        Control(
            "world",
            "your own pairs",
            "world",
            world_of(Experiment.parse(state.line), record),
            group="own world",
            about="start probabilities and pairs, to be edited and used",
        ),
    ]
    if state.predict:
        shown.append(Control("again", "predict the next one", "button", group="predict", about="hides the run again"))
    return tuple(shown)
