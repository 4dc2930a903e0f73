"""The table of cells, read back from what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lab import plots

X = np.array([0.0, 0.001, 0.1])


def summary(median, half=0.05, x=X):
    median = np.asarray(median, float)
    nobody = np.empty((0, len(x)))
    return plots.Summary(x, median, median - half, median + half, nobody, np.array([], int), x_name="weight")


@pytest.fixture
def axes():
    figure = Figure(figsize=(4, 3))
    FigureCanvasAgg(figure)
    return figure.subplots()


def test_every_cell_holds_its_median_and_its_interval(axes):
    plots.cell_map({"a": summary([0.1, 0.5, 0.9]), "b": summary([-0.25, 1.25, 10.5])}, axes)
    texts = {(round(text.get_position()[0]), round(text.get_position()[1])): [] for text in axes.texts}
    for text in axes.texts:
        texts[round(text.get_position()[0]), round(text.get_position()[1])].append(text.get_text())
    assert texts[0, 0] == [".10", ".05 to .15"]
    assert texts[2, 0] == [".90", ".85 to .95"]
    assert texts[0, 1] == ["−.25", "−.30 to −.20"]
    assert texts[1, 1] == ["1.25", "1.20 to 1.30"]
    assert texts[2, 1] == ["10.50", "10.45 to 10.55"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.001", "0.1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_xlabel() == "weight"


def test_shade_rises_with_the_median_and_stops_at_the_limits(axes):
    plots.cell_map({"a": summary([-5, 10, 15]), "b": summary([20, 25, 10])}, axes, limits=(0, 20))
    shade = axes.images[0].get_array()
    assert shade[0, 0] == 0 and shade[1, 0] == shade[1, 1]
    assert shade[0, 1] == shade[1, 2] == pytest.approx(shade[1, 0] / 2)


@pytest.mark.parametrize("cmap", ["Blues", "Greys", "viridis"])
def test_numbers_stay_readable_on_every_shade(axes, cmap):
    steps = np.linspace(0, 1, 41)
    plots.cell_map({"a": summary(steps, x=steps)}, axes, cmap=cmap)
    image = axes.images[0]
    for text in axes.texts:
        shade = image.cmap(image.norm(image.get_array()))[0, round(text.get_position()[0]), :3]
        ink = 1.0 if text.get_color() == "white" else 0.0
        light = [((v + 0.055) / 1.055) ** 2.4 if v > 0.04045 else v / 12.92 for v in (*shade, ink)]
        ground = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
        bright, dark = max(ground, light[3]), min(ground, light[3])
        assert (bright + 0.05) / (dark + 0.05) > 4.5  # WCAG 2.1, small text


def test_one_seed_has_no_interval_and_columns_take_other_words(axes):
    lonely = summary([0.2, 0.3, 0.4], half=np.nan)
    plots.cell_map({"a": lonely}, axes, columns=["none", "some", "more"], digits=1)
    assert [text.get_text() for text in axes.texts] == [".2", ".3", ".4"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "some", "more"]


def test_rows_that_do_not_fit_are_refused(axes):
    with pytest.raises(ValueError, match=r"2 rows with x of \[3, 2\] values.*the same x in all"):
        plots.cell_map({"a": summary([0, 1, 2]), "b": summary([0, 1], x=X[:2])}, axes)
    with pytest.raises(ValueError, match="0 rows"):
        plots.cell_map({}, axes)
    with pytest.raises(ValueError, match="2 words for 3 columns. Give one for each"):
        plots.cell_map({"a": summary([0, 1, 2])}, axes, columns=["one", "two"])
