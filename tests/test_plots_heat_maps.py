"""Heat maps on the scales that probabilities down to 1e-80 need."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from lab import plots

PROB = np.array([[0.6, 0.3, 0.1], [1e-33, 1 - 1e-9, 0.0]])


@pytest.fixture
def ax():
    return Figure().subplots()


def test_every_cell_holds_its_exponent_when_asked(ax):
    plots.heat_map(PROB, ax, floor=1e-40, exponents=True)
    assert [text.get_text() for text in ax.texts] == ["0", "−1", "−1", "−33", "0", "−∞"]
    np.testing.assert_allclose(ax.images[0].get_array(), np.maximum(PROB, 1e-40))


def test_a_cell_without_a_number_stays_empty(ax):
    plots.heat_map(np.array([[np.nan, 0.0, 0.1]]), ax, exponents=True)
    assert [text.get_text() for text in ax.texts] == ["−∞", "−1"]


def test_grey_follows_the_probability_when_linear(ax):
    plots.heat_map(PROB, ax, linear=True)
    image = ax.images[0]
    np.testing.assert_allclose(image.norm(image.get_array()), PROB)
    assert [(text.get_text(), text.get_color()) for text in ax.texts] == [
        (".60", "white"), (".30", "#333333"), (".10", "#333333"), ("1.00", "white"),
    ]  # fmt: skip


def test_numbers_can_be_left_out(ax):
    plots.heat_map(PROB, ax, numbers=False)
    assert not ax.texts
