"""From evidence to a verdict: the rules, the same for every claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.claims.claim import MIXED, NO, UNDECIDED, WEAK, YES, Claim, Evidence, Side, Verdict

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Answered:
    """A side of a claim with what was found there."""

    side: Side
    evidence: tuple[Evidence, ...]

    @property
    def answer(self) -> str:
        """What the evidence says together."""
        return together(self.evidence)


@dataclass(frozen=True)
class Judgement:
    """A claim, all its evidence, and the verdict that follows."""

    claim: Claim
    evidence: tuple[Evidence, ...]
    sides: tuple[Answered, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict, by the rules of this module."""
        return decide(self.claim, self.evidence, self.sides)


def judge(claim: Claim, record: Callable[[str], xr.Dataset]) -> Judgement:
    """Bring the evidence for and against a claim.

    Args:
        claim: The claim.
        record: Gives the record of an experiment line.

    Returns:
        The evidence here and on every side; the verdict follows from it.
    """
    if claim.examine is None:
        return Judgement(claim, (), ())
    own = Side("", "")
    found = []
    for side in (own, *claim.sides):
        pick = {**claim.pick, **side.pick}
        lines = {**claim.lines, **side.lines}
        data = {name: _cell(record(line), pick) for name, line in lines.items()}
        found.append(Answered(side, (side.examine or claim.examine)(data)))
    return Judgement(claim, found[0].evidence, tuple(found[1:]))


def together(evidence: Sequence[Evidence]) -> str:
    """Join the answers of several pieces of evidence.

    Within a measure every piece has to agree: one "no" is a no, one "undecided" leaves it undecided, one "weakly" makes
    it weak. Rival measures that give different answers are mixed, those without an answer left out.
    """
    answers: dict[str, list[str]] = {}
    for piece in evidence:
        if piece.answer:
            answers.setdefault(piece.measure, []).append(piece.answer)
    by_measure = {measure: _worst(found) for measure, found in answers.items()}
    if len(by_measure) == 1:
        return next(iter(by_measure.values()))
    settled = {answer for answer in by_measure.values() if answer != UNDECIDED}
    if not settled:
        return UNDECIDED
    return settled.pop() if len(settled) == 1 else MIXED


def measures(evidence: Sequence[Evidence]) -> dict[str, str]:
    """Return the answer of each rival measure, in order."""
    names = dict.fromkeys(piece.measure for piece in evidence if piece.answer)
    return {name: together([piece for piece in evidence if piece.measure == name]) for name in names}


def decide(claim: Claim, evidence: Sequence[Evidence], sides: Sequence[Answered]) -> Verdict:
    """Decide on a claim.

    Yes here and on every side: reproduced. Yes here and no on some side, or no here and yes on some side: reproduced
    only under the condition that tells them apart. No here and nowhere yes: not reproduced. Rival measures that
    disagree: ambiguous in the paper. Undecided here: inconclusive. Sides that are undecided or weak change nothing; the
    report names them.

    Args:
        claim: The claim.
        evidence: What was found in its own lines.
        sides: What was found elsewhere.

    Returns:
        The verdict, in the words for the paper's claims or for the lab's own.
    """
    if claim.untested:
        return Verdict(claim.untested)
    holds, only_if, fails = (
        ("reproduced", "reproduced only if", "not reproduced")
        if claim.section
        else ("holds", "holds only if", "does not hold")
    )
    answer = together(evidence)
    there = {each.answer for each in sides}
    if answer == MIXED:
        by = measures(evidence)
        parts = [
            f"{word} by {listed([name for name, found in by.items() if found == word], 'and')}"
            for word in (YES, WEAK, NO, UNDECIDED)
            if word in by.values()
        ]
        return Verdict("ambiguous in the paper" if claim.section else only_if, "; ".join(parts))
    if answer == UNDECIDED:
        return Verdict("inconclusive")
    if answer == WEAK:
        return Verdict("weaker" if claim.section else fails)
    if answer == YES:
        return Verdict(only_if, _condition(claim, sides, NO)) if NO in there else Verdict(holds)
    return Verdict(only_if, _condition(claim, sides, YES)) if YES in there else Verdict(fails)


def listed(words: Sequence[str], last: str) -> str:
    """Join words to "a, b or c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)


def _condition(claim: Claim, sides: Sequence[Answered], against: str) -> str:
    """Name what tells the yes from the no, factor by factor."""
    parts = []
    for factor, here in claim.here.items():
        answers = [(each.side.label, each.answer) for each in sides if each.side.factor == factor]
        yes, no = ([label for label, answer in answers if answer == word] for word in (YES, NO))
        if not any(answer == against for _, answer in answers):
            continue
        (yes if against == NO else no).insert(0, here)
        parts.append(f"{listed(yes, 'or')} (not {listed(no, 'or')})")
    return "; ".join(parts)


def _worst(answers: Sequence[str]) -> str:
    return next(word for word in (NO, UNDECIDED, WEAK, YES) if word in answers)


def _cell(ds: xr.Dataset, pick: dict[str, str | float]) -> xr.Dataset:
    return ds.sel({axis: value for axis, value in pick.items() if axis in ds.dims})
