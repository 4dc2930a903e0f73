"""How numbers, evidence and verdicts are written."""

from __future__ import annotations

import math

from lab.claims.claim import Evidence, Verdict

MINUS = "−"


def number(value: float, style: str) -> str:
    """Write a number in a style such as ".3f" or ".0e", with a real minus and without a negative zero."""
    if math.isinf(value):
        return "never"
    text = f"{value:{style}}"
    if float(text) == 0:
        text = "0" if "e" in style else text.lstrip("-")
    elif "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", MINUS)


def interval(piece: Evidence) -> str:
    """Write median, interval and unit: "74.0 nats [73.4, 76.5]"."""
    if math.isnan(piece.value):
        return "not reached in every seed"
    value, low, high = (number(each, piece.style) for each in (piece.value, piece.low, piece.high))
    unit = f" {piece.units}" if piece.units else ""
    return f"{value}{unit} [{low}, {high}]"


def headline(piece: Evidence) -> str:
    """Write a piece of evidence in one line, with the number of seeds."""
    return f"{piece.what}: {interval(piece)}, n = {piece.n}"


def bold(verdict: Verdict) -> str:
    """Write a verdict with its word in bold."""
    return f"**{verdict.word}**" + (f": {verdict.condition}" if verdict.condition else "")
