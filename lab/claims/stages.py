"""Claims about SFT on the chosen response as a stage of its own, before DPO."""

from __future__ import annotations

from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, has, told
from lab.claims.readings import chosen, chosen_end


def lines(
    *, sft: int = 100, dpo: int = 500, rule: str = "adam lr=1e-3", words: str = "", then: str = ""
) -> dict[str, str]:
    """Write SFT and then DPO, and DPO alone for as many updates as both.

    Args:
        sft: Updates of SFT.
        dpo: Updates of DPO after it.
        rule: The optimiser of both.
        words: More words of both lines.
        then: More words of the second stage.

    Returns:
        The lines by name.
    """
    tail = f"seeds=24 every={5 if dpo < 1000 else 20} keep=none {words}".strip()
    return {
        "first": f"mlp s1,s2,s3,s4 sft {rule} steps={sft} {tail} then dpo beta=0.1 steps={dpo} {then}".strip(),
        "dpo": f"mlp s1,s2,s3,s4 dpo beta=0.1 {rule} steps={sft + dpo} {tail}",
    }


def helps_but_does_not_cure(data: Data) -> tuple[Evidence, ...]:
    """Compare the chosen mass at the end with that of DPO alone, seed by seed, and ask for the fall all the same."""
    first, dpo = data["first"], data["dpo"]
    return (
        above("chosen mass at the end, SFT first minus DPO alone", chosen_end(first) - chosen_end(dpo), 0.01),
        has(first, "degradation", of="SFT first"),
        told("SFT first: chosen mass at its peak", chosen(first).max("step")),
        told("SFT first: chosen mass at the end", chosen_end(first)),
        told("DPO alone: chosen mass at the end", chosen_end(dpo)),
    )


CLAIMS = (
    Claim(
        "sft_first_helps_but_does_not_cure",
        "SFT before DPO keeps the chosen response higher, and it still falls.",
        method="With SFT first the chosen mass is to end at least 0.01 above that of DPO alone after as many updates, "
        "seed by seed, and degradation (0.01) to be present.",
        lines=lines(),
        examine=helps_but_does_not_cure,
        pick={"scenario": "s2"},
        here={
            "scenario": "s2",
            "SFT": "100 updates of SFT",
            "horizon": "500 updates of DPO",
            "reference": "the start as the reference",
            "optimiser": "Adam",
            "activation": "ReLU",
        },
        sides=(
            *(Side("scenario", name, pick={"scenario": name}) for name in ("s1", "s3", "s4")),
            *(Side("SFT", f"{steps} updates of SFT", lines(sft=steps)) for steps in (25, 200, 400)),
            Side("horizon", "2000 updates of DPO", lines(dpo=2000)),
            Side("reference", "the policy after SFT as the reference", lines(then="reference=stage")),
            Side("optimiser", "plain SGD", lines(rule="sgd lr=0.5", dpo=2000)),
            Side("optimiser", "plain SGD with 16 units", lines(rule="sgd lr=0.5", dpo=2000, words="width=16")),
            Side("activation", "tanh", lines(words="activation=tanh")),
        ),
    ),
)
