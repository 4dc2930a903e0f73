"""The report: how numbers are written, what stands where, and that verdicts can be read back."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from lab.claims.claim import Claim, Evidence, Side
from lab.claims.judging import Answered, Judgement
from lab.claims.registry import CLAIMS, choose
from lab.claims.report import markdown, paragraph, read_verdicts
from lab.claims.writing import bold, interval, number

COMMITTED = Path(__file__).resolve().parent.parent / "CLAIMS.md"
LINE = "tabular s1 dpo beta=0.1 sgd lr=1 steps=3 seeds=20"


def piece(answer="yes", what="mass | left", measure="", value=0.5):
    need = "above −1" if answer else ""
    return Evidence(what, value, value - 0.1, value + 0.1, 24, "nats", ".2f", need, answer, measure)


def judgement(name="one", answer="yes", section="3.1", sides=(), evidence=None):
    claim = Claim(
        name, "It is | so.", section, "toy" if section else "", "It is asked.", {"dpo": LINE}, lambda data: (),
        here={"width": "64 units"}, sides=tuple(each.side for each in sides),
    )  # fmt: skip
    return Judgement(claim, evidence or (piece(answer), piece("", "only told")), tuple(sides))


WIDE = Answered(Side("width", "128 units", {"dpo": LINE.replace("steps=3", "steps=4")}), (piece("no"),))
RIVALS = (piece("yes", "a", "the mass"), piece("no", "b", "the loss"))


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (-0.00001, ".3f", "0.000"),
        (-1.5, ".1f", "−1.5"),
        (3.2e-7, ".0e", "3e−7"),
        (2.0e12, ".1e", "2.0e12"),
        (0.0, ".0e", "0"),
        (math.inf, ".0f", "never"),
    ],
)
def test_numbers_are_written_the_same_everywhere(value, style, text):
    assert number(value, style) == text


def test_an_interval_without_numbers_says_so():
    nothing = Evidence("x", math.nan, math.nan, math.nan, 24)
    assert interval(nothing) == "not reached in every seed"
    assert interval(piece()) == "0.50 nats [0.40, 0.60]"


def test_a_paragraph_holds_every_number_and_line():
    text = paragraph(judgement(sides=(WIDE,)))
    assert text.startswith("### one\n\nThe paper (section 3.1; toy): *It is | so.* It is asked.\n")
    assert "Verdict: **reproduced only if**: 64 units (not 128 units). Sides. No: 128 units." in text
    assert "| here | mass \\| left | 0.50 nats [0.40, 0.60] | above −1 | yes |" in text
    assert "| here | only told | 0.50 nats [0.40, 0.60] |  |  |" in text
    assert "| 128 units | mass \\| left | 0.50 nats [0.40, 0.60] | above −1 | no |" in text
    assert f"- here: `{LINE}`\n- 128 units: `{LINE.replace('steps=3', 'steps=4')}`\n" in text


def test_rival_measures_of_a_side_stand_in_one_row():
    text = paragraph(judgement(evidence=RIVALS, sides=(Answered(WIDE.side, RIVALS),)))
    assert "| 128 units | the same comparisons |  |  | yes by the mass; no by the loss |" in text
    assert "**ambiguous in the paper**: yes by the mass; no by the loss. Sides. Mixed: 128 units." in text


def test_the_report_counts_and_verdicts_can_be_read_back():
    untested = Claim("three", "Who knows.", "4.5", "language model", "No runs.", untested="not testable in a toy")
    all_of_them = [
        judgement("one", sides=(WIDE,)),
        judgement("two", answer="no", section=""),
        Judgement(untested, (), ()),
        judgement("four", evidence=RIVALS),
    ]
    text = markdown(all_of_them)
    assert text == markdown(all_of_them) and text.endswith("\n") and not text.endswith("\n\n\n")
    counted = (
        "- Of the paper's 3 statements: reproduced only if 1 · ambiguous in the paper 1 · not testable in a toy 1."
    )
    assert counted in text and "- Of the lab's own 1 statements: does not hold 1." in text
    assert read_verdicts(text) == {each.claim.name: bold(each.verdict) for each in all_of_them}
    row = next(line for line in text.splitlines() if line.startswith("| [one](#one) |"))
    assert row == (
        "| [one](#one) | It is \\| so. (section 3.1) | toy | mass \\| left: 0.50 nats [0.40, 0.60], n = 24 | "
        f"`{LINE}` | **reproduced only if**: 64 units (not 128 units) | `python -m lab.claims one` |"
    )


def test_each_paper_has_a_table_and_a_count_of_its_own():
    theirs = Claim("five", "They say.", "6.1", "sentiment", "No runs.", untested="not tested here", paper="DPO")
    text = markdown([judgement("one"), Judgement(theirs, (), ()), judgement("two", section="")])
    heads = [line for line in text.splitlines() if line.startswith("## What")]
    assert heads == ["## What the paper says", "## What the DPO paper says", "## What the lab says"]
    assert "- Of the DPO paper's 1 statements: not tested here 1." in text
    assert "- Of the paper's 1 statements: reproduced 1." in text
    assert paragraph(Judgement(theirs, (), ())).startswith(
        "### five\n\nThe DPO paper (section 6.1; sentiment): *They say.*"
    )
    assert "the DPO paper says" not in markdown([judgement("one")]).split("## In short")[1]


# --- the claims that are there, and the committed report ----------------------------------------------------------


def test_every_claim_of_the_paper_names_its_section_and_the_rest_are_the_labs():
    assert len(CLAIMS) >= 25 and list(CLAIMS) == [claim.name for claim in CLAIMS.values()]
    assert sum(bool(claim.section) for claim in CLAIMS.values()) >= 15
    assert all(claim.method for claim in CLAIMS.values())


def test_the_committed_report_is_that_of_these_claims():
    text = COMMITTED.read_text(encoding="utf-8")
    assert list(read_verdicts(text)) == [
        *(name for name, claim in CLAIMS.items() if claim.section),
        *(name for name, claim in CLAIMS.items() if not claim.section),
    ], "run `python -m lab.claims`"
    missing = [
        part
        for claim in CLAIMS.values()
        for part in (claim.says, claim.method, *(f"`{line}`" for line in claim.all_lines))
        if part not in text
    ]
    assert not missing, f"CLAIMS.md is older than the claims; run `python -m lab.claims`: {missing}"


def test_every_number_of_the_committed_report_rests_on_enough_seeds():
    text = COMMITTED.read_text(encoding="utf-8")
    counts = {int(found) for found in re.findall(r"\bn = (\d+)", text)}
    assert counts and min(counts) >= 20
    assert not re.search(r"\bnan\b|−0\.0+\b(?!\d)|\binf\b", text)


def test_an_unknown_claim_names_the_nearest():
    with pytest.raises(ValueError, match="there is no claim 'rejected_fall'; did you mean 'rejected_falls'"):
        choose(["rejected_fall"])
    assert [claim.name for claim in choose(["margin_law", "margin_law"])] == ["margin_law"]
    assert choose([]) == list(CLAIMS.values())
