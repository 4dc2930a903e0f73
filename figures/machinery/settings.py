"""What one call of the command was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.plots.contexts import context

if TYPE_CHECKING:
    from figures.machinery.figure import Figure
    from lab.experiments.experiment import Experiment

FOLDER = Path(__file__).resolve().parent.parent
FORMATS = ("png", "pdf", "svg")
QUICK_SEEDS = 4


@dataclass(frozen=True)
class Settings:
    """What one call was asked for; the same for all its figures.

    Args:
        folder: Where the figure files lie; gallery and expected numbers lie in it.
        out: Where pictures, tables and provenance go; None is `out` in the folder (`out/quick` for quick ones).
        formats: Picture formats.
        device: Where experiments run.
        seeds: Another number of seeds than the lines say.
        quick: Few seeds, and QUICK in the picture.
        width: paper, slides or notebook.
        jobs: Figures and experiments worked on at once.
        force: Run and draw again, whatever the cache holds.
        command: The command as typed, for the record beside the pictures.

    Raises:
        ValueError: If a value is not allowed, or two contradict each other.
    """

    folder: Path = FOLDER
    out: Path | None = None
    formats: tuple[str, ...] = FORMATS
    device: str = "cpu"
    seeds: int | None = None
    quick: bool = False
    width: str = "notebook"
    jobs: int = 1
    force: bool = False
    command: str = "python -m figures"

    def __post_init__(self) -> None:
        context(self.width)
        for name in self.formats:
            if name not in FORMATS:
                raise ValueError(f"'{name}' is no format; the formats are {', '.join(FORMATS)}, joined by commas.")
        if "png" not in self.formats:
            raise ValueError(
                f"formats are {', '.join(self.formats)}; png must be among them: the contact sheet shows it."
            )
        for name in ("seeds", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1.")
        if self.quick and self.seeds is not None:
            raise ValueError(f"--quick takes {QUICK_SEEDS} seeds, and --seeds asks for {self.seeds}. Give one of them.")

    @property
    def place(self) -> Path:
        """The folder that pictures go to."""
        if self.out is not None:
            return self.out
        return self.folder / "out" / "quick" if self.quick else self.folder / "out"

    @property
    def gallery(self) -> Path:
        """The folder of the committed pictures."""
        return self.folder / "gallery"

    @property
    def expected(self) -> Path:
        """The folder of the committed key numbers."""
        return self.folder / "expected"

    @property
    def publishes(self) -> bool:
        """Whether gallery and expected numbers are written: only by the figure exactly as its file states it."""
        as_stated = not self.quick and self.seeds is None and self.width == "notebook" and self.device == "cpu"
        return as_stated and self.out is None

    def command_for(self, name: str) -> str:
        """Return the shortest command that draws one figure like this, however this call was typed."""
        words = ["python", "-m", "figures", name]
        words += ["--quick"] if self.quick else []
        words += [] if self.seeds is None else ["--seeds", str(self.seeds)]
        words += [] if self.width == "notebook" else ["--width", self.width]
        words += [] if self.device == "cpu" else ["--device", self.device]
        return " ".join(words)

    def experiments(self, figure: Figure) -> dict[str, Experiment]:
        """Return a figure's experiments with the seeds that were asked for."""
        read = figure.experiments()
        if self.quick:
            return {name: replace(each, seeds=min(each.seeds, (QUICK_SEEDS,))) for name, each in read.items()}
        return read if self.seeds is None else {name: replace(each, seeds=(self.seeds,)) for name, each in read.items()}
