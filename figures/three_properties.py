"""The three properties of DPO in one run, with both gradients and their ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

RATIO = plots.Role("|∂ℓ/∂π⁻| / |∂ℓ/∂π⁺|", "#5B2A86", "solid")


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw probabilities, log-probabilities, gradients and their ratio over the steps."""
    ds = data["dpo"]
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    rejected = metrics.over_pairs(metrics.rejected_prob(ds), ds)
    unseen = metrics.over_prompts(metrics.unseen_mass(ds), ds)
    gradient = metrics.over_pairs(metrics.pair_gradient_log_magnitude(ds), ds) / np.log(10)
    ratio = metrics.over_pairs(metrics.log_gradient_ratio(ds), ds) / np.log(10)
    log_chosen = metrics.over_pairs(metrics.chosen_log_prob(ds), ds)
    log_rejected = metrics.over_pairs(metrics.rejected_log_prob(ds), ds)
    law = (log_chosen - log_rejected) / np.log(10)

    shown = {
        ("probability", "chosen"): plots.over_seeds(chosen),
        ("probability", "rejected"): plots.over_seeds(rejected),
        ("probability", "unseen"): plots.over_seeds(unseen),
        ("log-probability", "chosen"): plots.over_seeds(log_chosen),
        ("log-probability", "rejected"): plots.over_seeds(log_rejected),
        ("log-probability", "unseen"): plots.over_seeds(metrics.over_prompts(metrics.log_unseen_mass(ds), ds)),
        ("log10 gradient", "chosen"): plots.over_seeds(gradient.sel(term="chosen", drop=True)),
        ("log10 gradient", "rejected"): plots.over_seeds(gradient.sel(term="rejected", drop=True)),
        ("log10 ratio", "gradients"): plots.over_seeds(ratio),
        ("log10 ratio", "probabilities"): plots.over_seeds(law),
    }
    figure, axes = page.grid(2, 2, aspect=0.78, sharex=True)
    for ax, quantity in zip(axes.flat, ("probability", "log-probability", "log10 gradient"), strict=False):
        for name, role in plots.RESPONSES.items():
            if (quantity, name) in shown:
                plots.curve(shown[quantity, name], ax, role=role)
    plots.curve(shown["log10 ratio", "gradients"], axes[1, 1], role=RATIO, label="ratio of\ngradients")
    law_at = slice(None, None, max(1, ds.sizes["step"] // 12))
    probabilities = shown["log10 ratio", "probabilities"]
    axes[1, 1].plot(
        probabilities.x[law_at], probabilities.median[law_at], "o", markersize=5.5, color="none",
        markeredgecolor=RATIO.color, markerfacecolor="white", zorder=4, label="_law",
    )  # fmt: skip

    value = {key: summary.median for key, summary in shown.items()}
    p, u, fall = (value["probability", name] for name in ("chosen", "unseen", "rejected"))
    top = int(np.argmax(p))
    start = value["log-probability", "chosen"][0]
    low = value["log-probability", "rejected"][-1]
    vanishing, exploding = (value["log10 gradient", name] for name in ("chosen", "rejected"))
    off = float(np.abs(ratio - law).max())
    digits = int(-np.log10(max(off, 1e-15) * np.log(10)))
    plots.panel(
        axes[0, 0], "Probability",
        about=f"chosen peaks at {p[top]:.2f} (step {ds.step.values[top]}), ends at {p[-1]:.2f};\n"
        f"unseen responses go from {u[0]:.2f} to {u[-1]:.2f}",
    )  # fmt: skip
    plots.panel(
        axes[0, 1], "Log-probability (nats)",
        about=f"rejected falls to −{-low:.0f} nats;\nchosen never gains more than {-start:.1f}",
    )  # fmt: skip
    plots.panel(
        axes[1, 0], "Gradient in probability, |∂ℓ/∂π|",
        about=f"on the chosen it shrinks to {plots.power(round(vanishing[-1]))},\n"
        f"on the rejected it grows to {plots.power(round(exploding[-1]))}",
    )  # fmt: skip
    plots.panel(
        axes[1, 1], "Ratio of the two gradients",
        about=f"rejected over chosen; circles are π⁺ / π⁻,\nequal at every step to {digits} digits",
    )  # fmt: skip
    for ax in axes.flat:
        ax.set_ylabel("")
    plots.powers_of_ten(axes[1, 0])
    plots.powers_of_ten(axes[1, 1])
    plots.share_labels(axes)

    return Drawing(
        figure=figure,
        alt=(
            f"Four panels over {ds.step.values[-1]} steps of DPO on an MLP, medians of {ds.sizes['seed']} seeds. The "
            f"chosen response rises from probability {p[0]:.2f} to {p[top]:.2f} at step {ds.step.values[top]}, then "
            f"falls to {p[-1]:.2f}; the rejected one falls from {fall[0]:.2f} to {low:.0f} nats; unseen responses grow "
            f"from {u[0]:.2f} to {u[-1]:.2f}. The gradient with respect to the chosen probability shrinks to "
            f"10^{vanishing[-1]:.1f}, that of the rejected grows to 10^{exploding[-1]:.1f}; their ratio equals the "
            "ratio of the two probabilities at every step."
        ),
        data=plots.table(shown),
        numbers={
            "chosen probability at its peak": (p[top], 0.02),
            "chosen probability at the end": (p[-1], 0.05),
            "unseen mass at the end": (u[-1], 0.05),
            "rejected log-probability at the end": (low, 4.0),
            "log10 gradient on the chosen at the end": (vanishing[-1], 0.5),
            "log10 gradient on the rejected at the end": (exploding[-1], 2.0),
            "largest deviation from the ratio law, log10": (off, 1e-9),
        },
    )


FIGURE = Figure(
    title="DPO drives the rejected response to nothing; the chosen one rises, then falls; unseen responses gain",
    paper="3D-Properties, figure of likelihoods and gradients",
    lines={"dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"},
    draw=draw,
)
