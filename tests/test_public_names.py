"""The façade: lazy public names, and what an unknown one is answered with."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lab

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", lab.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(lab, name) is getattr(lab, name)
    assert name in dir(lab)


def test_the_table_the_types_and_all_name_the_same() -> None:
    tree = ast.parse(Path(lab.__file__).read_text(encoding="utf-8"))
    (typing,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in typing.body if isinstance(node, ast.Import | ast.ImportFrom)]
    typed = {alias.asname or alias.name for node in imports for alias in node.names}
    homes = {**lab._HOMES}
    assert typed == set(homes) == set(lab.__all__) - {"__version__"}


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert lab.__version__ == project["version"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dpo", r"lab has no 'dpo'\. Did you mean lab\.DPO\? It has: Adam, AlphaPO, AOT, "),
        ("experiment", r"lab has no 'experiment'\. Did you mean lab\.Experiment\?"),
        ("zzzz", r"lab has no 'zzzz'\. It has: Adam, "),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(name: str, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        getattr(lab, name)


def test_an_unknown_name_of_experiments_is_answered_with_the_list() -> None:
    from lab import experiments

    assert experiments.run is lab.run
    names = "Experiment, own, read_pairs, read_start, run"
    with pytest.raises(AttributeError, match=rf"lab\.experiments has no 'rum'\. It has: {names}\."):
        experiments.rum  # noqa: B018


def test_a_missing_submodule_is_still_an_import_error() -> None:
    done = subprocess.run([sys.executable, "-c", "from lab import nothing"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "ImportError: cannot import name 'nothing' from 'lab'" in done.stderr
