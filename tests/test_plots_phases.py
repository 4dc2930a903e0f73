"""Phase diagrams, read back from what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lab import plots

X, Y = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([0.1, 0.2, 0.4])


def cells(median, half=0.0, x=X, y=Y):
    median = np.asarray(median, float)
    return plots.Phases(x, y, median, median - half, median + half, 8, "time", "β", "fall", "nats")


def plane(x=X, y=Y):
    return np.log10(x)[None, :] + np.zeros((len(y), 1))


@pytest.fixture
def axes():
    figure = Figure(figsize=(4, 3))
    FigureCanvasAgg(figure)
    return figure.subplots()


def quantity(x=(30, 10, 20), y=(0.5, 0.1), seeds=9):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(seeds, len(y), len(x)))
    return xr.DataArray(
        noise,
        dims=("seed", "beta", "step"),
        coords={"seed": range(seeds), "beta": list(y), "step": list(x)},
        attrs={"long_name": "chosen mass", "units": "1"},
        name="chosen",
    )


def test_each_cell_is_the_median_with_its_interval_and_both_axes_are_sorted():
    values = quantity()
    values["step"].attrs = {"long_name": "training time", "units": "learning rate · steps"}
    found = plots.map_over_seeds(values.transpose("step", "seed", "beta"), x="step", y="beta")
    assert found.x.tolist() == [10, 20, 30] and found.y.tolist() == [0.1, 0.5] and found.n == 9
    for row, beta in enumerate(found.y):
        for column, step in enumerate(found.x):
            own = plots.over_seeds(values.sel(beta=beta, drop=True).sel(step=[step]))
            assert found.median[row, column] == np.median(values.sel(beta=beta, step=step))
            assert (found.low[row, column], found.high[row, column]) == (own.low[0], own.high[0])
    assert found.x_name == "training time (learning rate · steps)" and found.y_name == "beta"
    assert (found.name, found.units) == ("chosen mass", "")


def test_shades_stand_in_the_cells_of_their_positions_on_log_and_linear_axes(axes):
    plots.phase_map(cells(plane()), axes)
    corners = np.asarray(axes.collections[0].get_coordinates())
    assert corners[0, :, 0] == pytest.approx(10.0 ** np.array([-0.5, 0.5, 1.5, 2.5, 3.5]))
    assert corners[:, 0, 1] == pytest.approx(0.1 * 2.0 ** np.array([-0.5, 0.5, 1.5, 2.5]))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlim() == pytest.approx((10**-0.5, 10**3.5))
    assert np.array_equal(axes.collections[0].get_array(), plane())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time", "β")
    other = axes.figure.add_subplot()
    plots.phase_map(cells(plane(), y=np.array([0.0, 1.0, 3.0])), other, scales=("log", "linear"))
    assert np.asarray(other.collections[0].get_coordinates())[:, 0, 1] == pytest.approx([-0.5, 0.5, 2.0, 4.0])


def test_darker_means_larger_for_every_eye_and_values_beyond_the_limits_keep_the_end_shades(axes):
    steps = np.linspace(0, 1, 50)
    plots.phase_map(
        cells(np.tile(steps, (3, 1)), x=np.arange(1.0, 51)), axes, scales=("linear", "log"), limits=(0.1, 0.9)
    )
    mesh = axes.collections[0]
    rgb = mesh.cmap(mesh.norm(mesh.get_array()))[0, :, :3]
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16  # CIE 1976, above 0.009
    inside = (steps > 0.1) & (steps < 0.9)
    change = np.diff(lightness[inside])
    assert (change < 0).all() and change.min() > 2.5 * change.mean()  # no step hides, none jumps
    assert (rgb[steps <= 0.1] == rgb[0]).all() and (rgb[steps >= 0.9] == rgb[-1]).all()
    assert lightness[0] > 90 and lightness[-1] > 20  # ground for a black line


def test_the_line_runs_where_the_median_crosses_and_dots_mark_the_open_cells(axes):
    drawn = cells(plane(), half=0.6)
    plots.phase_map(drawn, axes, threshold=1.5)
    (line,) = axes.collections[1].get_paths()
    assert line.vertices[:, 0] == pytest.approx(55.0)  # half way from 10 to 100
    (dots,) = axes.lines
    assert sorted(set(dots.get_xdata())) == [10, 100] and len(dots.get_xdata()) == 6
    assert np.array_equal(drawn.straddles(1.5), np.tile([False, True, True, False], (3, 1)))


@pytest.mark.parametrize("threshold", [-1.0, 9.0])
def test_a_map_on_one_side_of_the_threshold_has_no_line(axes, threshold):
    plots.phase_map(cells(plane()), axes, threshold=threshold)
    assert len(axes.collections) == 1 and len(axes.lines[0].get_xdata()) == 0


def test_never_is_an_infinity_and_missing_cells_stay_grey(axes):
    median = plane()
    median[0, :] = np.nan
    median[1, 3] = np.inf
    plots.phase_map(cells(median), axes, threshold=1.5, limits=(0, 3))
    mesh = axes.collections[0]
    colors = mesh.cmap(mesh.norm(mesh.get_array()))
    assert (colors[0] == colors[0, 0]).all() and len(set(colors[0, 0, :3])) == 1  # grey
    assert (colors[1, 3] == colors[2, 3]).all()  # as dark as the largest
    axes.figure.canvas.draw()
    plots.phase_map(cells(np.full((3, 4), np.nan)), axes.figure.add_subplot(), threshold=0)


def test_one_bar_explains_several_maps_with_the_same_limits(axes):
    other = axes.figure.add_subplot()
    for ax, limits in ((axes, (0.01, 1)), (other, (0.01, 1))):
        plots.phase_map(cells(plane()), ax, limits=limits, shade="log")
    bar = plots.phase_bar([axes, other], label="fall (nats)", threshold=0.1)
    assert bar.ax.get_ylabel() == "fall (nats)" and bar.ax.get_ylim() == pytest.approx((0.01, 1))
    assert bar.ax.get_yscale() == "log" and list(bar.ax.lines[-1].get_ydata()) == [0.1, 0.1]
    lying = plots.phase_bar(axes, label="fall (nats)", threshold=0.1, location="bottom")
    assert lying.ax.get_xlabel() == "fall (nats)" and list(lying.ax.lines[-1].get_xdata()) == [0.1, 0.1]
    third = axes.figure.add_subplot()
    plots.phase_map(cells(plane()), third)
    with pytest.raises(ValueError, match="cannot share a bar; give phase_map the same limits for all"):
        plots.phase_bar([axes, third], label="fall")


def test_an_exact_curve_keeps_the_limits_and_carries_its_word(axes):
    plots.phase_map(cells(plane()), axes)
    before = axes.get_xlim(), axes.get_ylim()
    plots.exact_curve(np.array([1.0, 10, 1e6]), np.array([0.1, 0.2, 50]), axes, label="law", at=1 / 3)
    assert (axes.get_xlim(), axes.get_ylim()) == before
    (word,) = axes.texts
    assert word.get_text() == "law" and word.xy == (10, 0.2)


def test_the_table_holds_every_cell_that_is_drawn():
    drawn = cells(plane(), half=0.25)
    table = plots.phase_table({("panel", "series"): drawn})
    assert list(table) == ["panel", "series", "x", "y", "value", "low", "high", "n"] and len(table) == 12
    row = table[(table.x == 100) & (table.y == 0.2)].iloc[0]
    assert (row.value, row.low, row.high, row.n) == (2.0, 1.75, 2.25, 8)
    with pytest.raises(ValueError, match="nothing was drawn"):
        plots.phase_table({})


def test_what_does_not_fit_is_refused(axes):
    with pytest.raises(ValueError, match=r"median has shape \(4, 3\); it must be \[y, x\] = \(3, 4\). Transpose"):
        cells(plane().T)
    with pytest.raises(ValueError, match="x is .* an axis of a map needs two or more numbers that increase"):
        cells(plane(), x=X[::-1])
    with pytest.raises(ValueError, match=r"dimensions \['seed', 'beta', 'step'\]; a phase diagram needs .*'lr'"):
        plots.map_over_seeds(quantity(), x="lr", y="beta")
    with pytest.raises(ValueError, match="scale of x is 'cubic'; it must be one of log, linear"):
        plots.phase_map(cells(plane()), axes, scales=("cubic", "log"))
    with pytest.raises(ValueError, match="the shades begin at 0 on a log scale; give limits above 0"):
        plots.phase_map(cells(plane()), axes, shade="log")
    with pytest.raises(ValueError, match="x begins at 0 and is logarithmic"):
        plots.phase_map(cells(plane(), x=np.array([0.0, 1, 2, 3])), axes)
