"""The bench of remedies: every remedy's lines on three grounds, and what is read off them; shared by several figures.

Adam moves alike whatever the size of a gradient. Under plain SGD each objective gets the rate at which its first step
on the chosen response is as long as DPO's: rate times the largest push at the start is 0.025, and up to 0.03 with an
added term, which leaves DPO its rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lab import metrics

if TYPE_CHECKING:
    import xarray as xr

# Single precision: the medians are those of double precision to 0.01, in less than half the time.
RECORD = "seeds=24 keep=none truth=normal"
ADAM = f"adam lr=1e-3 steps=500 {RECORD} every=10 dtype=float32"
DPO, STOP = "DPO", "stop at the peak"
PATIENCE = 3  # records without a higher log π⁺, of 50 in a run
# Families of runs on the main ground, each over its dose.
FAMILIES = {
    "dpo": f"dpo beta=0.05,0.1,0.2,0.5,1 {ADAM}",
    "rate": f"dpo beta=0.1 {ADAM.replace('lr=1e-3', 'lr=1e-4,3e-4')}",
    "smoothing": f"cdpo beta=0.1 smoothing=0.001,0.01,0.1 {ADAM}",
    "ipo": f"ipo beta=0.005,0.01,0.02,0.1 {ADAM}",
    "dpop": f"dpop beta=0.1 penalty=5,50 {ADAM}",
    "simpo": f"simpo beta=2 gamma=1 {ADAM}",
    "flex": f"flex beta_chosen=0.1 beta_rejected=0.01,0.02,0.04,0.08 {ADAM}",
    "shift": f"dposhift beta=0.1 shift=0.75 {ADAM}",
    "sft": f"dpo beta=0.1 sft_weight=1e-4,1e-3,1e-2,0.1 {ADAM}",
    "both": f"flex beta_chosen=0.1 beta_rejected=0.04 sft_weight=1e-3,1e-2 {ADAM}",
    "chipo": f"chipo beta=0.05,0.1,0.2 {ADAM}",
    "kto": f"kto beta=0.1,0.5 {ADAM}",
    "orpo": f"orpo beta=0.1 {ADAM}",
}
MAIN = {family: f"mlp s1,s2,s3,s4 {words}" for family, words in FAMILIES.items()}
GROUNDS = ("MLP, Adam", "16 units, SGD", "log-linear, Adam")


@dataclass(frozen=True)
class Remedy:
    """One remedy at one dose.

    Args:
        label: What a reader calls it.
        family: Its family on the main ground.
        dose: The cell of the family, empty where the family is one cell.
        words: Its words on the other grounds' lines.
        rate: Its learning rate under plain SGD.
        slower: By how much it trains more slowly than the others, on every ground.
    """

    label: str
    family: str
    dose: Mapping[str, float] = field(default_factory=dict)
    words: str = ""
    rate: float = 0.5
    slower: int = 1

    def lines(self) -> dict[str, str]:
        """Write its lines on the other two grounds."""
        sgd, adam = f"{self.rate / self.slower:g}", f"{0.05 / self.slower:g}"
        return {
            f"{self.label}, {GROUNDS[1]}": f"mlp s1,s2 {self.words} sgd lr={sgd} steps=2000 {RECORD} every=40 width=16 "
            "dtype=float32",
            f"{self.label}, {GROUNDS[2]}": f"loglinear s1,s2 {self.words} adam lr={adam} steps=1000 {RECORD} every=20",
        }


REMEDIES = (
    Remedy(DPO, "dpo", {"beta": 0.1}, "dpo beta=0.1"),
    Remedy("larger β, 1", "dpo", {"beta": 1.0}, "dpo beta=1", 0.05),
    Remedy("learning rate / 10", "rate", {"lr": 1e-4}, "dpo beta=0.1", slower=10),
    Remedy("label smoothing 0.1", "smoothing", {"smoothing": 0.1}, "cdpo beta=0.1 smoothing=0.1", 0.62),
    Remedy("IPO, β = 0.1", "ipo", {"beta": 0.1}, "ipo beta=0.1", 0.0025),
    Remedy("SimPO, β = 2, γ = 1", "simpo", {}, "simpo beta=2 gamma=1", 0.0125),
    Remedy("DPOP, penalty 50", "dpop", {"penalty": 50.0}, "dpop beta=0.1 penalty=50"),
    Remedy("Flex-DPO, β⁻ = 0.08", "flex", {"beta_rejected": 0.08}, "flex beta_chosen=0.1 beta_rejected=0.08"),
    Remedy("DPO-Shift, 0.75", "shift", {}, "dposhift beta=0.1 shift=0.75"),
    Remedy("Flex-DPO, β⁻ = 0.01", "flex", {"beta_rejected": 0.01}, "flex beta_chosen=0.1 beta_rejected=0.01"),
    Remedy("SFT term, 0.001", "sft", {"sft_weight": 1e-3}, "dpo beta=0.1 sft_weight=1e-3"),
    Remedy("SFT term, 0.01", "sft", {"sft_weight": 1e-2}, "dpo beta=0.1 sft_weight=1e-2"),
    Remedy(
        "β⁻ = 0.04 + SFT 0.01", "both", {"sft_weight": 1e-2}, "flex beta_chosen=0.1 beta_rejected=0.04 sft_weight=1e-2"
    ),
    Remedy("χPO, β = 0.1", "chipo", {"beta": 0.1}, "chipo beta=0.1", 0.25),
    Remedy("KTO, β = 0.1", "kto", {"beta": 0.1}, "kto beta=0.1", 2.0),
    Remedy("ORPO, β = 0.1", "orpo", {}, "orpo beta=0.1", 0.025),
)
ELSEWHERE = {name: line for remedy in REMEDIES for name, line in remedy.lines().items()}


def main_cell(data: Mapping[str, xr.Dataset], remedy: Remedy) -> xr.Dataset:
    """Pick a remedy's cell of its family, on the main ground: [scenario, ...]."""
    return data[remedy.family].sel(remedy.dose, drop=True)


def read(ds: xr.Dataset, *, stop: xr.DataArray | None = None) -> dict[str, xr.DataArray]:
    """Read what a remedy is judged by, [...], at the last step or where a run stops.

    Args:
        ds: A record with a true reward.
        stop: Recorded steps [...]; the last one if None.

    Returns:
        chosen, unseen (probabilities), margin (log-ratio margin), kl, fallen (-log π⁻) in nats, reward, and pushes
        (the push on chosen over that on rejected, each summed over the run).
    """
    curves = over_steps(ds)
    pushes = metrics.over_pairs(metrics.total_push(ds), ds)
    with np.errstate(divide="ignore"):
        ratio = pushes.sel(term="chosen", drop=True) / pushes.sel(term="rejected", drop=True)
    found = {
        word: curve.isel(step=-1, drop=True) if stop is None else curve.sel(step=stop).drop_vars("step")
        for word, curve in curves.items()
    }
    return {**found, "pushes": ratio}


def over_steps(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Read the same quantities but the pushes at every step, [..., step]."""
    return {
        "chosen": metrics.over_pairs(metrics.chosen_prob(ds), ds),
        "unseen": metrics.over_prompts(metrics.unseen_mass(ds), ds),
        "margin": metrics.over_pairs(metrics.log_ratio_margin(ds), ds),
        "kl": metrics.over_prompts(metrics.kl_from_reference(ds), ds),
        "fallen": -metrics.over_pairs(metrics.rejected_log_prob(ds), ds),
        "reward": metrics.over_prompts(metrics.expected_reward(ds), ds),
    }


def stop_step(ds: xr.Dataset) -> xr.DataArray:
    """Return the step at which a run stops because the mean log π⁺ has not risen for a while."""
    return metrics.patience_stop(metrics.over_pairs(metrics.chosen_log_prob(ds), ds), patience=PATIENCE)
