"""The command line: `python -m figures`."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from filelock import FileLock, Timeout
from rich.console import Console

from figures.machinery import contact_sheet, listing, saving, work
from figures.machinery.answer import Answer
from figures.machinery.discovery import choose, names
from figures.machinery.freshness import shown
from figures.machinery.plan import Plan, plan
from figures.machinery.pool import carry_out
from figures.machinery.provenance import checkout, environment, explain
from figures.machinery.report import Report, console
from figures.machinery.settings import FOLDER, FORMATS, Settings

INTERRUPTED = 130


def main(words: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    """Read the command line and do what it asks; leaves with 0, 1, 2 or 130.

    Args:
        words: The words after `python -m figures`; those of this process if None.
        folder: Where the figure files lie.
    """
    given = list(sys.argv[1:] if words is None else words)
    if given[:1] == ["explain"]:
        explain_picture.main(given[1:], prog_name="python -m figures explain")
    figures.main(given, prog_name="python -m figures", obj=(folder, given))


@click.command(epilog="`python -m figures explain FILE` reads the provenance back out of a picture.")
@click.argument("wanted", metavar="[NAME]...", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="Name, message, paper, seeds, last time and state of each figure.")
@click.option("--why", is_flag=True, help="What would run, and which input changed. Nothing is run.")
@click.option("--quick", is_flag=True, help="Few seeds, QUICK in the picture, own folder; never fills claims.")
@click.option("--check", is_flag=True, help="Compute the key numbers again and compare with the committed ones.")
@click.option("--format", "formats", default=",".join(FORMATS), show_default=True, help="Formats, joined by commas.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the pictures.  [default: figures/out]")
@click.option("--width", default="notebook", show_default=True, help="Where it will stand: paper, slides, notebook.")
@click.option("--device", default="cpu", show_default=True, help="Where experiments run.")
@click.option("--seeds", type=int, help="Another number of seeds than the figures say.")
@click.option("--force", is_flag=True, help="Run and draw again, whatever the cache holds.")
@click.option("--jobs", type=int, default=None, help="Worker processes.  [default: one a core, at most 4]")
@click.pass_obj
def figures(
    call: tuple[Path, list[str]],
    wanted: tuple[str, ...],
    listed: bool,
    why: bool,
    quick: bool,
    check: bool,
    formats: str,
    out: Path | None,
    width: str,
    device: str,
    seeds: int | None,
    force: bool,
    jobs: int | None,
) -> None:
    """Draw the figures that are out of date, or those that are named.

    Exit codes: 0 all fresh, 1 some failed, 2 wrong use, 130 interrupted with finished work kept.
    """
    folder, words = call
    if check and (quick or seeds is not None):
        raise click.UsageError("--check compares with numbers of the full figures; leave --quick and --seeds out.")
    try:
        chosen = choose(wanted, folder)
        settings = Settings(
            folder=folder,
            out=None if out is None else out.resolve(),
            formats=tuple(word.strip() for word in formats.split(",") if word.strip()),
            device=device,
            seeds=seeds,
            quick=quick,
            width=width,
            jobs=jobs if jobs is not None else min(os.cpu_count() or 1, 4),
            force=force,
            command=shlex.join(["python", "-m", "figures", *words]),
        )
        _check_device(device)
    except ValueError as problem:
        raise click.UsageError(str(problem)) from problem
    output = console()
    if listed or why:
        (listing.reasons if why else listing.overview)(plan(chosen, settings), settings, output)
        return
    with _interruptible(), _alone(settings):
        sys.exit(_draw(chosen, settings, output, check=check))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def explain_picture(file: Path) -> None:
    """Read the provenance back out of a PNG, PDF or SVG."""
    try:
        known = explain(file)
    except (ValueError, FileNotFoundError) as problem:
        raise click.UsageError(str(problem)) from problem
    listing.provenance(known, console())


def _draw(chosen: list[str], settings: Settings, output: Console, *, check: bool) -> int:
    commit = checkout(settings.folder)
    known = environment()
    header = f"{commit} · torch {known['torch']} · {settings.device}"
    report = Report(output, chosen)
    interrupted = False
    sheet = None
    with report:
        report.line(f"dpolab figures · {header}", "bold")
        try:
            plans = plan(chosen, settings)
            for each in plans:
                _say_at_once(each, settings, report, check=check)
            todo = [each for each in plans if each.name not in report.answers]
            carry_out(todo, settings, commit, check=check, finished=report.finished, watch=report.watch)
        except KeyboardInterrupt:
            interrupted = True
        if not check:
            saving.sweep(settings.place)
            sheet = contact_sheet.build(names(settings.folder), settings.place, header=header)
    report.summary(sheet, interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    return 0 if all(answer.good for answer in report.answers.values()) else 1


def _say_at_once(each: Plan, settings: Settings, report: Report, *, check: bool) -> None:
    """Answer for figures that need no work, or cannot be worked on."""
    if each.broken is not None:
        if not check:
            work.fail(each.name, each.broken, settings)
        report.finished(each.name, each.broken)
    elif each.state.fresh and not settings.force and not check:
        report.finished(each.name, Answer("cached"))
    elif each.state.damaged:
        report.line(f" warning: {each.name}: {'; '.join(each.state.reasons)}; it is drawn again", "yellow")


def _check_device(device: str) -> None:
    """Refuse a device that is not there before anything is drawn; the processor always is."""
    if device != "cpu":
        from lab.training import check_device

        check_device(device)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Make the output folder and hold it: two calls at once would draw the same figures twice."""
    place = settings.place
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise click.ClickException(
            f"another call is drawing into {shown(place)}. Wait for it, or give another folder with --out."
        ) from None
    except OSError as problem:
        raise click.UsageError(
            f"{shown(place)} cannot be written ({problem.strerror or problem}). Permit it, or give another folder "
            "with --out."
        ) from problem
    try:
        saving.sweep(place)
        yield
    finally:
        lock.release()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a polite kill end like Ctrl-C: workers stopped, finished figures kept."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
