"""The maps of who wins: each cell in the colour of the winner at its own place, grey where that is open."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from figures.layouts.matches import FULL, OPEN, block_map, chosen_map, lead_by_knowledge, price_table
from figures.layouts.methods import METHODS
from figures.ppo_pays_where_its_reward_model_knows_more import MARKS, _established, _price

DIMS = ("budget", "comparisons", "coverage", "agreement")


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_a_cell_has_the_winners_colour_at_its_place_and_an_open_one_is_grey(ax):
    median = xr.DataArray(np.zeros((2, 3, 2, 2)), dims=DIMS)
    low, high = median - 0.1, median + 0.1
    ppo, dpo = ({"budget": 1, "comparisons": 2, "coverage": 0, "agreement": 1},
                {"budget": 0, "comparisons": 1, "coverage": 1, "agreement": 0})  # fmt: skip
    for place, value in ((ppo, FULL), (dpo, -2 * FULL)):
        median[place], low[place], high[place] = value, value - 0.01, value + 0.01
    words = (["3", "10"], ["60", "100"], ["KL 1", "KL 2"], ["8", "32", "128"])
    block_map(median, low, high, ax, across=("coverage", "agreement"), up=("budget", "comparisons"), words=words)
    shown = np.asarray(ax.images[0].get_array())[..., :3]
    assert shown.shape[:2] == (6, 4)
    np.testing.assert_allclose(shown[1 * 3 + 2, 0 * 2 + 1], to_rgb(METHODS["ppo"].color), atol=0.01)
    np.testing.assert_allclose(shown[0 * 3 + 1, 1 * 2 + 0], to_rgb(METHODS["dpo"].color), atol=0.01)
    others = np.ones((6, 4), bool)
    others[5, 1] = others[1, 2] = False
    np.testing.assert_allclose(shown[others], np.broadcast_to(to_rgb(OPEN), (22, 3)), atol=0.01)
    assert [each.get_text() for each in ax.get_yticklabels()] == ["8", "32", "128"] * 2


def test_a_narrow_winner_still_has_a_tint_of_its_own(ax):
    median = xr.DataArray(np.array([1e-4, -1e-4]).reshape(1, 1, 1, 2), dims=DIMS)
    low, high = median - 5e-5, median + 5e-5
    block_map(median, low, high, ax, across=DIMS[2:], up=DIMS[:2], words=([""], ["", ""], [""], [""]))
    ppo, dpo = np.asarray(ax.images[0].get_array())[0, :, :3]
    assert ppo[0] > ppo[2] + 0.05 and dpo[2] > dpo[0] + 0.05


def test_what_was_chosen_is_counted_over_all_maps(ax):
    betas = [xr.DataArray([[0.1, 1.0], [1.0, 1.0]], dims=("x", "y")), xr.DataArray([0.1, 0.1], dims="z")]
    knobs = [xr.DataArray([[10, 20], [20, 10]], dims=("x", "y")).transpose("y", "x"), xr.DataArray([10, 10], dims="z")]
    chosen_map(betas, knobs, ax)
    share = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(share, [[3 / 6, 1 / 6], [0, 2 / 6]])
    assert share.sum() == pytest.approx(1)


def test_leads_that_follow_the_knowledge_have_rank_correlation_one_in_any_order_of_dimensions(ax):
    known = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("a", "b"))
    lead = {name: (known**3).transpose("b", "a") for name in MARKS}
    assert lead_by_knowledge(dict.fromkeys(MARKS, known), lead, MARKS, ax) == pytest.approx(1)


def test_the_price_is_counted_from_the_lines_and_dpo_takes_its_own_seconds_once(ax):
    for policy, model in (("tabular", 250), ("mlp", 400)):
        price = _price(policy)
        assert price["dpo"].cost.drawn == 0 and price["ppo"].cost.drawn == 200 / 4 * 8
        assert price["ppo"].cost.passes - price["dpo"].cost.passes == 2 * model + 1
        assert float(price["dpo"].seconds[0]) == 1 and float(price["ppo"].seconds[0]) > 1
        price_table({"table": price}, ax)


def test_the_message_stands_only_if_every_part_of_it_does():
    own, right = (0.5, 0.02), (0.1, 0.5)
    good = {("own", "compared"): own, ("network own", "compared"): own, ("wrong", "compared"): (0.9, 0.0),
            ("right", "compared"): right, ("network right", "new"): (0.0, 1.0)}  # fmt: skip
    assert _established(good)
    for key, value in (
        (("own", "compared"), (0.5, 0.2)), (("network own", "compared"), (0.1, 0.0)),
        (("wrong", "compared"), (0.2, 0.0)), (("right", "compared"), (0.6, 0.5)),
        (("network right", "new"), (0.0, 0.2)),
    ):  # fmt: skip
        assert not _established({**good, key: value}), key
