"""What the sweeps say: exponents, as a table of benchmarks/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.scaling.sweeps import KINDS, SEEN, SWEEPS, slope

FIRST, LAST = '<!-- written by `make bench ARGS="scaling --write"` -->', "<!-- until here -->"
OF = {"seconds": "seconds", "peak": "peak of memory", "record": "what is recorded"}


def exponents(sweep: Mapping[str, Any], name: str) -> dict[str, float]:
    """Fit powers of what a sweep varies; of a network's width, of the parameters that it makes.

    Args:
        sweep: Its values, parameters, seconds, peaks and records.
        name: Its name.
    """
    x = sweep["parameters"] if SWEEPS[name][1] == "width" else sweep["values"]
    return {of: slope(x, [max(each, SEEN) if of == "peak" else each for each in sweep[of]]) for of in OF}


def varied(name: str) -> str:
    """Say what a sweep varies: of a network's width, the parameters."""
    field = SWEEPS[name][1]
    return "parameters" if field == "width" else field


def exponent_table(found: Mapping[str, Any]) -> str:
    """Write the exponents as a table in Markdown: a row for each thing that is varied, three numbers for each kind.

    Args:
        found: The machine and the sweeps, as they are kept.
    """
    machine, sweeps = found["machine"], found["sweeps"]
    rows: dict[str, dict[str, str]] = {}
    for name, sweep in sweeps.items():
        each = exponents(sweep, name)
        told = " / ".join(f"{each[of] + 0.0:.2f}".replace("-0.00", "0.00") for of in OF)
        rows.setdefault(varied(name), {})[name.split(",")[0]] = told
    lines = [
        f"On {machine['cores']} cores of {machine['processor']}, torch {machine['torch']}: {' / '.join(OF.values())} "
        "grow with",
        "",
        f"| | {' | '.join(KINDS)} |",
        f"|---|{'---|' * len(KINDS)}",
        *(f"| {of} | {' | '.join(row.get(kind, '') for kind in KINDS)} |" for of, row in rows.items()),
    ]
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """Put the table where a text has its marks.

    Raises:
        ValueError: If the marks are not there.
    """
    before, first, rest = text.partition(FIRST)
    _, last, after = rest.partition(LAST)
    if not (first and last):
        raise ValueError(f"the text has no place for the table: write {FIRST} and {LAST} around it")
    return f"{before}{first}\n\n{table}\n\n{last}{after}"
