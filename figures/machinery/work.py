"""What a worker process does: run one experiment, draw one figure, or check one figure's numbers."""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import threading
import time
from collections.abc import Mapping, MutableSequence
from datetime import UTC, datetime
from multiprocessing.connection import wait

from figures.machinery import numbers, provenance, saving
from figures.machinery.answer import Answer, attempt
from figures.machinery.discovery import load
from figures.machinery.figure import Drawing, Figure
from figures.machinery.freshness import figure_inputs, figure_key, shown
from figures.machinery.page import Page
from figures.machinery.provenance import Commit
from figures.machinery.settings import Settings
from lab.plots.contexts import style

# Finished shares of the experiments, one slot each, read by the parent; set once when a worker starts.
_shares: list[MutableSequence[float]] = []


def begin(shares: MutableSequence[float]) -> None:
    """Prepare a worker process: no keyboard interrupts, and no life beyond its parent's.

    Args:
        shares: One slot for each experiment, into which its finished share is written.
    """
    _shares[:] = [shares]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def run_line(line: str, slot: int, settings: Settings) -> Answer:
    """Run one experiment into the cache.

    Args:
        line: Its canonical line.
        slot: Where its finished share is written.
        settings: Device, and whether to run it in any case.

    Returns:
        done or FAILED; the text of a failure names the line.
    """

    def action() -> tuple[str, str]:
        from lab.experiments.cached import cached_run

        cached_run(line, device=settings.device, progress=lambda done: _share(slot, done), force=settings.force)
        return "done", ""

    return attempt(action, where=lambda: line)


def draw_figure(name: str, settings: Settings, commit: Commit, run_seconds: float) -> Answer:
    """Draw one figure and write all that belongs to it.

    Args:
        name: The figure.
        settings: What was asked for.
        commit: State of the checkout.
        run_seconds: How long its experiments took just now; 0 if they came from the cache.

    Returns:
        drawn or FAILED; a failure leaves no file of the figure but NAME.error.txt.
    """
    lines: dict[str, str] = {}

    def action() -> tuple[str, str]:
        began = time.perf_counter()
        figure = load(name, settings.folder)
        experiments = settings.experiments(figure)
        lines.update({label: str(each) for label, each in experiments.items()})
        inputs = figure_inputs(name, figure, settings)
        facts = {
            "figure": name,
            "command": settings.command_for(name),
            "lines": lines,
            "commit": commit.name,
            "dirty": commit.dirty,
            "device": settings.device,
            "quick": settings.quick,
            "versions": provenance.environment(),
        }
        with style(settings.width):
            drawing = _draw(figure, lines, settings)
            outputs = saving.save(
                drawing,
                name,
                settings.place,
                formats=settings.formats,
                title=figure.title,
                short=provenance.short(facts),
            )
        said = _publish(name, figure, drawing, facts, settings) if settings.publishes else ""
        seconds = {"experiments": round(run_seconds, 2), "drawing": round(time.perf_counter() - began, 2)}
        record = {
            **facts,
            "typed": settings.command,
            "title": figure.title,
            "paper": figure.paper,
            "alt": drawing.alt,
            "seeds": {label: each.value("seeds") for label, each in experiments.items()},
            "numbers": numbers.rounded(drawing.numbers),
            "width": settings.width,
            "platform": platform.platform(),
            "threads": 1,
            "wall_seconds": seconds,
            "drawn": datetime.now(UTC).isoformat(timespec="seconds"),
            "outputs": outputs,
            "key": figure_key(inputs),
            "inputs": inputs,
        }
        saving.write_record(record, name, settings.place)
        ran = f"after {run_seconds:.1f} s of training" if run_seconds else ""
        return "drawn", "; ".join(part for part in (ran, said) if part)

    answer = attempt(action, where=lambda: "; ".join(lines.values()))
    if not answer.good:
        fail(name, answer, settings)
    return answer


def check_figure(name: str, settings: Settings) -> Answer:
    """Compute a figure's key numbers again and compare them with the committed ones; write nothing.

    Args:
        name: The figure.
        settings: What was asked for.

    Returns:
        agrees, differs or FAILED.
    """
    lines: dict[str, str] = {}

    def action() -> tuple[str, str]:
        file = settings.expected / f"{name}.json"
        committed = numbers.read(file)
        if not committed:
            raise ValueError(f"there are no committed numbers in {shown(file)}; draw it: python -m figures {name}")
        figure = load(name, settings.folder)
        lines.update({label: str(each) for label, each in settings.experiments(figure).items()})
        with style(settings.width):
            drawing = _draw(figure, lines, settings)
        said = numbers.differences(committed, numbers.rounded(drawing.numbers))
        return ("differs", "; ".join(said)) if said else ("agrees", f"{len(committed)} numbers")

    return attempt(action, where=lambda: "; ".join(lines.values()))


def fail(name: str, answer: Answer, settings: Settings) -> None:
    """Remove everything of a failed figure, so that no old picture stands for it, and leave the trace.

    Args:
        name: The figure.
        answer: What went wrong.
        settings: What was asked for.
    """
    saving.remove(name, settings.place)
    (settings.place / f"{name}.error.txt").write_text(f"{answer.text}\n\n{answer.trace}", encoding="utf-8")


def _draw(figure: Figure, lines: Mapping[str, str], settings: Settings) -> Drawing:
    from lab.experiments.cached import cached_run

    records = {label: cached_run(line, device=settings.device) for label, line in lines.items()}
    drawing = figure.draw(records, Page(figure.title, lines, settings.width, settings.quick))
    if not isinstance(drawing, Drawing):
        raise TypeError(
            f"draw returned {type(drawing).__name__}; it must return a Drawing with figure, alt, data and numbers."
        )
    return drawing


def _publish(name: str, figure: Figure, drawing: Drawing, facts: Mapping, settings: Settings) -> str:
    """Write gallery and committed numbers; return what of the numbers changed."""
    file = settings.expected / f"{name}.json"
    committed, now = numbers.read(file), numbers.rounded(drawing.numbers)
    differ = numbers.differences(committed, now) if committed else []
    # Numbers that agree within their tolerance stay as committed: another machine then changes no file.
    if differ or not committed:
        numbers.write(name, facts["lines"], now, file)
    # A committed picture cannot know its own commit.
    short = provenance.short({key: fact for key, fact in facts.items() if key not in ("commit", "dirty")})
    saving.publish(settings.place / f"{name}.png", settings.gallery, short=short, alt=drawing.alt, title=figure.title)
    return f"key numbers changed: {'; '.join(differ)}" if differ else ""


def _share(slot: int, done: float) -> None:
    if _shares:
        _shares[0][slot] = done


def _leave_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
