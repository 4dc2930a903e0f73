"""Run `python -m figures`; `python -m figures --help` says how."""

from figures.machinery.commands import main

if __name__ == "__main__":
    main()
