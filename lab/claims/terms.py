"""Which of the two pushes brings the chosen response down: each followed alone, and one that dies in a table."""

from __future__ import annotations

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, has, told
from lab.claims.lines import S1
from lab.claims.readings import chosen_end, chosen_lost

SCENARIOS = "s1,s2,s3,s4"
TAIL = "seeds=24 keep=none terms=both,chosen,rejected"
TERMS = f"mlp {SCENARIOS} dpo beta=0.1 adam lr=1e-3 steps=500 every=5 {TAIL}"
LONG = f"mlp s1 dpo beta=0.1 adam lr=1e-3 steps=2000 every=20 {TAIL}"
TANH = f"mlp s1 dpo beta=0.1 adam lr=1e-3 steps=4000 every=40 activation=tanh {TAIL}"
SGD = f"mlp s1 dpo beta=0.1 sgd lr=0.5 steps=2000 every=20 {TAIL}"
FEATURES = f"loglinear s1 dpo beta=0.1 adam lr=0.05 steps=1000 every=10 features=16 {TAIL}"
ALONE = f"mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 every=5 prompts=1 {TAIL}"
TABLE = f"tabular s1,s2 dpo beta=0.1 adam lr=0.3 steps=500 every=5 {TAIL}"

# Rates at which the push of a table comes below a tenth of its start.
TABLES = f"tabular {SCENARIOS} dpo beta=0.1 adam lr=0.3 steps=500 every=5 seeds=24 keep=none"
TABLES_SGD = f"tabular {SCENARIOS} dpo beta=0.1 sgd lr=200 steps=500 every=5 seeds=24 keep=none"


def rejected_push_makes_it(data: Data) -> tuple[Evidence, ...]:
    """Ask for the fall with either push alone, and tell it with both."""
    alone = {name: data["dpo"].sel(terms=name, drop=True) for name in ("rejected", "chosen", "both")}
    return (
        has(alone["rejected"], "degradation", of="rejected push alone"),
        has(alone["chosen"], "degradation", not_=True, of="chosen push alone"),
        told("both pushes: chosen mass lost from its peak", chosen_lost(alone["both"])),
        *(told(f"{name}: chosen mass at the end", chosen_end(alone[key]))
          for key, name in (("rejected", "rejected push alone"), ("chosen", "chosen push alone"), ("both", "both"))),
    )  # fmt: skip


def rejected_push_lowers_it(data: Data) -> tuple[Evidence, ...]:
    """Ask for a fall from the start in nats with either push alone: a response at 0.02 has no mass to lose."""
    ds = data["dpo"]
    fall = metrics.over_pairs(metrics.fall_from_start(ds), ds).isel(step=-1, drop=True)
    what = "push alone: fall of log π⁺ from its start"
    return (
        above(f"rejected {what}", fall.sel(terms="rejected", drop=True), 1, units="nats", style=".1f"),
        below(f"chosen {what}", fall.sel(terms="chosen", drop=True), 0, units="nats", style=".1f"),
    )


def table_loses_its_push(data: Data) -> tuple[Evidence, ...]:
    """Ask whether the push on the chosen response is gone at the end, and whether it fell; tell both of a network."""
    left = {name: metrics.over_pairs(metrics.remaining_push(ds), ds) for name, ds in data.items()}
    end = {name: share.sel(term="chosen", drop=True).isel(step=-1, drop=True) for name, share in left.items()}
    return (
        below("push on the chosen response at the end, as a share of its start", end["table"], 0.1, style=".4f"),
        has(data["table"], "degradation", not_=True, of="table"),
        told("the same push in an MLP at its end", end["mlp"], style=".4f"),
        told("MLP: chosen mass lost from its peak", chosen_lost(data["mlp"])),
    )


CLAIMS = (
    Claim(
        "the_rejected_push_makes_the_fall",
        "Followed alone, the push on the rejected makes the chosen fall; its own does not.",
        method="Training follows one term of DPO's gradient and leaves out the other. Degradation (0.01) is to be "
        "present with the rejected term alone, absent with the chosen term alone. In s2 and s4 the chosen "
        "response starts at 0.02 and has no mass to lose: there log π⁺ is to fall by more than 1 nat from its start.",
        lines={"dpo": TERMS},
        examine=rejected_push_makes_it,
        pick={"scenario": "s1"},
        here={
            "scenario": "s1",
            "horizon": "500 steps",
            "optimiser": "Adam",
            "activation": "ReLU",
            "policy": "an MLP",
            "prompts": "four prompts",
        },
        sides=(
            Side("scenario", "s3", pick={"scenario": "s3"}),
            *(
                Side("scenario", f"{name} by log π⁺", pick={"scenario": name}, examine=rejected_push_lowers_it)
                for name in ("s2", "s4")
            ),
            Side("horizon", "2000 steps", {"dpo": LONG}),
            Side("optimiser", "plain SGD", {"dpo": SGD}),
            Side("optimiser", "plain SGD with 16 units", {"dpo": f"{SGD} width=16"}),
            Side("activation", "tanh", {"dpo": TANH}),
            Side("policy", "16 log-linear features", {"dpo": FEATURES}),
            Side("policy", "a table", {"dpo": TABLE}),
            Side("policy", "a table in s2 by log π⁺", {"dpo": TABLE}, {"scenario": "s2"}, rejected_push_lowers_it),
            Side("prompts", "one prompt", {"dpo": ALONE}),
        ),
    ),
    Claim(
        "a_table_loses_its_push_without_a_fall",
        "In a table the push on the chosen response dies, and yet it never falls.",
        method="So a vanishing gradient is not what makes the fall. The push is to end below a tenth of its start, and "
        "degradation (0.01) to be absent. The push follows the margin alone, so that its interval has no width.",
        lines={"table": TABLES, "mlp": S1},
        examine=table_loses_its_push,
        pick={"scenario": "s1"},
        here={"scenario": "s1", "optimiser": "Adam", "β": "β = 0.1"},
        sides=(
            *(Side("scenario", name, pick={"scenario": name}) for name in ("s2", "s3", "s4")),
            Side("optimiser", "plain SGD", {"table": TABLES_SGD}),
            Side("β", "β = 1", {"table": TABLES.replace("beta=0.1", "beta=1")}),
        ),
    ),
)
