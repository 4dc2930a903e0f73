"""One picture of a record, for whoever ran a line and wants to see it: three panels, a row for each cell."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lab.plots.roles import Role

MOST_ROWS = 6


def picture(dataset: xr.Dataset, *, title: str = "") -> Figure:
    """Draw what a line did: probability, log-probability and gradient of the chosen, the rejected and the unseen.

    Args:
        dataset: A record, with `seed` and any swept axes.
        title: The headline; the record's experiment line if empty.

    Returns:
        A figure of its own, which no window knows: save it with `savefig`. A sweep has one row for each of its
        first six cells.

    Raises:
        ValueError: If the record has no seeds.
    """
    if "seed" not in dataset.dims:
        raise ValueError("the record has no dimension 'seed'; keep it: ds.isel(seed=[0]), not ds.isel(seed=0)")
    from matplotlib.figure import Figure

    swept = [str(dim) for dim in dataset["log_prob"].dims if dim not in ("seed", "step", "prompt", "response")]
    places = [dict(zip(swept, at, strict=True)) for at in product(*(range(dataset.sizes[dim]) for dim in swept))]
    rows = list(islice(places, MOST_ROWS))
    line = str(dataset.attrs.get("experiment", ""))
    if len(places) > len(rows):
        line += f"\nthe first {len(rows)} of {len(places)} cells"
    with plots.style("notebook"):
        width = 1.35 * plots.context("notebook").width
        figure = Figure(figsize=(width, 0.5 + 2.9 * len(rows)), layout="constrained")
        figure.suptitle(title or line, fontsize="medium", wrap=True)
        count = dataset.sizes["seed"]
        if count > 1:
            about = f"line: median of {count} seeds · band: its 95 % interval · faint: every seed"
            figure.supxlabel(about, fontsize="small", color="#555555")
        bands = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for band, place in zip(bands, rows, strict=True):
            if swept:
                band.suptitle(
                    ", ".join(f"{dim} = {dataset[dim].values[at]}" for dim, at in place.items()), fontsize="small"
                )
            _draw_cell(dataset.isel(place), band.subplots(1, 3))
    return figure


def _draw_cell(cell: xr.Dataset, axes: np.ndarray) -> None:
    probability, log_probability, gradient = axes
    unseen = bool(metrics.unseen_mask(cell).any())
    _curves(
        probability,
        {
            plots.CHOSEN: metrics.over_pairs(metrics.chosen_prob(cell), cell),
            plots.REJECTED: metrics.over_pairs(metrics.rejected_prob(cell), cell),
            **({plots.UNSEEN: metrics.over_prompts(metrics.unseen_mass(cell), cell)} if unseen else {}),
        },
    )
    probability.set(ylim=(-0.02, 1.02), ylabel="probability")
    plots.panel(probability, "Who has the mass", about="mean over pairs and prompts")
    _curves(
        log_probability,
        {
            plots.CHOSEN: metrics.over_pairs(metrics.chosen_log_prob(cell), cell),
            plots.REJECTED: metrics.over_pairs(metrics.rejected_log_prob(cell), cell),
            **({plots.UNSEEN: metrics.over_prompts(metrics.log_unseen_mass(cell), cell)} if unseen else {}),
        },
    )
    log_probability.set_ylabel("log-probability (nats)")
    loss = metrics.total_loss(cell).isel(step=[0, -1]).median("seed").values
    plots.panel(log_probability, "How far it moves", about=f"the loss goes from {loss[0]:.3g} to {loss[1]:.3g}")
    magnitude = metrics.over_pairs(metrics.pair_gradient_log_magnitude(cell), cell) / np.log(10)
    _curves(gradient, {plots.CHOSEN: magnitude.sel(term="chosen"), plots.REJECTED: magnitude.sel(term="rejected")})
    gradient.set_ylabel("|d loss / d probability|")
    low, high = gradient.get_ylim()
    missing = max(0.0, 1 - (high - low)) / 2
    gradient.set_ylim(low - missing, high + missing)  # a decade at least, so that the ticks tell values apart
    plots.powers_of_ten(gradient)
    plots.panel(gradient, "Who is pushed", about="gradient of the loss by the probability")


def _curves(ax: Axes, series: dict[Role, xr.DataArray]) -> None:
    from matplotlib.ticker import MaxNLocator

    for role, values in series.items():
        # A response that the loss does not touch has no gradient, and no line.
        if bool(np.isfinite(values).any()):
            plots.curve(plots.over_seeds(values), ax, role=role)
    ax.set_xlim(0, float(next(iter(series.values()))["step"].max()))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
