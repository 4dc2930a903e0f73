"""What panels share: titles that say what is seen, log axes in plain powers, one label for a row of axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def panel(ax: Axes, title: str, *, about: str = "") -> Axes:
    """Give a panel its title, and a line in grey that says what to look at.

    Args:
        ax: The panel.
        title: A few words.
        about: What is seen; may hold numbers from the data.

    Returns:
        The axes.
    """
    if not about:
        ax.set_title(title)
        return ax
    lines = about.count("\n") + 1
    size = float(ax.title.get_fontsize())
    ax.set_title(title, pad=7 + 1.25 * 0.83 * size * lines)
    ax.annotate(
        about, (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points",
        fontsize="small", color="#555555", va="bottom", ha="left", linespacing=1.15,
    )  # fmt: skip
    return ax


def powers_of_ten(ax: Axes, *, axis: str = "y", most: int = 6) -> Axes:
    """Label an axis that holds log10 of a quantity by the quantity: 10⁻⁴⁰, 10⁻²⁰, 1.

    Magnitudes here reach 1e80 and more; they are computed and drawn as logarithms and only named as powers.

    Args:
        ax: The panel.
        axis: x or y.
        most: Most ticks wanted.

    Returns:
        The axes.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    target = {"x": ax.xaxis, "y": ax.yaxis}[axis]
    target.set_major_locator(MaxNLocator(most, integer=True, steps=[1, 2, 5, 10]))
    target.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    return ax


def power(exponent: float) -> str:
    """Write a power of ten in plain characters: 10⁻², 0.1, 1, 10, 100, 10³.

    Args:
        exponent: log10 of the number.

    Returns:
        The number as text.
    """
    whole = round(float(exponent))
    if not np.isclose(exponent, whole):
        return f"{10**exponent:.2g}"
    if -1 <= whole <= 2:
        return f"{10.0**whole:g}"
    return "10" + str(whole).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def share_labels(axes: np.ndarray) -> np.ndarray:
    """Keep the x label on the bottom row and the y label on the left column of a grid that shares its axes.

    Args:
        axes: Panels [row, column].

    Returns:
        The same panels.
    """
    for (row, column), ax in np.ndenumerate(axes):
        if row < axes.shape[0] - 1:
            ax.set_xlabel("")
        if column > 0:
            ax.set_ylabel("")
    return axes


def same_limits(axes: Iterable[Axes], *, axis: str = "y") -> None:
    """Give several panels one range, so that heights can be compared.

    Args:
        axes: The panels.
        axis: x or y.
    """
    panels = list(axes)
    ranges = [getattr(ax, f"get_{axis}lim")() for ax in panels]
    for ax in panels:
        getattr(ax, f"set_{axis}lim")(min(low for low, _ in ranges), max(high for _, high in ranges))
