"""Show a figure in a notebook as an image with a text for those who cannot see it, and stamp a notebook."""

from __future__ import annotations

import base64
import html
import io
import platform
import time
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure
    from PIL.Image import Image

DPI = 90
COLOURS = 256
COMMON = 64  # of them, the most frequent ones
_started = time.perf_counter()


def show(figure: Figure, alt: str) -> HTML:
    """Turn a figure into an image of a notebook, with its text alternative.

    Args:
        figure: It is closed afterwards, so that it is not shown twice.
        alt: What the figure shows, in words and numbers.

    Returns:
        HTML with the image inside.

    Raises:
        ValueError: The text is too short to say what the figure shows.
    """
    from IPython.display import HTML
    from matplotlib import pyplot
    from PIL import Image as images

    if len(alt.split()) < 5:
        raise ValueError(f"The alt text is {alt!r}; it says in a sentence what the figure shows. Write it out.")
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    pyplot.close(figure)
    _with_palette(images.open(drawn).convert("RGB")).save(small, format="png", optimize=True)
    image = base64.b64encode(small.getvalue()).decode("ascii")
    return HTML(
        f'<img alt="{html.escape(alt, quote=True)}" style="max-width: 100%" src="data:image/png;base64,{image}">'
    )


def _with_palette(whole: Image) -> Image:
    """Draw an image in 256 colours: a third of the bytes, as a notebook is committed with all of its images.

    Colours have meanings. The common ones stay as they are, so that backgrounds have no tint; the others are chosen to
    cover what there is, rare or not, so that a thin line keeps its colour.
    """
    from PIL import Image as images

    pixels = np.asarray(whole).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    packed, place, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    common = colours[np.argsort(-counts, kind="stable")[:COMMON]]
    cover = whole.quantize(COLOURS - COMMON, method=images.Quantize.MAXCOVERAGE, dither=images.Dither.NONE)
    others = np.array(cover.getpalette() or [], np.int32).reshape(-1, 3)[: COLOURS - COMMON]
    palette = np.concatenate([common, others])
    apart = ((colours[:, None] - palette) ** 2).sum(2)
    drawn = images.fromarray(apart.argmin(1)[place].reshape(pixels.shape).astype(np.uint8))
    drawn.putpalette(palette.astype(np.uint8).tobytes())
    return drawn


def stamp() -> None:
    """Print what a notebook was run with, and how long that took since the course was imported."""
    print(f"Run time: {time.perf_counter() - _started:.0f} s.")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("dpolab", "torch", "numpy"))
    print(f"Python {platform.python_version()}, {versions}.")
