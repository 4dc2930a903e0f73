"""Where a picture comes from: the record beside it, and the short form inside it."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from lab.experiments.sources import versions

LIBRARIES = ("torch", "numpy", "scipy", "xarray", "pandas", "matplotlib")


@dataclass(frozen=True)
class Commit:
    """The state of the checkout: commit ("unknown" outside version control) and whether files differ from it."""

    name: str
    dirty: bool

    def __str__(self) -> str:
        if self.name == "unknown":
            return "no commit"
        return f"commit {self.name[:7]} ({'changed' if self.dirty else 'clean'})"


def checkout(folder: Path) -> Commit:
    """Look at the state of the checkout that holds a folder; what figures themselves write there does not count.

    Args:
        folder: The figures' folder.

    Returns:
        Its commit and whether any source differs from it.
    """
    root = folder.parent
    written = [f":!{folder.name}/gallery", f":!{folder.name}/expected", ":!CLAIMS.md"]
    name = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", folder.name, "lab", *written)
    return Commit(name or "unknown", bool(changes))


def environment() -> dict[str, str]:
    """Return the versions of Python, of the lab and of the libraries that matter."""
    import lab

    return {"python": platform.python_version(), "dpolab": lab.__version__, **versions(*LIBRARIES)}


def short(facts: Mapping[str, object]) -> str:
    """Write the short form that stands inside a picture: one line of JSON in plain ASCII.

    Args:
        facts: Figure, command, experiment lines and whatever else is known about the picture.

    Returns:
        The text.
    """
    return json.dumps(dict(facts), ensure_ascii=True)


def explain(file: Path) -> dict:
    """Read the short form back out of a picture.

    Args:
        file: A PNG, PDF or SVG.

    Returns:
        What `short` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another kind of file, or holds no provenance.
    """
    readers = {".png": _from_png, ".pdf": _from_pdf, ".svg": _from_svg}
    if file.suffix.lower() not in readers:
        raise ValueError(f"'{file}' is no picture of ours; give a file that ends in {', '.join(readers)}.")
    if not file.is_file():
        raise FileNotFoundError(f"there is no file '{file}'; figures/out and figures/gallery hold the pictures.")
    try:
        text = readers[file.suffix.lower()](file)
    except Exception as problem:
        raise ValueError(
            f"'{file}' cannot be read as a picture ({problem}); it may be damaged. Draw it again."
        ) from problem
    try:
        known = json.loads(text)
        known["figure"], known["lines"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(
            f"'{file}' holds no provenance of a figure: it was made elsewhere, or a program that edited it took it out."
        ) from None
    return known


def digest(file: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _from_png(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as picture:
        return str(picture.info.get("Source", ""))


def _from_pdf(file: Path) -> str:
    content = file.read_bytes()
    found = re.search(rb"/Keywords \(((?:\\.|[^\\)])*)\)", content, re.S)
    if not content.startswith(b"%PDF"):
        raise ValueError("it does not begin like a PDF")
    return re.sub(rb"\\(.)", rb"\1", found.group(1)).decode("ascii") if found else ""


def _from_svg(file: Path) -> str:
    source = ElementTree.parse(file).find(".//{http://purl.org/dc/elements/1.1/}source")
    return (source.text or "") if source is not None else ""


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
