"""Choose notebooks of the course by their numbers."""

from __future__ import annotations

import re

from lab.course.chapters import CHAPTERS, Chapter


def chosen(only: str | None) -> tuple[Chapter, ...]:
    """Read which notebooks are meant.

    Args:
        only: Numbers and ranges such as "01-05" or "1,3,6-7"; None for all.

    Returns:
        Their chapters, in order.

    Raises:
        ValueError: It is no such list, or names a notebook that is not there.
    """
    if only is None:
        return CHAPTERS
    known = {chapter.number for chapter in CHAPTERS}
    wanted: set[int] = set()
    for part in only.split(","):
        bounds = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if bounds is None:
            raise ValueError(
                f"The notebooks are given as {only!r}; allowed are numbers and ranges. Write 01-05 or 1,3."
            )
        low, high = int(bounds[1]), int(bounds[2] or bounds[1])
        if low > high or not {low, high} <= known:
            raise ValueError(
                f"The notebooks are given as {only!r}, which has {part.strip()!r}; there are {min(known):02} to "
                f"{max(known):02}. Choose among them, the lower number first."
            )
        wanted |= set(range(low, high + 1))
    return tuple(chapter for chapter in CHAPTERS if chapter.number in wanted)
