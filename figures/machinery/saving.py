"""From a drawing to files: every file is whole or not there, and the record that vouches for them comes last."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from figures.machinery.figure import Drawing
from figures.machinery.provenance import digest

# Folders of unfinished files; what an interrupted call left is swept by the next one.
PART = ".drawing-"
OUTPUTS = ("png", "pdf", "svg", "csv", "json", "error.txt")
GALLERY_BYTES = 150_000


def save(
    drawing: Drawing, name: str, folder: Path, *, formats: tuple[str, ...], title: str, short: str
) -> dict[str, str]:
    """Write pictures and table, all at once.

    The same drawing gives the same bytes: no dates, and identifiers in SVG that depend on the figure's name only.

    Args:
        drawing: What was drawn.
        name: The figure.
        folder: Where the files go.
        formats: png, pdf, svg.
        title: Title inside the files.
        short: Short form of the provenance, inside the files too.

    Returns:
        sha256 by file name.
    """
    import matplotlib

    about: dict[str, dict[str, str | None]] = {
        "png": {"Title": title, "Description": drawing.alt, "Source": short},
        "pdf": {"Title": title, "Subject": drawing.alt, "Keywords": short, "CreationDate": None},
        "svg": {"Title": title, "Description": drawing.alt, "Source": short, "Date": None},
    }
    with tempfile.TemporaryDirectory(dir=folder, prefix=PART) as part:
        with matplotlib.rc_context({"svg.hashsalt": name}):
            for ending in formats:
                drawing.figure.savefig(Path(part) / f"{name}.{ending}", format=ending, metadata=about[ending])
        drawing.data.to_csv(Path(part) / f"{name}.csv", index=False, float_format="%.8g", lineterminator="\n")
        remove(name, folder)
        files = sorted(Path(part).iterdir())
        known = {file.name: digest(file) for file in files}
        for file in files:
            os.replace(file, folder / file.name)
    return known


def write_record(record: Mapping, name: str, folder: Path) -> None:
    """Write the provenance beside the pictures, after them."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=PART) as part:
        file = Path(part) / f"{name}.json"
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(file, folder / file.name)


def remove(name: str, folder: Path) -> None:
    """Remove everything of a figure: nothing old may stand where the new failed. The record goes first."""
    for ending in reversed(OUTPUTS):
        (folder / f"{name}.{ending}").unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what interrupted calls left unfinished."""
    for left in folder.glob(f"{PART}*"):
        shutil.rmtree(left, ignore_errors=True)


def publish(png: Path, gallery: Path, *, short: str, alt: str, title: str) -> bool:
    """Put a picture into the gallery of committed ones, small enough for a README.

    Colours are reduced to a palette and then, if need be, the size; a picture with the same pixels is left alone.

    Args:
        png: The full picture.
        gallery: The folder.
        short: Short form of the provenance, without commit.
        alt: Alt text.
        title: Title.

    Returns:
        Whether the committed picture changed.

    Raises:
        ValueError: If it cannot be made small enough.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    place = gallery / png.name
    about = PngInfo()
    for key, text in {"Title": title, "Description": alt, "Source": short}.items():
        about.add_itxt(key, text)
    with Image.open(png) as opened:
        full = opened.convert("RGB")
    gallery.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=gallery, prefix=PART) as part:
        file = Path(part) / png.name
        for scale in (1.0, 0.875, 0.75, 0.625, 0.5):
            size = (round(full.width * scale), round(full.height * scale))
            small = full if scale == 1 else full.resize(size, Image.Resampling.LANCZOS)
            palette = small.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            palette.save(file, optimize=True, pnginfo=about)
            if file.stat().st_size <= GALLERY_BYTES:
                break
        else:
            raise ValueError(
                f"{png.name} has {file.stat().st_size} bytes at half its size; the gallery takes {GALLERY_BYTES}. "
                "Draw fewer marks, or a smaller figure."
            )
        if place.is_file() and _same(place, palette, Image.open):
            return False
        os.replace(file, place)
    return True


def _same(place: Path, picture: object, opened: Callable) -> bool:
    try:
        with opened(place) as before:
            return before.size == picture.size and before.convert("RGB").tobytes() == picture.convert("RGB").tobytes()  # type: ignore[attr-defined]
    except OSError:
        return False
