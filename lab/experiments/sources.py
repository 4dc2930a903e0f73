"""Which source files a result rests on, so that a change in any of them makes it out of date.

Imports are read from the source, not from what happens to be loaded: nothing is executed, and an import inside a
function counts like one at the top.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lab

PACKAGE = Path(lab.__file__).resolve().parent


def sources(*starts: str | Path) -> dict[str, str]:
    """Follow the imports of modules and files through the package.

    A package counts whole, with the data files in it: its names are imported lazily. So does `lab` itself when a
    name is taken from it that is no module.

    Args:
        starts: Module names, such as "lab.experiments.running", or Python files outside the package. A file counts
            what it imports by the name of its own folder, but of a package there only the module that is named.

    Returns:
        sha256 of each file, by its path from the folder above the package (a start outside it by its bare name).

    Raises:
        ValueError: A start is neither a module of the package nor a file.
    """
    now = _snapshot(PACKAGE)
    seen: dict[Path, None] = {}
    waiting: list[Path] = []
    for start in starts:
        if isinstance(start, Path):
            waiting.append(start.resolve())
            continue
        inside = _reach(start, PACKAGE, now)
        if not inside:
            raise ValueError(f"'{start}' is no module of the package {PACKAGE.name}; give one, or the path of a file.")
        seen |= dict.fromkeys(inside)
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen[file] = None
        for name in _imported(file, file.stat().st_mtime_ns):
            seen |= dict.fromkeys(_reach(name, PACKAGE, now))
            waiting += _beside(name, file)
    return {_name(file): _hash(file, file.stat().st_mtime_ns) for file in sorted(seen)}


def versions(*distributions: str) -> dict[str, str]:
    """Return the installed versions of libraries, "none" for one that is not installed."""
    return {name: _version(name) for name in distributions}


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _snapshot(package: Path) -> tuple[tuple[str, int], ...]:
    """Return every source file with its time of change: what follows from them holds until one differs."""
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in _whole(package)))


@lru_cache(maxsize=256)
def _reach(name: str, _package: Path, _now: tuple[tuple[str, int], ...]) -> tuple[Path, ...]:
    """Follow the imports from one dotted name of the package; nothing for a name of another."""
    seen: dict[Path, None] = {}
    waiting = _files(name)
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen[file] = None
        if file.suffix == ".py":
            waiting += [found for each in _imported(file, file.stat().st_mtime_ns) for found in _files(each)]
    return tuple(seen)


@lru_cache(maxsize=1024)
def _hash(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE.parent).as_posix() if file.is_relative_to(PACKAGE.parent) else file.name


def _files(name: str) -> list[Path]:
    """Return the files of the longest module that a dotted name of the package begins with."""
    top, *parts = name.split(".")
    if top != PACKAGE.name:
        return []
    if not parts:
        # The façade holds no code of its own; what is taken from it is followed by name.
        return []
    if parts[0].startswith("__"):
        return []
    place = PACKAGE / parts[0]
    if not place.is_dir() and not place.with_suffix(".py").is_file():
        return _whole(PACKAGE)
    for part in parts[1:]:
        if place.with_suffix(".py").is_file():
            break
        inside = place / part
        if not inside.is_dir() and not inside.with_suffix(".py").is_file():
            break
        place = inside
    return _whole(place) if place.is_dir() else [place.with_suffix(".py")]


def _beside(name: str, file: Path) -> list[Path]:
    """Return the module in the same folder, or below it, that a file outside the package imports."""
    folders = () if file.is_relative_to(PACKAGE) else (file.parent, *file.parent.parents)
    top, *parts = name.split(".")
    place = next((folder for folder in folders if folder.name == top), None)
    if place is None:
        return []
    for part in parts:
        place = place / part
        if place.with_suffix(".py").is_file():
            return [place.with_suffix(".py")]
    return []


def _whole(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.suffix in (".py", ".mplstyle")]


@lru_cache(maxsize=1024)
def _imported(file: Path, _changed: int) -> tuple[str, ...]:
    """List the dotted names that a file imports; imports for type checkers do not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    nodes = list(_executed(tree))
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = _home(file, node)
            names += [f"{home}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == PACKAGE.name:
            names.append(f"{PACKAGE.name}.{node.attr}")
    return tuple(dict.fromkeys(names))


def _home(file: Path, node: ast.ImportFrom) -> str:
    """Return the absolute module of a `from ... import`."""
    if not node.level or not file.is_relative_to(PACKAGE):
        return node.module or ""
    package = file.relative_to(PACKAGE.parent).parent.parts
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without what stands under `if TYPE_CHECKING`."""
    yield node
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
        children = node.orelse
    for child in children:
        yield from _executed(child)
