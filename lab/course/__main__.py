"""The command line of the course: `python -m lab.course`."""

from __future__ import annotations

if __name__ == "__main__":
    from lab.cli.report import write_in_any_encoding
    from lab.course.commands import main

    write_in_any_encoding()
    main(prog_name="python -m lab.course")
