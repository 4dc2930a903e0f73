"""From the checkout to the sources of the site: documents, notebooks, and a page for each figure of the gallery."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode
from PIL import Image

from figures.machinery.discovery import load, names

DOCUMENTS = (
    "README.md", "CLAIMS.md", "SCOREBOARD.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md",
    "notebooks/TEACHING.md",
)  # fmt: skip
MOVED = {"README.md": "index.md", "figures/gallery": "gallery/index.md"}
GALLERY = "figures/gallery"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
SPECIAL = re.compile(r"([\\`*_{}\[\]<>$|~])")
LANGUAGES = {".py": "python", ".cff": "yaml"}
CONTENTS = """

```{{toctree}}
:hidden:
:caption: Results
CLAIMS
SCOREBOARD
gallery/index
```

```{{toctree}}
:hidden:
:caption: Notebooks
{notebooks}
```

```{{toctree}}
:hidden:
:caption: For teachers and contributors
notebooks/TEACHING
CONTRIBUTING
benchmarks/README
CHANGELOG
```
"""
INDEX = """# Gallery

{count} figures, each drawn by one file in `figures/`. The page of each has its numbers in words and its experiments.

:::::{{container}} gallery
{entries}:::::

```{{toctree}}
:hidden:
{pages}
```
"""


def gather(root: Path, sources: Path) -> None:
    """Write everything that the site is built from.

    Args:
        root: The checkout.
        sources: An empty folder, or one to be made.

    Raises:
        FileNotFoundError: If a document links to what is not there, or a figure has no picture in the gallery.
    """
    notebooks = sorted(path.relative_to(root).as_posix() for path in (root / "notebooks").glob("*.ipynb"))
    pages = {*DOCUMENTS, *notebooks}
    (sources / "gallery").mkdir(parents=True)
    shutil.copytree(root / GALLERY, sources / GALLERY)
    for name in DOCUMENTS:
        text = relinked((root / name).read_text(encoding="utf-8"), name, root, sources, pages)
        if name == "README.md":
            text += CONTENTS.format(notebooks="\n".join(each.removesuffix(".ipynb") for each in notebooks))
        _write(sources / MOVED.get(name, name), text)
    for name in notebooks:
        notebook = nbformat.read(root / name, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = relinked(cell.source, name, root, sources, pages)
        _under_one_title(notebook.cells)
        _write(sources / name, nbformat.writes(notebook))
    gallery(root, sources)


def relinked(text: str, name: str, root: Path, sources: Path, pages: set[str]) -> str:
    """Lead the links of a document to pages of the site.

    Args:
        text: Its Markdown.
        name: Where it stands in the checkout.
        root: The checkout.
        sources: Where files that are no documents get a page that shows them.
        pages: The documents and notebooks that the site has.

    Returns:
        The same text. A picture that is linked to leads to its page in the gallery.

    Raises:
        FileNotFoundError: If a link leads to what is not there.
    """
    folder = PurePosixPath(name).parent
    here = PurePosixPath(MOVED.get(name, name)).parent

    def lead(found: re.Match[str]) -> str:
        picture, label, target, place = found[1], found[2], found[3], found[4] or ""
        path = os.path.normpath(folder / target)
        if not (root / path).exists():
            raise FileNotFoundError(f"{name} links to {target}, which is not there. Mend the link.")
        if picture:
            return f"![{label}]({os.path.relpath(path, here)})"
        if path.startswith(f"{GALLERY}/"):
            path = f"gallery/{Path(path).stem}.md"
        elif path in MOVED:
            path = MOVED[path]
        elif path not in pages:
            path = _shown(path, root, sources)
        return f"[{label}]({os.path.relpath(path, here)}{place})"

    return _outside_code(text, lambda prose: LINK.sub(lead, prose))


def gallery(root: Path, sources: Path) -> None:
    """Write a page for each figure and one with all of them.

    Args:
        root: The checkout.
        sources: Where the pages go.

    Raises:
        FileNotFoundError: If a figure has no picture in the gallery.
    """
    entries, known = [], names(root / "figures")
    for name in known:
        file = root / GALLERY / f"{name}.png"
        if not file.is_file():
            raise FileNotFoundError(f"figure {name} has no picture in the gallery. Draw it: python -m figures {name}")
        with Image.open(file) as picture:
            title, alt = picture.info["Title"], " ".join(picture.info["Description"].split())
            lines = json.loads(picture.info["Source"])["lines"].values()
        paper = load(name, root / "figures").paper
        _write(
            sources / "gallery" / f"{name}.md",
            f"# {_plain(title)}\n\n```{{image}} ../{GALLERY}/{name}.png\n:alt: {alt}\n```\n\n{_plain(alt)}\n\n"
            + (f"*{_plain(paper)}.*\n\n" if paper else "")
            + f"Draw it again:\n\n```sh\npython -m figures {name}\n```\n\nThe experiments behind it:\n\n```text\n"
            + "\n".join(dict.fromkeys(lines))
            + "\n```\n",
        )
        entries.append(
            f"::::{{container}} entry\n:::{{image}} ../{GALLERY}/{name}.png\n:alt: {alt}\n:loading: lazy\n:::\n\n"
            f"[{_plain(title)}]({name}.md)\n::::\n"
        )
    _write(
        sources / "gallery" / "index.md",
        INDEX.format(
            count=len(known),
            entries="\n".join(entries),
            pages="\n".join(f"{name.replace('_', ' ')} <{name}>" for name in known),
        ),
    )


def _under_one_title(cells: list[NotebookNode]) -> None:
    """Set what follows a second heading of the first level one level lower: a page has one title."""
    titles = 0
    for cell in cells:
        if cell.cell_type == "markdown":
            titles += len(re.findall(r"^# ", cell.source, re.M))
            if titles > 1:
                cell.source = _outside_code(cell.source, lambda text: re.sub(r"^(?=#+ )", "#", text, flags=re.M))


def _shown(path: str, root: Path, sources: Path) -> str:
    """Write a page that shows a file, and return where it stands."""
    if not (root / path).is_file():
        raise FileNotFoundError(f"a document links to the folder {path}, which has no page. Link to a file in it.")
    page = f"{path}.md"
    if not (sources / page).exists():
        text = (root / path).read_text(encoding="utf-8").rstrip()
        language = LANGUAGES.get(Path(path).suffix, "text")
        _write(sources / page, f"---\norphan: true\n---\n\n# {_plain(path)}\n\n`````{language}\n{text}\n`````\n")
    return page


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change a text except for its fenced code."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))


def _plain(text: str) -> str:
    """Write text so that Markdown takes no character of it for its own."""
    return SPECIAL.sub(r"\\\1", text)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
