"""The guided tour: a few lines in a telling order, each with a caption and a question, around one explorer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab import plots
from lab.explorer.scene import Control, View
from lab.explorer.training import panels, words
from lab.explorer.training.records import MEDIAN, explorable, reading
from lab.explorer.training.scene import TrainingScene
from lab.explorer.training.state import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ("back", "next")


@dataclass(frozen=True)
class Stop:
    """One stop of a tour.

    Args:
        title: what it shows, in a few words.
        caption: what to look at.
        line: the experiment line.
        question: what to try next.
        happens: how the chosen response ends, an option of the prediction; tests/test_explorer_tour.py runs it.
    """

    title: str
    caption: str
    line: str
    question: str
    happens: str


TOUR = (
    Stop(
        "A table",
        "Every response has a number of its own. DPO raises the chosen response and lowers the rejected one, and that "
        "is all that happens.",
        "tabular s1 dpo beta=0.1 adam lr=0.1 steps=500 seeds=12",
        "What could change if responses shared parameters?",
        "stays",
    ),
    Stop(
        "A network",
        "The same pairs and the same loss in a small network. The chosen response rises, and then falls back, while "
        "the rejected one keeps falling.",
        "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=12",
        "Where does the mass go? Move the cursor, and look at all responses of prompt 0.",
        "falls",
    ),
    Stop(
        "The rejected term alone",
        "Only the rejected response is pushed now. The chosen one takes over some of its mass at first, and ends below "
        "its start all the same.",
        "mlp s1 dpo beta=0.1 terms=rejected adam lr=1e-3 steps=500 seeds=12",
        "And the chosen term alone? Choose it under terms.",
        "below",
    ),
    Stop(
        "An unlikely chosen response",
        "Here the reference would hardly ever say the chosen response. It rises far less, and falls back too.",
        "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=12",
        "Which of the four starts is kindest to the chosen response?",
        "falls",
    ),
    Stop(
        "Plain gradient descent",
        "The same network by SGD instead of Adam, at a rate that drives the rejected response about as far down: the "
        "chosen one stays.",
        "mlp s1 dpo beta=0.1 sgd lr=0.5 steps=500 seeds=12",
        "Pin this run and change β to 0.018. Does it still stay?",
        "stays",
    ),
    Stop(
        "A remedy, from step 100 on",
        "The run of the second stop, branched at step 100: from there an SFT term of weight 0.01 is added, and the "
        "chosen response comes back.",
        "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=100 seeds=12 then sft_weight=0.01 steps=400",
        "How small may the weight be? How late may it come?",
        "stays",
    ),
)


@dataclass(frozen=True)
class Touring:
    """Where a reader is: the number of the stop, and the training as they have changed it."""

    stop: int
    training: Training


class TourScene:
    """The training scene with a caption, and buttons that lead from stop to stop."""

    name = "tour"

    def __init__(self, scene: TrainingScene, stops: tuple[Stop, ...] = TOUR) -> None:
        self._scene, self._stops = scene, stops

    def begin(self) -> Touring:
        """Return the first stop."""
        return self._at(0)

    def keys(self) -> tuple[str, ...]:
        """List every key that a control may have."""
        return (*KEYS, *self._scene.keys())

    def controls(self, state: Touring) -> tuple[Control, ...]:
        """List the buttons of the tour and the controls of the training."""
        last = len(self._stops) - 1
        return (
            Control("back", "◂ back", "button", group="tour", about="the stop before", locked=state.stop == 0),
            Control("next", "next ▸", "button", group="tour", about="the next stop", locked=state.stop == last),
            *self._scene.controls(state.training),
        )

    def change(self, state: Touring, key: str, value: str) -> Touring:
        """Return the state after a control was moved.

        Raises:
            ValueError: beyond either end of the tour; and as the training scene.
        """
        if key not in KEYS:
            return replace(state, training=self._scene.change(state.training, key, value))
        stop = state.stop + (1 if key == "next" else -1)
        if not 0 <= stop < len(self._stops):
            raise ValueError(f"the tour has {len(self._stops)} stops and this is one of its ends; go the other way")
        return self._at(stop)

    def show(self, state: Touring) -> View:
        """Draw a stop."""
        stop = self._stops[state.stop]
        caption = (f"{state.stop + 1} of {len(self._stops)} · {stop.title}", stop.caption, stop.question)
        return replace(self._scene.show(state.training), caption=caption)

    def _at(self, stop: int) -> Touring:
        return Touring(stop, self._scene.begin(self._stops[stop].line))


def strip(stops: tuple[Stop, ...] = TOUR) -> tuple[Figure, str]:
    """Draw a tour as a film strip, for pages that nobody can click on.

    Args:
        stops: the stops, at most three in a row.

    Returns:
        The figure, a panel of probabilities for each stop, and its alt text with the numbers.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(stops))
    rows = -(-len(stops) // columns)
    parts = []
    with plots.style("notebook"):
        figure = Figure(figsize=(3.4 * columns, 2.7 * rows), dpi=100)
        grid: Any = figure.subplots(rows, columns, squeeze=False)
        for ax in grid.flat[len(stops) :]:
            ax.set_visible(False)
        for number, (stop, ax) in enumerate(zip(stops, grid.flat, strict=False), 1):
            current = reading(str(explorable(stop.line)), MEDIAN)
            frame = panels.curves_frame([current], "probability", False)
            replace(frame, title=f"{number} {stop.title}", about="").apply(ax)
            panels.draw_curves(ax, [current], "probability", False, seeds=False)  # too small for them
            if (number - 1) % columns:
                ax.set_ylabel("")
            parts.append(f"{number}, {stop.title.lower()}: {words.alt_of_curves([current], 'probability')}")
    return figure, " ".join(parts)
