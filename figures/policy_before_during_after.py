"""The policy as a table of prompts and responses before, during and after training with DPO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots
from lab.intervals import interval

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = "DPO first gathers the mass on the chosen responses, then lets it leak to responses chosen for other prompts"
PLAIN = "DPO first gathers the mass on the chosen responses, then lets some of it leak to unseen ones"
# Grey of the lower row begins here: the rejected responses reach 1e-33.
FLOOR = 1e-40
MOST = 0.9
TOGETHER = 0.8


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the mean policy at three steps, and below it the exponents of its median."""
    ds = data["dpo"]
    chosen = plots.over_seeds(metrics.over_pairs(metrics.chosen_prob(ds), ds))
    rejected = plots.over_seeds(metrics.over_pairs(metrics.rejected_log_prob(ds), ds) / np.log(10))
    unseen = plots.over_seeds(metrics.over_prompts(metrics.unseen_mass(ds), ds))
    by_kind = metrics.over_prompts(metrics.mass_by_kind(ds), ds)
    elsewhere = plots.over_seeds(by_kind.sel(kind="chosen elsewhere", drop=True))
    places = (0, int(np.argmax(chosen.median)), ds.sizes["step"] - 1)
    leaks = elsewhere.median[-1] > MOST * unseen.median[-1]

    prob = metrics.prob(ds).isel(step=list(places))
    exponent = (ds["log_prob"] / np.log(10)).isel(step=list(places))
    pairs = list(zip(ds["pair_prompt"].values, ds["chosen"].values, ds["rejected"].values, strict=True))
    figure, axes = page.grid(
        2, 3, aspect=0.56, sharex=True, sharey=True, title=MESSAGE if leaks else PLAIN,
        note="outlined: chosen solid blue, rejected dashed orange. Cells: mean over the seeds, so that a row sums to 1 "
        "(below: median exponent); in grey: medians, with 95 % bootstrap interval",
    )  # fmt: skip
    moments = ("Before", "At the peak", "After")
    parts = []
    for column, (word, place) in enumerate(zip(moments, places, strict=True)):
        above, below = axes[:, column]
        step = int(ds.step.values[place])
        plots.heat_map(prob.isel(step=column).mean("seed").values, above, pairs=pairs, linear=True)
        median = exponent.isel(step=column).median("seed").values
        plots.heat_map(10.0**median, below, pairs=pairs, floor=FLOOR, exponents=True)
        plots.panel(
            above, f"{word}: step {step}",
            about=f"chosen {_with_interval(chosen, place)}\n"
            f"unseen {unseen.median[place]:.2f} · rejected {_short(rejected.median[place])}",
        )  # fmt: skip
        parts += _means(prob.isel(step=column, drop=True), f"step {step}, mean probability")
        parts.append(_exponents(exponent.isel(step=column, drop=True), f"step {step}, log10 of probability"))
    kind = metrics.response_kind(ds)
    fell = {word: exponent.where(kind == word).median(("seed", "prompt", "response")).values for word in metrics.KINDS}
    together = fell["rejected elsewhere"][-1] < TOGETHER * fell["rejected"][-1] < 0
    words = "As powers of ten" + (": what one prompt rejects falls for all" if together else "")
    plots.panel(axes[1, 0], words, about="a cell holds the exponent:\n−2 stands for about 0.01")
    for column in (1, 2):
        own, other, never = (
            plots.power(round(fell[word][column])) for word in ("rejected", "rejected elsewhere", "never named")
        )
        plots.panel(axes[1, column], "", about=f"rejected {own}, never named {never},\nrejected elsewhere {other}")
    # Cells beside these words hold no number: the mass has left them.
    for text, x, y, role in (("chosen", 4.6, 3, plots.CHOSEN), ("rejected", 6.6, 0, plots.REJECTED)):
        axes[0, 1].annotate(
            text, (x - 1.1, y), xytext=(x, y), va="center", fontsize="small", color=role.color,
            arrowprops={"arrowstyle": "-", "color": role.color, "linewidth": 0.8},
        )  # fmt: skip
    for ax in axes.flat:
        ax.set_xlabel("response")
        ax.set_ylabel("prompt")
    plots.share_labels(axes)

    first, top, last = (chosen.median[place] for place in places)
    return Drawing(
        figure=figure,
        alt=(
            f"Tables of {ds.sizes['prompt']} prompts by {ds.sizes['response']} responses at three steps of DPO on an "
            f"MLP, {ds.sizes['seed']} seeds. Before: chosen and rejected hold {first:.2f} each. At step "
            f"{ds.step.values[places[1]]} the chosen responses hold {top:.2f} and the rejected ones "
            f"10^{rejected.median[places[1]]:.0f}. At step {ds.step.values[-1]} the chosen ones are down to "
            f"{last:.2f}, the rejected ones at 10^{rejected.median[-1]:.0f}; unseen responses hold "
            f"{unseen.median[-1]:.2f}, of which {elsewhere.median[-1]:.2f} lie on responses that are chosen for other "
            f"prompts. Responses rejected for other prompts fell to 10^{fell['rejected elsewhere'][-1]:.0f} as well."
        ),
        data=pd.concat(parts, ignore_index=True),
        numbers={
            "chosen probability at its peak": (top, 0.02),
            "chosen probability at the end": (last, 0.05),
            "unseen mass at the end": (unseen.median[-1], 0.05),
            "mass on responses chosen elsewhere at the end": (elsewhere.median[-1], 0.05),
            "log10 of the rejected at the end": (rejected.median[-1], 2.0),
            "log10 of responses rejected elsewhere at the end": (fell["rejected elsewhere"][-1], 2.0),
            "log10 of responses never named at the end": (fell["never named"][-1], 2.0),
        },
    )


def _with_interval(summary: plots.Summary, place: int) -> str:
    """Write a median and, where the seeds differ, its interval."""
    low, high = f"{summary.low[place]:.2f}", f"{summary.high[place]:.2f}"
    return f"{summary.median[place]:.2f}" + (f" ({low} to {high})" if low != high else "")


def _short(exponent: float) -> str:
    """Write a probability from its exponent: 0.45, or a power of ten below 0.01."""
    return f"{10**exponent:.2f}" if exponent > -2 else plots.power(round(exponent))


def _means(prob: xr.DataArray, name: str) -> list[pd.DataFrame]:
    """Tabulate the mean over seeds of every cell, with its interval."""
    rows = []
    for prompt in range(prob.sizes["prompt"]):
        cells = prob.isel(prompt=prompt).transpose("response", "seed").values
        mean, low, high = np.array([interval(cell) for cell in cells]).T
        columns = {"x": np.arange(len(mean)), "y": mean, "low": low, "high": high, "n": cells.shape[1]}
        rows.append(pd.DataFrame({"panel": name, "series": f"prompt {prompt}", **columns}))
    return rows


def _exponents(exponent: xr.DataArray, name: str) -> pd.DataFrame:
    """Tabulate the median over seeds of every cell, with its interval."""
    rows = {
        (name, f"prompt {prompt}"): plots.over_seeds(exponent.isel(prompt=prompt), x="response")
        for prompt in range(exponent.sizes["prompt"])
    }
    return plots.table(rows)


FIGURE = Figure(
    title=MESSAGE,
    paper="3D-Properties, figure of the policy before, during and after training",
    lines={"dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"},
    draw=draw,
)
