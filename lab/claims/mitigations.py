"""What keeps the chosen response: remedies side by side, and rules for choosing between them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.claims.readings import chosen, chosen_end, rejected_end

if TYPE_CHECKING:
    from collections.abc import Callable

# The lines are those of the figures: only_a_push_of_its_own_keeps_the_chosen_up and the others of its bench.
RECORD = "seeds=24 keep=none truth=normal"
ADAM = f"adam lr=1e-3 steps=500 {RECORD} every=10 dtype=float32"
ALL = "mlp s1,s2,s3,s4"
DPO = f"{ALL} dpo beta=0.05,0.1,0.2,0.5,1 {ADAM}"
RATE = f"{ALL} dpo beta=0.1 {ADAM.replace('lr=1e-3', 'lr=1e-4,3e-4')}"
SMOOTHING = f"{ALL} cdpo beta=0.1 smoothing=0.001,0.01,0.1 {ADAM}"
IPO = f"{ALL} ipo beta=0.005,0.01,0.02,0.1 {ADAM}"
DPOP = f"{ALL} dpop beta=0.1 penalty=5,50 {ADAM}"
FLEX = f"{ALL} flex beta_chosen=0.1 beta_rejected=0.01,0.02,0.04,0.08 {ADAM}"
SFT = f"{ALL} dpo beta=0.1 sft_weight=1e-4,1e-3,1e-2,0.1 {ADAM}"
BOTH = f"{ALL} flex beta_chosen=0.1 beta_rejected=0.04 sft_weight=1e-3,1e-2 {ADAM}"
KTO = f"{ALL} kto beta=0.1,0.5 {ADAM}"
ORPO = f"{ALL} orpo beta=0.1 {ADAM}"
BALANCED = {"dpo": DPO, "rate": RATE, "smoothing": SMOOTHING, "ipo": IPO, "dpop": DPOP}
# The cell of each record that is compared; what stands here of an axis that a record lacks is left out.
CELLS: dict[str, dict[str, float]] = {
    "dpo": {"beta": 0.1}, "rate": {"lr": 1e-4}, "smoothing": {"smoothing": 0.1}, "ipo": {"beta": 0.1},
    "dpop": {"penalty": 50.0}, "flex": {"beta_rejected": 0.01}, "sft": {"sft_weight": 0.01}, "kto": {"beta": 0.1},
}  # fmt: skip
PATIENCE = 3
SAFE, FAILS = 0.75, 0.5
SGD = f"steps=2000 {RECORD} every=40 width=16 dtype=float32"
FEATURES = f"adam lr=0.05 steps=1000 {RECORD} every=20"


def surplus_keeps(data: Data) -> tuple[Evidence, ...]:
    """Ask of every remedy with a surplus of push whether it keeps the chosen response, of the others whether not."""
    end = {name: chosen_end(_cell(ds, name)) for name, ds in data.items()}
    own = {"sft": "SFT term 0.01", "flex": "Flex-DPO, β⁻ = 0.01", "kto": "KTO", "orpo": "ORPO"}
    others = {"rate": "a tenth of the rate", "smoothing": "label smoothing 0.1", "ipo": "IPO", "dpop": "DPOP"}
    what = "chosen mass at the end"
    return (
        *(above(f"{what}, {word}", end[name], SAFE) for name, word in own.items() if name in end),
        *(below(f"{what}, {word}", end[name], FAILS) for name, word in others.items() if name in end),
        told(f"{what}, DPO", end["dpo"]),
    )


def stopping_keeps(data: Data) -> tuple[Evidence, ...]:
    """Compare the chosen mass where log π⁺ has stalled with that at the end, and the margins, seed by seed."""
    ds = _cell(data["dpo"], "dpo")
    stop = metrics.patience_stop(metrics.over_pairs(metrics.chosen_log_prob(ds), ds), patience=PATIENCE)
    mass, margin = chosen(ds), metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
    at_stop = mass.sel(step=stop).drop_vars("step")
    return (
        above("chosen mass at the stop minus that at the end", at_stop - mass.isel(step=-1, drop=True), 0.01),
        above("chosen mass at the stop", at_stop, SAFE),
        told("log-ratio margin at the stop", margin.sel(step=stop).drop_vars("step"), units="nats", style=".1f"),
    )


def flex_dominates(data: Data) -> tuple[Evidence, ...]:
    """Hold one setting of Flex-DPO against the best of all balanced ones, in each quantity by itself."""
    flex = _cell(data["flex"], "flex")
    balanced = [data[name] for name in BALANCED]
    most = _best([_margin(ds) for ds in balanced], np.maximum)
    least = _best([_unseen(ds) for ds in balanced], np.minimum)
    return (
        above("log-ratio margin, Flex-DPO minus the largest balanced one", _margin(flex) - most, 0, units="nats",
              style=".0f"),
        below("unseen mass, Flex-DPO minus the least balanced one", _unseen(flex) - least, 0),
        told("log π⁻ at the end, Flex-DPO", rejected_end(flex), units="nats", style=".0f"),
    )  # fmt: skip


def same_work(data: Data) -> tuple[Evidence, ...]:
    """Measure the interaction of the two remedies on the logarithm of the unseen mass, seed by seed."""
    dpo, flex = (_log_unseen(ds) for ds in (_cell(data["dpo"], "dpo"), data["flex"].sel(beta_rejected=0.04, drop=True)))
    found = []
    for weight in (0.001, 0.01):
        sft, both = (_log_unseen(data[name].sel(sft_weight=weight, drop=True)) for name in ("sft", "both"))
        words = f"log unseen mass, both − Flex − SFT, weight {weight:g}"
        found.append(above(words, both - flex - sft + dpo, 0, units="nats", style=".2f"))
        mass = {name: chosen_end(data[name].sel(sft_weight=weight, drop=True)) for name in ("sft", "both")}
        found.append(told(f"chosen mass, both minus SFT alone, weight {weight:g}", mass["both"] - mass["sft"]))
    return tuple(found)


def _cell(ds: xr.Dataset, name: str) -> xr.Dataset:
    return ds.sel({axis: value for axis, value in CELLS.get(name, {}).items() if axis in ds.dims}, drop=True)


def _margin(ds: xr.Dataset) -> xr.DataArray:
    return metrics.over_pairs(metrics.log_ratio_margin(ds), ds).isel(step=-1, drop=True)


def _unseen(ds: xr.Dataset) -> xr.DataArray:
    return metrics.over_prompts(metrics.unseen_mass(ds), ds).isel(step=-1, drop=True)


def _log_unseen(ds: xr.Dataset) -> xr.DataArray:
    unseen = _unseen(ds)
    return unseen.copy(data=np.log(unseen.values))


def _best(values: list[xr.DataArray], better: Callable[..., np.ndarray]) -> xr.DataArray:
    """The best of each seed over all settings of all records."""
    best = [
        better.reduce(each.transpose(..., "seed").values.reshape(-1, each.sizes["seed"]))  # type: ignore[attr-defined]
        for each in values
    ]
    return xr.DataArray(reduce(better, best), dims="seed", coords={"seed": values[0]["seed"]})


def _elsewhere(words: str, rate: float) -> dict[str, str]:
    """A remedy's lines on the other two grounds of the bench."""
    return {
        "sgd": f"mlp s1,s2 {words} sgd lr={rate:g} {SGD}",
        "log-linear": f"loglinear s1,s2 {words} {FEATURES}",
    }


OTHER_GROUNDS = {
    "dpo": _elsewhere("dpo beta=0.1", 0.5),
    "sft": _elsewhere("dpo beta=0.1 sft_weight=1e-2", 0.5),
    "flex": _elsewhere("flex beta_chosen=0.1 beta_rejected=0.01", 0.5),
    "kto": _elsewhere("kto beta=0.1", 2.0),
    "orpo": _elsewhere("orpo beta=0.1", 0.025),
    "rate": {
        "sgd": f"mlp s1,s2 dpo beta=0.1 sgd lr=0.05 {SGD}",
        "log-linear": f"loglinear s1,s2 dpo beta=0.1 {FEATURES.replace('0.05', '0.005')}",
    },
    "smoothing": _elsewhere("cdpo beta=0.1 smoothing=0.1", 0.62),
    "ipo": _elsewhere("ipo beta=0.1", 0.0025),
    "dpop": _elsewhere("dpop beta=0.1 penalty=50", 0.5),
}
SCENARIO = {"scenario": "s1"}
OTHERS = tuple(Side("scenario", name, pick={"scenario": name}) for name in ("s2", "s3", "s4"))


def _grounds(names: tuple[str, ...]) -> tuple[Side, ...]:
    return (
        Side("ground", "16 units, plain SGD", {name: OTHER_GROUNDS[name]["sgd"] for name in names}),
        Side("ground", "log-linear, Adam", {name: OTHER_GROUNDS[name]["log-linear"] for name in names}),
    )


COMPARED = ("dpo", "sft", "flex", "kto", "orpo", "rate", "smoothing", "ipo", "dpop")
CLAIMS = (
    Claim(
        "surplus_keeps_the_unlikely",
        "A chosen response that starts unlikely is kept only by a surplus of push.",
        method=f"An SFT term, a small β⁻, KTO and ORPO are to end above {SAFE:g}; a smaller rate, label smoothing, IPO "
        f"and DPOP, whose pushes balance, below {FAILS:g}.",
        lines={"dpo": DPO, "sft": SFT, "flex": FLEX, "kto": KTO, "orpo": ORPO, "rate": RATE, "smoothing": SMOOTHING,
               "ipo": IPO, "dpop": DPOP},
        examine=surplus_keeps,
        pick={"scenario": "s2"},
        here={"scenario": "s2", "ground": "MLP, Adam"},
        sides=(Side("scenario", "s4", pick={"scenario": "s4"}), *_grounds(COMPARED)),
    ),
    Claim(
        "stopping_keeps_the_likely",
        "Stopping when log π⁺ stalls keeps the chosen response.",
        method=f"The rule stops after {PATIENCE} of 50 records without a higher mean log π⁺. The chosen mass there is "
        f"to be at least 0.01 above that at the end of the same run, and above {SAFE:g}.",
        lines={"dpo": DPO},
        examine=stopping_keeps,
        pick=SCENARIO,
        here={"scenario": "s1", "ground": "MLP, Adam"},
        sides=(*OTHERS, *_grounds(("dpo",))),
    ),
    Claim(
        "balanced_objectives_are_dominated",
        "One setting of Flex-DPO beats every balanced objective in margin and in unseen mass.",
        method="Flex-DPO with β⁻ = 0.01 is held against the largest margin and the least unseen mass, seed by seed, of "
        "16 settings of DPO, its rate, label smoothing, IPO and DPOP.",
        lines={"flex": FLEX, **BALANCED},
        examine=flex_dominates,
        pick=SCENARIO,
        here={"scenario": "s1"},
        sides=OTHERS,
    ),
    Claim(
        "flex_and_sft_do_the_same_work",
        "Flex-DPO and an SFT term together do less than their effects summed.",
        method="Their interaction on the logarithm of the unseen mass, which has no ceiling, is to be above 0 for both "
        "weights, seed by seed; β⁻ = 0.04.",
        lines={"dpo": DPO, "flex": FLEX, "sft": SFT, "both": BOTH},
        examine=same_work,
        pick=SCENARIO,
        here={"scenario": "s1"},
        sides=OTHERS,
    ),
)  # fmt: skip
