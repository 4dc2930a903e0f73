"""What is said without drawing anything: the list of figures, the reasons, the provenance of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from figures.machinery.discovery import load
from figures.machinery.plan import Plan
from figures.machinery.settings import Settings

STATES = {"fresh": "green", "out of date": "yellow", "failed": "bold red"}


def overview(plans: Sequence[Plan], settings: Settings, out: Console) -> None:
    """Print one row a figure: name, state, seeds, last time, message, paper figure.

    Args:
        plans: The figures.
        settings: What was asked for.
        out: Where to print.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in ("figure", "state", "seeds", "last time"):
        table.add_column(column, no_wrap=True)
    table.add_column("shows", ratio=3)
    table.add_column("paper", ratio=2)
    for each in plans:
        state = Text(each.state.word, style=STATES.get(each.state.word, ""))
        if each.broken is not None:
            table.add_row(each.name, state, "", "", Text(each.broken.text), "")
            continue
        figure = load(each.name, settings.folder)
        seeds = sorted({int(line.value("seeds")) for line in settings.experiments(figure).values()})
        spent = each.state.record.get("wall_seconds", {})
        last = f"{sum(spent.values()):.1f} s" if spent else "–"
        table.add_row(each.name, state, ", ".join(map(str, seeds)), last, Text(figure.title), Text(figure.paper or "–"))
    out.print(table, soft_wrap=False)


def reasons(plans: Sequence[Plan], settings: Settings, out: Console) -> None:
    """Print what would be done for each figure, and why.

    Args:
        plans: The figures.
        settings: What was asked for.
        out: Where to print.
    """
    for each in plans:
        out.print(Text(f"{each.name}: {each.state.word}", style=STATES.get(each.state.word, "")))
        for reason in each.state.reasons:
            out.print(Text(f"  {reason}"))
        if each.state.fresh and not settings.force:
            continue
        for line in each.waits_for:
            out.print(Text(f"  would run   {line}"))
        for line in each.cached:
            out.print(Text(f"  has cached  {line}"))
        if each.broken is None:
            out.print(Text(f"  would draw  {each.name}"))


def provenance(known: Mapping, out: Console) -> None:
    """Print the short provenance that stood in a picture.

    Args:
        known: What `explain` read.
        out: Where to print.
    """
    rows = [("figure", known["figure"]), ("command", known.get("command", "–"))]
    rows += [(f"line {name}", line) for name, line in known["lines"].items()]
    if "commit" in known:
        rows.append(("commit", f"{known['commit']}{' with changes' if known.get('dirty') else ''}"))
    rows += [("device", known.get("device", "–"))]
    if known.get("quick"):
        rows.append(("quick", "yes: fewer seeds than the figure wants"))
    rows.append(("versions", ", ".join(f"{name} {each}" for name, each in known.get("versions", {}).items())))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        out.print(Text(f"{name:<{width}}  {value}"))
