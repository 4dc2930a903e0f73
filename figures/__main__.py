"""Run `python -m figures`; `python -m figures --help` says how."""

from figures.machinery.commands import main
from lab.cli.report import write_in_any_encoding

if __name__ == "__main__":
    write_in_any_encoding()
    main()
