"""Claims about the gradients of the two responses, in probabilities and in other spaces."""

from __future__ import annotations

from functools import partial

import numpy as np

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.claims.lines import ALL, ALL_IPO, FEATURES, S1, TABLE
from lab.claims.three_properties import TOY

TEN = np.log(10)  # from natural logarithms to powers of ten
SPACES = {"log_probability": "log-probability", "logit": "the logits", "parameter": "the parameters"}
HERE = {"space": "measured in probability"}


def ratio_law(data: Data) -> tuple[Evidence, ...]:
    """Compare the ratio of the gradients with that of the probabilities, at every step and pair."""
    ds = data["dpo"]
    law = metrics.chosen_log_prob(ds) - metrics.rejected_log_prob(ds)
    off = abs(metrics.log_gradient_ratio(ds) - law).max(["step", "pair"])
    weight = ds["response_weight"]
    product = weight.sel(term="chosen", drop=True) * weight.sel(term="rejected", drop=True)
    return (
        below("largest deviation of the log ratio, over steps and pairs", off, 1e-9, style=".0e"),
        below("largest product of the two gradients", product.max(["step", "pair"]), 0, style=".0e"),
        told("log10 of the ratio at the end", metrics.over_pairs(law, ds).isel(step=-1) / TEN, style=".1f"),
    )


def chosen_vanishes(data: Data, space: str = "probability") -> tuple[Evidence, ...]:
    """Ask whether the chosen term's gradient shrinks to less than a tenth."""
    norm = metrics.gradient_log_norm(data["dpo"]).sel(space=space, term="chosen", drop=True) / TEN
    change = norm.isel(step=-1) - norm.isel(step=0)
    return (below("change of the chosen term's gradient, powers of ten", change, -1, style=".1f"),)


def rejected_explodes(data: Data, space: str = "probability") -> tuple[Evidence, ...]:
    """Ask whether the rejected term's gradient grows more than tenfold."""
    norm = metrics.gradient_log_norm(data["dpo"]).sel(space=space, term="rejected", drop=True) / TEN
    change = norm.isel(step=-1) - norm.isel(step=0)
    return (above("change of the rejected term's gradient, powers of ten", change, 1, weak=0, style=".1f"),)


def rejected_dominates(data: Data, space: str = "probability") -> tuple[Evidence, ...]:
    """Ask whether the rejected term's gradient ends more than ten times as large as the chosen term's."""
    norm = metrics.gradient_log_norm(data["dpo"]).sel(space=space, drop=True) / TEN
    larger = norm.sel(term="rejected", drop=True) - norm.sel(term="chosen", drop=True)
    return (
        above("rejected over chosen at the end, powers of ten", larger.isel(step=-1), 1, weak=0, style=".2f"),
        told("largest over the run, powers of ten", larger.max("step"), style=".2f"),
    )


CLAIMS = (
    Claim(
        "ratio_law",
        "The gradients of rejected and chosen probability stand in the ratio −π⁺/π⁻.",
        section="3.1, Corollary 1",
        setting="derivation",
        method="The ratio is taken from recorded gradients of every step and pair; its logarithm is to agree to 1e-9.",
        lines={"dpo": S1},
        examine=ratio_law,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "policy": "an MLP", "objective": "DPO"},
        sides=(
            *(Side("scenario", name, {"dpo": ALL}, {"scenario": name}) for name in ("s2", "s3", "s4")),
            Side("policy", "log-linear features", {"dpo": FEATURES}, {"features": 16}),
            Side("policy", "a table", {"dpo": TABLE}),
            Side("objective", "IPO", {"dpo": ALL_IPO}),
        ),
    ),
    Claim(
        "chosen_gradient_vanishes",
        "As the rejected response dies out, the gradient on the chosen one vanishes.",
        section="3.1, Corollary 2",
        setting=TOY,
        method="The norm of the chosen term's gradient is to end below a tenth of its start.",
        lines={"dpo": S1},
        examine=chosen_vanishes,
        pick={"scenario": "s1"},
        here={**HERE, "objective": "DPO"},
        sides=(
            *(
                Side("space", f"in {name}", examine=partial(chosen_vanishes, space=space))
                for space, name in SPACES.items()
            ),
            Side("objective", "IPO", {"dpo": ALL_IPO}),
        ),
    ),
    Claim(
        "rejected_gradient_explodes",
        "At the same time the gradient on the rejected response grows without bound.",
        section="3.1, Corollary 2",
        setting=TOY,
        method="The norm of the rejected term's gradient is to end above ten times its start.",
        lines={"dpo": S1},
        examine=rejected_explodes,
        here=HERE,
        sides=tuple(
            Side("space", f"in {name}", examine=partial(rejected_explodes, space=space))
            for space, name in SPACES.items()
        ),
    ),
    Claim(
        "rejected_gradient_dominates",
        "The rejected response's gradient comes to dominate the chosen one's.",
        section="3.1",
        setting=TOY,
        method="At the end the rejected term's gradient is to be more than ten times the chosen term's.",
        lines={"dpo": S1},
        examine=rejected_dominates,
        here=HERE,
        sides=tuple(
            Side("space", f"in {name}", examine=partial(rejected_dominates, space=space))
            for space, name in SPACES.items()
        ),
    ),
)
