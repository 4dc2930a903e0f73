"""Who moves the chosen response while it falls, and whether its own two probabilities decide it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told

if TYPE_CHECKING:
    import xarray as xr

SGD = "mlp s1,s2 dpo beta=0.1 sgd lr=0.5 steps=1000 seeds=24 every=20 width=16 keep=none"
ADAM = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=5 keep=none"
OWN, OTHERS = ("own chosen", "own rejected"), ("others' chosen", "others' rejected")
KEPT = "s1 dpo beta=0.1 sgd seeds=24 keep=parameters every=20 steps=1000"
# States of the pairs, all prompts alike: log π⁺ and log π⁻ in nats.
X, Y = np.linspace(-3, -0.02, 8), np.linspace(-60, -0.5, 9)


def who_lowers_it(data: Data) -> tuple[Evidence, ...]:
    """Sum what the own pair and the other prompts did to log π⁺ since its peak."""
    ds = data["dpo"]
    moved = metrics.over_pairs(metrics.moved_by(ds, _changes(ds)), ds)
    parts = {name: _since_the_peak(ds, moved.sel(mover=list(movers)).sum("mover", skipna=False))
             for name, movers in (("own pair", OWN), ("other prompts", OTHERS))}  # fmt: skip
    chosen = metrics.over_pairs(metrics.chosen_log_prob(ds), ds)
    realised = chosen.isel(step=-1, drop=True) - chosen.max("step")
    return (
        below("change of log π⁺ since its peak by other prompts", parts["other prompts"], 0, units="nats"),
        above("change of log π⁺ since its peak by its own pair", parts["own pair"], 0, units="nats"),
        told("realised change of log π⁺ since its peak", realised, units="nats"),
        told("realised change less the sum of the parts", realised - sum(parts.values()), units="nats"),
    )


def by_which_term(data: Data) -> tuple[Evidence, ...]:
    """Compare the terms of the other prompts, and find where the rejected ones move the mass."""
    ds = data["dpo"]
    changes = _changes(ds)
    by = {name: _since_the_peak(ds, metrics.over_pairs(metrics.moved_by(ds, changes), ds).sel(mover=name, drop=True))
          for name in OTHERS}  # fmt: skip
    mass = metrics.over_prompts(metrics.mass_moved(ds, changes), ds).sel(mover="others' rejected", drop=True)
    into = _since_the_peak(ds, mass)
    return (
        below("change of log π⁺ since its peak by others' rejected terms", by["others' rejected"], 0, units="nats"),
        above("the same by others' chosen terms, minus that", by["others' chosen"] - by["others' rejected"], 0,
              units="nats"),
        above("mass that these rejected terms moved into responses chosen elsewhere",
              into.sel(kind="chosen elsewhere", drop=True), 0.05),
        below("mass that they moved into the chosen response", into.sel(kind="chosen", drop=True), -0.05),
    )  # fmt: skip


def opposite_flows(data: Data) -> tuple[Evidence, ...]:
    """Compare the share of a plane in which the flow lowers the chosen response, around two states."""
    names = {"table": "table", "features": "16 log-linear features", "mlp": "network of 16 units"}
    share = {(name, place): _falling(data[name], place) for name in names for place in ("reference", "end")}
    return (
        *(
            above(f"{names[name]}: share of the plane where the chosen falls, end minus reference",
                  share[name, "end"] - share[name, "reference"], 0.1)
            for name in ("features", "mlp")
        ),
        below("table: share of the plane where the chosen falls, around the end", share["table", "end"], 1e-9),
        *(told(f"{names[name]}: that share around the reference", share[name, "reference"]) for name in names),
    )  # fmt: skip


def one_flow(data: Data) -> tuple[Evidence, ...]:
    """Measure the angle between each objective's flow and DPO's, from the states where DPO left the network."""
    from lab.experiments.experiment import Experiment
    from lab.experiments.planes import flow_on_plane  # torch: only where it is needed

    ds = data["dpo"]
    line = Experiment.parse(ds.attrs["experiment"])
    flows = {
        name: flow_on_plane(str(line).replace("dpo beta=0.1", words), X, Y, around=ds.isel(step=-1))
        for name, words in {"DPO": "dpo beta=0.1", **WORDS}.items()
    }
    margin = flows["DPO"]["log_chosen"] - flows["DPO"]["log_rejected"]
    angles = {name: _angle(flows[name].where(margin < TARGETS.get(name, np.inf) - 1), flows["DPO"]) for name in WORDS}
    return (
        *(
            below(
                f"{name}: median angle to DPO's flow before the target", angles[name], 2, units="degrees", style=".2f"
            )
            for name in ("SimPO", "IPO", "SLiC")
        ),
        above("KTO: median angle to DPO's flow", angles["KTO"], 10, units="degrees", style=".1f"),
    )


def _angle(flow: xr.Dataset, other: xr.Dataset) -> xr.DataArray:
    turn = np.arctan2(flow["rejected"], flow["chosen"]) - np.arctan2(other["rejected"], other["chosen"])
    return np.degrees(abs((turn + np.pi) % (2 * np.pi) - np.pi)).median(["log_chosen", "log_rejected", "pair"])


def _changes(ds: xr.Dataset) -> xr.DataArray:
    """Attribute the changes of the line behind a record, and pick the record's cell of it."""
    from lab.experiments.attribution import attribute  # torch: only where it is needed

    changes = attribute(ds.attrs["experiment"])
    return changes.sel({dim: ds[dim].item() for dim in changes.dims if dim in ds.coords and dim not in ds.dims})


def _since_the_peak(ds: xr.Dataset, change: xr.DataArray) -> xr.DataArray:
    peak = metrics.over_pairs(metrics.chosen_log_prob(ds), ds).idxmax("step")
    return change.where(change["step"] >= peak, 0).sum("step", skipna=False)


def _falling(ds: xr.Dataset, place: str) -> xr.DataArray:
    from lab.experiments.planes import flow_on_plane  # torch: only where it is needed

    around = ds.isel(step=-1) if place == "end" else None
    chosen = flow_on_plane(ds.attrs["experiment"], X, Y, around=around)["chosen"]
    return (chosen < 0).where(chosen.notnull()).mean(["log_chosen", "log_rejected", "pair"])


# Objectives held against DPO, and the log-ratio margin at which two of them are content: 1 / (2 β) and 1 / β.
WORDS = {
    "SimPO": "simpo beta=1 gamma=0.5", "IPO": "ipo beta=0.02", "SLiC": "slic beta=0.02", "KTO": "kto beta=0.1",
}  # fmt: skip
TARGETS = {"IPO": 25.0, "SLiC": 50.0}

CLAIMS = (
    Claim(
        "other_prompts_lower_the_chosen",
        "While the chosen response falls, its own pair raises it and other prompts lower it.",
        method="Every update is split by the pair behind it, its effect on log π⁺ taken to first order. Summed since "
        "the peak, the own pair's share is to be above 0, that of the other prompts below.",
        lines={"dpo": SGD},
        examine=who_lowers_it,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "optimiser": "plain SGD with 16 units"},
        sides=(
            Side("scenario", "s2", pick={"scenario": "s2"}),
            Side("optimiser", "Adam with 64 units", {"dpo": ADAM}),
        ),
    ),
    Claim(
        "others_rejected_terms_lower_the_chosen",
        "Other prompts' rejected terms lower the chosen response, moving mass to responses chosen elsewhere.",
        method="Of the other prompts' terms the rejected ones are to lower log π⁺ since its peak, by more than the "
        "chosen ones; they are to move 0.05 of mass or more out of it and into responses chosen elsewhere.",
        lines={"dpo": SGD},
        examine=by_which_term,
        pick={"scenario": "s1"},
        here={"scenario": "s1"},
        sides=(Side("scenario", "s2", pick={"scenario": "s2"}),),
    ),
    Claim(
        "same_pair_opposite_flows",
        "With the same π⁺ and π⁻, gradient flow may raise or lower the chosen response.",
        method="Over a plane of (log π⁺, log π⁻) the flow is computed twice: with the unseen mass (and a network's "
        "parameters) of the reference, and with those of the end of training. With shared parameters the chosen "
        "response is to fall in 0.1 more of the plane around the end; in a table nowhere.",
        lines={
            "table": f"tabular {KEPT} lr=4",
            "features": f"loglinear {KEPT} lr=4",
            "mlp": f"mlp {KEPT} lr=0.1 width=16",
        },
        examine=opposite_flows,
    ),
    Claim(
        "margin_objectives_share_one_flow",
        "Until their target, objectives of the margin move pairs along DPO's way; KTO does not.",
        method="From equal states, with the unseen mass and the network's parameters where DPO left them, the flow of "
        "(log π⁺, log π⁻) is compared: a median angle below 2 degrees is one way, above 10 another.",
        lines={"dpo": f"mlp {KEPT} lr=0.1 width=16"},
        examine=one_flow,
        here={"policy": "a network of 16 units"},
        sides=(Side("policy", "16 log-linear features", {"dpo": f"loglinear {KEPT} lr=4"}),),
    ),
)
