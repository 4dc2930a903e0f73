"""Show a figure in a notebook as an image with a text for those who cannot see it, and stamp a notebook."""

from __future__ import annotations

import base64
import html
import io
import platform
import time
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure

DPI = 90
COLOURS = 256
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
    from PIL import Image

    if len(alt.split()) < 5:
        raise ValueError(f"The alt text is {alt!r}; it says in a sentence what the figure shows. Write it out.")
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    pyplot.close(figure)
    # A palette makes the image three times smaller, and a notebook is committed with all of its images. Colours have
    # meanings, so that the palette covers rare ones as well as common ones: cut at the median, a thin line turns grey.
    whole = Image.open(drawn).convert("RGB")
    palette = whole.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(small, format="png", optimize=True)
    image = base64.b64encode(small.getvalue()).decode("ascii")
    return HTML(
        f'<img alt="{html.escape(alt, quote=True)}" style="max-width: 100%" src="data:image/png;base64,{image}">'
    )


def stamp() -> None:
    """Print what a notebook was run with, and how long that took since the course was imported."""
    print(f"Run time: {time.perf_counter() - _started:.0f} s.")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("dpolab", "torch", "numpy"))
    print(f"Python {platform.python_version()}, {versions}.")
