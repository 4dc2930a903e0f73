"""A claim, the evidence that is brought for and against it, and the verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.experiments.experiment import Experiment

if TYPE_CHECKING:
    import xarray as xr

MOST_WORDS = 15
FEWEST_SEEDS = 20

YES, NO, WEAK, UNDECIDED, MIXED = "yes", "no", "weakly", "undecided", "mixed"
ANSWERS = (YES, NO, WEAK, UNDECIDED, MIXED)

OF_THE_PAPER = (
    "reproduced", "reproduced only if", "weaker", "not reproduced", "ambiguous in the paper", "inconclusive",
    "not testable in a toy", "not tested here",
)  # fmt: skip
OF_THE_LAB = ("holds", "holds only if", "does not hold", "inconclusive")
NEEDS_CONDITION = ("reproduced only if", "holds only if", "ambiguous in the paper")
WITHOUT_RUNS = ("not testable in a toy", "not tested here")

# How the report calls each paper.
PAPERS = {"3D-properties": "the paper", "DPO": "the DPO paper"}


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Args:
        word: One of OF_THE_PAPER or OF_THE_LAB.
        condition: Under which condition, or by which measure; only where the word asks for one.

    Raises:
        ValueError: If the word is unknown, or the condition does not go with it.
    """

    word: str
    condition: str = ""

    def __post_init__(self) -> None:
        allowed = tuple(dict.fromkeys((*OF_THE_PAPER, *OF_THE_LAB)))
        if self.word not in allowed:
            raise ValueError(f"the verdict is '{self.word}'; it must be one of {', '.join(allowed)}")
        if bool(self.condition) != (self.word in NEEDS_CONDITION):
            needs = "needs a condition" if self.word in NEEDS_CONDITION else "takes no condition"
            raise ValueError(f"the verdict '{self.word}' has the condition '{self.condition}'; it {needs}")

    def __str__(self) -> str:
        """Print the word and its condition."""
        return f"{self.word}: {self.condition}" if self.condition else self.word


@dataclass(frozen=True)
class Evidence:
    """One measured number, and the answer that it gives if it was held against something.

    Args:
        what: What was measured.
        value: Median over seeds.
        low, high: Its bootstrap interval.
        n: Number of seeds.
        units: Unit, such as nats; empty for a probability.
        style: How a number is written, such as ".3f" or ".1e".
        need: What it was held against, such as "above 10"; empty for a number that is only told.
        answer: One of ANSWERS but MIXED; empty like `need`.
        measure: Which of several rival measures it belongs to; empty where there is one.

    Raises:
        ValueError: If the answer is unknown, or stands without what was asked.
    """

    what: str
    value: float
    low: float
    high: float
    n: int
    units: str = ""
    style: str = ".3f"
    need: str = ""
    answer: str = ""
    measure: str = ""

    def __post_init__(self) -> None:
        if self.answer not in ("", *ANSWERS[:-1]):
            raise ValueError(f"the answer is '{self.answer}'; it must be one of {', '.join(ANSWERS[:-1])}")
        if bool(self.answer) != bool(self.need):
            raise ValueError(f"need is '{self.need}' and the answer '{self.answer}'; give both or neither")


Data = Mapping[str, "xr.Dataset"]
Examination = Callable[[Data], tuple[Evidence, ...]]


@dataclass(frozen=True)
class Side:
    """The same question asked elsewhere, to find out on what the answer depends.

    Args:
        factor: What is changed, such as "optimiser"; a key of the claim's `here`.
        label: What it is changed to, such as "plain SGD".
        lines: Experiment lines that replace those of the same names.
        pick: Cells of the records that replace those of the same axes.
        examine: Another examination; None is the claim's own.
    """

    factor: str
    label: str
    lines: Mapping[str, str] = field(default_factory=dict)
    pick: Mapping[str, str | float] = field(default_factory=dict)
    examine: Examination | None = None


@dataclass(frozen=True)
class Claim:
    """A statement, where it is from, and how it is put to the test.

    Args:
        name: Its id, lower case with underscores.
        says: The statement in our own words, at most 15 of them.
        section: Where the paper says so; empty for a statement of the lab's own.
        setting: Where the paper saw it.
        method: What is measured and what counts, in a sentence or two.
        lines: Experiment line by the name under which `examine` gets its record.
        examine: Takes the records, returns the evidence; its first piece is the headline.
        pick: Cells of the records to look at; an axis that a record lacks is left out.
        here: What each factor of the sides is in `lines`, such as {"optimiser": "Adam"}.
        sides: Where else the question is asked.
        untested: For a statement without runs: "not testable in a toy" or "not tested here".
        paper: Whose statement it is, one of PAPERS; it counts only with a section.

    Raises:
        ValueError: If one of them does not fit.
    """

    name: str
    says: str
    section: str = ""
    setting: str = ""
    method: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    examine: Examination | None = None
    pick: Mapping[str, str | float] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)
    sides: tuple[Side, ...] = ()
    untested: str = ""
    paper: str = "3D-properties"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"a claim is named '{self.name}'; use lower-case letters, digits and underscores")
        words = len(self.says.split())
        if not 0 < words <= MOST_WORDS:
            raise ValueError(f"{self.name} says '{self.says}', {words} words; say it in 1 to {MOST_WORDS} words")
        if bool(self.section) != bool(self.setting):
            raise ValueError(
                f"{self.name} has section '{self.section}' and setting '{self.setting}'; give both or none"
            )
        if self.paper not in PAPERS:
            raise ValueError(f"{self.name} is of the paper '{self.paper}'; the papers are {', '.join(PAPERS)}")
        if self.untested and (self.untested not in WITHOUT_RUNS or self.lines):
            raise ValueError(
                f"{self.name} is '{self.untested}' with {len(self.lines)} lines; allowed are {', '.join(WITHOUT_RUNS)} "
                "without lines. Leave out the one or the other."
            )
        if not self.untested and (self.examine is None or not self.lines):
            raise ValueError(f"{self.name} has no lines or no examination; give both, or say why it is untested")
        for side in self.sides:
            if side.factor not in self.here:
                raise ValueError(
                    f"{self.name} varies '{side.factor}' and does not say what it is in its own lines; "
                    f"add it to `here`, which has {', '.join(self.here) or 'nothing'}"
                )
            if foreign := set(side.lines) - set(self.lines):
                raise ValueError(
                    f"{self.name}, side {side.label}: no line {', '.join(sorted(foreign))} to replace; "
                    f"the lines are {', '.join(self.lines)}"
                )
        for line in self.all_lines:
            seeds = Experiment.parse(line).value("seeds")
            if not isinstance(seeds, int) or seeds < FEWEST_SEEDS:
                raise ValueError(f"{self.name} rests on {seeds} seeds; a claim needs at least {FEWEST_SEEDS}: {line}")

    @property
    def all_lines(self) -> tuple[str, ...]:
        """Every experiment line, each once."""
        sides = [line for side in self.sides for line in side.lines.values()]
        return tuple(dict.fromkeys((*self.lines.values(), *sides)))

    @property
    def command(self) -> str:
        """What shows this claim in the terminal."""
        return f"python -m lab.claims {self.name}"
