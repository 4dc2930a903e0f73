"""All claims by their names, in the order of the report."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from lab.claims import (
    causes,
    dynamics,
    exact_results,
    flex,
    frontier,
    gradients,
    labels,
    mitigations,
    objectives,
    phases_beta,
    phases_data,
    predictors,
    pushes,
    rlhf,
    scenarios,
    scoreboard,
    sft,
    stages,
    terms,
    three_properties,
    tuning,
    untested,
    win_rates,
    winners,
)
from lab.claims.claim import Claim

CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for module in (
        three_properties,
        gradients,
        scenarios,
        flex,
        sft,
        rlhf,
        untested,
        exact_results,
        causes,
        dynamics,
        phases_beta,
        phases_data,
        objectives,
        mitigations,
        tuning,
        pushes,
        predictors,
        scoreboard,
        frontier,
        win_rates,
        winners,
        terms,
        stages,
        labels,
    )
    for claim in module.CLAIMS
}


def choose(names: Sequence[str]) -> list[Claim]:
    """Return claims by name, all of them if none is named.

    Raises:
        ValueError: If a name is unknown; the nearest one is named.
    """
    for name in names:
        if name not in CLAIMS:
            near = get_close_matches(name, CLAIMS, n=1, cutoff=0.0)
            raise ValueError(f"there is no claim '{name}'; did you mean '{near[0]}'? `--list` shows them all.")
    return [CLAIMS[name] for name in dict.fromkeys(names)] or list(CLAIMS.values())
