"""`python -m benchmarks scaling`: vary one thing at a time, and fit how cost and memory follow."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.race.peers import ROOT
from benchmarks.scaling.sweeps import SWEEPS, measure, points, slope

PLACE = ROOT / "benchmarks" / "scaling.json"
TRIAL = ROOT / "benchmarks" / "out" / "scaling.json"
FOLLOWS = ("seconds", "peak", "record")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SWEEPS)), metavar="[NAME]...")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Timed trainings of each point.")
@click.option("--quick", is_flag=True, help="The two smallest points of each sweep, to see that it works.")
@click.option("--write", is_flag=True, help="Write benchmarks/scaling.json, which benchmarks/README.md tells of.")
def main(names: tuple[str, ...], rounds: int, quick: bool, write: bool) -> None:
    """Measure how the lab's cost and memory grow with the size of what is trained."""
    if write and (names or quick):
        raise click.UsageError("--write is for all sweeps in full; leave out names and --quick, or --write")
    table = Table("sweep", "values", "seconds", "peak, MB", "exponents: seconds", "peak", "record")
    sweeps: dict[str, Any] = {}
    console = Console()
    with console.status("") as status:
        for name in names or SWEEPS:
            status.update(f"measuring: {name}")
            asked = points(name, quick)
            found = [measure(point, rounds) for _, point in asked]
            values = [value for value, _ in asked]
            parameters = [point.parameters for _, point in asked]
            x = parameters if SWEEPS[name][1] == "width" else values
            exponents = {of: round(slope(x, [each[of] for each in found]), 2) for of in FOLLOWS}
            rounded = {of: [float(f"{each[of]:.3g}") for each in found] for of in FOLLOWS}
            sweeps[name] = {"values": values, "parameters": parameters, **rounded, "exponents": exponents}
            table.add_row(
                name, f"{values[0]} – {values[-1]}",
                f"{rounded['seconds'][0]:.3g} – {rounded['seconds'][-1]:.3g}",
                f"{rounded['peak'][0] / 1e6:.3g} – {rounded['peak'][-1] / 1e6:.3g}",
                *(f"{exponents[of]:.2f}" for of in FOLLOWS),
            )  # fmt: skip
    console.print(table)
    place = PLACE if write else TRIAL
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps({"machine": describe(), "sweeps": sweeps}, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{place.relative_to(ROOT)} is written")
