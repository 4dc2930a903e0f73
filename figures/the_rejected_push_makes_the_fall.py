"""Each push of DPO followed alone: which of the two brings the chosen response down, in the four scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from figures.machinery import Drawing, Figure, Page
from lab import metrics, plots, properties

if TYPE_CHECKING:
    import xarray as xr

MESSAGE = "Followed alone, the push on the rejected response lowers the chosen one; the push on the chosen never does"
PLAIN = "The chosen response with both pushes of DPO, and with each of them alone"
TERMS = {
    "both": plots.Role("both", "#5B2A86", "dashdot"),
    "chosen": plots.Role("chosen push", plots.CHOSEN.color, plots.CHOSEN.line),
    "rejected": plots.Role("rejected push", plots.REJECTED.color, plots.REJECTED.line),
}
LIKELY = ("s1", "s3")  # where the chosen response starts with mass to lose
ALONE = 0.99  # one response for all prompts: it holds that much of each
GONE = 0.01
ONE = "; at 0.25 one response holds all four prompts, and is the chosen one of a single prompt"


def draw(data: Mapping[str, xr.Dataset], page: Page) -> Drawing:
    """Draw the chosen probability over the steps by the push that is followed, one panel a scenario."""
    ds = data["dpo"]
    chosen = metrics.over_pairs(metrics.chosen_prob(ds), ds)
    in_nats = metrics.over_pairs(metrics.chosen_log_ratio(ds), ds).isel(step=-1, drop=True).median("seed")
    one = _one_for_all(ds).sel(terms="rejected", drop=True)
    figure, axes = page.grid(
        2, 2, aspect=0.76, sharex=True, sharey=True, title=MESSAGE if _holds(ds, in_nats) else PLAIN,
        note=f"median and 95 % bootstrap interval, every seed faint behind{ONE if (one > 0.5).all() else ''}",
    )  # fmt: skip
    shown: dict[tuple[str, str], plots.Summary] = {}
    said, numbers = [], {}
    for scenario, place in plots.SCENARIO_PLACES.items():
        for term, role in TERMS.items():
            summary = plots.over_seeds(chosen.sel(scenario=scenario, terms=term, drop=True))
            shown[scenario, role.label] = summary
            plots.curve(summary, axes[place], role=role, label=f"{role.label} {summary.median[-1]:.2f}")
        cell = {term: shown[scenario, role.label].median for term, role in TERMS.items()}
        nats = float(in_nats.sel(scenario=scenario, terms="rejected"))
        ends = chosen.sel(scenario=scenario, terms="rejected").isel(step=-1)
        word = f"peak {cell['rejected'].max():.2f}"
        if scenario not in LIKELY:
            word = f"below {GONE:g} in {int((ends < GONE).sum())} of {ends.size} seeds"
        plots.panel(
            axes[place], f"{scenario}: {plots.SCENARIO_MEANINGS[scenario]}",
            about=f"rejected push alone: {word},\nlog π⁺ {'down' if nats < 0 else 'up'} by {abs(nats):.0f} nats, "
            "mean of the pairs",
        )  # fmt: skip
        said.append(
            f"{scenario} ({plots.SCENARIO_MEANINGS[scenario]}): with both pushes it peaks at "
            f"{cell['both'].max():.2f} and ends at "
            f"{cell['both'][-1]:.2f}; with the chosen push alone it ends at {cell['chosen'][-1]:.2f}; with the "
            f"rejected push alone: {word}, and log π⁺ changes by {nats:.0f} nats, mean of the pairs"
        )
        numbers |= {
            f"{scenario}: chosen at the end, both": (cell["both"][-1], 0.08),
            f"{scenario}: chosen at the end, chosen push": (cell["chosen"][-1], 0.005),
            f"{scenario}: change of log π⁺, rejected push": (nats, 12.0),
            f"{scenario}: share of seeds in which one response has all prompts": (
                float(one.sel(scenario=scenario)),
                0.3,
            ),
        }
        if scenario in LIKELY:  # elsewhere a seed ends at 0.25 or at 0, and the median at either
            numbers[f"{scenario}: chosen at the end, rejected push"] = (cell["rejected"][-1], 0.05)
    for ax in axes.flat:
        ax.set(ylim=(-0.03, 1.08), ylabel="probability of the chosen response")
        ax.set_yticks(np.linspace(0, 1, 5))
    plots.share_labels(axes)
    return Drawing(
        figure=figure,
        alt=(
            f"Four panels, the probability of the chosen response over {ds.step.values[-1]} steps of DPO on an MLP "
            f"that follows both pushes, or one of them alone; medians of {ds.sizes['seed']} seeds. {'. '.join(said)}. "
            f"With the rejected push alone one response ends with all the mass of every prompt in "
            f"{100 * float(one.min()):.0f} to {100 * float(one.max()):.0f} % of the seeds."
        ),
        data=plots.table(shown),
        numbers=numbers,
    )


def _holds(ds: xr.Dataset, in_nats: xr.DataArray) -> bool:
    """Whether the chosen response falls with the rejected push alone, and nowhere with its own alone."""
    verdict = properties.verdicts(ds)["verdict"].sel(property="degradation")
    return bool(
        (verdict.sel(terms="chosen") == "absent").all()
        and (verdict.sel(terms="rejected", scenario=list(LIKELY)) == "present").all()
        and (in_nats.sel(terms="rejected") < -1).all()
    )


def _one_for_all(ds: xr.Dataset) -> xr.DataArray:
    """Share of the seeds in which a single response ends with nearly all the mass of every prompt."""
    return (metrics.prob(ds).isel(step=-1, drop=True).min("prompt").max("response") > ALONE).mean("seed")


FIGURE = Figure(
    title=MESSAGE,
    paper="new: 3D-Properties argues by the two gradients, and follows none alone",
    lines={
        "dpo": f"mlp s1,s2,s3,s4 dpo beta=0.1 terms={','.join(TERMS)} adam lr=1e-3 steps=500 every=5 keep=none seeds=24"
    },
    draw=draw,
)
