"""The command line: `python -m lab.scoreboard`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

import lab
from lab.claims.running import missing
from lab.cli.bars import run_then
from lab.cli.errors import Failure, Interrupted
from lab.cli.placing import put_in_place, see_that_it_can_be_written
from lab.cli.report import write_in_any_encoding
from lab.experiments.cached import cached_run
from lab.scoreboard.entries import ENTRIES
from lab.scoreboard.measuring import scores
from lab.scoreboard.report import markdown, read_glance
from lab.scoreboard.settings import SETTINGS
from lab.scoreboard.writing import csv, latex

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(lab.__file__).resolve().parent.parent
DIFFERS = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Compute again, write nothing; leave with 3 where a verdict differs.")
@click.option("--jobs", type=click.IntRange(1), help="Experiments run at once.  [default: one a core, at most 4]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of scores.csv and scores.tex.  [default: figures/out]"
)
def main(check: bool, jobs: int | None, out: Path | None) -> None:
    """Score every objective and write SCOREBOARD.md, scores.csv (all numbers) and scores.tex (tables for a paper).

    Experiments come from the cache that figures and claims fill as well. Exit codes: 0 fine, 1 an experiment failed,
    2 wrong use, 3 a verdict differs from the committed one, 130 interrupted with finished experiments kept.
    """
    file = ROOT / "SCOREBOARD.md"
    if not check:
        see_that_it_can_be_written(file, instead="Use lab.scoreboard.measuring.scores in Python instead")
    began = time.monotonic()
    try:
        table = _scores(jobs or min(4, os.cpu_count() or 1))
    except KeyboardInterrupt:
        raise Interrupted("Stopped by hand. Finished experiments are kept; SCOREBOARD.md is unchanged.") from None
    except RuntimeError as error:
        raise Failure(f"{error}. SCOREBOARD.md is unchanged.") from error
    text = markdown(table)
    took = f"{time.monotonic() - began:.0f} s"
    if check:
        committed = read_glance(file.read_text(encoding="utf-8")) if file.is_file() else {}
        _compare(read_glance(text), committed, took)
        return
    place = ROOT / "figures" / "out" if out is None else out
    place.mkdir(parents=True, exist_ok=True)
    for name, words in (("scores.csv", csv(table)), ("scores.tex", latex(table))):
        put_in_place(words, place / name)
    changed = put_in_place(text, file)
    click.echo(f"{len(ENTRIES)} objectives · {took} · SCOREBOARD.md {'written' if changed else 'unchanged'}")


def _scores(jobs: int) -> pd.DataFrame:
    """Run what is missing, the longest first, and score; with a bar where there is a terminal."""
    lines = list(dict.fromkeys(setting.line(entry) for setting in SETTINGS for entry in ENTRIES))
    return run_then(
        missing(lines), jobs, f"{len(lines)} records", len(lines), lambda done: scores(cached_run, finished=done)
    )


def _compare(now: dict[tuple[str, str], str], committed: dict[tuple[str, str], str], took: str) -> None:
    """Hold the glance table against the committed one.

    Raises:
        SystemExit: With 3 where a cell differs, or is there on one side only.
    """
    lines = [
        f"{entry}, {setting}: {now.get((entry, setting), 'nothing')} now, "
        f"{committed.get((entry, setting), 'nothing')} in SCOREBOARD.md"
        for entry, setting in dict.fromkeys((*now, *committed))
        if now.get((entry, setting)) != committed.get((entry, setting))
    ]
    for line in lines:
        click.echo(line)
    if lines:
        click.echo(f"{len(lines)} of {len(now)} cells differ · {took}. `python -m lab.scoreboard` writes the new ones.")
        raise SystemExit(DIFFERS)
    click.echo(f"all {len(now)} cells agree with SCOREBOARD.md · {took}")


if __name__ == "__main__":
    write_in_any_encoding()
    main(prog_name="python -m lab.scoreboard")
