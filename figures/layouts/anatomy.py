"""Likelihoods, gradients and push of one objective beside DPO's: shared by the figures of IPO and of SLiC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

# DPO is the thin grey line of comparison in every panel.
DPO = replace(plots.REFERENCE, label="DPO", width=0.75)
RATIO = plots.Role("ratio", "#5B2A86", "solid")
# Panels in reading order: the objective's own lines, and the one of DPO that stands beside them.
PANELS = {
    "probability": (("rejected", "unseen", "chosen"), "chosen"),
    "log-probability": (("rejected", "chosen"), "rejected"),
    "log10 gradient": (("chosen", "rejected"), "rejected"),
    "log10 ratio": (("ratio",), "ratio"),
    "push over steps": (("push",), "push"),
    "push over margin": (("push",), "push"),
}
CIRCLES = (0, 20, 40, 60, *range(100, 500, 40))
# Log-ratio margins up to twice SLiC's hinge at beta = 0.1; DPO goes on.
FARTHEST = 20.0
POINTS = 800
# A chosen response that ends this close to its peak has stayed there.
STAYS = 0.02


def draw_anatomy(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw probability, log-probability, both gradients, their ratio, and the push over steps and over the margin."""
    (name,) = (each for each in data if each != "dpo")
    label, ds = plots.role(name).label, data[name]
    mine, theirs = _quantities(ds), _quantities(data["dpo"])
    chosen = mine["probability", "chosen"].median
    stays = chosen.max() - chosen[-1] < STAYS
    figure, axes = page.grid(
        3, 2, aspect=1.04, title=page.title if stays else f"{label}: likelihoods, gradients and push beside DPO's"
    )
    roles = {**plots.RESPONSES, "ratio": RATIO, "push": plots.role(name)}
    shown: dict[tuple[str, str], plots.Summary] = {}
    for ax, (quantity, (words, against)) in zip(axes.flat, PANELS.items(), strict=True):
        whose = f"DPO's {against}" if against in plots.RESPONSES else "DPO"
        shown[quantity, whose] = theirs[quantity, against]
        plots.curve(theirs[quantity, against], ax, role=DPO, label=whose, seeds=False)
        for word in words:
            text = word if word in plots.RESPONSES else label
            shown[quantity, text] = mine[quantity, word]
            _line(mine[quantity, word], ax, roles[word], text)
    off = _circles(ds, axes[1, 1], shown)

    margin = plots.over_seeds(metrics.over_pairs(metrics.log_ratio_margin(ds), ds)).median
    push = mine["push over steps", "push"].median
    stop = int(ds.step.values[np.argmax(push <= 0)])
    target = float(metrics.log_ratio_margin(ds).where(_push(ds) > 0).max())
    beside = theirs["push over margin", "push"]
    dpo_there = float(beside.median[np.searchsorted(beside.x, target)])
    ends = {key: (summary.median[-1], theirs[key].median[-1]) for key, summary in mine.items()}
    _titles(axes, ends, mine, label=label, stop=stop, target=target, margin=margin[-1], dpo_there=dpo_there)
    axes[2, 1].plot([margin[-1]], [push[-1]], "o", color=plots.role(name).color, zorder=6)
    return Drawing(
        figure=figure,
        alt=(
            f"Six panels, {label} beside DPO on an MLP over {ds.step.values[-1]} steps, medians of "
            f"{ds.sizes['seed']} seeds. {label}'s push on both responses first reaches zero at step {stop}, at a "
            f"log-ratio margin of {target:.1f}; the margin ends at {margin[-1]:.1f}. The chosen response ends at "
            f"{chosen[-1]:.2f} (DPO {ends['probability', 'chosen'][1]:.2f}), the rejected one at "
            f"{ends['log-probability', 'rejected'][0]:.1f} nats (DPO {ends['log-probability', 'rejected'][1]:.0f}). "
            f"The ratio of the two gradients equals the ratio of the two probabilities and ends at "
            f"10^{ends['log10 ratio', 'ratio'][0]:.1f} (DPO 10^{ends['log10 ratio', 'ratio'][1]:.0f})."
        ),
        data=plots.table(shown),
        numbers={
            "chosen probability at the end": (chosen[-1], 0.03),
            "rejected log-probability at the end": (ends["log-probability", "rejected"][0], 1.0),
            "step at which the push first reaches zero": (stop, 8.0),
            "log-ratio margin at the end": (margin[-1], 0.5),
            "log-ratio margin at which the push reaches zero": (target, 0.1),
            "log10 ratio at the end": (ends["log10 ratio", "ratio"][0], 0.4),
            "largest deviation from the ratio law, log10": (off, 1e-9),
        },
    )


def _titles(
    axes: np.ndarray,
    ends: Mapping[tuple[str, str], tuple[float, float]],
    mine: Mapping[tuple[str, str], plots.Summary],
    *,
    label: str,
    stop: int,
    target: float,
    margin: float,
    dpo_there: float,
) -> None:
    """Write above each panel what is seen in it, and put its axes right."""
    chosen, rejected = ends["probability", "chosen"], ends["log-probability", "rejected"]
    ratio, push = ends["log10 ratio", "ratio"], ends["push over steps", "push"]
    gradient = [mine["log10 gradient", word].median for word in ("chosen", "rejected")]
    dpo_gradient = ends["log10 gradient", "rejected"][1]
    turns = mine["push over steps", "push"].median.min()
    plots.panel(
        axes[0, 0], "Probability",
        about=f"{label}'s chosen response ends at {chosen[0]:.2f},\nDPO's at {chosen[1]:.2f}",
    )  # fmt: skip
    plots.panel(
        axes[0, 1], "Log-probability (nats)",
        about=f"the rejected response stops at −{-rejected[0]:.1f};\nDPO's falls to −{-rejected[1]:.0f}",
    )  # fmt: skip
    if np.isfinite(gradient[0][-1]):
        end = " and ".join(plots.power(round(each[-1])) for each in gradient)
        about = f"on chosen and rejected it ends at {end};"
    else:
        about = f"on chosen and rejected it is gone at step {stop};"
    plots.panel(
        axes[1, 0], "Gradient in probability, ‖∂L/∂π‖",
        about=f"{about}\nDPO's on the rejected grows to {plots.power(round(dpo_gradient))}",
    )  # fmt: skip
    plots.panel(
        axes[1, 1], "Ratio of the two gradients",
        about="equals π⁺ / π⁻ (line; circles measured) as in DPO;\n"
        f"it ends at {_number(ratio[0])}, DPO's at {_number(ratio[1])}",
    )  # fmt: skip
    pulls = f", then pulls back (to {turns:.2f})".replace("-", "−") if turns < -0.005 else ""
    plots.panel(
        axes[2, 0], "Push −∂ℓ/∂log π⁺, share of its start",
        about=f"{label}'s is zero at step {stop}{pulls};\nDPO's keeps {100 * push[1]:.1f} % at the end",
    )  # fmt: skip
    goes_on = "Adam carries the runs on to" if margin > 1.05 * target else "the runs come to rest at"
    plots.panel(
        axes[2, 1], "The same push over the log-ratio margin",
        about=f"{label}'s is zero at {target:.1f} nats, DPO's {dpo_there:.2f} there;\n{goes_on} {margin:.1f} (dot)",
    )  # fmt: skip
    plots.powers_of_ten(axes[1, 0])
    plots.powers_of_ten(axes[1, 1])
    low = min(turns, mine["push over margin", "push"].median.min())
    for ax in axes[2]:
        ax.axhline(0, color="#555555", linewidth=0.6, zorder=1)
        ax.set_ylim(min(-0.08, 1.4 * low), 1.05)
    axes[2, 1].set_xlim(0, FARTHEST)
    axes[2, 1].set_xticks(np.linspace(0, FARTHEST, 5))
    axes[2, 1].set_xlabel("log-ratio margin (nats)")
    for ax in axes.flat:
        ax.set_ylabel("")
    for ax in axes[0]:
        ax.set_xlabel("")


def _quantities(ds: xr.Dataset) -> dict[tuple[str, str], plots.Summary]:
    """Summarise over seeds everything that the panels show of one objective."""
    gradient = metrics.gradient_log_norm(ds).sel(space="probability", drop=True) / np.log(10)
    log_prob = {"chosen": metrics.chosen_log_prob(ds), "rejected": metrics.rejected_log_prob(ds)}
    push = _push(ds)
    values = {
        ("probability", "chosen"): metrics.over_pairs(metrics.chosen_prob(ds), ds),
        ("probability", "rejected"): metrics.over_pairs(metrics.rejected_prob(ds), ds),
        ("probability", "unseen"): metrics.over_prompts(metrics.unseen_mass(ds), ds),
        ("log-probability", "chosen"): metrics.over_pairs(log_prob["chosen"], ds),
        ("log-probability", "rejected"): metrics.over_pairs(log_prob["rejected"], ds),
        ("log10 gradient", "chosen"): gradient.sel(term="chosen", drop=True),
        ("log10 gradient", "rejected"): gradient.sel(term="rejected", drop=True),
        ("log10 ratio", "ratio"): metrics.over_pairs(log_prob["chosen"] - log_prob["rejected"], ds) / np.log(10),
        ("push over steps", "push"): metrics.over_pairs(push, ds),
    }
    summaries = {key: plots.over_seeds(value) for key, value in values.items()}
    return {**summaries, ("push over margin", "push"): _over_margin(push, metrics.log_ratio_margin(ds))}


def _push(ds: xr.Dataset) -> xr.DataArray:
    """Pick the push on the chosen response: every objective here pushes the rejected one down as hard."""
    return metrics.remaining_push(ds).sel(term="chosen", drop=True)


def _over_margin(push: xr.DataArray, margin: xr.DataArray) -> plots.Summary:
    """Lay the states of all seeds, steps and pairs side by side, by their margin: the push depends on nothing else."""
    x, y = margin.values.ravel(), push.transpose(*margin.dims).values.ravel()
    order = np.argsort(x, kind="stable")
    order = order[(x[order] >= 0) & (x[order] <= FARTHEST)]
    even = np.searchsorted(x[order], np.linspace(0, x[order[-1]], POINTS))
    order = order[np.unique(even)]
    x, y = x[order], y[order]
    return plots.Summary(x, y, y, y, np.empty((0, len(x))), np.empty(0), "log-ratio margin", "push left")


def _line(summary: plots.Summary, ax: Axes, role: plots.Role, text: str) -> None:
    """Draw a curve; one that ends early has its word where it ends."""
    finite = np.flatnonzero(np.isfinite(summary.median))
    last = finite[-1]
    stops = last < len(summary.x) - 1
    here = stops or summary.x_name != "step"
    plots.curve(summary, ax, role=role, label="" if here else text)
    if here:
        end = (summary.x[last], summary.median[last])
        ax.annotate(
            text, end, xytext=(6, 2), textcoords="offset points", va="bottom", fontsize="small", color=role.color
        )
    if stops:
        ax.plot(*end, role.marker, color=role.color, zorder=5)


def _circles(ds: xr.Dataset, ax: Axes, shown: dict[tuple[str, str], plots.Summary]) -> float:
    """Put the measured ratio of the gradients on the line of the probabilities; return the largest deviation."""
    ratio = metrics.over_pairs(metrics.log_gradient_ratio(ds), ds) / np.log(10)
    chosen, rejected = metrics.chosen_log_prob(ds), metrics.rejected_log_prob(ds)
    law = metrics.over_pairs(chosen - rejected, ds) / np.log(10)
    measured = plots.over_seeds(ratio.sel(step=[step for step in CIRCLES if step in ds.step.values]))
    shown["log10 ratio", "measured"] = measured
    ax.plot(
        measured.x, measured.median, "o", markersize=5.5, markeredgecolor=RATIO.color, markerfacecolor="white",
        zorder=4, label="_measured",
    )  # fmt: skip
    return float(np.nanmax(np.abs(ratio - law)))


def _number(exponent: float) -> str:
    """Write a ratio from its exponent: 148, 10⁶."""
    return f"{10**exponent:.0f}" if exponent < 4 else plots.power(round(exponent))
