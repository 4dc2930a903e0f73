"""The ladder from a table to a network on the same pairs: where the fall of the chosen response comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.intervals import interval
from lab.properties import Thresholds

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

POLICIES = ("tabular", "loglinear", "mlp")
SETTINGS = {"adam": "Adam, four prompts", "sgd": "SGD, four prompts", "alone": "Adam, one prompt alone"}
# Rates at which every run of a policy passes the last margin within its steps.
RATES = {
    "adam": {"tabular": "adam lr=0.3", "loglinear": "adam lr=0.5", "mlp": "adam lr=1e-3"},
    "sgd": {"tabular": "sgd lr=200", "loglinear": "sgd lr=200", "mlp": "sgd lr=0.3"},
}
RATES["alone"] = {policy: f"{rate} prompts=1" for policy, rate in RATES["adam"].items()}
LAST = 5.0
MARGINS = np.linspace(0, LAST, 101)
PARTS = {
    "chosen": {"color": plots.CHOSEN.color},
    "chosen elsewhere": {"color": "#FFFFFF", "edgecolor": plots.CHOSEN.color, "hatch": "/////"},
    "other unseen": {"color": "#777777"},
}


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen probability over the margin for three policies, and who holds the mass at the last margin."""
    shown, falls, parts = {}, {}, {}
    for setting in SETTINGS:
        for policy in POLICIES:
            ds = data[f"{policy} {setting}"]
            margin = metrics.over_pairs(metrics.margin(ds), ds)
            chosen = metrics.when_reached(metrics.over_pairs(metrics.chosen_prob(ds), ds), margin, MARGINS)
            shown[setting, policy] = plots.over_seeds(chosen, x="level")
            falls[setting, policy] = (chosen.max("level") - chosen.isel(level=-1)).values
            mass = metrics.over_prompts(metrics.mass_by_kind(ds), ds)
            held = {
                kind: metrics.when_reached(mass.sel(kind=kind, drop=True), margin, [LAST]).isel(level=0).values
                for kind in metrics.KINDS
            }
            rest = sum(held[kind] for kind in ("rejected", "rejected elsewhere", "never named"))
            parts[setting, policy] = np.stack([held["chosen"], held["chosen elsewhere"], rest])

    figure, axes = page.grid(2, 2, aspect=0.82)
    for ax, (setting, title) in zip(axes.flat, SETTINGS.items(), strict=False):
        for policy in POLICIES:
            plots.curve(shown[setting, policy], ax, role=plots.POLICIES[policy])
        ax.set(ylim=(0, 1.03), ylabel="probability of the chosen response", xlabel="margin reached (nats)")
        plots.panel(ax, title, about=_about(setting, shown, falls))
    axes[0, 1].set_ylabel("")
    means = _bars(parts, axes[1, 1])
    plots.panel(
        axes[1, 1], f"Who holds the mass at margin {LAST:g}",
        about="blue: chosen; striped: chosen for another prompt;\ngrey: other unseen. Mean and interval over seeds",
    )  # fmt: skip

    p = {key: summary.median for key, summary in shown.items()}
    count = shown["adam", "mlp"].count
    few = int((falls["alone", "loglinear"] > Thresholds().degradation).sum())
    worst = max(float(falls[setting, "tabular"].max()) for setting in SETTINGS)
    return Drawing(
        figure=figure,
        alt=(
            f"Probability of the chosen response over the margin reached, up to {LAST:g} nats, for a table, a "
            f"log-linear policy and an MLP; medians of {count} seeds. With four prompts under Adam the table ends at "
            f"{p['adam', 'tabular'][-1]:.2f}, the MLP falls from {p['adam', 'mlp'].max():.2f} to "
            f"{p['adam', 'mlp'][-1]:.2f}, the log-linear policy from {p['adam', 'loglinear'].max():.2f} to "
            f"{p['adam', 'loglinear'][-1]:.2f}. Under SGD the log-linear policy ends at "
            f"{p['sgd', 'loglinear'][-1]:.2f}, the MLP at {p['sgd', 'mlp'][-1]:.2f}. With one prompt alone all "
            f"three end at {min(p['alone', policy][-1] for policy in POLICIES):.2f}; the log-linear one falls in {few} "
            f"seeds. Of the mass that the MLP loses under Adam, {means['adam', 'mlp'][1]:.2f} sit on responses chosen "
            f"for other prompts and {means['adam', 'mlp'][2]:.2f} on the rest; log-linear: "
            f"{means['adam', 'loglinear'][1]:.2f} and {means['adam', 'loglinear'][2]:.2f}."
        ),
        data=pd.concat(
            [plots.table({(SETTINGS[s], policy): each for (s, policy), each in shown.items()}), _table(parts)]
        ),
        numbers={
            "largest fall of the chosen response in any table": (worst, 1e-6),
            "chosen at the last margin, log-linear, Adam": (p["adam", "loglinear"][-1], 0.08),
            "chosen at the last margin, MLP, Adam": (p["adam", "mlp"][-1], 0.05),
            "chosen at the last margin, log-linear, SGD": (p["sgd", "loglinear"][-1], 0.08),
            "chosen at the last margin, MLP, SGD": (p["sgd", "mlp"][-1], 0.01),
            "largest fall of the MLP with one prompt": (float(falls["alone", "mlp"].max()), 1e-3),
            "mass on responses chosen elsewhere, MLP, Adam": (means["adam", "mlp"][1], 0.05),
            "mass on other unseen responses, MLP, Adam": (means["adam", "mlp"][2], 0.01),
        },
    )


def _about(setting: str, shown, falls) -> str:  # noqa: ANN001
    """Say which policies fall, and from where to where."""
    threshold = Thresholds().degradation
    words, steady = [], []
    for policy in POLICIES:
        median, fall = shown[setting, policy].median, falls[setting, policy]
        label, count = plots.POLICIES[policy].label, int((fall > threshold).sum())
        if np.median(fall) > threshold:
            words.append(f"{label} {median.max():.2f} → {median[-1]:.2f}")
        elif count:
            words.append(f"{label} falls in {count} of {len(fall)} seeds")
        else:
            steady.append(label)
    return "\n".join(", ".join(part) for part in (words, [f"no fall: {', '.join(steady)}"] if steady else []) if part)


def _bars(parts: Mapping[tuple[str, str], np.ndarray], ax: Axes) -> dict[tuple[str, str], np.ndarray]:
    """Draw the mean mass of each kind as one bar for each policy and optimiser; returns the means."""
    means, names, place = {}, [], 0.0
    for setting in ("adam", "sgd"):
        ax.text(0, place, SETTINGS[setting], fontsize="small", color="#555555", va="center")
        place += 0.75
        for policy in POLICIES:
            held = parts[setting, policy]
            means[setting, policy] = held.mean(1)
            left = 0.0
            for width, look in zip(means[setting, policy], PARTS.values(), strict=True):
                ax.barh(place, width, left=left, height=0.72, linewidth=0, **look)
                left += width
            _, low, high = interval(held[0])
            ax.hlines(place, low, high, color="#000000", linewidth=1.6, zorder=4)
            names.append((place, plots.POLICIES[policy].label))
            place += 1.0
        place += 0.1
    ax.set_yticks([place for place, _ in names], [name for _, name in names])
    ax.set_ylim(place - 0.5, -0.45)
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, 1), xlabel="probability")
    return means


def _table(parts: Mapping[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    """The bars: mean over seeds of each kind's mass, with its interval."""
    rows = []
    for (setting, policy), held in parts.items():
        for name, each in zip(PARTS, held, strict=True):
            mean, low, high = interval(each)
            series = f"{policy}, {SETTINGS[setting]}"
            rows.append(
                {
                    "panel": "mass at the last margin",
                    "series": series,
                    "x": name,
                    "y": mean,
                    "low": low,
                    "high": high,
                    "n": len(each),
                }
            )
    return pd.DataFrame(rows)


FIGURE = Figure(
    title="A table never lowers the chosen response; parameters shared between prompts can",
    paper="new: a table cannot show the degradation of 3D-Properties",
    lines={
        f"{policy} {setting}": f"{policy} s1 dpo beta=0.1 {RATES[setting][policy]} steps=500 seeds=24"
        for setting in SETTINGS
        for policy in POLICIES
    },
    draw=draw,
)
