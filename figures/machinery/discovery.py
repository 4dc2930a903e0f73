"""Which figures there are: the files themselves are the list."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from difflib import get_close_matches
from pathlib import Path

from figures.machinery.figure import Figure

# Words that the command line keeps for itself.
TAKEN = ("explain",)


def names(folder: Path) -> list[str]:
    """List the figures of a folder.

    Args:
        folder: Where the figure files lie.

    Returns:
        Their names in alphabetical order.

    Raises:
        ValueError: If a figure has a name that the command line keeps for itself.
    """
    found = [
        module.name
        for module in pkgutil.iter_modules([str(folder)])
        if not module.ispkg and not module.name.startswith("_")
    ]
    for name in found:
        if name in TAKEN:
            raise ValueError(f"a figure is called '{name}', which is a command of its own. Rename the file.")
    return sorted(found)


def choose(wanted: tuple[str, ...], folder: Path) -> list[str]:
    """Return the figures that are asked for, or all.

    Args:
        wanted: Names; a file name such as figures/NAME.py is taken for NAME; none means all.
        folder: Where the figure files lie.

    Returns:
        Names in alphabetical order, each once.

    Raises:
        ValueError: If there is no figure of a name; the nearest one is named.
    """
    known = names(folder)
    if not wanted:
        return known
    chosen = []
    for word in wanted:
        name = Path(word).stem if word.endswith((".py", ".png", ".pdf", ".svg")) else word
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f"there is no figure '{name}'.{hint} Figures: {', '.join(known) or 'none'}.")
        chosen.append(name)
    return sorted(set(chosen))


def load(name: str, folder: Path) -> Figure:
    """Read a figure file.

    Args:
        name: The figure.
        folder: Where the figure files lie.

    Returns:
        What the file states as FIGURE.

    Raises:
        TypeError: If it states none.
        Exception: Whatever the file itself raises.
    """
    title = f"{folder.name}.{name}"
    place = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(title, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    spec.loader.exec_module(module)
    figure = getattr(module, "FIGURE", None)
    if not isinstance(figure, Figure):
        raise TypeError(
            f"{place.name} has {'no FIGURE' if figure is None else f'a FIGURE of type {type(figure).__name__}'}; "
            "a figure file ends with FIGURE = Figure(title=..., paper=..., lines={...}, draw=draw); "
            f"what several figures share lies in {folder.name}/layouts."
        )
    return figure
