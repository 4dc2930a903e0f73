"""The two caches behind the figures: which sources a result rests on, and records that are kept."""

from __future__ import annotations

import os

import numpy as np
import pytest

import lab
from lab.experiments import cached, sources
from lab.experiments.cached import cached_path, cached_run, run_inputs
from lab.experiments.sources import PACKAGE
from tests.tiny_figures import NON_FINITE_LINE, QUICK_LINE


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DPOLAB_CACHE", str(tmp_path / "cache"))


# --- sources ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A small package in the place of the real one, with a folder of scripts beside it."""
    files = {
        "lab/__init__.py": "VALUE = 1",
        "lab/low.py": "",
        "lab/middle.py": "def f():\n    from lab import low",
        "lab/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lab import low",
        "lab/room/__init__.py": "from lab.room.one import A",
        "lab/room/one.py": "A = 1",
        "lab/room/two.py": "from .one import A\nfrom ..middle import f",
        "lab/room/look.mplstyle": "font.size: 9",
        "lab/alone.py": "",
        "scripts/layouts/__init__.py": "",
        "scripts/layouts/grid.py": "import lab\nlab.middle.f()\nfrom scripts.layouts import cells",
        "scripts/layouts/cells.py": "",
        "scripts/one.py": "from scripts.layouts.grid import x\nimport numpy",
        "scripts/facade.py": "from lab import VALUE",
        "scripts/tools/__init__.py": "from lab import low",
        "scripts/uses_tools.py": "from scripts.tools import low",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "PACKAGE", tmp_path / "lab")
    return tmp_path


@pytest.mark.parametrize(
    ("start", "rests_on"),
    [
        ("lab.low", ["lab/low.py"]),
        ("lab.middle", ["lab/low.py", "lab/middle.py"]),
        ("lab.typed", ["lab/typed.py"]),
        ("lab.room.one", ["lab/room/one.py"]),
        ("lab.room.two", ["lab/low.py", "lab/middle.py", "lab/room/one.py", "lab/room/two.py"]),
        (
            "lab.room",
            ["lab/low.py", "lab/middle.py"]
            + [f"lab/room/{name}" for name in ("__init__.py", "look.mplstyle", "one.py", "two.py")],
        ),
    ],
)
def test_sources_follow_imports_wherever_they_stand(house, start, rests_on):
    assert list(sources.sources(start)) == rests_on


def test_a_script_rests_on_what_it_imports_and_on_modules_below_it(house):
    assert list(sources.sources(house / "scripts" / "one.py")) == [
        "lab/low.py", "lab/middle.py", "scripts/layouts/cells.py", "scripts/layouts/grid.py", "scripts/one.py"
    ]  # fmt: skip
    assert list(sources.sources(house / "scripts" / "uses_tools.py")) == ["scripts/uses_tools.py"]


def test_a_name_that_is_no_module_makes_the_whole_package_count(house):
    everything = {file.relative_to(house).as_posix() for file in (house / "lab").rglob("*") if file.is_file()}
    assert set(sources.sources(house / "scripts" / "facade.py")) == everything | {"scripts/facade.py"}


def test_a_changed_file_changes_its_hash_and_no_other(house):
    before = sources.sources("lab.middle")
    (house / "lab" / "low.py").write_text("x = 2")
    after = sources.sources("lab.middle")
    assert before["lab/low.py"] != after["lab/low.py"] and before["lab/middle.py"] == after["lab/middle.py"]


def test_an_unknown_start_is_refused(house):
    with pytest.raises(ValueError, match="'numpy' is no module of the package lab; give one, or the path of a file"):
        sources.sources("numpy")


def test_a_run_rests_on_what_computes_it_and_not_on_pictures():
    names = set(run_inputs(QUICK_LINE))
    assert {"lab/gradients.py", "lab/training/loop.py", "lab/policies/mlp.py", "torch", "device", "line"} <= names
    assert not {name for name in names if name.startswith(("lab/plots", "lab/claims", "lab/metrics", "lab/cli"))}
    assert all((PACKAGE.parent / name).is_file() for name in names if name.endswith(".py"))


# --- records ---------------------------------------------------------------------------------------------------------


def test_a_record_is_run_once_and_is_what_a_run_gives(monkeypatch):
    first = cached_run(QUICK_LINE)
    shuffled = " ".join(reversed(QUICK_LINE.split()))
    monkeypatch.setattr("lab.experiments.running.run", lambda *_, **__: pytest.fail("was run again"))
    second = cached_run(shuffled)
    assert first.identical(second)
    monkeypatch.undo()
    np.testing.assert_array_equal(lab.run(QUICK_LINE)["log_prob"], second["log_prob"])


def test_progress_is_told_and_force_runs_again():
    shares: list[float] = []
    cached_run(QUICK_LINE)
    cached_run(QUICK_LINE, progress=shares.append)
    assert not shares
    cached_run(QUICK_LINE, progress=shares.append, force=True)
    assert shares[-1] == 1


def test_another_line_device_version_or_source_has_another_place(monkeypatch):
    place = cached_path(QUICK_LINE)
    assert place == cached_path(lab.Experiment.parse(QUICK_LINE))
    assert len({place, cached_path(QUICK_LINE, device="cuda"), cached_path(QUICK_LINE.replace("s1", "s2"))}) == 3
    monkeypatch.setattr(cached, "versions", lambda *_: {"torch": "3.0"})
    assert cached_path(QUICK_LINE) != place
    monkeypatch.undo()
    monkeypatch.setattr(cached, "sources", lambda *_: {"lab/gradients.py": "0"})
    assert cached_path(QUICK_LINE) != place


@pytest.mark.parametrize("damage", [b"", b"\x89HDF\r\n\x1a\n", b"something else"])
def test_a_damaged_record_is_run_again_with_a_warning(damage):
    good = cached_run(QUICK_LINE)
    place = cached_path(QUICK_LINE)
    place.write_bytes(damage)
    with pytest.warns(
        RuntimeWarning, match=f"The cached record {place.name} cannot be used .*; its experiment is run again"
    ):
        again = cached_run(QUICK_LINE)
    assert again.identical(good)
    assert cached_run(QUICK_LINE).identical(good)


def test_a_run_that_diverges_is_not_kept():
    with pytest.raises(lab.NonFiniteError, match="flex"):
        cached_run(NON_FINITE_LINE)
    assert not cached_path(NON_FINITE_LINE).exists()


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DPOLAB_CACHE", str(tmp_path / "file"))
    with pytest.warns(
        RuntimeWarning, match="The record is not kept .*set DPOLAB_CACHE to a folder that can be written"
    ):
        record = cached_run(QUICK_LINE)
    assert record.sizes["seed"] == 3


def test_nothing_unfinished_is_left_beside_a_record():
    cached_run(QUICK_LINE)
    place = cached_path(QUICK_LINE)
    assert os.listdir(place.parent) == [place.name]
