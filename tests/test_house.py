"""House rules that a reader would otherwise have to watch for."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cff", ".ipynb", ".mplstyle", ".css", ".js", ".json", ""}
NOTEBOOK_LIMIT = 300_000  # bytes

MACHINE_PATH = re.compile(r"(?<![\w.~-])(/(home|Users|root|work|tmp|mnt|scratch|media)/\w+|[A-Z]:\\\\?Users)")
# Spelt in two halves, so that this file passes its own test.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|T" + r"BD|WI" + r"P)\b")
GLOBAL_STATE = {
    "torch.manual_seed",
    "torch.set_default_dtype",
    "torch.set_default_device",
    "torch.random.manual_seed",
    "np.random.seed",
    "numpy.random.seed",
    "random.seed",
    "plt.show",
    "plt.style.use",
    "plt.rcParams.update",
    "matplotlib.rcParams.update",
    "mpl.rcParams.update",
    "warnings.simplefilter",
    "warnings.filterwarnings",
}


def tracked() -> list[Path]:
    """The files under version control; without it, every file that is not hidden or generated."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if not {".venv", ".git", "out"} & set(path.parts)]
    return sorted(path for path in paths if path.is_file())


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.suffix in SOURCE and path.name != "constraints.txt":
            # The letters of a picture inside a notebook are no words.
            yield path.relative_to(ROOT), re.sub(r"base64,[\w+/=]+", "base64,", path.read_text(encoding="utf-8"))


def package() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "lab").rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def notebooks() -> Iterator[tuple[Path, dict]]:
    for path in tracked():
        if path.suffix == ".ipynb":
            yield path.relative_to(ROOT), json.loads(path.read_text(encoding="utf-8"))


def matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def python_of(cell: dict) -> ast.Module:
    """The Python of a notebook cell, without lines for the shell or the notebook itself."""
    lines = "".join(cell["source"]).splitlines()
    return ast.parse("\n".join("pass" if line.startswith(("%", "!")) else line for line in lines))


def test_no_file_knows_the_machine_it_was_written_on():
    found = matches(MACHINE_PATH)
    assert not found, "\n".join(found)


def test_no_file_is_marked_as_unfinished():
    found = matches(UNFINISHED)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["see /ho" + "me/ada/lab", "('/ro" + "ot/x')", "C:" + "\\Users\\ada"])
def test_the_path_rule_sees_a_machine_path(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["https://example.org/home/ada", "data/work/x", "and/or", "/dev/null", "n/root/2"])
def test_the_path_rule_lets_other_slashes_pass(text):
    assert not MACHINE_PATH.search(text)


def test_nothing_in_the_package_takes_keywords_it_does_not_name():
    found = [
        f"{path}:{node.lineno}: {node.name}(**{node.args.kwarg.arg})"
        for path, tree in package()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg
    ]
    assert not found, "\n".join(found)


def test_every_dataclass_of_the_package_is_frozen():
    found = []
    for path, tree in package():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                decorators = [ast.unparse(each) for each in node.decorator_list]
                dataclasses = [each for each in decorators if each.split("(")[0].endswith("dataclass")]
                found += [f"{path}:{node.lineno}: {node.name}" for each in dataclasses if "frozen=True" not in each]
    assert not found, "\n".join(found)


def test_the_package_sets_no_global_state():
    found = [
        f"{path}:{node.lineno}: {ast.unparse(node.func)}"
        for path, tree in package()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in GLOBAL_STATE
    ]
    assert not found, "\n".join(found)


def test_notebooks_hold_no_def_but_the_stubs_of_exercises():
    found = [
        f"{path}, cell {number}"
        for path, notebook in notebooks()
        for number, cell in enumerate(notebook["cells"])
        if cell["cell_type"] == "code"
        and not "".join(cell["source"]).startswith("# exercise ")
        and any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in ast.walk(python_of(cell))
        )
    ]
    assert not found, "\n".join(found)


def test_notebooks_hold_no_widget_output_and_no_error():
    found = []
    for path, notebook in notebooks():
        if "widgets" in notebook["metadata"]:
            found.append(f"{path}: widget state in the metadata")
        for number, cell in enumerate(notebook["cells"]):
            for output in cell.get("outputs", []):
                kinds = set(output.get("data", {}))
                if any("widget" in kind for kind in kinds) or output["output_type"] == "error":
                    found.append(f"{path}, cell {number}: {sorted(kinds) or 'an error'}")
    assert not found, "\n".join(found)


def test_notebooks_are_small_enough_to_read_in_a_diff():
    sizes = {str(path): (ROOT / path).stat().st_size for path, _ in notebooks()}
    assert all(size < NOTEBOOK_LIMIT for size in sizes.values()), sizes


def test_every_change_says_whether_numbers_moved():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^- .*(?:\n  .*)*", text, re.M)
    assert entries
    silent = [entry.splitlines()[0] for entry in entries if not re.search(r"Numbers: .+\.$", entry)]
    assert not silent, "an entry ends with 'Numbers: unchanged.' or says what changed and why:\n" + "\n".join(silent)
