"""The rows of the scoreboard: every objective word of the line, and the variants that its defaults hide."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN, CHANGED, EACH, FREE, LIKELIHOOD, SUPERVISED = FAMILIES = (
    "the margin to the reference alone",
    "a changed margin",
    "each response by itself",
    "no reference, no likelihood term",
    "with a likelihood term",
    "supervised",
)


@dataclass(frozen=True)
class Entry:
    """One objective of the scoreboard.

    Args:
        name: Its id: the word of the line, or the word and what is changed.
        label: How people write it.
        words: What stands on the line: the word, and the settings that differ from the defaults.
        family: One of FAMILIES: what its loss looks at.
        push: The largest |∂ℓ/∂log π| of either response at the start, over pairs, seeds and the four scenarios; it
            sets the learning rate of plain gradient descent, so that the first steps are equally large.
        stops: Whether its push on the rejected response is gone, or turned round, once the margin is large: the loss
            has a finite target, or ignores the rejected response.
        lifts: Whether it still pushes the chosen response up, by a tenth of `push` or more, when that one stands 1 nat
            below the reference and the rejected one is all but gone.
        slower: What the rate of plain gradient descent in the MLP is divided by: a push that never weakens makes
            ever longer steps there, to infinity.

    Raises:
        ValueError: If the family is unknown or the push is not above 0.
    """

    name: str
    label: str
    words: str
    family: str
    push: float
    stops: bool = False
    lifts: bool = False
    slower: float = 1.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.name} has the family '{self.family}'; it must be one of {', '.join(FAMILIES)}")
        if not self.push > 0:
            raise ValueError(f"{self.name} has a push of {self.push}; it must be above 0, or nothing would move")


# tests/test_scoreboard.py computes the pushes again, and which objectives stop and lift.
ENTRIES: tuple[Entry, ...] = (
    Entry("dpo", "DPO", "dpo", MARGIN, 0.05),
    Entry("dpo_avg", "Averaged DPO", "dpo_avg", MARGIN, 0.05),
    Entry("cdpo", "cDPO", "cdpo", MARGIN, 0.04, stops=True),
    Entry("robust", "Robust DPO", "robust", MARGIN, 0.0625, slower=20),
    Entry("exo", "EXO", "exo", MARGIN, 0.0549, stops=True),
    Entry("discopop", "DiscoPOP", "discopop", MARGIN, 0.0784),
    Entry("slic", "SLiC", "slic", MARGIN, 0.1, stops=True),
    Entry("ipo", "IPO", "ipo", MARGIN, 10.0, stops=True),
    Entry("ipo_avg", "Averaged IPO", "ipo_avg", MARGIN, 10.0, stops=True),
    Entry("flex", "Flex-DPO (β⁻ = 0.08)", "flex beta_rejected=0.08", CHANGED, 0.05),
    Entry("dposhift", "DPO-Shift", "dposhift", CHANGED, 0.05),
    Entry("dpop", "DPOP", "dpop", CHANGED, 0.05),
    Entry("chipo", "χPO", "chipo", CHANGED, 0.1),
    Entry("wpo", "WPO", "wpo", CHANGED, 0.0613),
    Entry("aot", "AOT", "aot", CHANGED, 0.05),
    Entry("aot_unpaired", "Unpaired AOT", "aot_unpaired", CHANGED, 0.05),
    Entry("nca", "NCA", "nca", EACH, 0.025, lifts=True),
    Entry("bco", "BCO", "bco", EACH, 0.05, lifts=True),
    Entry("sppo", "SPPO", "sppo", EACH, 10.0, stops=True, lifts=True),
    Entry("caldpo", "Cal-DPO", "caldpo", EACH, 10.5, stops=True, lifts=True),
    Entry("apo_zero", "APO-zero", "apo_zero", EACH, 0.025, lifts=True),
    Entry("apo_down", "APO-down", "apo_down", EACH, 0.025),
    Entry("kto", "KTO", "kto", EACH, 0.0125, lifts=True),
    Entry("apo_unpaired", "Unpaired APO-zero", "apo_unpaired", EACH, 0.0125, lifts=True),
    Entry("simpo", "SimPO", "simpo", FREE, 0.0692),
    Entry("alphapo", "AlphaPO", "alphapo", FREE, 0.198),
    Entry("cpo_pure", "CPO without NLL", "cpo nll_weight=0", FREE, 0.0577),
    Entry("slichf_pure", "SLiC-HF without NLL", "slichf nll_weight=0", FREE, 0.1, stops=True),
    Entry("ipo_free_pure", "Free IPO without NLL", "ipo_free nll_weight=0", FREE, 16.2, stops=True),
    Entry("orpo_pure", "ORPO without NLL", "orpo nll_weight=0", FREE, 0.177),
    Entry("reward", "Reward model's loss", "reward", FREE, 0.957),
    Entry("dpo_sft", "DPO + 0.01 SFT", "dpo sft_weight=0.01", LIKELIHOOD, 0.06, lifts=True),
    Entry("cpo", "CPO", "cpo", LIKELIHOOD, 1.06, lifts=True),
    Entry("slichf", "SLiC-HF", "slichf", LIKELIHOOD, 1.1, stops=True, lifts=True),
    Entry("ipo_free", "Free IPO", "ipo_free", LIKELIHOOD, 17.2, stops=True, lifts=True),
    Entry("orpo", "ORPO", "orpo", LIKELIHOOD, 1.1, lifts=True),
    Entry("tpo", "TPO", "tpo", LIKELIHOOD, 1.06, lifts=True),
    Entry("tpo_l", "TPO-L", "tpo_l", LIKELIHOOD, 1.07, lifts=True),
    Entry("sft", "SFT", "sft", SUPERVISED, 1.0, stops=True, lifts=True),
    Entry("sft_token", "SFT over tokens", "sft_token", SUPERVISED, 1.0, stops=True, lifts=True),
    Entry("unlikelihood", "Unlikelihood", "unlikelihood", SUPERVISED, 1.0, lifts=True),
)
