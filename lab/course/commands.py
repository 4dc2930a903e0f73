"""The commands of `python -m lab.course`."""

from __future__ import annotations

from pathlib import Path

import click
import nbformat
from rich.markup import escape
from rich.table import Table

from lab.cli.errors import Failure, Mistake
from lab.cli.report import console
from lab.course.building import build as build_notebooks
from lab.course.building import write
from lab.course.chapters import CHAPTERS, Chapter, exercises
from lab.course.choosing import chosen

HERE = Path(__file__).resolve().parents[2]

HELP = """Build, verify and grade the course.

\b
python -m lab.course list                    exercises, minutes, difficulty, points
python -m lab.course build --student         notebooks to hand out
python -m lab.course build --solution        notebooks to keep
python -m lab.course grade submissions/      marks
python -m lab.course verify                  whether all of it holds together
"""

only_option = click.option("--only", help="Notebooks, such as 01-05 or 1,3.  [default: all]")
notebooks_option = click.option(
    "--notebooks", type=click.Path(path_type=Path, file_okay=False), default=HERE / "notebooks",
    help="Folder of the notebooks, with their sources in src.  [default: the project's]",
)  # fmt: skip


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build, verify and grade the course."""


@main.command("list")
@only_option
def list_exercises(only: str | None) -> None:
    """List exercises: minutes, difficulty, points and the goal that each covers."""
    terminal = console()
    table = Table("exercise", "title", "minutes", "difficulty", "points", "goal", box=None, header_style="bold")
    own = [exercise for exercise in exercises().values() if exercise.chapter in numbers(chapters_of(only))]
    for exercise in own:
        figures = (str(exercise.minutes), exercise.dots, str(exercise.points))
        table.add_row(exercise.id, escape(exercise.title), *figures, escape(exercise.goal))
    terminal.print(table)
    minutes, points = (sum(getattr(exercise, name) for exercise in own) for name in ("minutes", "points"))
    goals = len({(exercise.chapter, exercise.goal) for exercise in own})
    terminal.print(f"{len(own)} exercises, {minutes} minutes, {points} points, {goals} goals covered.")


@main.command()
@click.option("--student", "kind", flag_value="student", default=True, help="With stubs to fill.  [default]")
@click.option("--solution", "kind", flag_value="solution", help="With the solutions.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder.  [default: build/student, ...]")
@only_option
@click.option("--hide-hints", is_flag=True, help="Hints and solutions are refused in these notebooks.")
@click.option("--slides", is_flag=True, help="One HTML page a notebook instead, to present.")
@click.option("--execute", "executed", is_flag=True, help="Run each notebook, and keep its outputs.")
@notebooks_option
def build(
    kind: str, out: Path | None, only: str | None, hide_hints: bool, slides: bool, executed: bool, notebooks: Path
) -> None:
    """Build notebooks from their sources: for students, with solutions, or as slides."""
    from lab.course.building.executing import execute
    from lab.course.building.inspecting import complaints
    from lab.course.building.slides import slides_of, with_outputs

    folder = out or Path("build") / ("slides" if slides else kind)
    try:
        releases = list(
            build_notebooks(notebooks, chapters_of(only), solutions=kind == "solution", hide_hints=hide_hints)
        )
    except (FileNotFoundError, ValueError) as error:
        raise Mistake(str(error)) from None
    for release in releases:
        name, notebook = release.chapter.notebook, release.notebook
        if executed:
            try:
                execute(notebook, notebooks)
            except RuntimeError as error:
                raise Failure(f"{name}: {error}") from None
        elif slides:
            with_outputs(notebook, notebooks / f"{name}.ipynb")
        found = list(complaints(notebook))
        if found:
            raise Failure(f"{name} is not fit to be handed out: {'; '.join(found)}.")
        path = folder / f"{name}.{'html' if slides else 'ipynb'}"
        if slides:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(slides_of(notebook), encoding="utf-8")
        else:
            write(notebook, path)
        click.echo(path)


@main.command()
@only_option
@notebooks_option
def verify(only: str | None, notebooks: Path) -> None:
    """Verify that solutions pass, wrong answers do not, and committed notebooks are what their sources build."""
    from lab.course.verifying import verify_exercise, verify_notebook

    terminal = console()
    bad = 0
    wanted = chapters_of(only)
    own = [exercise for exercise in exercises().values() if exercise.chapter in numbers(wanted)]
    reports = [verify_exercise(exercise) for exercise in own]
    reports += [verify_notebook(notebooks, chapter) for chapter in wanted]
    for report in reports:
        for found in report:
            bad += not found.good
            sign = "[green]✓[/]" if found.good else "[bold red]✗[/]"
            terminal.print(f"{sign} {found.where}: {escape(found.text)}", soft_wrap=True)
    if bad:
        raise Failure(f"{bad} of these {'does' if bad == 1 else 'do'} not hold.")


@main.command()
@click.argument("submissions", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="grades.csv",
    show_default=True,
    help="The table; the reasons for each student go to a folder beside it.",
)
@only_option
@click.option("--seconds", default=20.0, show_default=True, help="Time for one answer.")
@click.option("--megabytes", default=2048, show_default=True, help="Memory for one answer.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Answers that run at once.")
def grade(submissions: Path, out: Path, only: str | None, seconds: float, megabytes: int, jobs: int) -> None:
    """Grade the folder SUBMISSIONS: for each student NAME.ipynb, or 01_NAME.ipynb and so on, or NAME/*.ipynb.

    Each answer runs in a process of its own with limits on time and memory, and is judged here by its outputs. That
    protects against accidents. It is no security boundary: grade strangers' code in a container or a virtual machine.
    """
    from lab.course.grading.collecting import collect
    from lab.course.grading.limits import Limits
    from lab.course.grading.marking import grade as grade_submissions
    from lab.course.grading.writing import write_marks

    own = [exercise for exercise in exercises().values() if exercise.chapter in numbers(chapters_of(only))]
    try:
        limits = Limits(seconds, megabytes)
        found = collect(submissions)
    except (FileNotFoundError, ValueError) as error:
        raise Mistake(str(error)) from None
    most = sum(exercise.points for exercise in own)
    reports = []
    for report in grade_submissions(found, own, limits, jobs):
        reports.append(report)
        click.echo(" ".join([f"{report.student}: {report.total} of {most}.", *report.remarks]))
    folder = write_marks(reports, own, out)
    click.echo(f"{out}, reasons in {folder}")


@main.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@notebooks_option
def diff(notebook: Path, notebooks: Path) -> None:
    """Show what changed in a student's NOTEBOOK since it was handed out."""
    from lab.course.verifying import differences

    try:
        handed = nbformat.read(notebook, as_version=4)
    except (OSError, ValueError) as error:
        raise Mistake(f"{notebook} cannot be read as a notebook ({str(error)[:200]}). Name a file .ipynb.") from None
    prefix = notebook.stem[:2]
    matching = [chapter for chapter in CHAPTERS if chapter.notebook.startswith(prefix)]
    if len(matching) != 1:
        raise Mistake(
            f"{notebook.name} is none of the course's; their names begin with "
            f"{', '.join(chapter.notebook[:2] for chapter in CHAPTERS)}. Rename it."
        )
    try:
        (release,) = build_notebooks(notebooks, tuple(matching))
    except (FileNotFoundError, ValueError) as error:
        raise Mistake(str(error)) from None
    lines = list(differences(release.notebook, handed, (matching[0].notebook, notebook.name)))
    click.echo("\n".join(lines) if lines else "Nothing changed.")


def chapters_of(only: str | None) -> tuple[Chapter, ...]:
    """Read --only, or end with what it may be."""
    try:
        return chosen(only)
    except ValueError as error:
        raise Mistake(str(error)) from None


def numbers(chapters: tuple[Chapter, ...]) -> set[int]:
    """Collect the numbers of chapters."""
    return {chapter.number for chapter in chapters}
