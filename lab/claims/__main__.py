"""The command line: `python -m lab.claims`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

import lab
from lab.claims.claim import Claim
from lab.claims.judging import Judgement
from lab.claims.registry import CLAIMS, choose
from lab.claims.report import markdown, paragraph, read_verdicts
from lab.claims.running import judge_all, lines_to_run
from lab.claims.writing import bold
from lab.cli.bars import run_then
from lab.cli.errors import Failure, Interrupted, Mistake
from lab.cli.placing import put_in_place, see_that_it_can_be_written
from lab.cli.report import console, write_in_any_encoding

ROOT = Path(lab.__file__).resolve().parent.parent
DIFFERS = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="Every claim with its committed verdict. Nothing is run.")
@click.option("--check", is_flag=True, help="Judge again, write nothing; leave with 3 where a verdict differs.")
@click.option("--jobs", type=click.IntRange(1), help="Experiments run at once.  [default: one a core, at most 4]")
def main(names: tuple[str, ...], listed: bool, check: bool, jobs: int | None) -> None:
    """Judge every claim and write CLAIMS.md; with IDs, show those in the terminal and write nothing.

    Experiments come from the cache that the figures fill as well. Exit codes: 0 fine, 1 an experiment failed, 2 wrong
    use, 3 a verdict differs from the committed one, 130 interrupted with finished experiments kept.
    """
    file = ROOT / "CLAIMS.md"
    try:
        claims = choose(names)
    except ValueError as error:
        raise Mistake(str(error)) from None
    terminal = console()
    if listed:
        _list(claims, _committed(file), terminal)
        return
    if not names and not check:
        see_that_it_can_be_written(file, instead="Name claims to see them in the terminal")
    began = time.monotonic()
    try:
        judgements = _judge(claims, jobs or min(4, os.cpu_count() or 1))
    except KeyboardInterrupt:
        raise Interrupted("Stopped by hand. Finished experiments are kept; CLAIMS.md is unchanged.") from None
    except RuntimeError as error:
        raise Failure(f"{error}. CLAIMS.md is unchanged.") from error
    took = f"{time.monotonic() - began:.0f} s"
    if check:
        _compare(judgements, _committed(file), took)
    elif names:
        _show(judgements, terminal)
    else:
        changed = put_in_place(markdown(judgements), file)
        for each in judgements:
            terminal.print(Text(f"{each.claim.name:<36} ") + Text(each.verdict.word, style="bold"), soft_wrap=True)
        click.echo(f"{len(judgements)} claims · {took} · CLAIMS.md {'written' if changed else 'unchanged'}")


def _judge(claims: list[Claim], jobs: int) -> list[Judgement]:
    """Run what is missing and judge, with a bar where there is a terminal."""
    return run_then(
        lines_to_run(claims), jobs, f"{len(claims)} claims", len(claims), lambda done: judge_all(claims, finished=done)
    )


def _list(claims: list[Claim], committed: dict[str, str], terminal: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("id", "says", "committed verdict"):
        table.add_column(column, overflow="fold")
    for claim in claims:
        verdict = committed.get(claim.name, "none yet").replace("**", "")
        table.add_row(Text(claim.name, style="bold"), claim.says, verdict)
    terminal.print(table)


def _show(judgements: list[Judgement], terminal: Console) -> None:
    for each in judgements:
        text = paragraph(each)
        terminal.print(Markdown(text)) if terminal.is_terminal else click.echo(text)


def _compare(judgements: list[Judgement], committed: dict[str, str], took: str) -> None:
    """Hold verdicts against the committed ones.

    Raises:
        SystemExit: With 3 where one differs, or is there on one side only.
    """
    now = {each.claim.name: bold(each.verdict) for each in judgements}
    lines = []
    for name, verdict in now.items():
        if (before := committed.get(name, "no verdict")) != verdict:
            lines.append(f"{name}: {verdict} now, {before} in CLAIMS.md".replace("**", ""))
    if len(now) == len(CLAIMS):
        lines += [f"{name}: no such claim now, {committed[name]} in CLAIMS.md" for name in committed if name not in now]
    for line in lines:
        click.echo(line)
    if lines:
        click.echo(f"{len(lines)} of {len(now)} verdicts differ · {took}. `python -m lab.claims` writes the new ones.")
        raise SystemExit(DIFFERS)
    agree = "the verdict agrees" if len(now) == 1 else f"all {len(now)} verdicts agree"
    click.echo(f"{agree} with CLAIMS.md · {took}")


def _committed(file: Path) -> dict[str, str]:
    return read_verdicts(file.read_text(encoding="utf-8")) if file.is_file() else {}


if __name__ == "__main__":
    write_in_any_encoding()
    main(prog_name="python -m lab.claims")
