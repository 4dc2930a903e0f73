"""A bar on the error stream while experiments run and what follows them is worked out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lab.claims.running import run_lines, work

Result = TypeVar("Result")


def run_then(
    missing: Sequence[str], jobs: int, told: str, total: int, then: Callable[[Callable[[object], None]], Result]
) -> Result:
    """Run experiment lines, then do the rest, with a bar for either where there is a terminal.

    Args:
        missing: The lines to run, the longest first.
        jobs: How many at once.
        told: What the second bar is about, such as "80 claims".
        total: How many things that are.
        then: Does the rest; calls what it is given once for each of them.

    Returns:
        What `then` returns.

    Raises:
        Whatever running or `then` raises.
    """
    err = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        if missing:
            if not err.is_terminal:
                click.echo(f"{len(missing)} experiments to run", err=True)
            first = bar.add_task(f"{len(missing)} experiments", total=sum(map(work, missing)))
            run_lines(missing, jobs=jobs, finished=lambda line: bar.advance(first, work(line)))
        second = bar.add_task(told, total=total)
        return then(lambda _: bar.advance(second))
