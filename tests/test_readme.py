"""The README is followed word by word: its commands run, its links lead somewhere, its rows are the computed ones."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.split("#")[0].strip()
]
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.S)
LINKS = re.findall(r"\]\(([^)\s]+)\)", TEXT) + re.findall(r'src="([^"]+)"', TEXT)
LOCAL = [link for link in LINKS if not re.match(r"[a-z]+:", link)]


def slug(heading: str) -> str:
    """The anchor that code hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_the_readme_has_commands_and_links():
    assert COMMANDS and PYTHON and LOCAL


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, tmp_path):
    program, *arguments = shlex.split(command)
    if program in ("git", "cd"):
        return  # how the reader got here
    if program == "make":
        # What the targets do is tested by itself and takes minutes; here, that they exist.
        done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
    else:
        assert program == "python", f"the README runs {program}"
        names_a_file = any((ROOT / argument).is_file() for argument in arguments)
        inside = ROOT if names_a_file or arguments[:2] == ["-m", "figures"] else tmp_path
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=inside, env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", PYTHON)
def test_python_in_the_readme_runs(source):
    exec(compile(source, "README.md", "exec"), {})


@pytest.mark.parametrize("link", LOCAL)
def test_a_link_of_the_readme_leads_to_a_file_or_a_heading(link):
    file, _, anchor = link.partition("#")
    target = ROOT / file if file else ROOT / "README.md"
    assert target.exists(), f"{link} leads nowhere"
    if anchor:
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
        assert anchor in map(slug, headings) or f'id="{anchor}"' in target.read_text(encoding="utf-8")


def test_the_rows_of_the_readme_are_those_of_the_claims():
    """Number and verdict of each row stand, word by word, in the row of that claim."""
    claims = (ROOT / "CLAIMS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[([a-z0-9_]+)\]\(CLAIMS\.md[^)]*\) \|.*\| (.*?) \| (\*\*.*?) \|$", TEXT, re.M)
    assert len(rows) >= 5
    for name, measured, verdict in rows:
        row = next((line for line in claims.splitlines() if line.startswith(f"| [{name}](#{name}) |")), "")
        assert measured in row and verdict in row, f"README: {name}, {measured}, {verdict}; CLAIMS.md: {row}"
