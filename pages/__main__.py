"""Build the site: `python -m pages [FOLDER]`. No notebook is executed, and no page asks anything of the network."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from pages.gathering import gather

HERE = Path(__file__).resolve().parent


def build(out: Path) -> int:
    """Write the pages.

    Args:
        out: Where to; it is made.

    Returns:
        0, or another exit code if a page is wrong: every warning is an error, a link that leads nowhere among them.
    """
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "sources"
        gather(HERE.parent, sources)
        return sphinx(
            ["-q", "-W", "--keep-going", "-E", "-c", str(HERE), "-d", f"{folder}/trees", str(sources), str(out)]
        )


if __name__ == "__main__":
    to = Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "build" / "site").resolve()
    code = build(to)
    if code == 0:
        print(f"open {to / 'index.html'}")
    raise SystemExit(code)
