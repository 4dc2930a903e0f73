"""How numbers and tables of the scoreboard are written: Markdown, LaTeX, CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lab.claims.writing import number
from lab.properties import NAMES, NOT_REACHED
from lab.scoreboard.entries import ENTRIES
from lab.scoreboard.measuring import END
from lab.scoreboard.settings import SCENARIOS, SETTINGS

if TYPE_CHECKING:
    import pandas as pd

MARKS = {"present": "", "absent": "", "inconclusive": "?"}


def cells(scores: pd.DataFrame, setting: str, horizon: str) -> dict[tuple[str, str], dict[Any, Any]]:
    """Pick the scores of one setting at one horizon, by objective and scenario."""
    rows = scores[(scores["setting"] == setting) & (scores["horizon"] == horizon)]
    return {(row["entry"], row["scenario"]): row for row in rows.to_dict("records")}


def interval(row: Mapping[str, Any], name: str, style: str) -> str:
    """Write a median and its interval, or that the horizon was not reached."""
    if math.isnan(row[name]):
        return "–"
    value, low, high = (_number(row[f"{name}{end}"], style) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def glance(scores: pd.DataFrame, setting: str) -> dict[str, str]:
    """Write in how many scenarios each property of each objective is present at the end: "4 · 2 · 1?".

    A question mark says that it is inconclusive in another scenario.

    Args:
        scores: The scores.
        setting: A setting.

    Returns:
        The words by the name of the objective: drop, degradation, dispersion.
    """
    found = cells(scores, setting, END)
    words = {}
    for entry in ENTRIES:
        counts = []
        for name in NAMES:
            verdicts = [found[entry.name, scenario][f"{name}_verdict"] for scenario in SCENARIOS]
            counts.append(f"{verdicts.count('present')}{'?' if 'inconclusive' in verdicts else ''}")
        words[entry.name] = " · ".join(counts)
    return words


def grid(scores: pd.DataFrame, setting: str, horizon: str, name: str, style: str) -> list[tuple[str, ...]]:
    """Write one number of every objective in every scenario, bold where the property is present.

    Args:
        scores: The scores.
        setting: A setting.
        horizon: A horizon, "end" for the last step.
        name: The property.
        style: How it is written, such as ".3f".

    Returns:
        Rows of cells, the head first.
    """
    found = cells(scores, setting, horizon)
    rows: list[tuple[str, ...]] = [("objective", *SCENARIOS)]
    for entry in ENTRIES:
        row = [entry.label]
        for scenario in SCENARIOS:
            cell = found[entry.name, scenario]
            verdict = cell[f"{name}_verdict"]
            text = "–" if verdict == NOT_REACHED else interval(cell, name, style) + MARKS[verdict]
            row.append(f"**{text}**" if verdict == "present" else text)
        rows.append(tuple(row))
    return rows


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Write rows, the head first, as a Markdown table."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines) + "\n"


def latex(scores: pd.DataFrame) -> str:
    """Write a tabular of its own for each setting of the network: chosen mass lost and unseen mass gained at the end.

    It needs no package. Bold is "present", a question mark "inconclusive".

    Args:
        scores: The scores.

    Returns:
        LaTeX source.
    """
    parts = ["% Written by `python -m lab.scoreboard`. Medians of 24 seeds, 95 % bootstrap intervals."]
    for setting in (each for each in SETTINGS if each.policy == "mlp"):
        for name, words in (("degradation", "chosen mass lost"), ("dispersion", "unseen mass gained")):
            rows = grid(scores, setting.name, END, name, ".2f")
            parts += [
                f"% {setting.name}, {setting.steps} steps: {words}",
                f"\\begin{{tabular}}{{l{'r' * len(SCENARIOS)}}}",
                "\\hline",
                " & ".join(_latex(cell) for cell in rows[0]) + " \\\\",
                "\\hline",
                *(" & ".join(_latex(cell) for cell in row) + " \\\\" for row in rows[1:]),
                "\\hline",
                "\\end{tabular}",
            ]
    return "\n".join(parts) + "\n"


def csv(scores: pd.DataFrame) -> str:
    """Write every score: one row for each objective, setting, scenario and horizon."""
    return str(scores.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _number(value: float, style: str) -> str:
    return number(value, style if abs(value) < 1000 else ".0f")


def _latex(cell: str) -> str:
    bold = cell.startswith("**")
    text = cell.strip("*").replace("–", "--").replace("−", "$-$").replace("β⁻", "$\\beta^-$").replace("χ", "$\\chi$")
    return f"\\textbf{{{text}}}" if bold else text
