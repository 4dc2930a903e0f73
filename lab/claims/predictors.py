"""What can be said of a pair before the first step, and what cannot: CHES, the first steps, the late fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics
from lab.claims.claim import NO, UNDECIDED, YES, Claim, Data, Evidence, Side
from lab.claims.writing import number
from lab.experiments.predicting import EARLY, MARGIN, PROBLEMS, by_setting, follow, foresee

if TYPE_CHECKING:
    import xarray as xr

RESAMPLES = 300
FORESEEN, LATE, EXACT, CLEAR = 0.3, 0.4, 0.9, 0.6
SHARE = 0.02
READ = {"first_steps": f"after {EARLY} steps", "end": "at the end", "from_peak": "from the peak"}


def ches_ranks(data: Data) -> tuple[Evidence, ...]:
    """Ask whether CHES tells pairs apart, and whether it ranks their falls."""
    found = _foreseen(data)
    rows = found.sel(predictor="ches")
    counted = rows.sel(comparison="within")["cells"].values / _settings(data)
    share = float(counted.min())
    answer = YES if share > 0.99 else NO
    tells = Evidence(
        "share of settings in which CHES differs from pair to pair", share, share, share, _seeds(data),
        need="above 0.99", answer=answer,
    )  # fmt: skip
    if answer == NO:
        return (tells,)
    return (
        *(
            _rank(f"ρ of CHES with the fall {READ[name]}", rows.sel(comparison="within", outcome=name), data, FORESEEN)
            for name in ("end", "first_steps")
        ),
        tells,
        _rank("the same at the end, all settings pooled", rows.sel(comparison="pooled", outcome="end"), data),
    )


def first_steps(data: Data) -> tuple[Evidence, ...]:
    """Ask the optimiser's own first step for the fall after a few steps; tell what the plain gradient foresees."""
    rows = _foreseen(data).sel(comparison="within", outcome="first_steps")
    what = f"with the fall {READ['first_steps']}"
    return (
        _rank(f"ρ of the optimiser's first step {what}", rows.sel(predictor="step_fall"), data, EXACT),
        _rank(f"ρ of the plain gradient of all pairs {what}", rows.sel(predictor="flow_fall"), data),
        _rank(f"ρ of ⟨g⁺,g⁻⟩ − ‖g⁺‖² {what}", rows.sel(predictor="own_fall"), data),
    )


def late_fall(data: Data) -> tuple[Evidence, ...]:
    """Ask every predictor for the late fall, and hold the largest correlation in size against what is little."""
    within = _foreseen(data).sel(comparison="within")
    found = []
    for name in ("end", "from_peak"):
        rows = within.sel(outcome=name).dropna("predictor")
        # The farthest end of any interval: no predictor may reach the threshold with it, on either side.
        reach = np.maximum(abs(rows["low"].values), abs(rows["high"].values))
        best = rows.isel(predictor=int(np.argmax(reach)))
        least = 0.0 if best["low"] <= 0 <= best["high"] else float(min(abs(best["low"]), abs(best["high"])))
        value, most = float(abs(best["value"])), float(reach.max())
        answer = YES if most < LATE else NO if least > LATE else UNDECIDED
        found.append(
            Evidence(
                f"largest |ρ| of {len(rows['predictor'])} predictors with the fall {READ[name]}",
                value,
                least,
                most,
                _seeds(data),
                style=".2f",
                need=f"below {LATE:g}",
                answer=answer,
            )  # fmt: skip
        )
    return tuple(found)


def shows_late(data: Data) -> tuple[Evidence, ...]:
    """Correlate the fall until a small share of the final margin with the fall at the end."""
    rows = follow(list(data.values()), shares=(SHARE, 0.1, 0.3), resamples=RESAMPLES)
    what = "of the final margin with that at the end"
    return (
        _rank(
            f"ρ of the fall until {SHARE:.0%} {what}".replace("%", " %"), rows.sel(share=SHARE), data, CLEAR, under=True
        ),
        *(_rank(f"until {share:.0%}".replace("%", " %"), rows.sel(share=share), data) for share in (0.1, 0.3)),
    )


def _foreseen(data: Data) -> xr.Dataset:
    records = list(data.values())
    policy = records[0].attrs["experiment"].split()[0]
    return foresee(records, early=EARLY, margin=MARGIN[policy], resamples=RESAMPLES)


def _rank(what: str, row: xr.Dataset, data: Data, threshold: float | None = None, *, under: bool = False) -> Evidence:
    """Hold a rank correlation against a threshold with its whole interval, or only tell it."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if threshold is None:
        return Evidence(what, value, low, high, _seeds(data), style=".2f")
    beyond, short = (high < threshold, low > threshold) if under else (low > threshold, high < threshold)
    answer = YES if beyond else NO if short else UNDECIDED
    need = f"{'below' if under else 'above'} {number(threshold, 'g')}"
    return Evidence(what, value, low, high, _seeds(data), style=".2f", need=need, answer=answer)


def _settings(data: Data) -> int:
    return by_setting([metrics.fall_from_start(ds).isel(step=-1, drop=True).to_dataset(name="fall")
                       for ds in data.values()], inside=("overlap",)).sizes["setting"]  # fmt: skip


def _seeds(data: Data) -> int:
    return int(next(iter(data.values())).sizes["seed"])


def _usual(policy: str, optimizer: str) -> Mapping[str, str]:
    """Take the lines with the usual start, the one with fewer prompts first."""
    lines: Sequence[str] = [line for line in PROBLEMS[policy, optimizer] if "on=" not in line]
    return dict(zip(("fewer prompts", "four prompts"), lines, strict=True))


WITHIN = (
    "Spearman's ρ over the pairs of a setting (scenario, size, number of prompts), averaged over settings; 24 problems "
    "a setting, whole seeds resampled."
)
ADAM, SGD = _usual("mlp", "adam"), _usual("mlp", "sgd")
FEATURES, FEATURES_SGD = _usual("loglinear", "adam"), _usual("loglinear", "sgd")
HERE = {"optimiser": "Adam", "policy": "an MLP"}
SIDES = (
    Side("optimiser", "plain SGD", SGD),
    Side("policy", "log-linear features", FEATURES),
    Side("policy", "log-linear features under plain SGD", FEATURES_SGD),
)

CLAIMS = (
    Claim(
        "ches_ranks_the_fall",
        "Before training, CHES ranks pairs by how far their chosen response will fall.",
        method=f"{WITHIN} ρ is to exceed {FORESEEN:g} after {EARLY} steps and at the end. Razin et al. 2025 (arXiv "
        "2410.08847) say so of language models, whose responses have many tokens. Where a response is one token, as in "
        "the MLP here, CHES is 0 for every pair and ranks nothing.",
        lines=FEATURES,
        examine=ches_ranks,
        here={"optimiser": "Adam", "policy": "log-linear features"},
        sides=(Side("optimiser", "plain SGD", FEATURES_SGD), Side("policy", "an MLP", ADAM)),
    ),
    Claim(
        "first_steps_foreseen",
        "The optimiser's first step foresees how chosen responses move in its first steps.",
        method=f"{WITHIN} The first-order change of log π⁺ by the optimiser's first update, with all pairs in it, is "
        f"to have ρ above {EXACT:g} with the fall after {EARLY} steps.",
        lines=ADAM,
        examine=first_steps,
        here=HERE,
        sides=SIDES,
    ),
    Claim(
        "late_fall_unforeseen",
        "No predictor of step 0 ranks pairs by the late fall of their chosen response.",
        method=f"{WITHIN} Of every predictor that tells pairs apart, the whole interval of ρ is to lie within "
        f"±{LATE:g}, for the fall at the end and from the peak. The numbers are those of the predictor whose interval "
        "reaches farthest, without sign.",
        lines=ADAM,
        examine=late_fall,
        here=HERE,
        sides=SIDES,
    ),
    Claim(
        "fall_shows_late",
        "How a chosen response moves first hardly shows how far it will have fallen.",
        method=f"{WITHIN} ρ of the fall so far, until the pair's log-ratio margin is {100 * SHARE:g} % of what pairs "
        f"typically end with, with the fall at the end is to stay below {CLEAR:g}. The margin is the clock, since "
        "optimisers share no other.",
        lines=ADAM,
        examine=shows_late,
        here=HERE,
        sides=SIDES,
    ),
)
