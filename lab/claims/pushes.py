"""What the limits of the losses' pushes foretell, held against training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told, within
from lab.claims.readings import chosen_end, chosen_lost, dropped
from lab.experiments.losses import CATALOGUE
from lab.experiments.pushes import written_pushes
from lab.experiments.sheets import sheets

if TYPE_CHECKING:
    import xarray as xr

    from lab.theory import Limits

# Each loss whose record is not that of another one at its defaults, as flex, aot, dpo_avg, ipo_avg, sft_token, tpo are.
LOSSES = (
    "dpo,slic,ipo,sft,cdpo,robust,exo,discopop,nca,bco,sppo,apo_zero,apo_down,caldpo,dpop,dposhift,chipo,wpo,"
    "aot_unpaired,kto,apo_unpaired,cpo,slichf,ipo_free,simpo,alphapo,orpo,tpo_l,reward,unlikelihood"
)
NETWORK = f"mlp s1,s2 {LOSSES} beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=10 keep=none"
FEATURES = f"loglinear s1 {LOSSES} beta=0.1 adam lr=0.05 steps=1000 seeds=24 every=10 keep=none"
FEW = "dpo,simpo,dposhift,slic,nca,bco,apo_zero,kto,cpo,orpo"
NARROW = f"mlp s1 {FEW} beta=0.1 sgd lr=0.5 steps=2000 seeds=24 every=20 keep=none width=16"
TABLE = f"tabular s1 {','.join(CATALOGUE)} beta=0.5 sgd lr=0.2 steps=500 seeds=24 every=10 keep=none"
DISCOPOP = "mlp s1 discopop beta=0.1 adam lr=1e-3 steps=500 seeds=24 every=10 keep=none"
KTO = "tabular s2,s4 kto,apo_unpaired beta=0.5 adam lr=0.1 steps=500 seeds=24 every=10 keep=none prompts=1"
KTO_NETWORK = "mlp s2,s4 kto,apo_unpaired beta=0.5 adam lr=1e-3 steps=1000 seeds=24 every=10 keep=none prompts=1"
SLOW = 0.5  # of a rate: half a nat of push for a nat of log π⁻


def _words(ds: xr.Dataset, which: Callable[[Limits], bool]) -> list[str]:
    """Return the losses of a record whose computed limits have a property."""
    return [sheet.word for sheet in sheets(" ".join(ds["objective"].values)) if which(sheet.limits)]


def formulas_hold(data: Data) -> tuple[Evidence, ...]:
    """Compare every push of every training with its formula."""
    ds = data["all"]
    realised = ds["response_weight"]
    size = abs(realised.isel(step=0, drop=True)).max(["seed", "term", "pair"])
    error = abs(written_pushes(ds) - realised) / np.maximum(abs(realised), 1e-3 * size)
    largest = error.max([dim for dim in error.dims if dim != "seed"])
    return (below(f"largest difference over {ds.sizes['objective']} losses, relative", largest, 1e-9, style=".0e"),)


def outliving_push_holds(data: Data) -> tuple[Evidence, ...]:
    """Compare the fall of the chosen response between losses whose push on it survives and those where none does."""
    ds = data["all"]
    lost = chosen_lost(ds)
    held = _words(ds, lambda limits: limits.chosen_outlives)
    left = _words(ds, lambda limits: not limits.chosen_outlives and limits.target("rejected") is None)
    ends = [word for word in ds["objective"].values if word not in (*held, *left)]
    largest, median = lost.sel(objective=held).max("objective"), lost.sel(objective=left).median("objective")
    share = (lost.sel(objective=left) > 0.01).mean("objective")
    return (
        below(f"chosen mass lost from its peak, the largest of {len(held)} losses where it survives", largest, 0.01),
        above(f"chosen mass lost from its peak, median of {len(left)} losses without it and without a target", median,
              0.01),
        above(f"share of these {len(left)} that lose more than 0.01", share, 0.5),
        told(f"chosen mass lost, largest of {len(ends)} losses that stop at a target",
             lost.sel(objective=ends).max("objective")),
        told("drop, largest of the losses where the push survives", dropped(ds).sel(objective=held).max("objective"),
             units="nats", style=".1f"),
    )  # fmt: skip


def _vanishes(limits: Limits) -> str:
    """Say how the push on the rejected response vanishes, "slowly" or "soon"; "" if not, or if it starts backwards."""
    tail = limits.rejected_gone.rejected
    if tail.law != "exponential" or tail.sign < 0 or limits.start[1] < 0:
        return ""
    return "slowly" if tail.rate > -SLOW else "soon"


def vanishing_push_drops(data: Data) -> tuple[Evidence, ...]:
    """Ask for the drop where the push on the rejected response vanishes, by how soon it does."""
    ds = data["all"]

    slow = _words(ds, lambda limits: _vanishes(limits) == "slowly")
    soon = _words(ds, lambda limits: _vanishes(limits) == "soon")
    drop = dropped(ds)
    return (
        above(f"drop, the least of {len(slow)} losses whose push vanishes like π⁻ to a power below {SLOW:g}",
              drop.sel(objective=slow).min("objective"), 10, units="nats", style=".1f"),
        told(f"drop, the largest of {len(soon)} losses whose push vanishes like π⁻ or sooner",
             drop.sel(objective=soon).max("objective"), units="nats", style=".1f"),
    )  # fmt: skip


def discopop_starts_backwards(data: Data) -> tuple[Evidence, ...]:
    """Ask where the margin is after the training."""
    ds = data["discopop"]
    margin = metrics.over_pairs(metrics.log_ratio_margin(ds), ds)
    return (
        below("log-ratio margin at the end", margin.isel(step=-1, drop=True), -0.1, units="nats"),
        told("largest log-ratio margin on the way", margin.max("step"), units="nats"),
    )


def kto_never_fades(data: Data) -> tuple[Evidence, ...]:
    """Compare the push on the chosen response at the end with that at the start."""
    ds = data["kto"]
    left = metrics.over_pairs(metrics.remaining_push(ds), ds).isel(step=-1, drop=True)
    kto, apo = (left.sel(objective=word, drop=True) for word in ("kto", "apo_unpaired"))
    return (
        within("push on the chosen response at the end, as a share of its start", kto.sel(term="chosen", drop=True),
               1.0, 0.01),
        told("the same of unpaired APO-zero, which is KTO with z₀ = 0", apo.sel(term="chosen", drop=True)),
        told("push on the rejected response at the end, as a share of its start", kto.sel(term="rejected", drop=True)),
        told("chosen mass at the end", chosen_end(ds.sel(objective="kto")), style=".4f"),
    )  # fmt: skip


CLAIMS = (
    Claim(
        "formulas_hold",
        "Training applies the pushes of the closed forms, for all 36 losses.",
        method="At every recorded state of a table the formula's pushes are to agree with those applied to 1e-9 of "
        "themselves, or of a thousandth of their start where they vanish.",
        lines={"all": TABLE},
        examine=formulas_hold,
    ),
    Claim(
        "outliving_push_holds",
        "A push on the chosen response that outlives the rejected one prevents its fall.",
        method="By its computed limits a loss is one that still pushes the chosen response up, and the rejected one no "
        "longer down, as π⁻ → 0. None of these is to lose 0.01 of chosen mass from its peak; most of the others that "
        "have no target are to.",
        lines={"all": NETWORK},
        examine=outliving_push_holds,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "policy": "an MLP", "optimiser": "Adam with 64 units"},
        sides=(
            Side("scenario", "s2", pick={"scenario": "s2"}),
            Side("policy", "16 log-linear features", {"all": FEATURES}),
            Side("optimiser", "plain SGD with 16 units, ten losses", {"all": NARROW}),
        ),
    ),
    Claim(
        "vanishing_push_drops",
        "A vanishing push does not prevent the drop of the rejected response.",
        method="Of the losses whose push on the rejected response vanishes like a power of π⁻ below one half, none is "
        "to drop by less than 10 nats.",
        lines={"all": NETWORK},
        examine=vanishing_push_drops,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "policy": "an MLP"},
        sides=(
            Side("scenario", "s2", pick={"scenario": "s2"}),
            Side("policy", "16 log-linear features", {"all": FEATURES}),
        ),
    ),
    Claim(
        "discopop_starts_backwards",
        "From the reference, DiscoPOP pushes the pair the wrong way.",
        method="The log-ratio margin is to end below −0.1 nats. By hand, the slope at margin 0 is (1 − log 2)/(4τ) − "
        "3/4, above 0 for τ < 0.102.",
        lines={"discopop": DISCOPOP},
        examine=discopop_starts_backwards,
        here={"τ": "τ = 0.05", "policy": "an MLP", "learning rate": "learning rate 1e-3"},
        sides=(
            Side("τ", "τ = 0.2", {"discopop": f"{DISCOPOP} tau=0.2"}),
            Side("policy", "a table", {"discopop": "tabular s1 discopop beta=0.1 adam lr=0.01 steps=500 seeds=24"}),
            Side("learning rate", "learning rate 0.01", {"discopop": DISCOPOP.replace("1e-3", "0.01")}),
        ),
    ),
    Claim(
        "kto_never_fades",
        "KTO pushes a certain chosen response as hard as at the start.",
        method="At the end of a training on one prompt the push is to be within 1 % of its start: z₀ is the KL, and as "
        "π⁺ → 1 that is the log-ratio itself.",
        lines={"kto": KTO},
        examine=kto_never_fades,
        pick={"scenario": "s4"},
        here={"scenario": "s4", "policy": "a table"},
        sides=(
            Side("scenario", "s2", pick={"scenario": "s2"}),
            Side("policy", "an MLP", {"kto": KTO_NETWORK}),
        ),
    ),
)
