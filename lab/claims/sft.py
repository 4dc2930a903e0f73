"""Claims about the second remedy, an added SFT loss on the chosen response."""

from __future__ import annotations

from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told
from lab.claims.lines import ADAM, ALL, ALL_EVEN, S1, SGD
from lab.claims.readings import chosen_end, dropped, rejected_end, unseen_gained

SFT = f"mlp s1,s2,s3,s4 dpo beta=0.1 sft_weight=0.01 {ADAM} every=5"
SFT_WEIGHTS = f"mlp s1 dpo beta=0.1 sft_weight=0.001,0.1 {ADAM} every=5"
SFT_EVEN = f"mlp s1 dpo beta=0.1 sft_weight=0.01 {ADAM} every=5 spread=even"
SFT_SGD = "mlp s1 dpo beta=0.1 sft_weight=0.01 sgd lr=0.5 steps=2000 seeds=24 every=10"


def sft_helps(data: Data) -> tuple[Evidence, ...]:
    """Compare the chosen mass at the end with that of DPO alone, seed by seed."""
    with_term, dpo = data["sft"], data["dpo"]
    return (
        above("chosen mass at the end, with the SFT term minus DPO", chosen_end(with_term) - chosen_end(dpo), 0.01),
        told("chosen mass at the end, with the SFT term", chosen_end(with_term)),
        told("log π⁻ at the end, with the SFT term", rejected_end(with_term), units="nats", style=".1f"),
    )


def sft_disperses_less(data: Data) -> tuple[Evidence, ...]:
    """Compare the unseen mass gained with that of DPO alone, seed by seed."""
    less = unseen_gained(data["sft"]) - unseen_gained(data["dpo"])
    return (below("unseen mass gained, with the SFT term minus DPO", less, -0.01),)


def sft_drops_less(data: Data) -> tuple[Evidence, ...]:
    """Compare the drastic drop with that of DPO alone, seed by seed."""
    less = dropped(data["sft"]) - dropped(data["dpo"])
    return (below("fall of log π⁻, with the SFT term minus DPO", less, 0, units="nats", style=".1f"),)


CLAIMS = (
    Claim(
        "sft_term_helps",
        "An added SFT loss on the chosen response eases the three properties.",
        section="3.3",
        setting="toy, and language models",
        method="With the SFT term the chosen mass is to end at least 0.01 above that of DPO alone, seed by seed. Where "
        "nothing falls, as under plain SGD, there is nothing to ease.",
        lines={"sft": SFT, "dpo": ALL},
        examine=sft_helps,
        pick={"scenario": "s1"},
        here={
            "property": "for the degradation",
            "weight": "weight 0.01",
            "scenario": "s1",
            "spread": "drawn spread",
            "optimiser": "Adam",
        },
        sides=(
            Side("property", "for the dispersion", examine=sft_disperses_less),
            Side("property", "for the drop", examine=sft_drops_less),
            Side("weight", "weight 0.001", {"sft": SFT_WEIGHTS, "dpo": S1}, {"sft_weight": 0.001}),
            Side("weight", "weight 0.1", {"sft": SFT_WEIGHTS, "dpo": S1}, {"sft_weight": 0.1}),
            *(Side("scenario", name, pick={"scenario": name}) for name in ("s2", "s3", "s4")),
            Side("spread", "even spread", {"sft": SFT_EVEN, "dpo": ALL_EVEN}),
            Side("optimiser", "plain SGD", {"sft": SFT_SGD, "dpo": SGD}),
        ),
    ),
)
