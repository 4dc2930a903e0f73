"""`python -m benchmarks scaling`: vary one thing at a time, and fit how cost and memory follow."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.race.peers import ROOT
from benchmarks.scaling.report import OF, exponent_table, exponents, varied, with_table
from benchmarks.scaling.sweeps import SWEEPS, measure, points

FIGURE = "nothing_costs_more_than_its_share"
PLACE = ROOT / "figures" / "measured" / f"{FIGURE}.json"
README = ROOT / "benchmarks" / "README.md"
TRIAL = ROOT / "benchmarks" / "out" / "scaling.json"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SWEEPS)), metavar="[NAME]...")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Timed trainings of each point.")
@click.option("--quick", is_flag=True, help="The two smallest points of each sweep, to see that it works.")
@click.option(
    "--write", is_flag=True, help="Keep the numbers: for the figure, and as exponents in benchmarks/README.md."
)
def main(names: tuple[str, ...], rounds: int, quick: bool, write: bool) -> None:
    """Measure how the lab's cost and memory grow with the size of what is trained."""
    if write and (names or quick):
        raise click.UsageError("--write is for all sweeps in full; leave out names and --quick, or --write")
    table = Table("sweep", "values", "seconds", "peak, MB", "exponents: seconds", "peak", "recorded")
    sweeps: dict[str, Any] = {}
    console = Console()
    with console.status("") as status:
        for name in names or SWEEPS:
            status.update(f"measuring: {name}")
            asked = points(name, quick)
            found = [measure(point, rounds) for _, point in asked]
            values, parameters = [value for value, _ in asked], [point.parameters for _, point in asked]
            numbers = {of: [float(f"{each[of]:.3g}") for each in found] for of in OF}
            sweeps[name] = {"values": values, "parameters": parameters, **numbers}
            fitted = exponents(sweeps[name], name)
            shown = parameters if varied(name) == "parameters" else values
            table.add_row(
                f"{name.split(',')[0]}, {varied(name)}", f"{shown[0]} – {shown[-1]}",
                f"{numbers['seconds'][0]:.3g} – {numbers['seconds'][-1]:.3g}",
                f"{numbers['peak'][0] / 1e6:.3g} – {numbers['peak'][-1] / 1e6:.3g}",
                *(f"{fitted[of]:.2f}" for of in OF),
            )  # fmt: skip
    console.print(table)
    written = {"machine": describe(), "sweeps": sweeps}
    if write:
        README.write_text(with_table(README.read_text(encoding="utf-8"), exponent_table(written)), encoding="utf-8")
    place = PLACE if write else TRIAL
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{place.relative_to(ROOT)} is written")
    if write:
        click.echo(f"the exponents stand in benchmarks/README.md; draw the figure: python -m figures {FIGURE}")
