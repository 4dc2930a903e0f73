from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy.optimize import minimize

from lab import plots
from lab.plots.labels import spread

LEAST_DISTANCE, LEAST_CONTRAST = 25.0, 3.0

# Full severity, for linear RGB. Source: Machado, Oliveira & Fernandes 2009, "A physiologically-based model for
# simulation of color vision deficiency", IEEE TVCG 15(6), doi 10.1109/TVCG.2009.113, table 1.
VIEWS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# IEC 61966-2-1: linear sRGB to XYZ under D65.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(color: str) -> np.ndarray:
    value = np.array(to_rgb(color))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lightness_a_b(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of a linear RGB colour, CIE 15:2004."""
    t = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(1)
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """CIEDE2000, after Sharma, Wu & Dalal 2005, Color Research & Application 30(1), equations 2 to 22."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    ml, mc = (l1 + l2) / 2, (c1 + c2) / 2
    if c1 * c2 == 0:
        mh = h1 + h2
    elif abs(h1 - h2) <= 180:
        mh = (h1 + h2) / 2
    else:
        mh = (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2
    waves = ((-0.17, 1, 30), (0.24, 2, 0), (0.32, 3, -6), (-0.20, 4, 63))
    t = 1 + sum(size * np.cos(np.radians(count * mh - shift)) for size, count, shift in waves)
    sl = 1 + 0.015 * (ml - 50) ** 2 / np.sqrt(20 + (ml - 50) ** 2)
    sc, sh = 1 + 0.045 * mc, 1 + 0.015 * mc * t
    rotation = -np.sin(np.radians(60 * np.exp(-(((mh - 275) / 25) ** 2)))) * 2 * np.sqrt(mc**7 / (mc**7 + 25.0**7))
    return float(np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rotation * dc / sc * dh / sh))


def contrast(color: str) -> float:
    """Contrast with white, WCAG 2.1."""
    return 1.05 / (float(XYZ[1] @ linear(color)) + 0.05)


def worst_distance(colors: list[str]) -> float:
    return min(
        distance(lightness_a_b(view @ linear(one)), lightness_a_b(view @ linear(other)))
        for one, other in combinations(colors, 2)
        for view in VIEWS.values()
    )


# Pairs 1, 7, 14, 17 and 25 of the table that Sharma, Wu & Dalal 2005 publish for testing implementations.
@pytest.mark.parametrize(
    ("one", "other", "published"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_the_colour_distance_agrees_with_its_published_table(one, other, published):
    assert distance(np.array(one), np.array(other)) == pytest.approx(published, abs=1e-4)


def test_the_views_leave_white_white_and_confuse_what_they_should():
    for view in VIEWS.values():
        assert view @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-5)
    assert worst_distance(["#D55E00", "#8C8C00"]) < LEAST_DISTANCE  # a red and a green of one lightness


FAMILIES = [name for name in plots.FAMILIES if name != "responses"]


@pytest.mark.parametrize("family", [plots.RESPONSES, *(plots.FAMILIES[name] for name in FAMILIES)])
def test_colours_that_share_a_panel_are_told_apart_by_everyone(family):
    colors = [role.color for role in family.values()]
    assert worst_distance(colors) >= LEAST_DISTANCE
    assert min(map(contrast, colors)) >= LEAST_CONTRAST


def test_the_reference_stands_back_but_stays_visible():
    assert contrast(plots.REFERENCE.color) >= LEAST_CONTRAST
    assert plots.REFERENCE.width < plots.CHOSEN.width
    assert worst_distance([role.color for role in plots.FAMILIES["responses"].values()]) > 20


@pytest.mark.parametrize("family", FAMILIES)
def test_members_of_a_family_are_told_apart_in_print(family):
    roles = plots.FAMILIES[family].values()
    assert len({(role.line, role.color) for role in roles}) == len(roles)
    assert len({role.marker for role in roles}) == len(roles)


def test_every_word_of_the_experiment_line_has_its_role():
    from lab.experiments.vocabulary import WORDS

    for word, family in {
        "objective": "objectives", "optimizer": "optimizers", "scenario": "scenarios", "policy": "policies"
    }.items():  # fmt: skip
        # Open and own scenarios have other pairs than the four and share no panel with them.
        roles, choices = set(plots.FAMILIES[family]), set(WORDS[word].choices) - {"open", "own"}
        # No eye tells thirty colours apart: of the objectives, only those that share panels have one of their own.
        assert roles < choices if word == "objective" else roles == choices


def test_roles_are_fixed_as_the_house_says():
    assert (plots.CHOSEN.color, plots.CHOSEN.line) == ("#0072B2", "solid")
    assert (plots.REJECTED.color, plots.REJECTED.line) == ("#D55E00", "dashed")
    assert (plots.UNSEEN.color, plots.UNSEEN.line) == ("#000000", "dotted")
    assert plots.role("adam") is plots.OPTIMIZERS["adam"]


def test_an_unknown_role_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"nothing called 'chosn' has a fixed role. Did you mean chosen\? Roles: chosen"
    ):
        plots.role("chosn")
    with pytest.raises(ValueError, match="line is 'wavy'; the line styles are solid, dashed, dotted and dashdot"):
        plots.Role("x", "#000000", "wavy")


# --- summaries -------------------------------------------------------------------------------------------------------


@pytest.fixture
def quantity() -> xr.DataArray:
    values = np.random.default_rng(5).normal(size=(24, 7)).cumsum(1)
    return xr.DataArray(
        values,
        dims=("seed", "step"),
        coords={"seed": np.arange(24), "step": np.arange(7) * 10},
        attrs={"long_name": "margin", "units": "nats"},
        name="margin",
    )


def test_a_summary_holds_median_interval_and_every_seed(quantity):
    summary = plots.over_seeds(quantity.transpose("step", "seed"))
    np.testing.assert_allclose(summary.median, np.median(quantity.values, axis=0))
    assert (summary.low <= summary.median).all() and (summary.median <= summary.high).all()
    np.testing.assert_array_equal(summary.seeds, quantity.values)
    assert (summary.count, summary.x_name, summary.y_name, summary.units) == (24, "step", "margin", "nats")


def test_a_summary_refuses_what_is_not_reduced(quantity):
    with pytest.raises(
        ValueError, match=r"has dimensions .*'prompt'.*needs \['seed', 'step'\]. Select or average over prompt"
    ):
        plots.over_seeds(quantity.expand_dims(prompt=4))
    with pytest.raises(ValueError, match=r"needs \['seed', 'beta'\]"):
        plots.over_seeds(quantity, x="beta")
    with pytest.raises(ValueError, match=r"needs \['seed', 'step'\]. Keep the seeds: ds.isel\(seed=\[0\]\)"):
        plots.over_seeds(quantity.isel(seed=0))
    with pytest.raises(ValueError, match="low has shape"):
        plots.Summary(np.arange(3), np.arange(3), np.arange(2), np.arange(3), np.empty((0, 3)), np.empty(0))
    with pytest.raises(ValueError, match=r"seeds has shape \(3, 2\); it must be \[seed, x\] = \(2, 3\)"):
        plots.Summary(*[np.arange(3)] * 4, np.empty((3, 2)), np.arange(2))


def test_the_table_holds_exactly_what_is_plotted(quantity):
    summary = plots.over_seeds(quantity)
    table = plots.table({("left", "chosen"): summary})
    median = table[table.seed.isna()]
    np.testing.assert_array_equal(median[["x", "y", "low", "high"]].to_numpy(float).T,
                                  [summary.x, summary.median, summary.low, summary.high])  # fmt: skip
    assert (median.n == 24).all()
    seeds = table[table.seed.notna()].pivot(index="seed", columns="x", values="y")
    np.testing.assert_array_equal(seeds.to_numpy(), quantity.values)
    with pytest.raises(ValueError, match="nothing was drawn"):
        plots.table({})


# --- drawing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ax():
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


def line_of(ax, role):
    return next(line for line in ax.lines if line.get_label() == "_" + role.label)


def test_a_curve_is_its_median_its_band_and_every_seed(quantity, ax):
    summary = plots.over_seeds(quantity)
    assert plots.curve(summary, ax, role=plots.REJECTED) is ax
    line = line_of(ax, plots.REJECTED)
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([summary.x, summary.median]))
    assert (line.get_color(), line.get_linestyle()) == ("#D55E00", "--")
    faint = next(each for each in ax.collections if isinstance(each, LineCollection))
    np.testing.assert_array_equal([path.vertices[:, 1] for path in faint.get_paths()], quantity.values)
    assert faint.get_alpha() < 0.3 and faint.get_zorder() < line.get_zorder()
    band = next(each for each in ax.collections if each.get_label() == "_band").get_paths()[0].vertices
    assert band[:, 1].min() == summary.low.min() and band[:, 1].max() == summary.high.max()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "margin (nats)")
    (word,) = plots.end_labels(ax).texts
    assert (word.get_text(), word.get_color()) == ("rejected", "#D55E00")


def test_a_curve_keeps_the_callers_words_and_may_leave_them_out(quantity, ax):
    ax.set_ylabel("mine")
    plots.curve(plots.over_seeds(quantity), ax, role=plots.CHOSEN, label="", seeds=False, markers=True)
    assert ax.get_ylabel() == "mine" and plots.end_labels(ax) is None
    assert line_of(ax, plots.CHOSEN).get_marker() == "o"
    assert not any(isinstance(each, LineCollection) for each in ax.collections)


def test_a_curve_over_words_is_refused(quantity, ax):
    words = plots.over_seeds(quantity.assign_coords(step=list("abcdefg")))
    with pytest.raises(ValueError, match=r"x holds words .*Draw them with bars\(\)"):
        plots.curve(words, ax, role=plots.CHOSEN)


def test_labels_stand_at_the_ends_and_never_cover_each_other(ax):
    ax.set(xlim=(0, 1), ylim=(0, 1))
    heights = [0.5, 0.505, 0.51, 0.9, -3.0]
    for place, height in enumerate(heights):
        plots.end_label(1.0, height, f"line {place}", ax, color="#000000")
    figure = ax.figure
    for size in ((6, 4), (3, 2)):
        figure.set_size_inches(*size)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in plots.end_labels(ax).texts]
        order = np.argsort(heights)
        for below, above in zip(order, order[1:], strict=False):
            assert boxes[below].y1 <= boxes[above].y0 + 1e-6
        assert all(ax.bbox.x1 < box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_label_that_has_room_stands_at_its_line(ax):
    ax.set(xlim=(0, 1), ylim=(0, 1))
    plots.end_label(1.0, 0.25, "alone", ax, color="#000000")
    ax.figure.draw_without_rendering()
    (word,) = plots.end_labels(ax).texts
    assert word.get_position()[1] == pytest.approx(ax.transData.transform((1.0, 0.25))[1])


@given(
    st.lists(st.tuples(st.floats(-50, 150), st.floats(0.5, 9)), min_size=1, max_size=6),
)
def test_labels_move_as_little_as_possible(intervals):
    centres, sizes = map(np.array, zip(*intervals, strict=True))
    placed = spread(centres, sizes, 0, 100)
    order = np.argsort(centres, kind="stable")
    gaps = (sizes[order][1:] + sizes[order][:-1]) / 2
    assert (np.diff(placed[order]) >= gaps - 1e-9).all()
    assert placed.min() >= -1e-9 + sizes[order][0] / 2 and placed[order][-1] <= 100 - sizes[order][-1] / 2 + 1e-9
    # The same problem, given to a general solver.
    bounds = [{"type": "ineq", "fun": lambda y, i=i: y[i + 1] - y[i] - gaps[i]} for i in range(len(gaps))]
    bounds += [{"type": "ineq", "fun": lambda y: y[0] - sizes[order][0] / 2}]
    bounds += [{"type": "ineq", "fun": lambda y: 100 - sizes[order][-1] / 2 - y[-1]}]
    start = np.linspace(10, 90, len(centres)) if len(centres) > 1 else np.array([50.0])
    solved = minimize(lambda y: ((y - centres[order]) ** 2).sum(), start, constraints=bounds, method="SLSQP",
                      options={"ftol": 1e-12, "maxiter": 500})  # fmt: skip
    cost = ((placed - centres) ** 2).sum()
    assert cost <= solved.fun + 1e-4 * (1 + solved.fun)


def test_a_level_and_a_moment_are_marked(ax):
    ax.set(xlim=(0, 500), ylim=(0, 1))
    plots.level(0.45, ax, label="start")
    plots.moment(72, ax, text="peak")
    assert ax.lines[0].get_ydata()[0] == 0.45 and ax.lines[0].get_color() == plots.REFERENCE.color
    assert ax.lines[1].get_xdata()[0] == 72 and ax.texts[0].get_text() == "peak"
    assert plots.end_labels(ax).texts[0].get_text() == "start"


def test_bars_show_value_interval_and_seeds(quantity, ax):
    summary = plots.over_seeds(quantity)
    roles = [plots.UNSEEN] * 6 + [plots.CHOSEN]
    plots.bars(summary, ax, roles=roles, labels=list("abcdefg"))
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], summary.median)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list("abcdefg")
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first bar stands on top"
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in segments], np.column_stack([summary.low, summary.high]))
    assert len(ax.collections[-1].get_offsets()) == 24 * 7
    with pytest.raises(ValueError, match="2 labels for 7 bars. Give one for each bar"):
        plots.bars(summary, ax, roles=plots.UNSEEN, labels=["a", "b"])


def test_a_heat_map_shows_probabilities_and_outlines_the_pairs(ax):
    prob = np.array([[0.45, 0.45, 0.1], [1e-80, 0.3, 0.7]])
    plots.heat_map(prob, ax, pairs=[(0, 0, 1), (1, 2, 0)])
    np.testing.assert_allclose(ax.images[0].get_array(), np.maximum(prob, 1e-4))
    assert [text.get_text() for text in ax.texts] == [".45", ".45", ".10", ".30", ".70"]
    rejected = ax.patches[3]
    assert rejected.get_center() == pytest.approx((0, 1)), "response 0 of prompt 1"
    assert rejected.get_edgecolor() == (*to_rgb("#D55E00"), 1.0)
    with pytest.raises(ValueError, match=r"prob has shape \(2, 3\) and values -1 to"):
        plots.heat_map(prob - 1, ax)


def test_a_surface_carries_contours_arrows_and_paths(ax):
    x, y = np.linspace(0, 1, 5), np.linspace(0, 2, 4)
    z = x[None] + y[:, None]
    plots.surface(x, y, z, ax, levels=[0.5, 1.5, 2.5])
    plots.arrows(x, y, z, 0 * z, ax)
    lengths = np.hypot(ax.collections[-1].U, ax.collections[-1].V)
    np.testing.assert_allclose(np.ravel(lengths)[1:], 1)
    assert np.ravel(lengths)[0] == 0, "a vector of no length has no direction"
    plots.path(np.array([0.1, 0.5, 0.9]), np.array([1.0, 1.5, 0.2]), ax, role=plots.CHOSEN, marks=[1], label="s1")
    np.testing.assert_array_equal(line_of(ax, plots.CHOSEN).get_xdata(), [0.1, 0.5, 0.9])
    assert ax.texts[-1].get_text() == "s1"
    lines = len(ax.lines)
    plots.path(np.array([0.2, 0.4]), np.array([1.0, 0.5]), ax, role=plots.CHOSEN, marks=[0], label="s2", faint=True)
    way, end = ax.lines[lines:]
    assert way.get_alpha() < 1, "one of many is pale"
    assert end.get_xydata().tolist() == [[0.4, 0.5]], "and has a dot at its end only"
    with pytest.raises(ValueError, match=r"z has shape \(5, 4\); it must be \[y, x\] = \(4, 5\)"):
        plots.surface(x, y, z.T, ax, levels=[0, 1])
    with pytest.raises(ValueError, match=r"levels are \[1\]; give two or more that increase"):
        plots.surface(x, y, z, ax, levels=[1])
    with pytest.raises(ValueError, match=r"u has shape \(5, 4\)"):
        plots.arrows(x, y, z.T, z, ax)


def test_labels_of_contours_stand_where_they_are_put_in_the_words_given(ax):
    x, y = np.linspace(0, 1, 5), np.linspace(0, 2, 5)
    plots.surface(x, y, np.tile(y[:, None], 5), ax, levels=[0.5, 1.5], text=plots.power, at=[(0.25, 0.5), (0.75, 1.5)])
    written = {text.get_text(): text.get_position() for text in ax.texts}
    assert written.keys() == {plots.power(0.5), plots.power(1.5)}
    np.testing.assert_allclose(list(written.values()), [(0.25, 0.5), (0.75, 1.5)], atol=0.02)


def test_powers_are_written_in_plain_characters(ax):
    assert [plots.power(k) for k in (-40, -2, -1, 0, 1, 2, 3)] == ["10⁻⁴⁰", "10⁻²", "0.1", "1", "10", "100", "10³"]
    ax.set_ylim(-60, 10)
    plots.powers_of_ten(ax)
    ax.figure.draw_without_rendering()
    assert {"10⁻⁴⁰", "1"} <= {tick.get_text() for tick in ax.get_yticklabels()}


def test_panels_of_a_grid_share_labels_and_limits():
    axes = Figure().subplots(2, 2)
    for place, ax in enumerate(axes.flat):
        ax.set(xlabel="x", ylabel="y", ylim=(-place, 2 * place + 1))
    plots.share_labels(axes)
    plots.same_limits(axes.flat)
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in axes.flat] == [("", "y"), ("", ""), ("x", "y"), ("x", "")]
    assert {ax.get_ylim() for ax in axes.flat} == {(-3, 7)}


def test_a_panel_has_its_title_and_what_to_look_at(ax):
    plots.panel(ax, "Probability", about="chosen ends at 0.60")
    assert ax.get_title("left") == "Probability" or ax.get_title() == "Probability"
    assert ax.texts[0].get_text() == "chosen ends at 0.60"


# --- style -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plots.CONTEXTS)
def test_the_style_holds_inside_its_block_only(name):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with plots.style(name):
        assert matplotlib.rcParams["figure.figsize"][0] == plots.context(name).width
        assert matplotlib.rcParams["axes.spines.top"] is False
        assert matplotlib.rcParams["text.usetex"] is False
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_context_is_refused():
    with pytest.raises(ValueError, match="'poster' is no context; the contexts are paper, slides, notebook"):
        plots.style("poster")


def test_naming_the_plots_loads_no_matplotlib():
    code = "import sys, lab.plots as p; p.CHOSEN, p.Summary, p.curve; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_every_public_name_is_there():
    assert set(plots.__all__) == set(dir(plots))
    for name in plots.__all__:
        assert getattr(plots, name) is not None
    with pytest.raises(AttributeError, match="lab.plots has no 'bar'. It has: CHOSEN"):
        plots.bar  # noqa: B018
