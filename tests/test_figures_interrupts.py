"""A kill in the middle: no finished figure is lost, no half file stays, and the next call goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import tiny_figures
from tests.tiny_figures import QUICK_LINE, ROOT, SLOW_LINE, command

PATIENCE = 240.0  # seconds; a loaded machine is slow, a broken one is for ever


def wait_until(true, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def record(name: str, folder: Path) -> dict:
    return json.loads((folder / "out" / f"{name}.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_kill_loses_nothing_finished_and_the_next_call_goes_on(tmp_path, number):
    folder = tiny_figures.write(tmp_path / "figures", {"done": QUICK_LINE, "slow": SLOW_LINE})
    environment = {**os.environ, "DPOLAB_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    words = command(folder, ["--jobs", "2", "--format", "png"])
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until((folder / "out" / "done.json").exists, "the first figure was never finished")
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the keyboard interrupts every process of the terminal
        else:
            process.send_signal(number)
        said, _ = process.communicate(timeout=PATIENCE)
        wait_until(lambda: group_is_gone(process.pid), "a worker outlived the command")
    finally:
        if not group_is_gone(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), said
    if number != signal.SIGKILL:
        # The signal may fall between the finished file and its being counted.
        assert re.search("interrupted; what is finished is kept, the next call goes on · [01] fresh", said), said
        assert "Traceback" not in said

    there = {file.name for file in (folder / "out").iterdir() if not file.name.startswith(".")}
    assert {"done.png", "done.csv", "done.json"} <= there <= {"done.png", "done.csv", "done.json", "index.html"}
    before = record("done", folder)

    tiny_figures.change(folder, "slow", SLOW_LINE, QUICK_LINE)
    again = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert record("done", folder) == before, "the finished figure is not drawn again"
    assert record("slow", folder)["lines"]["only"] == QUICK_LINE
    assert not list((folder / "out").glob(".drawing-*"))
