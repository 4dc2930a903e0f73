"""Width, activation and number of features: how the chosen response at equal loss depends on the room there is."""

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

MESSAGE = "The fewer units or features prompts share, the deeper the chosen response falls; with tanh it does not fall"
PLAIN = "How far the chosen response has fallen at equal loss depends on the room that prompts share"
# Every run reaches this loss; runs are compared there.
REACHED = 0.01
LOSSES = np.geomspace(0.69, REACHED, 60)
WIDTHS = "8,16,32,64,128"
FEWER = "8,32,128"
FEATURES = "16,32,64,128,256"
PANELS = {
    "relu": ("ReLU layers", "width"),
    "tanh": ("tanh layers", "width"),
    "loglinear": ("Log-linear policy", "features"),
}
NAMES = {"width": "width of the hidden layers", "features": "number of features"}
OPTIMIZERS = ("sgd", "adam")


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen probability at equal loss over width or features, one panel for each kind of policy."""
    shown, fell = {}, {}
    for panel, (_, axis) in PANELS.items():
        for name in OPTIMIZERS:
            ds = data[f"{panel} {name}"]
            chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
            read = metrics.when_reached(chosen, metrics.total_loss(ds), LOSSES, falling=True)
            end = read.isel(level=-1, drop=True)
            shown[panel, name] = plots.over_seeds(end, x=axis)
            fell[panel, name] = (read.max("level") - end).median("seed").values > Thresholds().degradation
    fades = all(
        fell[panel, name][0] and not fell[panel, name][-1] for panel in ("relu", "loglinear") for name in OPTIMIZERS
    )
    never = not any(fell["tanh", name].any() for name in OPTIMIZERS)

    figure, axes = page.grid(
        1, 3, aspect=0.46, sharey=True, title=MESSAGE if fades and never else PLAIN,
        note="median and 95 % bootstrap interval, every seed a faint dot",
    )  # fmt: skip
    for ax, (panel, (title, axis)) in zip(axes[0], PANELS.items(), strict=True):
        for name in OPTIMIZERS:
            _draw_sweep(shown[panel, name], ax, plots.OPTIMIZERS[name], label=ax is axes[0, 2])
        ax.set(ylim=(0, 1.03), xlabel=NAMES[axis], ylabel="")
        plots.panel(
            ax,
            title,
            about="\n".join(_until(name, axis, shown[panel, name].x, fell[panel, name]) for name in OPTIMIZERS),
        )
    axes[0, 0].set_ylabel(f"probability of chosen at loss {REACHED:g}")

    first, last = ({key: float(summary.median[at]) for key, summary in shown.items()} for at in (0, -1))
    low = min(float(shown["tanh", name].median.min()) for name in OPTIMIZERS)
    return Drawing(
        figure=figure,
        alt=(
            f"Probability of the chosen response when the loss has fallen to {REACHED:g}, medians of "
            f"{shown['relu', 'sgd'].count} seeds. ReLU layers of width {shown['relu', 'sgd'].x[0]}: "
            f"{first['relu', 'sgd']:.2f} under SGD and {first['relu', 'adam']:.2f} under Adam; of width "
            f"{shown['relu', 'sgd'].x[-1]}: {last['relu', 'sgd']:.2f} and {last['relu', 'adam']:.2f}. With tanh it is "
            f"{np.floor(1000 * low) / 1000:.3f} or more at every width under both. Log-linear policy with "
            f"{shown['loglinear', 'sgd'].x[0]} features: {first['loglinear', 'sgd']:.2f} and "
            f"{first['loglinear', 'adam']:.2f}; with {shown['loglinear', 'sgd'].x[-1]}: "
            f"{last['loglinear', 'sgd']:.2f} and {last['loglinear', 'adam']:.2f}."
        ),
        data=plots.table({(PANELS[panel][0], name): summary for (panel, name), summary in shown.items()}),
        numbers={
            f"chosen at equal loss, {panel}, {name}, {word}": (
                value[panel, name],
                0.12 if panel != "tanh" and word == "least" else 0.02,
            )
            for panel in PANELS
            for name in OPTIMIZERS
            for word, value in (("least", first), ("most", last))
        },
    )


def _draw_sweep(summary: plots.Summary, ax: Axes, role: plots.Role, *, label: bool) -> None:
    """Draw one optimiser over width or features; a seed is another network at each of them: a dot, not a line."""
    plots.curve(summary, ax, role=role, markers=True, label=None if label else "", seeds=False)
    shift = 2 ** (0.09 if role is plots.OPTIMIZERS["adam"] else -0.09)
    ax.plot(
        summary.x * shift,
        summary.seeds.T,
        ".",
        color=role.color,
        alpha=0.3,
        markersize=3.5,
        markeredgewidth=0,
        zorder=2,
    )
    ax.set_xscale("log", base=2)
    ax.set(xlim=(summary.x[0] / 1.35, summary.x[-1] * 1.35), xticks=summary.x)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _until(name: str, axis: str, sizes: np.ndarray, fell: np.ndarray) -> str:
    """Say up to which size the median run falls."""
    label = plots.OPTIMIZERS[name].label
    if not fell.any():
        return f"{label}: no fall in the median"
    return f"{label}: it falls with up to {sizes[fell].max()} {'units' if axis == 'width' else axis}"


FIGURE = Figure(
    title=MESSAGE,
    paper="new: 3D-Properties names neither width nor activation",
    lines={
        "relu sgd": f"mlp s1 dpo beta=0.1 sgd lr=1 steps=150 seeds=24 width={WIDTHS} keep=none",
        "relu adam": f"mlp s1 dpo beta=0.1 adam lr=3e-3 steps=300 seeds=24 width={WIDTHS} keep=none",
        "tanh sgd": f"mlp s1 dpo beta=0.1 sgd lr=10 steps=300 seeds=24 width={FEWER} activation=tanh keep=none",
        "tanh adam": f"mlp s1 dpo beta=0.1 adam lr=3e-2 steps=400 seeds=24 width={FEWER} activation=tanh keep=none",
        "loglinear sgd": f"loglinear s1 dpo beta=0.1 sgd lr=200 steps=500 seeds=24 features={FEATURES} keep=none",
        "loglinear adam": f"loglinear s1 dpo beta=0.1 adam lr=0.5 steps=500 seeds=24 features={FEATURES} keep=none",
    },
    draw=draw,
)
