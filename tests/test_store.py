"""The cache on disk: its keys, its round trip, and what happens when a file or the folder is bad."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_warned", set())
    return tmp_path / "cache"


def counted(arrays: dict[str, np.ndarray]) -> tuple[Callable[[], dict[str, np.ndarray]], list[int]]:
    """Return a function that gives the arrays, and the list that grows with its calls."""
    calls: list[int] = []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return arrays

    return compute, calls


ARRAYS = {
    "log_prob": np.linspace(-200, 0, 12).reshape(3, 4),
    "single": np.float32([np.nan, -np.inf, 1e-38]),
    "name": np.array(["s1", "s2"]),
    "empty": np.zeros((0, 3), dtype=int),
}


def test_what_is_stored_comes_back_bit_for_bit_and_is_computed_once(cache: Path) -> None:
    compute, calls = counted(ARRAYS)
    key = store.key("a line", 3)
    for _ in range(3):
        found = store.fetch_arrays(key, compute)
        assert list(found) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes()
    assert len(calls) == 1
    assert [file.name for file in cache.rglob("*") if file.is_file()] == [f"{key}.npz"]


@pytest.mark.parametrize("damage", [b"", b"not a zip", "half"])
def test_a_damaged_file_is_computed_again_with_a_warning(damage: bytes | str) -> None:
    compute, calls = counted(ARRAYS)
    key = store.key("x")
    store.fetch_arrays(key, compute)
    file = store.path(key, ".npz")
    file.write_bytes(file.read_bytes()[:200] if isinstance(damage, str) else damage)
    with pytest.warns(UserWarning, match=r"cached file .*\.npz cannot be read \(.+\); it is computed again"):
        store.fetch_arrays(key, compute)
    assert len(calls) == 2
    store.fetch_arrays(key, compute)
    assert len(calls) == 2


def test_a_flipped_bit_is_noticed() -> None:
    key = store.key("bits")
    values = np.random.default_rng(0).normal(size=1000)
    store.fetch_arrays(key, lambda: {"values": values})
    file = store.path(key, ".npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="it is computed again"):
        np.testing.assert_array_equal(store.fetch_arrays(key, lambda: {"values": values})["values"], values)


def test_every_single_damaged_byte_is_noticed_or_harmless() -> None:
    """No byte of the file can make reading fail otherwise than by computing again."""
    key = store.key("bytes")
    arrays = {"x": np.arange(3.0)}
    store.fetch_arrays(key, lambda: arrays)
    file = store.path(key, ".npz")
    content = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in range(len(content)):
            file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
            for found in store.fetch_arrays(key, lambda: arrays).values():
                np.testing.assert_array_equal(found, arrays["x"])


def test_pickled_content_is_never_loaded() -> None:
    key = store.key("pickle")
    file = store.path(key, ".npz")
    file.parent.mkdir(parents=True)
    np.savez(file, evil=np.array([{}], dtype=object))
    with pytest.warns(UserWarning, match="it is computed again"):
        assert list(store.fetch_arrays(key, lambda: {"good": np.ones(1)})) == ["good"]


def test_a_folder_that_cannot_be_written_warns_once_and_the_work_goes_on(cache: Path) -> None:
    # A file where the folder should be: stops everybody, unlike permissions, which do not stop root.
    cache.write_text("in the way")
    compute, calls = counted(ARRAYS)
    with pytest.warns(UserWarning, match=r"The cache folder .* cannot be written .*set DPOLAB_CACHE to a folder"):
        store.fetch_arrays(store.key(1), compute)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(store.fetch_arrays(store.key(2), compute)) == list(ARRAYS)
    assert len(calls) == 2 and store.size().files == 0 and store.clear().files == 0


def test_a_failed_write_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, **arrays: np.ndarray) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        store.fetch_arrays(store.key("full"), lambda: ARRAYS)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_an_interrupt_while_writing_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(file: object, **arrays: np.ndarray) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.fetch_arrays(store.key("interrupt"), lambda: ARRAYS)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_an_error_while_computing_stores_nothing(cache: Path) -> None:
    def fail() -> dict[str, np.ndarray]:
        raise RuntimeError("no result")

    with pytest.raises(RuntimeError, match="no result"):
        store.fetch_arrays(store.key("fail"), fail)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": np.array([None])},
            r"The array 'x' holds Python objects; allowed are numbers, booleans, text\. Convert it",
        ),
        ({"file": np.ones(1)}, r"An array is called 'file', which numpy's file format keeps for itself\. Rename it"),
    ],
)
def test_arrays_that_cannot_be_stored_are_an_error(arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        store.fetch_arrays(store.key("bad"), lambda: arrays)


@pytest.mark.parametrize("key", ["", "abc", "../" + "a" * 61, "A" * 64])
def test_a_key_of_another_make_is_an_error(key: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are 64 hexadecimal digits\. Make it with lab\.store\.key"):
        store.path(key, ".nc")


@pytest.mark.parametrize("suffix", ["nc", "/x.nc", "./x"])
def test_a_suffix_without_its_dot_is_an_error(suffix: str) -> None:
    with pytest.raises(ValueError, match=r"allowed is a file's ending with its dot\. Write for example '\.nc'"):
        store.path("0" * 64, suffix)


def test_a_key_is_stable_and_tells_parts_apart() -> None:
    parts: list[object] = ["1", 1, 1.0, True, None, b"1", [1], (1, 2), [[1], 2], [1, [2]], ["12"], ["1", "2"], {"1": 1}]
    parts += [np.ones(2), np.ones(2, np.float32), np.ones((2, 1)), np.ones((1, 2)), np.array([1, 1]), -1, "", [], 0.1]
    keys = [store.key(part) for part in parts] + [store.key(), store.key(1, 2), store.key("12"), store.key("1", "2")]
    assert len(set(keys)) == len(keys)
    assert keys[: len(parts)] == [store.key(part) for part in parts]
    assert store.key(np.int64(3), np.float64(0.1)) == store.key(3, 0.1)
    assert store.key(np.arange(6).reshape(2, 3).T) == store.key(np.arange(6).reshape(2, 3).T.copy())


def test_a_key_is_the_same_in_another_process() -> None:
    code = "from lab import store; print(store.key('line', 3, 0.1, {'a': [1, None]}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == store.key("line", 3, 0.1, {"a": [1, None]})


def test_a_key_follows_the_source_of_modules_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "somemodule.py").write_text("A = 1\n")
    (tmp_path / "somepackage").mkdir()
    (tmp_path / "somepackage" / "__init__.py").write_text("")
    (tmp_path / "somepackage" / "part.py").write_text("A = 1\n")
    module, package = importlib.import_module("somemodule"), importlib.import_module("somepackage")
    before = store.key(module), store.key(package)
    assert before == (store.key(module), store.key(package))
    for file in (tmp_path / "somemodule.py", tmp_path / "somepackage" / "part.py"):
        file.write_text("A = 2222\n")
    importlib.invalidate_caches()
    importlib.reload(module)
    assert store.key(module) != before[0] and store.key(package) != before[1]


@pytest.mark.parametrize("part", [object(), np.array([None]), {1}, 1j])
def test_a_part_without_stable_bytes_is_an_error(part: object) -> None:
    with pytest.raises(
        TypeError, match=r"A cache key cannot hold .*; allowed are text, .* Convert it, for example with str"
    ):
        store.key(part)


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_texts_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (store.key(*one) == store.key(*other)) == (one == other)


def test_size_and_clear_know_only_our_files(cache: Path) -> None:
    assert store.size() == store.Size(cache, 0, 0)
    for number in range(3):
        store.fetch_arrays(store.key(number), lambda: ARRAYS)
    left_by_a_kill = cache / "ab" / ".new-x.npz"
    stranger = cache / "ab" / "notes.txt"
    left_by_a_kill.parent.mkdir(exist_ok=True)
    left_by_a_kill.write_text("half")
    stranger.write_text("mine")
    assert store.size().files == 4
    assert str(store.size()).startswith("4 files, 0.0 MB in ")
    assert store.clear().files == 4
    assert store.size().files == 0 and stranger.read_text() == "mine" and not left_by_a_kill.exists()


def test_the_folder_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store.folder() == tmp_path / "cache"
    monkeypatch.setenv(store.VARIABLE, "~/elsewhere")
    assert store.folder() == Path(os.path.expanduser("~/elsewhere"))
    for empty in ("", "  "):
        monkeypatch.setenv(store.VARIABLE, empty)
        assert store.folder().name == "dpolab"


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    keys = [store.key("file", number) for number in range(3)]
    for age, key in zip((30, 20, 10), keys, strict=True):
        store.fetch_arrays(key, lambda: {"numbers": np.arange(1000.0)})
        then = store.path(key, ".npz").stat().st_mtime - age
        os.utime(store.path(key, ".npz"), (then, then))
    store.fetch_arrays(keys[0], dict)  # used now: the second one is the oldest
    one = store.path(keys[0], ".npz").stat().st_size
    store.prune(limit=2 * one)
    assert [store.path(key, ".npz").exists() for key in keys] == [True, False, True]


def test_what_a_killed_save_left_is_cleared_too(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    place = store.path(store.key("run"), ".nc")
    place.parent.mkdir()
    left = place.parent / f".{place.name}.123.abcd.part"
    left.write_bytes(b"half")
    assert store.clear().files == 1 and not left.exists()
