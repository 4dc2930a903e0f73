"""DPO against the optimum of the RLHF objective: with which data it comes to it, and what keeps it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = (
    "DPO comes to the optimum of the RLHF objective only where every response is compared and labels follow the odds"
)
PLAIN = "How far DPO stays from the optimum of the RLHF objective, by the data that it is trained on"
BETA = 0.5
RECOVERED = 1e-6
FLOOR = -12.0  # log10; below it the divergence is rounding
DATA = {
    "all": plots.Role("all responses,\nBradley–Terry labels", "#2700EB", "solid"),
    "five": plots.Role("5 of 10 compared", "#7A0000", "dashed"),
    "noisy": plots.Role("80 % right labels", "#2F9E9A", "dashdot"),
    "certain": plots.Role("100 % right labels", "#B05A00", "dotted"),
}
WHOLE = plots.Role("among all", DATA["five"].color, "dashed", marker="s")
COMPARED = plots.Role("among the\ncompared", DATA["all"].color, "solid")
LINE = f"tabular open dpo beta={BETA:g} momentum lr=30 steps=1000 seeds=24 keep=none truth=normal"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw KL(optimum || policy) over steps for each kind of data, and at the end over the responses compared."""
    labels, coverage = data["labels"], data["coverage"]
    records = {"all": data["all"], "five": data["five"]}
    records |= {"noisy": labels.sel(agreement=0.8, drop=True), "certain": labels.sel(agreement=1, drop=True)}
    over_steps = {name: _distance(ds) for name, ds in records.items()}
    last = coverage.isel(step=-1)
    at_end = {"all responses": _distance(last), "compared responses": _distance(last, ~metrics.unseen_mask(last))}
    ends = {name: distance.isel(step=-1, drop=True) for name, distance in over_steps.items()}
    alone = bool((ends["all"] < RECOVERED).all()) and all(
        float(ends[name].median("seed")) > 0.01 for name in ("five", "noisy", "certain")
    )
    inside = bool((at_end["compared responses"] < RECOVERED).all())
    figure, (row,) = page.grid(1, 2, aspect=0.46, title=MESSAGE if alone and inside else PLAIN)
    shown: dict[tuple[str, str], plots.Summary] = {}
    for name, distance in over_steps.items():
        shown["over steps", name] = plots.over_seeds(_drawn(distance).isel(step=slice(1, None)))
        plots.curve(shown["over steps", name], row[0], role=DATA[name])
    for name, role in zip(at_end, (WHOLE, COMPARED), strict=True):
        shown["over coverage", name] = plots.over_seeds(_drawn(at_end[name]), x="coverage")
        plots.curve(shown["over coverage", name], row[1], role=role, markers=True)
    plots.panel(
        row[0], "While it is trained",
        about="a label that is never wrong asks for\nrewards infinitely far apart",
    )  # fmt: skip
    plots.panel(
        row[1], f"After {coverage['step'].values[-1]} steps, by coverage",
        about="comparisons fix the odds among the compared,\nnot how much mass the others keep",
    )  # fmt: skip
    for ax in row:
        plots.powers_of_ten(ax)
        ax.set_ylim(FLOOR - 0.8, 2)
        ax.axhline(np.log10(RECOVERED), color="#8A8A8A", linewidth=0.6, zorder=1)
        ax.annotate(
            "recovered: below 10⁻⁶", (0.02, np.log10(RECOVERED)), xycoords=("axes fraction", "data"), xytext=(0, -2),
            textcoords="offset points", va="top", fontsize="small", color="#555555",
        )  # fmt: skip
    row[0].set(xscale="log", xlabel="step", ylabel="KL(optimum ‖ policy), nats")
    row[1].set(xlabel="responses of 10 that are compared", ylabel="", xlim=(1.8, 10.2))
    row[1].set_xticks(coverage["coverage"].values)
    median = {name: float(distance.median("seed")) for name, distance in ends.items()}
    whole = at_end["all responses"].median("seed")
    return Drawing(
        figure=figure,
        alt=(
            f"Two panels, a table of 4 prompts and 10 responses, DPO at beta {BETA:g}, medians of "
            f"{data['all'].sizes['seed']} seeds. The divergence of the policy from the optimum starts at "
            f"{float(over_steps['all'].isel(step=0).median('seed')):.2f} nats. With all comparisons and Bradley-Terry "
            f"labels it falls to less than {10 ** max(FLOOR, np.log10(max(median['all'], 1e-300))):.0e}; with 5 of 10 "
            f"responses compared it ends at {median['five']:.2f}, with labels that are right 80 percent of the time at "
            f"{median['noisy']:.2f}, and with labels that are always right at {median['certain']:.1f} and still "
            f"rising. By coverage it ends at "
            + ", ".join(f"{float(v):.2f} for {int(c)}" for c, v in zip(whole["coverage"], whole, strict=True))
            + f"; among the compared responses alone it is below {RECOVERED:g} "
            + ("everywhere." if inside else "not everywhere.")
        ),
        data=plots.table(shown),
        numbers={
            "largest log10 KL with all comparisons": (max(float(np.log10(ends["all"].clip(1e-12).max())), -12.0), 0.5),
            **{f"KL, {name}": (median[name], 0.02 + 0.02 * median[name]) for name in ("five", "noisy", "certain")},
            **{
                f"KL, {int(c)} compared": (float(v), 0.02 + 0.02 * float(v))
                for c, v in zip(whole["coverage"], whole, strict=True)
            },
        },
    )


def _distance(ds: xr.Dataset, among: xr.DataArray | None = None) -> xr.DataArray:
    """Take KL(optimum || policy), averaged over prompts, in nats."""
    from lab.experiments.frontiers import optimal_policies

    optimum = optimal_policies(ds, [BETA])["log_prob"].isel(beta=0, drop=True)
    return metrics.divergence(optimum, ds["log_prob"], among=among).mean("prompt")


def _drawn(distance: xr.DataArray) -> xr.DataArray:
    """Take log10, and nothing below the floor."""
    return np.log10(distance.clip(min=10**FLOOR))


FIGURE = Figure(
    title=MESSAGE,
    paper="Rafailov et al. 2023, sections 4 and 5.1: equivalence with the RLHF objective",
    lines={
        "all": f"{LINE} every=10",
        "five": f"{LINE} every=10 coverage=5",
        "labels": f"{LINE} every=10 judge=noisy agreement=0.8,1",
        "coverage": f"{LINE} every=1000 coverage=2,3,4,5,6,7,8,9,10",
    },
    draw=draw,
)
