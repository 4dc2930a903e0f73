"""The command line: `python -m lab`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from lab.cli import main
        from lab.cli.report import write_in_any_encoding
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "lab":
            raise
        sys.exit(
            f"python -m lab needs {missing.name}, which this Python ({sys.executable}) does not have. "
            "Run `make test` in the project's folder, or `pip install -e . -c constraints.txt` there."
        )
    write_in_any_encoding()
    main(prog_name="python -m lab")
