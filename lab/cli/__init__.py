"""The command line: `python -m lab run`, `lines`, `doctor` and `cache`."""

from lab.cli.commands import main

__all__ = ["main"]
