"""What the race says: a table for each case, and the targets with their measured numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks.race.peers import BEST, NATURAL, PLAIN, RECORD, RECORDINGS
from benchmarks.race.running import microseconds, ratio

# case, peer, at least so many times the lab's cost
TARGETS = (
    *((f"A {optimizer} {runs}", peer, least)
      for optimizer in ("sgd", "adam") for runs in (1024, 16384)
      for peer, least in ((NATURAL, 2.0), (BEST, 1.0), (PLAIN, 1000.0))),
    *((f"B adam {runs}", peer, least) for runs in (256, 1024) for peer, least in ((NATURAL, 1.5), (BEST, 1.0))),
    *((f"C sgd {runs}", NATURAL, 5.0) for runs in (1, 16)),
)  # fmt: skip


def cost_table(cases: Mapping[str, Any], limits: Mapping[str, float]) -> Table:
    """Show what a run and step cost every peer.

    Args:
        cases: Results by case.
        limits: Seconds a run and step of this machine's limit, by case.
    """
    table = Table("case", "peer", "µs a run and step", "min – max", "times the lab", "getting ready", "way", "rounds")
    for name, result in cases.items():
        for number, (peer, given) in enumerate(result["peers"].items()):
            each = microseconds(result, peer)
            plain = f" ({given['runs']} runs timed)" if given["runs"] < result["runs"] else ""
            table.add_row(
                f"{name}, {result['steps']} steps" if number == 0 else "",
                peer + plain,
                _shown(statistics.median(each)),
                f"{_shown(min(each))} – {_shown(max(each))}",
                f"{ratio(result, peer):.3g}",
                f"{given['ready']:.2f} s",
                f"{given['way']}, {given['process']}",
                str(len(each)),
            )
        # What the catalogue's other objectives have to do is not counted.
        limit = "" if result["workload"] == "D" else _shown(1e6 * limits[name])
        table.add_row("", "limit of this machine", limit, "", "", "", f"all agree to {result['difference']:.0e}", "",
                      end_section=True)  # fmt: skip
    return table


def target_rows(cases: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold the results against the targets, as far as their cases were raced.

    Args:
        cases: Results by case.

    Returns:
        Rows with case, peer, how many times the lab's cost is wanted at least, and what was measured: of the lab with
        all recordings computed ("measured") and of its record alone, out of which they follow ("record").
    """
    return [
        {
            "case": name, "peer": peer, "wanted": least,
            "measured": ratio(cases[name], peer, RECORDINGS), "record": ratio(cases[name], peer, RECORD),
        }
        for name, peer, least in TARGETS
        if name in cases and peer in cases[name]["peers"]
    ]  # fmt: skip


def target_table(cases: Mapping[str, Any]) -> Table:
    """Show the targets with their measured numbers."""
    table = Table("case", "peer", "times the lab: wanted", "recordings computed", "record alone")
    for row in target_rows(cases):
        numbers = (f"{row[key]:.3g} {'met' if row[key] >= row['wanted'] else 'MISSED'}" for key in
                   ("measured", "record"))  # fmt: skip
        table.add_row(row["case"], row["peer"], f"{row['wanted']:g}", *numbers)
    return table


def memory_table(memory: Mapping[str, Mapping[str, int]], sizes: Mapping[str, int]) -> Table:
    """Show peaks of memory as multiples of what the recordings take."""
    table = Table("case", "peer", "peak, MB", "times the recordings")
    for name, peaks in memory.items():
        for peer, taken in peaks.items():
            table.add_row(name, peer, f"{taken / 1e6:.0f}", f"{taken / sizes[name]:.2f}")
    return table


def _shown(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
