"""Claims about the three properties themselves."""

from __future__ import annotations

from lab.claims.claim import Claim, Data, Evidence
from lab.claims.evidence import has, told
from lab.claims.lines import HERE, OTHER_SCENARIOS, S1, S1_ELSEWHERE
from lab.claims.readings import chosen, chosen_end, rejected_end
from lab.properties import turning_point

TOY = "toy"


def rejected_falls(data: Data) -> tuple[Evidence, ...]:
    """Ask for the drastic drop."""
    return (
        has(data["dpo"], "drop"),
        told("log π⁻ at the end", rejected_end(data["dpo"]), units="nats", style=".1f"),
    )


def chosen_falls(data: Data) -> tuple[Evidence, ...]:
    """Ask for the fall of the chosen response from its peak."""
    ds = data["dpo"]
    return (
        has(ds, "degradation"),
        told("chosen mass at its peak", chosen(ds).max("step")),
        told("chosen mass at the end", chosen_end(ds)),
        told("step of the peak", turning_point(chosen(ds)), style=".0f"),
    )


def unseen_grows(data: Data) -> tuple[Evidence, ...]:
    """Ask for the dispersion."""
    return (has(data["dpo"], "dispersion"),)


CLAIMS = (
    Claim(
        "rejected_falls",
        "The likelihood of the rejected response drops drastically.",
        section="3.1, 3.2",
        setting=TOY,
        method="Log π⁻ is to fall by at least 10 nats, a factor of 22 000, more than log π⁺ rises.",
        lines={"dpo": S1},
        examine=rejected_falls,
        pick={"scenario": "s1"},
        here=HERE,
        sides=(*OTHER_SCENARIOS, *S1_ELSEWHERE),
    ),
    Claim(
        "chosen_rises_then_falls",
        "The chosen response first gains likelihood, then loses it while training goes on.",
        section="3.1, 3.2",
        setting=TOY,
        method="π⁺ is to end at least 0.01 below its peak while the loss goes on falling.",
        lines={"dpo": S1},
        examine=chosen_falls,
        pick={"scenario": "s1"},
        here=HERE,
        sides=(*OTHER_SCENARIOS, *S1_ELSEWHERE),
    ),
    Claim(
        "unseen_mass_grows",
        "As both fall, probability disperses into responses that no pair names.",
        section="3.1, Corollary 3",
        setting=TOY,
        method="The unseen mass is to end at least 0.01 above its minimum, and above its start, while the loss falls.",
        lines={"dpo": S1},
        examine=unseen_grows,
        pick={"scenario": "s1"},
        here=HERE,
        sides=(*OTHER_SCENARIOS, *S1_ELSEWHERE),
    ),
)
