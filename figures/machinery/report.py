"""What the command prints: a header, one line a figure, a bar with the time left, and a summary."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from figures.machinery.answer import Answer
from figures.machinery.pool import Progress as Work

COLORS = {"FAILED": "bold red", "differs": "bold red", "drawn": "green", "agrees": "green", "cached": "dim"}
HEARTBEAT = 20.0  # seconds between two signs of life where there is no terminal


def console() -> Console:
    """Return where lines go; a pipe or a file gets plain ones, never cut off at a width."""
    made = Console(highlight=False, soft_wrap=True)
    return made if made.is_terminal else Console(highlight=False, soft_wrap=True, width=10_000, no_color=True)


class Report:
    """Prints what happens, for as long as one call lasts; use it in a `with` block."""

    def __init__(self, out: Console, names: list[str]) -> None:
        self._out = out
        self._width = max((len(name) for name in names), default=0)
        self._began = self._beat = time.monotonic()
        self._bar = Progress(
            TextColumn(" "),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.description}"),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self.answers: dict[str, Answer] = {}

    def __enter__(self) -> Report:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def line(self, text: str, style: str = "") -> None:
        """Print one line above the bar."""
        self._out.print(Text(text, style=style))

    def finished(self, name: str, answer: Answer) -> None:
        """Print the line of a figure, and what was warned about on its way."""
        self.answers[name] = answer
        took = f"{answer.seconds:6.1f} s  " if answer.word in ("drawn", "agrees") else ""
        row = Text(f" {name:<{self._width}}  ")
        row.append(f"{answer.word:<8}", style=COLORS.get(answer.word, ""))
        row.append(f"  {took}{answer.text}".rstrip())
        self._out.print(row)
        for said in answer.warnings:
            self.line(f" {'':<{self._width}}  warning   {said}", "yellow")

    def watch(self, work: Work) -> None:
        """Move the bar; where there is no terminal, give a sign of life from time to time."""
        self._bar.update(self._task, total=work.total, completed=work.done, description=work.now)
        now = time.monotonic()
        if not self._out.is_terminal and now - self._beat > HEARTBEAT:
            self._beat = now
            self.line(f" ... {work.done / max(work.total, 1e-9):.0%}  {work.now}")

    def summary(self, sheet: Path | None, *, interrupted: bool = False) -> None:
        """Print what came of it all."""
        words = [answer.word for answer in self.answers.values()]
        fresh, failed = sum(answer.good for answer in self.answers.values()), words.count("FAILED")
        counts = [f"{fresh} {'agree' if 'agrees' in words or 'differs' in words else 'fresh'}"]
        counts += [f"{words.count('differs')} differ"] if "differs" in words else []
        counts += [f"{failed} failed"] if failed else []
        parts = [", ".join(counts), f"{time.monotonic() - self._began:.0f} s"]
        if sheet is not None:
            from figures.machinery.freshness import shown

            parts.append(shown(sheet))
        if interrupted:
            parts.insert(0, "interrupted; what is finished is kept, the next call goes on")
        self.line(" · ".join(parts), "bold")
