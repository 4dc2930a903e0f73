"""What a command prints: the verdicts of a record, the report of the doctor, the words of a line."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lab.experiments.grammar import write_value
from lab.experiments.vocabulary import EXAMPLE, KEPT, STAGE_WORDS, WORDS, Word, takers

if TYPE_CHECKING:
    import xarray as xr

    from lab.doctor import Diagnosis
    from lab.peers import Parity

COLOURS = {
    "ok": "green", "warn": "yellow", "fail": "bold red",
    "present": "bold red", "absent": "green", "inconclusive": "yellow",
}  # fmt: skip
MOST_CELLS = 40
AFTER = " (after then)"
WIDTH = 140  # where there is no terminal to ask


def write_in_any_encoding() -> None:
    """Let an output that knows no Greek show a question mark instead of failing after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def console() -> Console:
    """Write as wide as the terminal is, and wide enough for a table elsewhere."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=WIDTH, highlight=False)


@contextmanager
def progress() -> Iterator[Callable[[float], None]]:
    """Show a bar with the time left on a terminal, and nothing elsewhere; warnings come as their text alone."""
    err = Console(stderr=True)
    columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with warnings.catch_warnings(), Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        warnings.showwarning = lambda message, *place: click.echo(f"Warning: {message}", err=True)
        task = bar.add_task("training", total=1.0)
        yield lambda done: bar.update(task, completed=done)


def show_verdicts(dataset: xr.Dataset, out: Console) -> None:
    """Print the audit of step 0 and the three properties: sentences for one cell, a table for a sweep."""
    from lab import properties

    table = properties.verdicts(dataset)
    axes = [str(dim) for dim in table["value"].dims if dim != "property"]
    if axes:
        out.print(Text(str(properties.audit(dataset)), style="dim"))
        out.print(_cells(table.stack(cell=axes), axes))
        if math.prod(table.sizes[axis] for axis in axes) > MOST_CELLS:
            out.print(f"The first {MOST_CELLS} cells; all of them: lab.properties.verdicts(lab.load(...))", style="dim")
        out.print(
            "\nMedian over seeds [95 % interval]; drop in nats, the others in probability.\n", style="dim", markup=False
        )
        return
    found = properties.measure(dataset)
    out.print(Text(str(found.audit), style="dim"))
    for finding in (found.drop, found.degradation, found.dispersion):
        text = Text(f"\n{finding}")
        text.highlight_words([f" {finding.verdict}."], COLOURS[finding.verdict])
        out.print(text)
    out.print()


def show_diagnosis(found: Diagnosis, out: Console) -> None:
    """Print one line of the doctor's report, and the cure below it."""
    out.print(Text.assemble((f"{found.status:<5}", COLOURS[found.status]), f"{found.name}: {found.finding}"))
    if found.cure:
        out.print(Text(f"     cure: {found.cure}", style="italic"))


def show_parity(found: Parity, out: Console) -> None:
    """Print the worst deviation of every objective, and every one that only the file has."""
    out.print(Text(f"{found.file}, made by {found.made}", style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("objective", "verdict", "cases", "numbers", "worst |a - b|", "of the tolerance", "worst in"):
        table.add_column(column, overflow="fold")
    for row in found.agreements:
        verdict = Text("agrees", style="green") if row.agrees else Text("deviates", style="bold red")
        place = f"{row.worst_output}, case {row.worst_case}" if row.worst_absolute else ""
        counts = (str(row.cases), str(row.values))
        table.add_row(row.objective, verdict, *counts, f"{row.worst_absolute:.2g}", f"{row.worst_share:.2g}", place)
    out.print(table)
    if found.absent:
        out.print(f"\nNot compared ({sum(gone.cases for gone in found.absent)} cases):", style="bold")
        for gone in found.absent:
            cases = f"{gone.cases} {'case' if gone.cases == 1 else 'cases'}"
            out.print(Text.assemble((f"{gone.objective}", "yellow"), f" ({cases}): {gone.reason}"))
    agreeing = sum(row.agrees for row in found.agreements)
    out.print(f"\n{agreeing} of {len(found.agreements)} objectives agree within 1e-12 + rtol |b|.")


def show_words(out: Console) -> None:
    """Print the words of an experiment line."""
    out.print(Text(f'python -m lab run "{EXAMPLE}"\n', style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("word", "default", "values", "axis", "meaning"):
        table.add_column(column, overflow="fold")
    for name, word in {**WORDS, **STAGE_WORDS}.items():
        table.add_row(
            Text(name if word.kind == "bare" else f"{name}=", style="bold"),
            _default(word),
            _values(word),
            "" if word.sweep == "fixed" else "yes",
            word.about + (f" (for {takers(name)})" if word.owner else "") + (AFTER if name in STAGE_WORDS else ""),
        )
    out.print(table)
    out.print(
        "\nPolicy, scenario, objective and optimizer are bare words, the rest is KEY=VALUE; the order is free.\n"
        "Where axis says yes, a comma makes one: s1,s2 or beta=0.05,0.1,0.5 gives the record a dimension of that name."
        "\nThe word then begins a stage that says what changes: objective, optimizer, their keys, lr, terms, steps.\n"
        "The rest stays as it was last said: tabular s2 sft sgd lr=0.1 steps=100 then dpo steps=300 reference=stage"
    )


def _cells(cells: xr.Dataset, axes: list[str]) -> Table:
    names = [str(name) for name in cells["property"].values]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in (*axes, *names):
        table.add_column(column)
    for index in range(min(cells.sizes["cell"], MOST_CELLS)):
        cell = cells.isel(cell=index)
        values = [write_value(cell[axis].item()) for axis in axes]
        table.add_row(*values, *(_entry(cell.sel(property=name)) for name in names))
    return table


def _entry(cell: xr.Dataset) -> Text:
    verdict = str(cell["verdict"].item())
    low, high = cell["low"].item(), cell["high"].item()
    # No space inside the interval: a narrow terminal then breaks the line before it.
    interval = "" if math.isnan(low) else f" [{low:.3g},{high:.3g}]"
    return Text.assemble((verdict, COLOURS[verdict]), f" {cell['value'].item():.3g}{interval}")


def _values(word: Word) -> str:
    """Say in a few words which values there are."""
    if word.kind == "keep":
        return "+".join(KEPT) + ", none"
    return word.allowed.removeprefix("one of ").removeprefix("a finite number ").removeprefix("of ").removeprefix("a ")


def _default(word: Word) -> str:
    if word.required:
        return "required"
    return ",".join(write_value(value) for value in word.default) or "optional"
