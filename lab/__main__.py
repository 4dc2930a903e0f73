"""The command line: `python -m lab`."""

from __future__ import annotations

import sys
from io import TextIOWrapper

if __name__ == "__main__":
    try:
        from lab.cli import main
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "lab":
            raise
        sys.exit(
            f"python -m lab needs {missing.name}, which this Python ({sys.executable}) does not have. "
            "Run `make test` in the project's folder, or `pip install -e . -c constraints.txt` there."
        )
    for stream in (sys.stdout, sys.stderr):
        # An output that knows no Greek shows a question mark instead of failing after the work is done.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    main(prog_name="python -m lab")
