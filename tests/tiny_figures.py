"""A folder of figures that take a second: what the tests of the figure script draw."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICK_LINE = "tabular s1 dpo beta=0.1 sgd lr=0.5 steps=6 seeds=3"
SLOW_LINE = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=60000 seeds=24 every=1000"
NON_FINITE_LINE = "mlp s2 flex beta_rejected=5 sgd lr=1e200 steps=20 seeds=3"

SOURCE = """
from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots


def draw(data, page):
    shown = {}
    figure, axes = page.grid(1, len(data), aspect=0.4)
    for ax, (name, ds) in zip(axes.flat, data.items(), strict=True):
        shown[name, "chosen"] = plots.over_seeds(metrics.over_pairs(metrics.chosen_prob(ds), ds))
        plots.curve(shown[name, "chosen"], ax, role=plots.CHOSEN)
    # HERE
    end = float(shown[name, "chosen"].median[-1])
    return Drawing(
        figure=figure,
        alt=f"The chosen response starts at probability 0.45 and ends at {end:.3f} after a few steps.",
        data=plots.table(shown),
        numbers={"chosen at the end": (end, 1e-6)},
    )


FIGURE = Figure(title="TITLE", paper="PAPER", lines=LINES, draw=draw)
"""


def write(folder: Path, figures: Mapping[str, Mapping[str, str] | str]) -> Path:
    """Write a folder of figures: name to experiment lines, or to one line."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, given in figures.items():
        lines = {"only": given} if isinstance(given, str) else dict(given)
        text = SOURCE.replace("TITLE", f"What {name} shows").replace("PAPER", "Toy, figure 1")
        (folder / f"{name}.py").write_text(text.replace("LINES", repr(lines)), encoding="utf-8")
    return folder


def change(folder: Path, name: str, old: str, new: str) -> None:
    """Replace a text in a figure file."""
    file = folder / f"{name}.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def command(folder: Path, words: Sequence[str]) -> list[str]:
    """The command `python -m figures` for another folder, as a process of its own."""
    code = (
        "import sys; from pathlib import Path; from figures.machinery.commands import main\n"
        "if __name__ == '__main__': main(sys.argv[2:], Path(sys.argv[1]))"
    )
    return [sys.executable, "-c", code, str(folder), *words]


def words_of(line: str) -> list[str]:
    """The columns of a printed line, which stand two or more blanks apart."""
    return re.split(r"\s{2,}", line.strip())
