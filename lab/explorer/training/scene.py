"""The scene of one training: controls, changes and views as pure functions of its state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from lab import metrics
from lab.experiments.experiment import Experiment
from lab.experiments.vocabulary import WORDS
from lab.explorer.scene import Control, Picture, View
from lab.explorer.sheets import Sheet, mark
from lab.explorer.training import panels, words
from lab.explorer.training.controls import VIEW, controls, keys
from lab.explorer.training.lines import branched, with_word
from lab.explorer.training.records import MEDIAN, Reading, explorable, reading, record_of, row_of
from lab.explorer.training.state import GUESS_TEXTS, GUESSES, Training
from lab.explorer.training.worlds import with_world
from lab.properties import Thresholds

FALLEN = Thresholds().degradation  # below its peak by this much, the chosen response counts as fallen back


class TrainingScene:
    """One training: its line can be changed word by word, and its states looked at one by one."""

    name = "training"

    def begin(self, line: str, *, predict: bool = False) -> Training:
        """Return the first state of a line.

        Raises:
            TypeError, ValueError: as `explorable`.
        """
        return Training(str(explorable(line)), predict=predict)

    def keys(self) -> tuple[str, ...]:
        """List every key that a control may have."""
        return keys()

    def controls(self, state: Training) -> tuple[Control, ...]:
        """List the controls of a state."""
        return controls(state)

    def change(self, state: Training, key: str, value: str) -> Training:
        """Return the state after a control was moved.

        Raises:
            TypeError, ValueError, NonFiniteError: if the value is not allowed, or its run breaks.
        """
        if key in VIEW:
            return _VIEWS[key](state, value)
        if key not in WORDS:
            raise ValueError(f"there is no control '{key}'; the controls are {', '.join(keys())}")
        return _with_line(state, str(with_word(Experiment.parse(state.line), key, value)))

    def show(self, state: Training) -> View:
        """Draw a state; nothing of the future while the reader is to predict it."""
        current = reading(state.line, state.seeds)
        if state.waiting:
            return _before(state, current)
        at = row_of(current.record, state.step)
        others = [reading(line) for line in state.pins]
        return View(
            pictures=_pictures(state, current, at),
            summary=_answer(state) + words.summary(current, state.seeds, at),
            header=words.HEADER,
            rows=tuple(words.rows([current, *others], at)),
            line=state.line,
            numbers=words.numbers(current, at),
        )


def _with_line(state: Training, line: str) -> Training:
    """Take another line, and keep of the view what still fits it."""
    line = str(explorable(line))
    record = record_of(line)
    kept = state.seeds in (MEDIAN, *(str(seed) for seed in record["seed"].values))
    return replace(
        state,
        line=line,
        seeds=state.seeds if kept else MEDIAN,
        prompt=min(state.prompt, record.sizes["prompt"] - 1),
        step=-1 if state.step > record["step"].values[-1] else state.step,
    )


def _cursor(state: Training, value: str) -> Training:
    last = int(record_of(state.line)["step"].values[-1])
    if not value.isdigit() or int(value) > last:
        raise ValueError(f"the cursor is at '{value}'; allowed are the steps 0 to {last}")
    return replace(state, step=-1 if int(value) == last else int(value))


def _shown(state: Training, value: str) -> Training:
    reading(state.line, value)
    return replace(state, seeds=value)


def _prompt(state: Training, value: str) -> Training:
    prompts = record_of(state.line).sizes["prompt"]
    if not value.isdigit() or int(value) >= prompts:
        raise ValueError(f"the prompt is '{value}'; allowed are 0 to {prompts - 1}")
    return replace(state, prompt=int(value))


def _pin(state: Training, _: str) -> Training:
    return state if state.line in state.pins else replace(state, pins=(*state.pins, state.line))


def _unpin(state: Training, value: str) -> Training:
    return replace(state, pins=tuple(line for line in state.pins if line != value))


def _branch(state: Training, _: str) -> Training:
    record = record_of(state.line)
    step = int(record["step"].values[row_of(record, state.step)])
    return replace(_with_line(_pin(state, ""), str(branched(Experiment.parse(state.line), step))), step=step)


_VIEWS: dict[str, Callable[[Training, str], Training]] = {
    "line": _with_line,
    "cursor": _cursor,
    "shown": _shown,
    "prompt": _prompt,
    "log": lambda state, value: replace(state, log=value == "yes"),
    "pin": _pin,
    "pins": _unpin,
    "branch": _branch,
    "guess": lambda state, value: replace(state, guess=value, guessed=state.line),
    "world": lambda state, value: _with_line(state, str(with_world(Experiment.parse(state.line), value))),
    "again": lambda state, _: replace(state, guess="", guessed="", step=-1),
}


def what_happened(line: str) -> tuple[str, float]:
    """Return which option of the prediction is true of a run, and the probability at which its chosen response ends.

    With the median over seeds of the mean over pairs: "below" ends under its start, "falls" at least FALLEN under its
    peak, "stays" neither.
    """
    record = record_of(line)
    curve = np.median(metrics.over_pairs(metrics.chosen_prob(record), record).transpose("seed", "step").values, axis=0)
    end = float(curve[-1])
    if end < curve[0]:
        return "below", end
    return ("falls" if curve.max() - end >= FALLEN else "stays"), end


def _answer(state: Training) -> str:
    """Say whether the guess was right, with the number; nothing once the line is another."""
    if not state.guess or state.guessed != state.line:
        return ""
    happened, end = what_happened(state.line)
    ends = f"the chosen response ends at {words.number(end)}, {GUESS_TEXTS[GUESSES.index(happened)]}"
    if happened == state.guess:
        return f"You were right: {ends}. "
    return f"You said {GUESS_TEXTS[GUESSES.index(state.guess)]}; {ends}. "


def _pictures(state: Training, current: Reading, at: int) -> tuple[Picture, ...]:
    before = min(at, len(current.steps) - 2)  # no step follows the last state
    readings = [current, *(reading(line) for line in state.pins)]
    lines, log = (state.line, *state.pins), state.log
    x = float(current.steps[at])
    upper = []
    for what in ("probability", "change"):
        frame = panels.curves_frame(readings, what, log)
        png = _curves(lines, state.seeds, what, log)
        upper.append(Picture(what, png, words.alt_of_curves(readings, what), mark(frame, x)))
    return (
        *upper,
        Picture(
            "responses",
            _responses(state.line, state.seeds, at, state.prompt, log),
            words.alt_of_responses(current, at, state.prompt),
        ),
        Picture(
            "step",
            _step(state.line, state.seeds, before, state.prompt),
            words.alt_of_step(current, before, state.prompt),
        ),
    )


def _before(state: Training, current: Reading) -> View:
    """Show the start only."""
    png = _responses(state.line, state.seeds, 0, state.prompt, state.log)
    return View(
        pictures=(Picture("responses", png, words.alt_of_responses(current, 0, state.prompt)),),
        summary=f"{words.heading(current.line, state.seeds)} · step 0: predict before you see.",
        line=state.line,
        numbers={"step": 0.0},
    )


@lru_cache(maxsize=1)
def _sheet() -> Sheet:
    return Sheet()


# A panel is drawn again only when something changed that it shows; a cursor leaves the upper two alone.
@lru_cache(maxsize=64)
def _curves(lines: tuple[str, ...], seeds: str, what: str, log: bool) -> bytes:
    readings = [reading(lines[0], seeds), *(reading(line) for line in lines[1:])]
    frame = panels.curves_frame(readings, what, log)
    return _sheet().png(frame, lambda ax: panels.draw_curves(ax, readings, what, log))


@lru_cache(maxsize=256)
def _responses(line: str, seeds: str, at: int, prompt: int, log: bool) -> bytes:
    shown = reading(line, seeds)
    frame = panels.responses_frame(shown, prompt, log)
    return _sheet().png(frame, lambda ax: panels.draw_responses(ax, shown, at, prompt, log))


@lru_cache(maxsize=256)
def _step(line: str, seeds: str, at: int, prompt: int) -> bytes:
    shown = reading(line, seeds)
    frame = panels.step_frame(shown, at, prompt)
    return _sheet().png(frame, lambda ax: panels.draw_step(ax, shown, at, prompt))
