"""The real figures: each keeps the rules, and what is committed belongs to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from figures.machinery import numbers
from figures.machinery.discovery import load, names
from figures.machinery.provenance import explain
from figures.machinery.saving import GALLERY_BYTES
from figures.machinery.settings import FOLDER, Settings

NAMES = names(FOLDER)
LEAST_SEEDS = 20
# A phase diagram speaks through hundreds of neighbouring cells, and marks those whose few seeds leave it open.
SEEDS_OF_A_MAP, CELLS_OF_A_MAP = 8, 32


def test_there_are_figures():
    assert "three_properties" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_says_its_message_from_enough_seeds(name):
    figure = load(name, FOLDER)
    assert 4 <= len(figure.title.split()) <= 30
    for experiment in figure.experiments().values():
        longest = max((len(values) for values in experiment.axes.values()), default=1)
        least = SEEDS_OF_A_MAP if longest >= CELLS_OF_A_MAP else LEAST_SEEDS
        assert experiment.value("seeds") >= least, f"{experiment}: an interval needs {least} seeds"


def test_naming_a_figure_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from figures.machinery.discovery import load, names\n"
        "from figures.machinery.settings import FOLDER\n"
        "for name in names(FOLDER):\n"
        "    load(name, FOLDER)\n"
        "    heavy = {'torch', 'matplotlib', 'scipy', 'seaborn'} & set(sys.modules)\n"
        "    assert not heavy, f'{name} imports {heavy} at its top: --list waits for it; import it in a function'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_has_its_committed_picture_and_numbers(name):
    picture = FOLDER / "gallery" / f"{name}.png"
    assert picture.stat().st_size <= GALLERY_BYTES
    lines = {label: str(each) for label, each in Settings().experiments(load(name, FOLDER)).items()}
    known = explain(picture)
    assert known["figure"] == name and known["lines"] == lines, f"draw it again: python -m figures {name}"
    assert known["quick"] is False
    assert numbers.read(FOLDER / "expected" / f"{name}.json")


def test_nothing_is_committed_that_no_figure_draws():
    committed = [*(FOLDER / "gallery").iterdir(), *(FOLDER / "expected").iterdir()]
    assert not sorted(file.name for file in committed if file.stem not in NAMES and not file.name.startswith("."))
