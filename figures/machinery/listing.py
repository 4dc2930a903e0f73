"""What is said without drawing anything: the list of figures, the reasons, the provenance of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from figures.machinery.discovery import load
from figures.machinery.plan import Plan
from figures.machinery.settings import Settings

STATES = {"fresh": "green", "out of date": "yellow", "failed": "bold red"}


def overview(plans: Sequence[Plan], settings: Settings, out: Console) -> None:
    """Print each figure: name, state, seeds, last time; below it what it shows and which paper figure it is.

    Args:
        plans: The figures.
        settings: What was asked for.
        out: Where to print.
    """
    width = max((len(each.name) for each in plans), default=0)
    for each in plans:
        row = Text(f"{each.name:<{width}}  ", style="bold")
        row.append(f"{each.state.word:<11}", style=STATES.get(each.state.word, "not bold"))
        if each.broken is not None:
            out.print(row.append(f"  {each.broken.text}", style="not bold"))
            continue
        figure = load(each.name, settings.folder)
        seeds = sorted({int(line.value("seeds")) for line in settings.experiments(figure).values()})
        spent = sum(each.state.record.get("wall_seconds", {}).values())
        last = f"{spent:.1f} s" if spent else "no time yet"
        out.print(row.append(f"  {', '.join(map(str, seeds))} seeds  {last}", style="not bold"))
        out.print(Padding(Text(figure.title), (0, 0, 0, 4), expand=False), soft_wrap=False)
        out.print(
            Padding(Text(figure.paper or "in no paper", style="dim"), (0, 0, 0, 4), expand=False), soft_wrap=False
        )


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
