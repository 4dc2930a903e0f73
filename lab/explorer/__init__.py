"""The explorer: one widget over pure functions, and its pictures for pages that nobody can click on."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.explorer.tours import strip
    from lab.explorer.training.twin import twin
    from lab.explorer.widget import Explorer

__all__ = ["explore", "explore_optimum", "strip", "tour", "twin"]

_HOMES = {"strip": "lab.explorer.tours", "twin": "lab.explorer.training.twin"}
ASLEEP = "lab-asleep"  # the class of the sentence that explorer.css hides beside a widget that lives
EXAMPLE = "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"


def explore(
    line: str = EXAMPLE, *, hide: Sequence[str] = (), lock: Sequence[str] = (), predict: bool = False
) -> Explorer:
    """Show an experiment with controls to change it, in a notebook.

    Args:
        line: an experiment line without axes.
        hide: keys of controls that are not shown, such as ("optimizer",).
        lock: keys of controls that can be looked at only, such as ("beta",).
        predict: whether the reader predicts where the chosen response ends before anything of it is shown.

    Returns:
        The widget; in plain Python its line and summary.

    Raises:
        TypeError, ValueError: for a line that is not valid or that the explorer cannot show, or an unknown key; the
            message says what is allowed.
        NonFiniteError: if a run becomes NaN or infinite.
    """
    from lab.explorer.limits import Limited
    from lab.explorer.training.scene import TrainingScene
    from lab.explorer.widget import Explorer

    scene = TrainingScene()
    return Explorer(Limited(scene, hide=hide, lock=lock), scene.begin(line, predict=predict))


def tour() -> Explorer:
    """Lead through a few lines in a telling order, each with a caption and a question, in a notebook.

    Returns:
        The widget; every stop can be changed like any explorer. `lab.explorer.strip()` is the same tour as a picture.
    """
    from lab.explorer.tours import TourScene
    from lab.explorer.training.scene import TrainingScene
    from lab.explorer.widget import Explorer

    scene = TourScene(TrainingScene())
    return Explorer(scene, scene.begin())


def explore_optimum(
    reference: Sequence[float],
    reward: Sequence[float],
    *,
    beta: float = 1.0,
    hide: Sequence[str] = (),
    lock: Sequence[str] = (),
) -> Explorer:
    """Show what beta makes of a reference and a reward, with sliders for beta and each reward, in a notebook.

    Args:
        reference: probabilities of a prompt's responses, [response], above 0 and summing to 1.
        reward: their rewards, [response].
        beta: the price of a nat of KL at the beginning, above 0.
        hide: keys of controls that are not shown: beta, reward_0, reward_1, ...
        lock: keys of controls that can be looked at only.

    Returns:
        The widget.

    Raises:
        ValueError: for a reference that is no distribution, lengths that differ, or an unknown key.
    """
    from lab.explorer.limits import Limited
    from lab.explorer.optimum import OptimumScene, Tilt
    from lab.explorer.widget import Explorer

    state = Tilt(tuple(float(value) for value in reference), tuple(float(value) for value in reward), float(beta))
    return Explorer(Limited(OptimumScene(len(state.reward)), hide=hide, lock=lock), state)


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"lab.explorer has no {name!r}. It has: {', '.join(__all__)}.")
