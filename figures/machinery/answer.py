"""What comes of a piece of work: plain values, so that one figure's failure is a line of the report."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass

GOOD = ("done", "drawn", "cached", "agrees")


@dataclass(frozen=True)
class Answer:
    """What came of a piece of work.

    Args:
        word: done, drawn, cached, agrees, differs or FAILED.
        text: What there is to say about it, on one line.
        seconds: How long it took.
        warnings: What was warned about on the way.
        trace: Where a failure happened, for the file beside the pictures.
    """

    word: str
    text: str = ""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    trace: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.word in GOOD


def attempt(action: Callable[[], tuple[str, str]], *, where: Callable[[], str]) -> Answer:
    """Do something and answer, whatever happens.

    Args:
        action: Returns the answer's word and text.
        where: Says on which experiment lines it worked; asked only after a failure.

    Returns:
        The answer. A failure's text is what was raised, and the lines unless it names them itself.
    """
    began = time.perf_counter()
    trace = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            word, text = action()
        except Exception as problem:
            word, text, trace = "FAILED", str(problem), traceback.format_exc()
            # Errors that the lab raises on purpose speak for themselves.
            if not isinstance(problem, ValueError | ArithmeticError) or not text:
                text = f"{type(problem).__name__}: {text}".rstrip(": ")
            lines = where()
            if lines and lines not in text:
                text = f"{text} in: {lines}"
    said = tuple(dict.fromkeys(" ".join(str(each.message).split()) for each in caught))
    return Answer(word, " ".join(text.split()), time.perf_counter() - began, said, trace)
