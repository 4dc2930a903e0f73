"""Claims about DPO's siblings, IPO and SLiC."""

from __future__ import annotations

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, has, told
from lab.claims.lines import ADAM, ALL_IPO, ALL_SLIC, S1
from lab.claims.readings import chosen, chosen_end, chosen_lost, rejected_end

BETAS = "beta=0.005,0.01,0.02,0.05,0.1"
FAR_IPO, FAR_SLIC = f"mlp s1 ipo {BETAS} {ADAM}", f"mlp s1 slic {BETAS} {ADAM}"
HERE = {"scenario": "s1", "β": "β = 0.1"}
OTHERS = tuple(Side("scenario", name, pick={"scenario": name}) for name in ("s2", "s3", "s4"))


def stops(data: Data) -> tuple[Evidence, ...]:
    """Ask whether the push dies out and the chosen response keeps its peak."""
    ds = data["sibling"]
    left = abs(metrics.over_pairs(metrics.remaining_push(ds).sel(term="chosen", drop=True), ds))
    return (
        below("chosen mass lost from its peak", chosen_lost(ds), 0.05),
        below("push left at the end, as a share of its start", left.isel(step=-1, drop=True), 1e-6, style=".0e"),
        told("log π⁻ at the end", rejected_end(ds), units="nats", style=".1f"),
    )


def ipo_stops(data: Data) -> tuple[Evidence, ...]:
    """Ask the same, and whether the rejected response is spared as well."""
    lost, *rest = stops(data)
    return (lost, has(data["sibling"], "drop", not_=True), *rest)


def never_stops(data: Data) -> tuple[Evidence, ...]:
    """Compare DPO at its own peak with the siblings at their end, and its push with theirs."""
    ds = data["dpo"]
    left = metrics.over_pairs(metrics.remaining_push(ds).sel(term="chosen", drop=True), ds).isel(step=-1, drop=True)
    best, last = chosen(ds).max("step"), chosen_end(ds)
    siblings = {name: chosen_end(data[name].sel(scenario="s1")) for name in ("ipo", "slic")}
    return (
        *(
            above(f"chosen mass, DPO at its peak minus {words} at its end", best - siblings[name], -0.05)
            for name, words in (("ipo", "IPO"), ("slic", "SLiC"))
        ),
        *(
            below(f"chosen mass, DPO at its end minus {words} at its end", last - siblings[name], -0.05)
            for name, words in (("ipo", "IPO"), ("slic", "SLiC"))
        ),
        told("DPO's push left at the end, as a share of its start", left, style=".4f"),
    )


CLAIMS = (
    Claim(
        "ipo_stops",
        "IPO stops at its target: no drastic drop, and the chosen response keeps its peak.",
        method="The drop (10 nats) is to be absent, π⁺ to end within 0.05 of its peak, and the push to be gone, so "
        "that more steps change nothing.",
        lines={"sibling": ALL_IPO},
        examine=ipo_stops,
        pick={"scenario": "s1"},
        here=HERE,
        sides=(*OTHERS, Side("β", "β = 0.01, a far target", {"sibling": FAR_IPO}, {"beta": 0.01})),
    ),
    Claim(
        "slic_stops",
        "SLiC stops at its hinge, and the chosen response keeps its peak.",
        method="π⁺ is to end within 0.05 of its peak and the push to be gone, so that more steps change nothing.",
        lines={"sibling": ALL_SLIC},
        examine=stops,
        pick={"scenario": "s1"},
        here=HERE,
        sides=(*OTHERS, Side("β", "β = 0.01, a far hinge", {"sibling": FAR_SLIC}, {"beta": 0.01})),
    ),
    Claim(
        "dpo_lacks_a_stop",
        "DPO's peak is as good as IPO's and SLiC's end; it lacks a stop.",
        method="DPO's chosen mass is to come within 0.05 of theirs at its peak, and not to at its end.",
        lines={"dpo": S1, "ipo": ALL_IPO, "slic": ALL_SLIC},
        examine=never_stops,
    ),
)
