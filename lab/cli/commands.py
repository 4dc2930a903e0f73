"""The commands of `python -m lab`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from lab import __version__
from lab.cli.errors import Failure, Interrupted, Mistake
from lab.cli.report import console, progress, show_diagnosis, show_parity, show_verdicts, show_words
from lab.cli.room import check_room, show_size
from lab.cli.saving import destination, save_picture, save_record, slug
from lab.experiments.experiment import Experiment

if TYPE_CHECKING:
    import xarray as xr


# In a raw docstring click would not see the \b, the character that keeps the lines of a paragraph apart.
HELP = """Exact dynamics of preference optimisation, in a policy small enough to enumerate.

\b
python -m lab run "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"
python -m lab lines      what such a line may say
python -m lab plan       how such a line would be trained
python -m lab size       how large the record of a line will be
python -m lab theory     what each objective pushes, and where that ends
python -m lab parity     the objectives against another library's stored numbers
python -m lab doctor     whether this installation works
"""


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dpolab")
def main() -> None:
    """Run experiments and examine the installation from a shell."""


@main.command()
@click.argument("line", nargs=-1, required=True)
@click.option("--out", help="Where the record goes: a name ending in .nc, or a folder.  [default: runs]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
def run(line: tuple[str, ...], out: str | None, device: str) -> None:
    """Run an experiment LINE; save its record and a picture of it.

    A comma makes a sweep: beta=0.05,0.1,0.5 runs all three. `python -m lab lines` lists every word.
    """
    try:
        experiment = Experiment.parse(" ".join(line))
    except ValueError as error:
        raise Mistake(str(error)) from None
    notice = check_room(experiment)
    file = destination(out, str(experiment))
    terminal = console()
    terminal.print(Text(str(experiment), style="bold"))
    if notice:
        terminal.print(notice, style="dim", markup=False, soft_wrap=True)
    started = time.perf_counter()
    try:
        with progress() as advance:
            dataset = _train(experiment, device, advance, file)
        took = time.perf_counter() - started
        record = save_record(dataset, file)
        show_verdicts(dataset, terminal)
        # Brackets in a folder's name are no markup.
        terminal.print(f"record   {record}", markup=False, soft_wrap=True)
        picture = save_picture(dataset, file.with_suffix(".png"))
        terminal.print(f"picture  {picture}", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        raise Interrupted("Stopped by hand. Files that were there before are unchanged.") from None
    terminal.print(
        f"trained in {took:.1f} s; go on in Python with lab.load({str(file)!r})",
        style="dim",
        markup=False,
        soft_wrap=True,
    )


@main.command()
@click.argument("line", nargs=-1, required=True)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
def plan(line: tuple[str, ...], device: str) -> None:
    """Say how an experiment LINE would be trained; nothing is.

    Which loop and why, how the runs are cut and how many threads take them, how a GPU takes the steps, and how large
    the record will be: for each cell of a sweep that is trained by itself. In Python: str(plan) of
    lab.experiments.plans.training_plans(line).
    """
    from lab.experiments.plans import training_plans

    try:
        found = training_plans(" ".join(line), device=device)
    except ValueError as error:
        raise Mistake(str(error)) from None
    for each in found:
        click.echo(each)


@main.command()
def lines() -> None:
    """List the words of an experiment line."""
    show_words(console())


@main.command()
@click.argument("line", nargs=-1, required=True)
def size(line: tuple[str, ...]) -> None:
    """Say how large the record of an experiment LINE will be, and how much memory and disk is free."""
    try:
        show_size(" ".join(line), console())
    except ValueError as error:
        raise Mistake(str(error)) from None


@main.command()
@click.argument("words", nargs=-1)
def theory(words: tuple[str, ...]) -> None:
    """Show what objectives push, and where that ends: a table of all, or of some WORDS.

    With one word, all that is known of it. Settings may follow: `python -m lab theory dpo beta=0.5`. Pushes are kept in
    closed form; what becomes of them is computed by evaluating the objective, out to log-ratios of 10,000 nats. In
    Python: lab.sheets("dpo beta=0.5"), and lab.theory.limits(objective) for any objective.
    """
    from lab.cli.theory import show_sheet, show_table
    from lab.experiments.sheets import sheets

    try:
        found = sheets(" ".join(words))
    except ValueError as error:
        raise Mistake(str(error)) from None
    if len(found) == 1:
        show_sheet(found[0], console())
    else:
        show_table(found, console())


@main.command()
def doctor() -> None:
    """Examine this installation, and say how to mend what is wrong."""
    from lab.doctor import examine

    terminal = console()
    failed = 0
    for found in examine():
        show_diagnosis(found, terminal)
        failed += found.status == "fail"
    if failed:
        raise Failure(f"{failed} of these {'does' if failed == 1 else 'do'} not work; each says its cure.")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def parity(file: Path) -> None:
    """Compare the objectives with the losses and gradients of another library, stored in FILE.

    Ends with 0 if all that both have agrees, with 1 if something deviates, with 2 if the file cannot be used.
    """
    from lab.peers import parity as compare

    try:
        found = compare(file)
    except (FileNotFoundError, ValueError) as error:
        raise Mistake(str(error)) from None
    show_parity(found, console())
    if not found.agreements:
        raise Failure("Nothing was compared: the lab has none of the objectives of this file.")
    if not found.agrees:
        worst = ", ".join(row.objective for row in found.agreements if not row.agrees)
        raise Failure(f"Beyond the tolerance: {worst}.")


@main.command()
@click.option("--clear", is_flag=True, help="Delete everything in it; it is computed again when needed.")
def cache(clear: bool) -> None:
    """Say how much the cache holds, or empty it."""
    from lab import store

    try:
        click.echo(f"deleted: {store.clear()}" if clear else store.size())
    except OSError as error:
        raise Failure(f"The cache {store.folder()} cannot be emptied ({error}). Delete the folder by hand.") from None


def _train(experiment: Experiment, device: str, advance: Callable[[float], None], file: Path) -> xr.Dataset:
    """Run the experiment; of one that breaks, save what there is under another name than a whole record has."""
    import lab

    # Named here, because looking it up while an interrupted import of torch unwinds would import torch again.
    broken = lab.NonFiniteError
    try:
        with warnings.catch_warnings(action="ignore", category=lab.RecordOnDisk):  # told of before
            return lab.run(experiment, device=device, progress=advance)
    except broken as error:
        for record in error.finished:
            save_record(record, file.with_name(f"{slug(record.attrs['experiment'])}.nc"))
        count = len(error.finished)
        cells = "One cell before it is" if count == 1 else f"{count} cells before it are"
        whole = f" {cells} whole in {file.parent}." if count else ""
        if error.trajectory is None:
            raise Failure(f"{error}. Nothing was recorded before.{whole}") from None
        partial = save_record(error.trajectory, file.with_suffix(".partial.nc"))
        raise Failure(f"{error}. What was recorded is in {partial}.{whole}") from None
    except ValueError as error:
        raise Mistake(str(error)) from None
    except MemoryError:
        raise Failure(
            "There is not enough memory for this line. Lower seeds or steps, raise every, keep less."
        ) from None
    except (OSError, RuntimeError) as error:
        raise Failure(str(error)) from error
