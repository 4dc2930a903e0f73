"""SCOREBOARD.md: scores in, Markdown out; and the glance table read back out of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.scoreboard.entries import ENTRIES, FAMILIES
from lab.scoreboard.findings import NETWORKS, findings
from lab.scoreboard.introduction import introduction, reading
from lab.scoreboard.measuring import END
from lab.scoreboard.settings import PROGRESS, SETTINGS
from lab.scoreboard.writing import cells, glance, grid, interval, markdown_table

if TYPE_CHECKING:
    import pandas as pd

NEAR, FAR, KL = (str(each) for each in PROGRESS)
# What is shown of the network: title, horizon, property, style.
GRIDS = (
    ("Chosen mass lost from its peak, at the end", END, "degradation", ".3f"),
    (f"Chosen mass lost from its peak, at {FAR}", FAR, "degradation", ".3f"),
    ("Unseen mass gained from its minimum, at the end", END, "dispersion", ".3f"),
    (f"Unseen mass gained from its minimum, at {KL}", KL, "dispersion", ".3f"),
    ("Drop of the rejected response beyond the rise of the chosen one, in nats, at the end", END, "drop", ".1f"),
)
# What the policy is like: a head for each quantity, and its style.
STATE = {
    "log_ratio_margin": ("margin (nats)", ".1f"),
    "kl_from_reference": ("KL (nats)", ".2f"),
    "entropy": ("entropy (nats)", ".2f"),
    "chosen_prob": ("π⁺", ".3f"),
    "rejected_log_prob": ("log π⁻ (nats)", ".1f"),
    "unseen_mass": ("unseen mass", ".3f"),
    "reward_gain": ("true reward gained", ".2f"),
}


def markdown(scores: pd.DataFrame) -> str:
    """Write the whole report.

    Args:
        scores: What `lab.scoreboard.measuring.scores` returns, for all entries and settings.

    Returns:
        Markdown; the same scores give the same bytes.
    """
    parts = [introduction(), "## What it says\n", *(f"- {each}" for each in findings(scores)), "", reading()]
    parts += ["## At a glance\n", _glance_about(), _glance(scores)]
    for setting in (each for each in SETTINGS if each.name in NETWORKS):
        parts.append(f"## The network {NETWORKS[setting.name]}, {setting.steps} steps\n")
        for title, horizon, name, style in GRIDS:
            parts += [f"### {title} ({setting.optimizer})\n"]
            parts += [markdown_table(grid(scores, setting.name, horizon, name, style))]
        for horizon, words in ((END, "at the end"), (KL, f"at {KL}")):
            for scenario in ("s1", "s2"):
                parts += [f"### The policy in {scenario}, {words} ({setting.optimizer})\n"]
                parts += [_state(scores, setting.name, scenario, horizon)]
    return "\n".join(parts)


def read_glance(text: str) -> dict[tuple[str, str], str]:
    """Read the glance table out of a report.

    Args:
        text: What `markdown` wrote.

    Returns:
        The cell by objective and setting, such as {("DPO", "mlp adam"): "4 · 4 · 2?"}; empty where there is none.
    """
    found: dict[tuple[str, str], str] = {}
    names = [setting.name for setting in SETTINGS]
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if len(row) == len(names) + 2 and all(re.fullmatch(r"\d\??( · \d\??){2}", each) for each in row[2:]):
            found |= {(row[0], name): cell for name, cell in zip(names, row[2:], strict=True)}
    return found


def _glance_about() -> str:
    return (
        "In how many of the four scenarios each property is present at the end: drop · degradation · dispersion;\n"
        '"?" where another one is inconclusive.\n'
    )


def _glance(scores: pd.DataFrame) -> str:
    names = [setting.name for setting in SETTINGS]
    words = [glance(scores, name) for name in names]
    parts = []
    for family in FAMILIES:
        rows: list[tuple[str, ...]] = [(family, "line", *names)]
        for entry in (each for each in ENTRIES if each.family == family):
            rows.append((entry.label, f"`{entry.words}`", *(each[entry.name] for each in words)))
        parts.append(markdown_table(rows))
    return "\n".join(parts)


def _state(scores: pd.DataFrame, setting: str, scenario: str, horizon: str) -> str:
    found = cells(scores, setting, horizon)
    rows: list[tuple[str, ...]] = [("objective", *(head for head, _ in STATE.values()))]
    for entry in ENTRIES:
        row = found[entry.name, scenario]
        rows.append((entry.label, *(interval(row, name, style) for name, (_, style) in STATE.items())))
    return markdown_table(rows)
