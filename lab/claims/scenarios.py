"""Claims about where chosen and rejected responses come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, has
from lab.claims.lines import ALL, ALL_EVEN, ALL_IPO, ALL_SLIC, ALL_TANH
from lab.claims.readings import chosen_end, chosen_gained, chosen_lost, unseen_gained
from lab.claims.three_properties import TOY

if TYPE_CHECKING:
    import xarray as xr

# What "to suffer" may mean: how it is read, and whether less of it is worse.
MEASURES: dict[str, tuple[Callable[[xr.Dataset], xr.DataArray], bool]] = {
    "chosen mass at the end": (chosen_end, True),
    "chosen mass gained since the start": (chosen_gained, True),
    "chosen mass lost from its peak": (chosen_lost, False),
    "unseen mass gained since the start": (unseen_gained, False),
}
BOTH = f"{TOY}, and math by language models"
ELSEWHERE = (
    Side("spread", "even spread", {"dpo": ALL_EVEN}),
    Side("activation", "tanh", {"dpo": ALL_TANH}),
)
HERE = {"spread": "drawn spread", "activation": "ReLU"}


def suffers_less(data: Data, better: tuple[str, ...], worse: tuple[str, ...]) -> tuple[Evidence, ...]:
    """Compare scenarios pair by pair, by each measure; differences are taken seed by seed."""
    found = []
    for measure, (read, less_is_worse) in MEASURES.items():
        values = read(data["dpo"])
        for good in better:
            for bad in worse:
                difference = values.sel(scenario=good, drop=True) - values.sel(scenario=bad, drop=True)
                ask = above if less_is_worse else below
                found.append(ask(f"{measure}, {good} minus {bad}", difference, 0, measure=measure))
    return tuple(found)


def s1_least(data: Data) -> tuple[Evidence, ...]:
    """Compare s1 with each other scenario."""
    return suffers_less(data, ("s1",), ("s2", "s3", "s4"))


def off_policy_chosen_worst(data: Data) -> tuple[Evidence, ...]:
    """Compare each scenario with an on-policy chosen response with each with an off-policy one."""
    return suffers_less(data, ("s1", "s3"), ("s2", "s4"))


def disperses(data: Data) -> tuple[Evidence, ...]:
    """Ask for the dispersion."""
    return (has(data["dpo"], "dispersion"),)


CLAIMS = (
    Claim(
        "s1_suffers_least",
        "The three properties are mildest when both responses are on-policy.",
        section="3.2, 4.2",
        setting=BOTH,
        method="s1 is compared with each other scenario, seed by seed, by four measures of what it is to suffer.",
        lines={"dpo": ALL},
        examine=s1_least,
        here=HERE,
        sides=ELSEWHERE,
    ),
    Claim(
        "off_policy_chosen_hurts_most",
        "An off-policy chosen response does the most harm.",
        section="3.2, 4.2",
        setting=BOTH,
        method="s1 and s3 (chosen on-policy) are compared with s2 and s4 (off-policy) by the same four measures.",
        lines={"dpo": ALL},
        examine=off_policy_chosen_worst,
        here=HERE,
        sides=ELSEWHERE,
    ),
    Claim(
        "off_policy_chosen_disperses_anyway",
        "With only the chosen response off-policy, every loss moves mass to unseen responses.",
        method="In s2 the unseen mass is to end at least 0.01 above its minimum, and above its start.",
        lines={"dpo": ALL},
        examine=disperses,
        pick={"scenario": "s2"},
        here={"objective": "DPO", **HERE},
        sides=(
            Side("objective", "IPO", {"dpo": ALL_IPO}),
            Side("objective", "SLiC", {"dpo": ALL_SLIC}),
            *ELSEWHERE,
        ),
    ),
)
