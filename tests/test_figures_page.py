"""The page: headline, panels and foot keep clear of each other at every width."""

from __future__ import annotations

import numpy as np
import pytest

from figures.machinery import Drawing, Figure, Page
from figures.machinery.page import wrap
from lab import plots

LINE = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"
TITLE = "DPO drives the rejected response to nothing; the chosen one rises, then falls; unseen responses gain"


@pytest.fixture(params=plots.CONTEXTS)
def page(request):
    with plots.style(request.param):
        yield Page(TITLE, {"dpo": LINE}, request.param)


def texts(figure) -> list:
    return [text for text in figure.texts if text.get_text()]


def test_headline_panels_and_foot_keep_clear_of_each_other(page):
    figure, axes = page.grid(2, 2, aspect=0.6)
    for ax in axes.flat:
        plots.panel(ax, "Probability", about="one line\nand another")
        ax.set_xlabel("step")
    figure.draw_without_rendering()
    headline, foot = texts(figure)
    assert "".join(headline.get_text().split()) == "".join(TITLE.split())
    assert LINE in " ".join(foot.get_text().split()) and "bootstrap" in foot.get_text()
    panels = [ax.get_tightbbox() for ax in axes.flat]
    top, bottom = headline.get_window_extent(), foot.get_window_extent()
    assert all(bottom.y1 <= box.y0 and box.y1 <= top.y0 for box in panels)
    assert top.y1 <= figure.bbox.y1 and bottom.y0 >= 0
    assert max(top.x1, bottom.x1, *(box.x1 for box in panels)) <= figure.bbox.x1
    assert figure.get_size_inches()[0] == plots.context(page.width).width
    figure.set_dpi(200)  # letters are wider where they are fitted to more pixels
    assert max(text.get_window_extent().x1 for text in texts(figure)) <= figure.bbox.x1


def test_the_last_line_of_a_headline_is_no_single_word():
    lines = wrap(TITLE, size=12, weight="bold", width=8)
    assert " ".join(lines) == TITLE and len(lines) == 2
    assert len(lines[1]) > len(lines[0]) / 2


def test_a_mosaic_takes_another_message(page):
    figure, axes = page.mosaic("AAB;CCB", title="What the data say", note="")
    assert set(axes) == set("ABC")
    assert [text.get_text().replace("\n", " ") for text in texts(figure)] == ["What the data say", LINE]


def test_many_lines_are_counted_and_not_listed():
    page = Page("Title", {str(lr): LINE.replace("1e-3", f"{lr}e-3") for lr in (1, 2, 3)})
    foot = texts(page.grid()[0])[1].get_text().replace("\n", " ")
    assert LINE in foot and "and 2 more" in foot


def test_a_long_axis_is_shortened_at_the_foot_and_a_short_one_is_not():
    betas, rates = ",".join(f"{0.01 * k:g}" for k in range(1, 65)), "1e-3,2e-3,4e-3"
    line = LINE.replace("beta=0.1", f"beta={betas}").replace("1e-3", rates)
    foot = texts(Page("Title", {"dpo": line}).grid()[0])[1].get_text().replace("\n", " ")
    assert f"mlp s1 dpo beta=0.01,…,0.64 (64 values) adam lr={rates} steps=500 seeds=24" in foot


def test_quick_is_printed_across_quick_figures_only():
    quick, full = (Page("Title", {"dpo": LINE}, quick=quick).grid()[0] for quick in (True, False))
    assert "QUICK" in [text.get_text() for text in quick.texts]
    assert not [text for text in full.texts if "QUICK" in text.get_text()]


def test_an_unknown_width_is_refused():
    with pytest.raises(ValueError, match="'poster' is no context"):
        Page("Title", {}, "poster")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"title": " "}, "title is empty; write the figure's message in one sentence"),
        ({"lines": {}}, "lines is empty; give at least one experiment as {name: line}"),
        ({"lines": {"x": LINE.replace("dpo", "dop")}}, "'dop' is not a word of the experiment line. Did you mean dpo"),
    ],
)
def test_a_figure_states_message_and_experiments(changed, said):
    with pytest.raises(ValueError, match=said):
        Figure(**{"title": "T", "paper": "", "lines": {"x": LINE}, "draw": lambda data, page: None, **changed})


def test_a_drawing_needs_its_table():
    table = plots.table({("a", "b"): plots.Summary(*[np.arange(2.0)] * 4, np.empty((0, 2)), np.empty(0))})
    alt = "A sentence that says what is seen, with 3 numbers."
    figure = Page("Title", {"dpo": LINE}).grid()[0]
    assert Drawing(figure, alt, table, {"end": (0.5, 0.1)}).numbers
    with pytest.raises(ValueError, match=r"columns \['panel', 'x', 'y'\]; it needs \['panel', 'series', 'x', 'y'\]"):
        Drawing(figure, alt, table[["panel", "x", "y"]], {"end": (0.5, 0.1)})
    with pytest.raises(ValueError, match="numbers is empty"):
        Drawing(figure, alt, table, {})
    with pytest.raises(ValueError, match="the key number 'end' is nan"):
        Drawing(figure, alt, table, {"end": (float("nan"), 0.1)})
