"""Where the two responses start: who gives mass to the unseen on the way, and who falls in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.properties import Thresholds

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MESSAGE = (
    "In a table unseen mass rises only where the rejected response starts higher; in the network the chosen one falls "
    "the deeper, the higher it starts"
)
PLAIN = "What the start probabilities of chosen and rejected decide"
LIMITS = {"rise": Thresholds().dispersion, "fall": Thresholds().degradation}
LEAST, MOST = 0.01, 0.48
# Policy to its title, its line's end, and the number of values of either probability.
SETTINGS = {
    "tabular": ("Table, SGD", "tabular s2 dpo beta=0.1 sgd lr=5 steps=80 seeds=20 spread=even", 16),
    "loglinear": ("Log-linear, Adam", "loglinear s2 dpo beta=0.1 adam lr=0.05 steps=500 seeds=20 every=10", 16),
    "mlp": ("MLP, Adam", "mlp s2 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=20 every=10 dtype=float32", 6),
}
ROWS = {
    "rise": "rise of the unseen mass\nabove its start, at its most",
    "fall": "fall of the chosen response\nfrom its peak, at the end",
}
NOTE = (
    "line: the quantity is 0.01, median of 20 seeds, dotted where its 95 % interval leaves the side open; dashed: both "
    "start alike; dash-dotted: where a table's rise is 0.01, exactly"
)


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the rise of the unseen mass and the fall of the chosen response over both start probabilities."""
    shown = {
        (row, name): plots.map_over_seeds(read(data[name]), x="off", y="on")
        for row, read in (("rise", _rise), ("fall", _fall))
        for name in SETTINGS
    }
    shares = {key: _share(each, LIMITS[key[0]]) for key, each in shown.items()}
    below = {name: _on_the_wrong_side(shown["rise", name]) for name in SETTINGS}
    deeper = np.diff(shown["fall", "mlp"].median.mean(0))
    holds = (
        below["tabular"] == 0 and shares["fall", "tabular"] == 0 and shares["fall", "mlp"] > 0.9 and deeper.min() > 0
    )
    error = float(np.abs(shown["rise", "tabular"].median - _exact(shown["rise", "tabular"])).max())

    figure, axes = page.grid(2, 3, aspect=0.72, sharex=True, sharey=True, title=MESSAGE if holds else PLAIN, note=NOTE)
    for row, line in zip(ROWS, axes, strict=True):
        for ax, (name, (title, _, _)) in zip(line, SETTINGS.items(), strict=True):
            plots.phase_map(shown[row, name], ax, threshold=LIMITS[row], limits=(0.0, 0.4))
            _curves(ax, label=ax is axes[0, 0])
            where = f"above 0.01 in {shares[row, name]:.0%} of the plane".replace("%", " %")
            plots.panel(ax, title if row == "rise" else "", about=where)
            ax.set(xlabel="start of chosen", ylabel="start of rejected", xlim=(LEAST, MOST), ylim=(LEAST, MOST))
        bar = plots.phase_bar(list(line), label=ROWS[row], threshold=LIMITS[row])
        bar.set_ticks([0, 0.2, 0.4])
    plots.share_labels(axes)

    rows = shown["fall", "mlp"].median
    return Drawing(
        figure=figure,
        alt=(
            f"Six maps over the start probabilities of the chosen and the rejected response, {LEAST:g} to {MOST:g} "
            f"each. The unseen mass rises by more than 0.01 in {shares['rise', 'tabular']:.0%} of the plane in a "
            f"table, by at most {below['tabular']:.3f} where the chosen one starts at least as high, in "
            f"{shares['rise', 'loglinear']:.0%} in a log-linear policy and in {shares['rise', 'mlp']:.0%} in the MLP. "
            f"The chosen response falls by more than 0.01 in {shares['fall', 'tabular']:.0%}, "
            f"{shares['fall', 'loglinear']:.0%} and {shares['fall', 'mlp']:.0%}; in "
            f"the MLP by {np.median(rows[:, 0]):.2f} where it starts at {LEAST:g} and by {np.median(rows[:, -1]):.2f} "
            f"where it starts at {MOST:g}, whatever the rejected one does. The table's rise is within {error:.4f} of "
            "its exact value."
        ),
        data=plots.phase_table({(SETTINGS[name][0], row): each for (row, name), each in shown.items()}),
        numbers={
            **{f"share of the plane, {row}, {name}": (value, 0.06) for (row, name), value in shares.items()},
            f"fall in the MLP from {LEAST:g}": (float(np.median(rows[:, 0])), 0.04),
            f"fall in the MLP from {MOST:g}": (float(np.median(rows[:, -1])), 0.08),
            "largest distance of the table's rise from the exact one": (error, 2e-3),
        },
    )


def _rise(ds: xr.Dataset) -> xr.DataArray:
    unseen = metrics.over_prompts(metrics.unseen_mass(ds), ds)
    return unseen.max("step") - unseen.isel(step=0, drop=True)


def _fall(ds: xr.Dataset) -> xr.DataArray:
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    return metrics.below_peak(chosen).isel(step=-1, drop=True)


def _share(drawn: plots.Phases, limit: float) -> float:
    return float((drawn.median > limit).mean())


def _on_the_wrong_side(drawn: plots.Phases) -> float:
    """Return the largest median rise where the chosen response starts at least as high as the rejected one."""
    return float(drawn.median[drawn.y[:, None] <= drawn.x].max())


def _exact(drawn: plots.Phases) -> np.ndarray:
    return metrics.largest_unseen_rise(drawn.x, drawn.y[:, None])


def _curves(ax: Axes, *, label: bool) -> None:
    """Draw where both start alike, and where the table's exact rise is at the limit."""
    p = np.geomspace(LEAST / 2, MOST, 400)
    plots.exact_curve(p, p, ax, label="alike" if label else "", at=0.3)
    q = np.geomspace(LEAST / 2, MOST, 2000)
    past = metrics.largest_unseen_rise(p[:, None], q) >= LIMITS["rise"]
    first = np.where(past.any(1), q[past.argmax(1)], np.nan)
    plots.exact_curve(p, first, ax, line="dashdot")


def _line(end: str, count: int) -> str:
    starts = ",".join(f"{value:.3g}" for value in np.geomspace(LEAST, MOST, count))
    return f"{end} keep=none on={starts} off={starts}"


FIGURE = Figure(
    title=MESSAGE,
    paper="extends 3D-Properties, its four scenarios of data, to every start",
    lines={name: _line(end, count) for name, (_, end, count) in SETTINGS.items()},
    draw=draw,
)
