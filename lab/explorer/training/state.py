"""The state of the scene: the line, and how it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from lab.explorer.training.records import MEDIAN

MOST_PINS = 4
GUESSES = ("stays", "falls", "below")
GUESS_TEXTS = (
    "near its highest point",
    "well below its highest point, but not below its start",
    "below where it started",
)


@dataclass(frozen=True)
class Training:
    """One training as it is looked at.

    Args:
        line: the experiment line.
        step: the step of the cursor; -1 for the last.
        seeds: "median" for all seeds, or the number of one.
        prompt: the prompt whose responses are shown.
        log: whether heights are drawn as logarithms.
        pins: lines that are compared with it.
        predict: whether the reader is to predict before the run is shown.
        guess: the prediction, one of GUESSES; "" for none yet.
        guessed: the line that it was about.

    Raises:
        ValueError: for more than MOST_PINS pins, or a guess that is no option.
    """

    line: str
    step: int = -1
    seeds: str = MEDIAN
    prompt: int = 0
    log: bool = False
    pins: tuple[str, ...] = ()
    predict: bool = False
    guess: str = ""
    guessed: str = ""

    def __post_init__(self) -> None:
        if len(self.pins) > MOST_PINS:
            raise ValueError(f"{len(self.pins)} runs are pinned; at most {MOST_PINS} can be. Remove one first.")
        if self.guess and self.guess not in GUESSES:
            raise ValueError(f"the guess is '{self.guess}'; the options are {', '.join(GUESSES)}")

    @property
    def waiting(self) -> bool:
        """Whether the future is hidden until the reader has guessed."""
        return self.predict and not self.guess
