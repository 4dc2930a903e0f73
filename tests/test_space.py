"""Where large arrays lie: in memory or in files without a name, and what is said where there is no room."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lab
from lab import space, store

HERE = Path(__file__).resolve().parents[1]


def test_the_system_says_what_is_free(tmp_path):
    assert 0 < space.free_memory()
    assert 0 < space.free_disk(tmp_path) == pytest.approx(space.free_disk(tmp_path / "not" / "there"), rel=0.1)


def test_what_may_lie_in_memory_does():
    assert space.choose_place(1000, what="it", cure="do less", memory=1000) == space.Place()


def test_half_of_the_free_memory_may_be_taken_unless_said(monkeypatch, tmp_path):
    monkeypatch.setattr(space, "free_memory", lambda: 1000.0)
    assert space.choose_place(500, what="it", cure="do less") == space.Place()
    with pytest.warns(lab.RecordOnDisk, match="5e-07 GB of memory are allowed, half of what is free: it lies in files"):
        assert space.choose_place(501, what="it", cure="do less", scratch=tmp_path) == space.Place(tmp_path)


def test_files_lie_in_the_cache_folder_unless_said(monkeypatch, tmp_path):
    monkeypatch.setenv(space.VARIABLE, str(tmp_path / "mine"))
    with pytest.warns(lab.RecordOnDisk, match="mine, which vanish with it; do less to keep it in memory"):
        assert space.choose_place(8, what="it", cure="do less", memory=0).folder == tmp_path / "mine" == store.folder()


def test_what_neither_memory_nor_disk_holds_is_refused_with_the_cures(monkeypatch, tmp_path):
    monkeypatch.setattr(space, "free_disk", lambda folder: 2e9)
    message = (
        rf"^it takes 1.9 GB and 1 GB of memory are allowed; the disk of {tmp_path} has 1.8 GB for it; "
        "do less, or name another folder as scratch$"
    )
    with pytest.raises(ValueError, match=message):
        space.choose_place(1.9e9, what="it", cure="do less", memory=1e9, scratch=tmp_path)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_file_is_an_array_like_any_other_and_has_no_name(tmp_path, dtype):
    array = space.Place(tmp_path / "new").array((3, 5), dtype)
    assert array.shape == (3, 5) and array.dtype == dtype and type(array) is np.ndarray
    array[:] = np.arange(15).reshape(3, 5)
    space.let_go([array[1:], np.zeros(3)])
    np.testing.assert_array_equal(array, np.arange(15).reshape(3, 5))
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not show open files")
def test_the_space_is_free_again_when_the_last_view_is_gone(tmp_path):
    def held() -> int:
        return sum(str(tmp_path) in line for line in Path("/proc/self/maps").read_text().splitlines())

    array = space.Place(tmp_path).array((1000,), np.float64)
    view = array[3:].reshape(-1, 1)
    del array
    assert held() == 1
    del view
    assert held() == 0


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no space")
def test_a_disk_that_has_filled_up_meanwhile_is_an_error_and_leaves_nothing(tmp_path):
    """The system itself refuses: a process of its own may write no file above 1 MB."""
    code = (
        "import resource, signal, sys\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from lab.space import Place\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "Place(Path(sys.argv[1])).array((10**5,), np.float64)\n"
        "try:\n"
        "    Place(Path(sys.argv[1])).array((10**6,), np.float64)\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=HERE, capture_output=True, text=True, timeout=60)
    assert f"the record cannot lie in {tmp_path}: File too large; nothing is left there; name another" in done.stdout
    assert list(tmp_path.iterdir()) == [], done.stderr


def test_space_is_written_where_the_system_reserves_none(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(space, "BLOCK", 1000)
    with open(tmp_path / "file", "w+b") as file:
        space.reserve(file.fileno(), 2500)
    assert (tmp_path / "file").read_bytes() == bytes(2500)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left on device; nothing is left there") as caught:
        space.Place(tmp_path).array((10,), np.float64)
    assert caught.value.errno == errno.ENOSPC and [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file: .*; nothing is left there; name another folder as scratch"):
        space.Place(tmp_path / "file").array((10,), np.float64)
