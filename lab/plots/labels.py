"""Words at the ends of lines, moved apart where they would cover each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spread(centres: np.ndarray, sizes: np.ndarray, low: float, high: float) -> np.ndarray:
    """Move intervals apart along a line, each as little as possible.

    Minimises sum_i (y_i - centre_i)^2 subject to y_(i+1) - y_i >= (size_i + size_(i+1)) / 2 and to the ends: an
    isotonic regression after shifting by the sizes, solved by pooling adjacent violators.

    Args:
        centres: Wanted centres.
        sizes: Lengths.
        low: Lower end of the room.
        high: Upper end; where the room is too short, the intervals overflow here.

    Returns:
        New centres, in the order of `centres`.

    Source: own derivation; tests/test_plots.py checks it against a quadratic solver.
    """
    order = np.argsort(centres, kind="stable")
    wanted, length = np.asarray(centres, float)[order], np.asarray(sizes, float)[order]
    shift = np.concatenate([[0.0], np.cumsum((length[1:] + length[:-1]) / 2)])
    pools: list[list[float]] = []
    for value in wanted - shift:
        pools.append([value, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            upper, lower = pools.pop(), pools.pop()
            weight = upper[1] + lower[1]
            pools.append([(upper[0] * upper[1] + lower[0] * lower[1]) / weight, weight])
    level = np.repeat([pool[0] for pool in pools], [int(pool[1]) for pool in pools])
    first = low + length[0] / 2
    last = max(high - length[-1] / 2 - shift[-1], first)
    placed = np.empty(len(wanted))
    placed[order] = np.clip(level, first, last) + shift
    return placed


class EndLabels(Artist):
    """The labels of one axes, at its right edge, placed anew whenever the picture is laid out or drawn.

    Positions in pixels are known only then; a fixed offset would be wrong after the next change of size.
    """

    zorder = 4

    def __init__(self, axes: Axes) -> None:
        super().__init__()
        self.set_clip_on(False)
        self._entries: list[tuple[float, float, Text, Line2D]] = []
        self._box: Axes = axes

    @property
    def texts(self) -> list[Text]:
        """The words, in the order in which they were added."""
        return [entry[2] for entry in self._entries]

    def add(self, x: float, y: float, text: str, color: str) -> None:
        """Add the label of a line that ends at (x, y) in data coordinates."""
        word = Text(0, 0, text, color=color, va="center", ha="left", fontsize="small", transform=IdentityTransform())
        leader = Line2D([], [], color=color, linewidth=0.6, transform=IdentityTransform())
        for artist in (word, leader):
            artist.set_figure(self._box.figure)
        self._entries.append((x, y, word, leader))
        self.stale = True

    def place(self, renderer: Any) -> None:
        """Compute the positions for the current size."""
        if not self._entries:
            return
        box, data = self._box.bbox, self._box.transData
        point = renderer.points_to_pixels(1.0)
        ends = data.transform([(x, y) for x, y, _, _ in self._entries])
        # A line that leaves the axes keeps its label at the edge where it left.
        heights = np.nan_to_num(np.clip(ends[:, 1], box.y0, box.y1), nan=box.y0)
        sizes = np.array([word.get_window_extent(renderer).height + 1.5 * point for word in self.texts])
        centres = spread(heights, sizes, box.y0 - sizes.max(), box.y1 + sizes.max())
        moved = np.abs(centres - heights) > 2 * point
        gap = (11 if moved.any() else 5) * point
        for (_, _, word, leader), height, centre, shifted in zip(self._entries, heights, centres, moved, strict=True):
            word.set_position((box.x1 + gap, centre))
            path = [box.x1 + 2 * point, box.x1 + gap - 2 * point]
            leader.set_data(path if shifted else [], [height, centre] if shifted else [])

    def get_window_extent(self, renderer: Any = None) -> Bbox:
        """Return the room that the labels take, in pixels."""
        if renderer is None:
            # Agg measures text for every format, as matplotlib itself does without a renderer.
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            renderer = FigureCanvasAgg(self._box.figure.figure).get_renderer()
        self.place(renderer)
        return Bbox.union([word.get_window_extent(renderer) for word in self.texts])

    def get_tightbbox(self, renderer: Any = None) -> Bbox | None:
        """Return the same room for the layout; nothing when there are no labels."""
        return self.get_window_extent(renderer) if self._entries and self.get_visible() else None

    def draw(self, renderer: Any) -> None:
        """Draw the labels and the thin leaders of those that were moved."""
        if not self.get_visible():
            return
        self.place(renderer)
        for _, _, word, leader in self._entries:
            leader.draw(renderer)
            word.draw(renderer)
        self.stale = False


def end_label(x: float, y: float, text: str, ax: Axes, *, color: str) -> Axes:
    """Write a word where a line ends; words of the same axes move apart by themselves.

    Args:
        x: End of the line, in data coordinates.
        y: Its height there.
        text: The word.
        ax: Axes of the line.
        color: Colour of the line.

    Returns:
        The axes.
    """
    labels = end_labels(ax)
    if labels is None:
        labels = EndLabels(ax)
        ax.add_artist(labels)
        labels.set_clip_path(None)
    labels.add(float(x), float(y), text, color)
    return ax


def end_labels(ax: Axes) -> EndLabels | None:
    """Return the labels of an axes, or None where it has none."""
    return next((artist for artist in ax.artists if isinstance(artist, EndLabels)), None)
