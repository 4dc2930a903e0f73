"""Claims of the paper that no run of the lab can speak to, kept in the table so that nothing is left out quietly."""

from __future__ import annotations

from lab.claims.claim import Claim

NEEDS_MODEL = "It is about the quality of generated text, which ten enumerated responses do not have."

CLAIMS = (
    Claim(
        "on_policy_pairs_win_at_math",
        "At math, pairs from the model itself beat pairs with an off-policy chosen response.",
        section="4.2",
        setting="Baichuan2-13B and 33B: 3.85 against 3.60, 72.93 against 69.42",
        method=NEEDS_MODEL,
        untested="not testable in a toy",
    ),
    Claim(
        "ppo_writes_better",
        "PPO writes better poems and slogans than DPO.",
        section="4.5",
        setting="Baichuan2, poems and slogans",
        method=NEEDS_MODEL,
        untested="not testable in a toy",
    ),
)
