"""Is a figure up to date, and if not, which input changed?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from figures.machinery.figure import Figure
from figures.machinery.measured import measured_file
from figures.machinery.provenance import digest
from figures.machinery.settings import Settings
from lab import store
from lab.experiments.cached import run_inputs
from lab.experiments.sources import sources, versions

# What turns a drawing into files; a change here draws every figure again.
SAVED_BY = tuple(Path(__file__).with_name(name) for name in ("page.py", "saving.py"))
LIBRARIES = ("matplotlib", "numpy", "scipy", "xarray")


@dataclass(frozen=True)
class State:
    """Where a figure stands.

    Args:
        word: fresh, out of date, never drawn or failed.
        reasons: Why it is not fresh, one sentence each.
        record: Provenance of the last drawing; empty if there is none.
        damaged: Whether a file that was drawn is no longer what was written.
    """

    word: str
    reasons: tuple[str, ...] = ()
    record: Mapping = field(default_factory=dict)
    damaged: bool = False

    @property
    def fresh(self) -> bool:
        """Whether nothing has to be done."""
        return self.word == "fresh"


def figure_inputs(name: str, figure: Figure, settings: Settings) -> dict[str, str]:
    """List everything that a drawn figure depends on.

    Args:
        name: The figure.
        figure: What its file states.
        settings: What was asked for.

    Returns:
        Experiment lines, versions, choices and the sha256 of each source file, by name.
    """
    inputs: dict[str, str] = {}
    for label, experiment in settings.experiments(figure).items():
        computed = run_inputs(experiment, device=settings.device)
        inputs[f"line {label}"] = computed.pop("line")
        inputs |= computed
    clock = measured_file(name, settings.folder)
    if clock.is_file():
        inputs[f"measured/{clock.name}"] = digest(clock)
    choices = {"width": settings.width, "quick": str(settings.quick)}
    return {**inputs, **choices, **versions(*LIBRARIES), **sources(settings.folder / f"{name}.py", *SAVED_BY)}


def figure_key(inputs: Mapping[str, str]) -> str:
    """Hash what `figure_inputs` listed."""
    return store.key("figure", dict(sorted(inputs.items())))


def state(name: str, figure: Figure, settings: Settings) -> State:
    """Compare a figure's inputs and files with the record of its last drawing.

    Args:
        name: The figure.
        figure: What its file states.
        settings: What was asked for.

    Returns:
        Its state, with the reasons.
    """
    record = last_record(name, settings.place)
    if not record:
        failed = (settings.place / f"{name}.error.txt").exists()
        return State("failed" if failed else "never drawn", (f"nothing is drawn in {shown(settings.place)}",))
    reasons = _changes(record["inputs"], figure_inputs(name, figure, settings))
    outputs = record["outputs"]
    damaged = False
    for file, known in outputs.items():
        place = settings.place / file
        if not place.is_file():
            reasons.append(f"{file} is missing")
        elif digest(place) != known:
            damaged = True
            reasons.append(f"{file} is not what was written")
    wanted = [f"{name}.{ending}" for ending in settings.formats]
    reasons += [f"{file} was not asked for last time" for file in wanted if file not in outputs]
    if settings.publishes:
        committed = (settings.gallery / f"{name}.png", settings.expected / f"{name}.json")
        reasons += [f"{shown(file)} is missing" for file in committed if not file.is_file()]
    return State("out of date" if reasons else "fresh", tuple(reasons), record, damaged)


def last_record(name: str, folder: Path) -> dict:
    """Read the provenance of the last drawing; empty if there is none that can be read."""
    try:
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        record["inputs"], record["outputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record


def shown(path: Path) -> str:
    """Write a path as short as it can be from here."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    said = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        is_file = name.endswith((".py", ".mplstyle", ".json"))
        if old is None:
            said.append(f"{name} is new" if is_file else f"{name} is new: {new}")
        elif new is None:
            said.append(f"{name} is no longer used")
        else:
            said.append(f"{name} changed" if is_file else f"{name} changed: {old} → {new}")
    return said
