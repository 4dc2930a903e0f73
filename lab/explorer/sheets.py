"""Panels drawn fast enough to drag: axes, ticks and titles are kept, and only the data are drawn anew."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lab import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.7, 2.95)  # inches; two stand side by side on a page of 1000 pixels
DPI = 110
BOX = (0.135, 0.15, 0.69, 0.68)  # of the panel: left, bottom, width, height; the words at lines stand to the right
MOST_FRAMES = 64


@dataclass(frozen=True)
class Frame:
    """What of a panel does not change with the data: limits, title and words.

    Args:
        title: a few words.
        about: what is seen, in grey.
        xlim, ylim: limits of the axes.
        xlabel, ylabel: words at the axes.
        powers: whether the heights are log10 of what they name.
        symlog: whether heights beyond 1 are drawn as logarithms.
        names: words at whole positions of the x axis; numbers if empty.
    """

    title: str
    xlim: tuple[float, float]
    ylim: tuple[float, float]
    about: str = ""
    xlabel: str = "step"
    ylabel: str = ""
    powers: bool = False
    symlog: bool = False
    names: tuple[str, ...] = ()

    def apply(self, ax: Axes) -> None:
        """Set up an empty axes."""
        from matplotlib.ticker import MaxNLocator

        plots.panel(ax, self.title, about=self.about)
        ax.set(xlabel=self.xlabel, ylabel=self.ylabel)
        if self.symlog:
            ax.set_yscale("symlog", linthresh=1.0, linscale=1.0)
            ax.set_yticks([height for height in _SYMLOG if self.ylim[0] <= height <= self.ylim[1]])
            ax.yaxis.set_major_formatter(lambda height, _: f"{height:g}".replace("-", "−"))
            ax.minorticks_off()
        elif self.powers:
            plots.powers_of_ten(ax, most=5)
        else:
            ax.yaxis.set_major_locator(MaxNLocator(5))
            # matplotlib would write a common factor above the axis, where the grey words stand.
            ax.yaxis.set_major_formatter(lambda height, _: f"{height:.3g}".replace("-", "−"))
        if self.names:
            ax.set_xticks(range(len(self.names)), self.names)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set(xlim=self.xlim, ylim=self.ylim)


_SYMLOG = (-1000, -300, -100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100)


class Sheet:
    """One panel's canvas.

    matplotlib spends most of a small picture on ticks and their words. A frame is therefore drawn once and its pixels
    are kept; what a `draw` adds is drawn over them and taken away again.
    """

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with plots.style("notebook"):
            self._figure = Figure(figsize=SIZE, dpi=DPI)
            self._figure.set_layout_engine("none")
            self._canvas = FigureCanvasAgg(self._figure)
        self._frames: dict[Frame, tuple[Axes, object]] = {}

    def png(self, frame: Frame, draw: Callable[[Axes], None]) -> bytes:
        """Draw data into a frame.

        Args:
            frame: the frame; equal ones are drawn once.
            draw: adds artists to the axes that it is given, and sets no limits.

        Returns:
            The picture, a PNG.
        """
        from PIL import Image

        with plots.style("notebook"):
            ax, pixels = self._framed(frame)
            before = set(ax.get_children())
            draw(ax)
            added = sorted((child for child in ax.get_children() if child not in before), key=lambda a: a.get_zorder())
            self._canvas.restore_region(pixels)
            try:
                for artist in added:
                    ax.draw_artist(artist)
                image = Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")
            finally:
                for artist in added:
                    artist.remove()
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        return file.getvalue()

    def _framed(self, frame: Frame) -> tuple[Axes, object]:
        """Return the axes and the pixels of a frame; the frames that were not used for longest go."""
        if frame in self._frames:
            self._frames[frame] = self._frames.pop(frame)
            return self._frames[frame]
        if len(self._frames) >= MOST_FRAMES:
            self._frames.pop(next(iter(self._frames)))[0].remove()
        ax = self._figure.add_axes(BOX)
        frame.apply(ax)
        self._canvas.draw()
        self._frames[frame] = (ax, self._canvas.copy_from_bbox(self._figure.bbox))
        ax.set_visible(False)  # it shows in no other frame's pixels
        return self._frames[frame]


def mark(frame: Frame, x: float) -> tuple[float, float, float]:
    """Return where a cursor line stands on a panel's image: its x, top and height, as shares of the image."""
    left, bottom, width, height = BOX
    low, high = frame.xlim
    return left + width * (x - low) / (high - low), 1 - bottom - height, height


def draw_bars(ax: Axes, heights: np.ndarray, floor: float, colors: Sequence[str]) -> None:
    """Draw bars at 0, 1, 2, ... as one artist; `ax.bar` makes one for each, which takes ten times as long."""
    from matplotlib.collections import PolyCollection

    boxes = _boxes(heights, floor, 0.31)
    ax.add_collection(PolyCollection(boxes, facecolors=colors, alpha=0.55, linewidths=0), autolim=False)


def draw_outlines(ax: Axes, heights: np.ndarray, floor: float) -> None:
    """Outline the heights of a reference behind such bars."""
    from matplotlib.collections import PolyCollection

    boxes = _boxes(heights, floor, 0.41)
    ax.add_collection(
        PolyCollection(boxes, facecolors="none", edgecolors="#777777", linewidths=1.1, zorder=3), autolim=False
    )


def _boxes(heights: np.ndarray, floor: float, half: float) -> list[np.ndarray]:
    return [
        np.array([(x - half, floor), (x - half, top), (x + half, top), (x + half, floor)])
        for x, top in enumerate(heights)
    ]
