"""The report: judgements in, Markdown out; and verdicts read back out of the Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from lab.claims.claim import ANSWERS, OF_THE_LAB, OF_THE_PAPER, PAPERS, Evidence
from lab.claims.introduction import INTRODUCTION
from lab.claims.judging import Answered, Judgement, listed, measures
from lab.claims.writing import bold, headline, interval

PAPER_HEAD = (
    "id",
    "the paper says",
    "its setting",
    "we measured (median, 95 % interval)",
    "our setting",
    "verdict",
    "command",
)
LAB_HEAD = ("id", "the lab says", "we measured (median, 95 % interval)", "our setting", "verdict", "command")


def markdown(judgements: Sequence[Judgement]) -> str:
    """Write the whole report.

    Args:
        judgements: All of them, in order.

    Returns:
        Markdown; the same judgements give the same bytes.
    """
    papers = {
        words: found
        for paper, words in PAPERS.items()
        if (found := [each for each in judgements if each.claim.section and each.claim.paper == paper])
    }
    own = [each for each in judgements if not each.claim.section]
    return "\n".join(
        [
            INTRODUCTION,
            "## In short\n",
            *_counts(papers, own),
            *(
                f"## What {words} says\n\n{_table(PAPER_HEAD, [_paper_row(each) for each in found])}"
                for words, found in papers.items()
            ),
            "## What the lab says\n",
            _table(LAB_HEAD, [_lab_row(each) for each in own]),
            "## One by one\n",
            "\n".join(paragraph(each) for each in judgements),
        ]
    )


def paragraph(judgement: Judgement) -> str:
    """Write one claim with all its numbers."""
    claim = judgement.claim
    of_whom = PAPERS[claim.paper].replace("the", "The", 1)
    origin = f"{of_whom} (section {claim.section}; {claim.setting})" if claim.section else "The lab"
    parts = [
        f"### {claim.name}\n",
        f"{origin}: *{claim.says}* {claim.method}\n",
        f"Verdict: {bold(judgement.verdict)}.",
    ]
    if claim.untested:
        return "\n".join([*parts, ""])
    rows = [_row("here", piece) for piece in judgement.evidence]
    for each in judgement.sides:
        rows += _side_rows(each)
    parts[-1] += _sides_in_words(judgement.sides)
    return "\n".join(
        [*parts, "", _table(("where", "what", "median [95 % interval]", "asked", "answer"), rows), _lines(judgement)]
    )


def read_verdicts(text: str) -> dict[str, str]:
    """Read the verdict of each claim out of a report.

    Args:
        text: What `markdown` wrote.

    Returns:
        The verdict cell by the claim's name; empty where nothing was found.
    """
    found = {}
    for line in text.splitlines():
        cells = re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |"))
        name = cells[0].removeprefix("[").split("]")[0]
        if len(cells) > 2 and cells[-1] == f"`python -m lab.claims {name}`":
            found[name] = cells[-2].replace("\\|", "|")
    return found


def _counts(papers: Mapping[str, Sequence[Judgement]], own: Sequence[Judgement]) -> list[str]:
    lines = []
    for words, owner, judgements in (
        *((OF_THE_PAPER, f"{words}'s", found) for words, found in papers.items()),
        (OF_THE_LAB, "the lab's own", own),
    ):
        counted = Counter(each.verdict.word for each in judgements)
        told = " · ".join(f"{word} {counted[word]}" for word in words if counted[word])
        lines.append(f"- Of {owner} {len(judgements)} statements: {told}.")
    return [*lines, ""]


def _paper_row(judgement: Judgement) -> tuple[str, ...]:
    claim = judgement.claim
    says = f"{claim.says} (section {claim.section})"
    return (_link(judgement), says, claim.setting, *_measured(judgement), f"`{claim.command}`")


def _lab_row(judgement: Judgement) -> tuple[str, ...]:
    return (_link(judgement), judgement.claim.says, *_measured(judgement), f"`{judgement.claim.command}`")


def _link(judgement: Judgement) -> str:
    """Lead from the tables to the numbers below."""
    return f"[{judgement.claim.name}](#{judgement.claim.name})"


def _measured(judgement: Judgement) -> tuple[str, str, str]:
    evidence, lines = judgement.evidence, tuple(judgement.claim.lines.values())
    return headline(evidence[0]) if evidence else "", f"`{lines[0]}`" if lines else "", bold(judgement.verdict)


def _row(where: str, piece: Evidence) -> tuple[str, ...]:
    return where, piece.what, interval(piece), piece.need, piece.answer


def _side_rows(side: Answered) -> list[tuple[str, ...]]:
    asked = [piece for piece in side.evidence if piece.answer]
    by = measures(asked)
    if len(by) == 1:
        return [_row(side.side.label, piece) for piece in asked]
    words = (
        f"{word} by {listed([name for name in by if by[name] == word], 'and')}" for word in dict.fromkeys(by.values())
    )
    return [(side.side.label, "the same comparisons", "", "", "; ".join(words))]


def _sides_in_words(sides: Sequence[Answered]) -> str:
    found = []
    for answer in ANSWERS:
        labels = [each.side.label for each in sides if each.answer == answer]
        found += [f" {answer.capitalize()}: {', '.join(labels)}."] if labels else []
    return f" Sides.{''.join(found)}" if found else ""


def _lines(judgement: Judgement) -> str:
    """List the experiment lines, sides that share them together."""
    claim = judgement.claim
    homes: dict[str, list[str]] = {}
    for name, line in claim.lines.items():
        homes.setdefault(line, []).append("here" if len(claim.lines) == 1 else f"here, {name}")
    for side in claim.sides:
        for name, line in side.lines.items():
            label = side.label if len(claim.lines) == 1 else f"{side.label}, {name}"
            homes.setdefault(line, []).append(label)
    return "\n".join([*(f"- {'; '.join(dict.fromkeys(who))}: `{line}`" for line, who in homes.items()), ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join([*("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells), ""])
