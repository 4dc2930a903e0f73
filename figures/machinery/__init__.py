"""What draws the figures: command line, cache, provenance, contact sheet.

A figure file needs three names from here: `Figure`, `Drawing` and `Page`.
"""

from figures.machinery.figure import Drawing, Figure
from figures.machinery.page import Page

__all__ = ["Drawing", "Figure", "Page"]
