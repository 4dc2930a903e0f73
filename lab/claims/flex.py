"""Claims about the first remedy, Flex-DPO."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.claims.lines import ADAM
from lab.claims.readings import (
    at_level,
    chosen,
    chosen_end,
    dropped,
    rejected_end,
    rejected_log_prob,
    unseen_gained,
)

if TYPE_CHECKING:
    import xarray as xr

SWEEP = f"mlp s1 flex beta_chosen=0.1 beta_rejected=0.005,0.01,0.02,0.04,0.06,0.08,0.1,0.15,0.2,0.4,1 {ADAM} every=5"
SCENARIOS = f"mlp s2,s3,s4 flex beta_chosen=0.1 beta_rejected=0.02,0.04,0.08,0.1,0.2,0.4,1 {ADAM} every=5"
EVEN = f"mlp s1 flex beta_chosen=0.1 beta_rejected=0.04,0.08,0.1,0.2 {ADAM} every=5 spread=even"
FLEX_SGD = "mlp s1 flex beta_chosen=0.1 beta_rejected=0.04,0.08,0.1 sgd lr=0.5 steps=2000 seeds=24 every=10"
RAISED = f"mlp s1 flex beta_chosen=0.125 beta_rejected=0.1 {ADAM} every=5"
LOWERED = f"mlp s1 dpo beta=0.08 {ADAM} every=5"
FLEX_TOY = "toy, β⁺ = 0.1"
OTHERS = tuple(Side("scenario", name, {"flex": SCENARIOS}, {"scenario": name}) for name in ("s2", "s3", "s4"))
DEPTH, MARGIN = 60.0, 6.0  # nats of log π⁻, and of the margin: what flex and DPO both reach in every seed


def flex_helps(data: Data, beta: float = 0.08) -> tuple[Evidence, ...]:
    """Compare the chosen mass at the end with DPO's, seed by seed."""
    end = chosen_end(data["flex"])
    return (
        above(f"chosen mass at the end, β⁻ = {beta:g} minus DPO", _beta(end, beta) - _beta(end, 0.1), 0.01),
        told("chosen mass at the end, DPO", _beta(end, 0.1)),
    )


def flex_disperses_less(data: Data) -> tuple[Evidence, ...]:
    """Compare the unseen mass gained with DPO's, seed by seed."""
    return (below("unseen mass gained, β⁻ = 0.08 minus DPO", _gap(unseen_gained(data["flex"])), -0.01),)


def flex_drops_less(data: Data) -> tuple[Evidence, ...]:
    """Compare the drastic drop with DPO's, seed by seed."""
    return (below("fall of log π⁻, β⁻ = 0.08 minus DPO", _gap(dropped(data["flex"])), 0, units="nats", style=".1f"),)


def best_inside(data: Data) -> tuple[Evidence, ...]:
    """Compare β⁻ = 0.08 with smaller and larger ones."""
    end = chosen_end(data["flex"])
    return tuple(
        above(f"chosen mass at the end, β⁻ = 0.08 minus β⁻ = {other:g}", _beta(end, 0.08) - _beta(end, other), 0)
        for other in (0.04, 0.02, 0.2, 0.4)
    )


def valley(data: Data) -> tuple[Evidence, ...]:
    """Compare the middle of the curve with both sides, and find its lowest point."""
    end = chosen_end(data["flex"])
    lowest = float(end["beta_rejected"][int(end.median("seed").argmin("beta_rejected"))])
    return (
        below("chosen mass at the end, β⁻ = 0.2 minus β⁻ = 0.02", _beta(end, 0.2) - _beta(end, 0.02), -0.01),
        below("chosen mass at the end, β⁻ = 0.2 minus β⁻ = 1", _beta(end, 0.2) - _beta(end, 1.0), -0.01),
        told(f"chosen mass at the lowest point, β⁻ = {lowest:g}", _beta(end, lowest)),
    )


def slows(data: Data, step: int | None = None) -> tuple[Evidence, ...]:
    """Compare log π⁻ with DPO's at a step; None is the last one."""
    fallen = rejected_log_prob(data["flex"])
    at = fallen.isel(step=-1, drop=True) if step is None else fallen.sel(step=step, drop=True)
    what = f"log π⁻ at {'the end' if step is None else f'step {step}'}, β⁻ = 0.08 minus DPO"
    return (above(what, _beta(at, 0.08) - _beta(at, 0.1), 0, units="nats", style=".2f"),)


def slows_at_margin(data: Data) -> tuple[Evidence, ...]:
    """Compare log π⁻ with DPO's when both have the same margin."""
    flex = data["flex"]
    reached = at_level(rejected_log_prob(flex), metrics.over_pairs(metrics.margin(flex), flex), MARGIN)
    what = f"log π⁻ at margin {MARGIN:g}, β⁻ = 0.08 minus DPO"
    return (above(what, _beta(reached, 0.08) - _beta(reached, 0.1), 0, units="nats", style=".2f"),)


def shifts_balance(data: Data) -> tuple[Evidence, ...]:
    """Bring the same balance about in another way, lower both β alike, and compare at equal depth and margin."""
    flex = data["flex"]
    dpo_end, raised = _beta(chosen_end(flex), 0.1), data["raised"]
    lowered = chosen_end(data["lowered"])
    mass, depth = chosen(flex), -rejected_log_prob(flex)
    margin = metrics.over_pairs(metrics.margin(flex), flex)
    at_depth, at_margin = at_level(mass, depth, DEPTH), at_level(mass, margin, MARGIN)
    log_ratio = metrics.over_pairs(metrics.log_push_ratio(raised), raised).isel(step=-1, drop=True)
    ratio = log_ratio.copy(data=np.exp(log_ratio.values))
    pushed = metrics.over_pairs(metrics.total_push(flex).sel(term="chosen", drop=True), flex)
    fallen = rejected_end(raised) - _beta(rejected_end(flex), 0.1)
    return (
        above("chosen mass at the end, β⁺ = 0.125 and β⁻ = 0.1, minus DPO", chosen_end(raised) - dpo_end, 0.01),
        below("chosen mass at the end, both β = 0.08, minus DPO", lowered - dpo_end, 0.01),
        above(f"chosen mass at log π⁻ = −{DEPTH:g}, β⁻ = 0.08 minus DPO", _gap(at_depth), 0.01),
        above(f"chosen mass at margin {MARGIN:g}, β⁻ = 0.08 minus DPO", _gap(at_margin), 0.01),
        told("log π⁻ at the end, β⁺ = 0.125 and β⁻ = 0.1, minus DPO", fallen, units="nats", style=".1f"),
        told("push on chosen over push on rejected, β⁺ = 0.125 and β⁻ = 0.1", ratio),
        told("push on the chosen response summed over the steps, β⁻ = 0.08 minus DPO", _gap(pushed)),
    )  # fmt: skip


def _beta(values: xr.DataArray, beta: float) -> xr.DataArray:
    return values.sel(beta_rejected=beta, drop=True)


def _gap(values: xr.DataArray) -> xr.DataArray:
    return _beta(values, 0.08) - _beta(values, 0.1)


CLAIMS = (
    Claim(
        "flex_helps",
        "Flex-DPO, a smaller β for the rejected response, eases the three properties.",
        section="3.3, 4.3",
        setting=f"{FLEX_TOY}, and poems by a language model",
        method="With β⁻ = 0.08 the chosen mass is to end at least 0.01 above DPO's, seed by seed. Where nothing falls, "
        "as under plain SGD, there is nothing to ease.",
        lines={"flex": SWEEP},
        examine=flex_helps,
        here={
            "property": "for the degradation",
            "β⁻": "β⁻ = 0.08",
            "scenario": "s1",
            "spread": "drawn spread",
            "optimiser": "Adam",
        },
        sides=(
            Side("property", "for the dispersion", examine=flex_disperses_less),
            Side("property", "for the drop", examine=flex_drops_less),
            Side("β⁻", "β⁻ = 0.04", examine=partial(flex_helps, beta=0.04)),
            *OTHERS,
            Side("spread", "even spread", {"flex": EVEN}),
            Side("optimiser", "plain SGD", {"flex": FLEX_SGD}),
        ),
    ),
    Claim(
        "flex_best_inside",
        "Performance peaks inside, near β⁻ = 0.08; smaller and larger values are both worse.",
        section="4.3",
        setting="poems by a language model, β⁺ = 0.1",
        method="Here performance is the chosen mass at the end; β⁻ = 0.08 is to beat 0.04, 0.02, 0.2 and 0.4, seed by "
        "seed. The toy has no other performance to measure.",
        lines={"flex": SWEEP},
        examine=best_inside,
        here={"scenario": "s1"},
        sides=OTHERS,
    ),
    Claim(
        "flex_valley",
        "The chosen mass at the end is a valley in β⁻: lowest in the middle.",
        method="At β⁻ = 0.2 it is to lie at least 0.01 below that at β⁻ = 0.02 and at β⁻ = 1, seed by seed.",
        lines={"flex": SWEEP},
        examine=valley,
        here={"scenario": "s1"},
        sides=OTHERS,
    ),
    Claim(
        "flex_slows_the_rejected",
        "Flex-DPO helps because a smaller β⁻ slows the fall of the rejected response.",
        section="3.3",
        setting=FLEX_TOY,
        method="With β⁻ = 0.08 log π⁻ is to lie above DPO's at the end, after as many steps, seed by seed.",
        lines={"flex": SWEEP},
        examine=slows,
        here={"moment": "at the end", "optimiser": "Adam", "scenario": "s1", "spread": "drawn spread"},
        sides=(
            Side("moment", "at step 25", examine=partial(slows, step=25)),
            Side("moment", "at step 50", examine=partial(slows, step=50)),
            Side("moment", "at step 100", examine=partial(slows, step=100)),
            Side("moment", f"at margin {MARGIN:g}", examine=slows_at_margin),
            Side("moment", "at step 20 of plain SGD", {"flex": FLEX_SGD}, examine=partial(slows, step=20)),
            Side("optimiser", "plain SGD", {"flex": FLEX_SGD}),
            *OTHERS,
            Side("spread", "even spread", {"flex": EVEN}),
        ),
    ),
    Claim(
        "flex_shifts_the_balance",
        "Flex-DPO helps because it pushes the chosen response harder than the rejected one.",
        method="A larger β⁺ that gives the same balance is to help as well; two smaller β without it are not; and the "
        "chosen mass is to be higher when log π⁻, or the margin, is the same as under DPO.",
        lines={"flex": SWEEP, "raised": RAISED, "lowered": LOWERED},
        examine=shifts_balance,
    ),
)
