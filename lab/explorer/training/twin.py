"""The explorer's picture without a browser: the same four panels as one static figure, with its alt text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import plots
from lab.explorer.sheets import BOX, DPI, SIZE
from lab.explorer.training import panels, words
from lab.explorer.training.records import MEDIAN, explorable, reading, row_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = 0.9  # of a panel of the page: a notebook of several twins stays small


def twin(
    line: str, *, step: int = -1, seeds: str = MEDIAN, prompt: int = 0, log: bool = False, pins: tuple[str, ...] = ()
) -> tuple[Figure, str]:
    """Draw what `lab.explore(line)` shows, for pages that nobody can click on.

    Args:
        line: an experiment line without axes.
        step: the step of the lower panels, the nearest recorded one; -1 for the last.
        seeds: "median" for all seeds, or the number of one.
        prompt: the prompt whose responses are shown.
        log: whether heights are drawn as logarithms.
        pins: lines that are drawn beside it.

    Returns:
        The figure, and its alt text with the numbers.

    Raises:
        TypeError, ValueError: as for `lab.explore`, and for a seed or a prompt that the line has not.
    """
    current = reading(str(explorable(line)), seeds)
    readings = [current, *(reading(str(explorable(pinned))) for pinned in pins)]
    if not 0 <= prompt < current.record.sizes["prompt"]:
        raise ValueError(f"the prompt is {prompt}; allowed are 0 to {current.record.sizes['prompt'] - 1}")
    at = row_of(current.record, step)
    before = min(at, len(current.steps) - 2)
    from matplotlib.figure import Figure

    with plots.style("notebook"):
        height = 0.3  # of the summary, inches
        figure = Figure(figsize=(2 * SCALE * SIZE[0], 2 * SCALE * SIZE[1] + height), dpi=DPI)
        figure.set_layout_engine("none")
        summary = words.summary(current, seeds, at)
        figure.text(0.5 * BOX[0], 1 - 0.06 / figure.get_figheight(), summary, fontsize="small", va="top", wrap=True)
        frames = (
            panels.curves_frame(readings, "probability", log),
            panels.curves_frame(readings, "change", log),
            panels.responses_frame(current, prompt, log),
            panels.step_frame(current, before, prompt),
        )
        share = SCALE * SIZE[1] / figure.get_figheight()
        axes = []
        for index, frame in enumerate(frames):
            column, row = index % 2, index // 2
            box = (0.5 * (column + BOX[0]), share * (1 - row + BOX[1]), 0.5 * BOX[2], share * BOX[3])
            axes.append(figure.add_axes(box))
            frame.apply(axes[-1])
        for ax, what in zip(axes[:2], ("probability", "change"), strict=True):
            panels.draw_curves(ax, readings, what, log)
            if 0 < at < len(current.steps) - 1:
                ax.axvline(float(current.steps[at]), color="#333333", linewidth=1.0)
        panels.draw_responses(axes[2], current, at, prompt, log)
        panels.draw_step(axes[3], current, before, prompt)
    alt = " ".join(
        (
            f"{summary}.",
            words.alt_of_curves(readings, "probability"),
            words.alt_of_curves(readings, "change"),
            words.alt_of_responses(current, at, prompt),
            words.alt_of_step(current, before, prompt),
        )
    )
    return figure, alt
