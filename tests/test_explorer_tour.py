"""The guided tour: its captions are true of its lines, and its buttons lead from stop to stop."""

from __future__ import annotations

import pytest

import lab
from lab.explorer.tours import TOUR, Stop, TourScene, strip
from lab.explorer.training.scene import TrainingScene, what_happened
from lab.explorer.training.state import GUESSES

SHORT = tuple(
    Stop(
        f"stop {n}", "A caption.", f"tabular {scenario} dpo beta=0.1 sgd lr=1 steps=20 seeds=2", "A question?", "stays"
    )
    for n, scenario in enumerate(("s1", "s2"))
)


@pytest.mark.parametrize("stop", TOUR, ids=lambda stop: stop.title)
def test_the_chosen_response_of_a_stop_ends_as_its_caption_says(stop):
    assert stop.happens in GUESSES
    # Fewer seeds than the tour has: how a stop ends must not hang on them.
    line = str(lab.Experiment.parse(stop.line)).replace("seeds=12", "seeds=5")
    assert "seeds=5" in line and what_happened(line)[0] == stop.happens


def test_the_buttons_lead_from_stop_to_stop_and_end_there():
    scene = TourScene(TrainingScene(), SHORT)
    first = scene.begin()
    assert [each.locked for each in scene.controls(first)[:2]] == [True, False]
    second = scene.change(scene.change(first, "beta", "0.5"), "next", "")
    assert second.training.line == SHORT[1].line and scene.show(second).caption[0] == "2 of 2 · stop 1"
    assert scene.change(second, "back", "").training.line == SHORT[0].line
    with pytest.raises(ValueError, match="the tour has 2 stops and this is one of its ends; go the other way"):
        scene.change(second, "next", "")


def test_a_stop_can_be_changed_like_any_explorer():
    scene = TourScene(TrainingScene(), SHORT)
    changed = scene.change(scene.begin(), "beta", "0.5")
    assert "beta=0.5" in scene.show(changed).line and scene.show(changed).caption[1] == "A caption."


def test_the_strip_has_a_panel_and_a_sentence_for_each_stop():
    figure, alt = strip(SHORT)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["1 stop 0", "2 stop 1"]
    assert "1, stop 0: Probability over 20 steps: chosen from 0.45 to 0." in alt
