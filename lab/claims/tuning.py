"""Rules for choosing the SFT weight and both β, and what the two β do."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab import metrics
from lab.claims.claim import Claim, Data, Evidence, Side
from lab.claims.evidence import above, below, told, within
from lab.claims.readings import chosen_end

# The lines are those of the figures an_sft_weight_of_a_hundredth_travels and the_valley_in_beta_has_two_arms.
BETAS = "0.01,0.02,0.05,0.1,0.2,0.5,1"
GRID = (
    f"mlp s1,s2 flex beta_chosen={BETAS} beta_rejected={BETAS} adam lr=1e-3 steps=500 seeds=24 every=500 keep=none "
    "dtype=float32"
)
KEPT, WITHIN = 0.9, 0.05
TRAVEL = "seeds=24 keep=none"
TRAVEL_ADAM = f"adam lr=1e-3 steps=500 {TRAVEL} every=10 dtype=float32"
WEIGHTS = "0,1e-3,3e-3,0.01,0.03,0.1,1"
SCENARIO = {"scenario": "s1"}


def weight_travels(data: Data) -> tuple[Evidence, ...]:
    """Hold the weight of 0.01 against the best weight that keeps nine tenths of the margin, seed by seed."""
    ds = data["sft"].sel({"beta": 0.1} if "beta" in data["sft"].dims else {}, drop=True)
    kept = _margin(ds) / _margin(ds.sel(sft_weight=0, drop=True))
    mass = chosen_end(ds)
    best = mass.where(kept >= KEPT).max("sft_weight")
    gap = mass.sel(sft_weight=0.01, drop=True) - best
    return (
        above("chosen mass, weight 0.01 minus the best weight", gap, -WITHIN),
        above("share of plain DPO's log-ratio margin, weight 0.01", kept.sel(sft_weight=0.01, drop=True), KEPT),
        told("share of plain DPO's log-ratio margin, weight 1", kept.sel(sft_weight=1, drop=True)),
    )


def pilot_finds_better(data: Data) -> tuple[Evidence, ...]:
    """Compare the weight that a pilot run suggests with 0.01: the share of settings on target, seed by seed."""
    better: list[xr.DataArray] = []
    fixed: list[xr.DataArray] = []
    for ds in data.values():
        kept = _margin(ds) / _margin(ds.sel(sft_weight=0, drop=True))
        mass = chosen_end(ds)
        hit = (kept >= KEPT) & (mass >= mass.where(kept >= KEPT).max("sft_weight") - WITHIN)
        plain = ds.sel(sft_weight=0, drop=True)
        push = metrics.over_pairs(abs(plain["response_weight"].sel(term="chosen", drop=True)), plain)
        peak = metrics.over_pairs(metrics.chosen_log_prob(plain), plain).argmax("step")
        steps = abs(xr.apply_ufunc(np.log, hit["sft_weight"][1:]) - xr.apply_ufunc(np.log, push.isel(step=peak)))
        suggested = steps.idxmin("sft_weight")
        rest = [dim for dim in hit.dims if dim not in ("seed", "sft_weight")]
        for found, weight in ((better, suggested), (fixed, 0.01)):
            found.append(hit.sel(sft_weight=weight).astype(float).drop_vars("sft_weight").mean(rest))
    pilot, plain_rule = (sum(found[1:], found[0]) / len(found) for found in (better, fixed))
    return (
        above("share of settings on target, pilot run minus weight 0.01", pilot - plain_rule, 0),
        told("share of settings on target, weight 0.01", plain_rule),
    )


def depth_is_rejected(data: Data) -> tuple[Evidence, ...]:
    """Compare the fall of log π⁻ at one β⁻ for a small and for a large β⁺, as a ratio."""
    ds = data["grid"]
    fall = metrics.over_pairs(-metrics.rejected_log_ratio(ds), ds).isel(step=-1, drop=True)

    def at(beta_chosen: float, beta_rejected: float) -> xr.DataArray:
        return fall.sel(beta_chosen=beta_chosen, beta_rejected=beta_rejected, drop=True)

    return (
        *(
            within(f"fall of log π⁻, β⁺ = 0.01 over β⁺ = 0.2, β⁻ = {beta:g}", at(0.01, beta) / at(0.2, beta), 1, 0.2)
            for beta in (0.05, 0.2, 1.0)
        ),
        told("fall of log π⁻, β⁻ = 0.05 over β⁻ = 0.5, β⁺ = 0.1", at(0.1, 0.05) / at(0.1, 0.5), style=".1f"),
    )


def two_arms(data: Data) -> tuple[Evidence, ...]:
    """Ask for both arms of the valley: a surplus keeps, and in deficit the chosen mass is that of any smaller β⁺."""
    end = chosen_end(data["grid"])

    def at(beta_chosen: float, beta_rejected: float) -> xr.DataArray:
        return end.sel(beta_chosen=beta_chosen, beta_rejected=beta_rejected, drop=True)

    what = "chosen mass at the end"
    return (
        above(f"{what}, β⁺ = 0.1: β⁻ = 0.05 minus β⁻ = 0.1", at(0.1, 0.05) - at(0.1, 0.1), 0.01),
        above(f"{what}, β⁺ = 0.01: β⁻ = 1 minus β⁻ = 0.1", at(0.01, 1.0) - at(0.01, 0.1), 0.01),
        below(f"{what}, β⁻ = 0.5: β⁺ = 0.1 minus β⁺ = 0.01, either way", abs(at(0.1, 0.5) - at(0.01, 0.5)), 0.1),
    )


def _margin(ds: xr.Dataset) -> xr.DataArray:
    return metrics.over_pairs(metrics.log_ratio_margin(ds), ds).isel(step=-1, drop=True)


def _travelled(words: str, rest: str, beta: str = "0.1") -> str:
    return f"{words} dpo beta={beta} sft_weight={WEIGHTS} {rest}"


CLAIMS = (
    Claim(
        "a_hundredth_of_sft_travels",
        "An SFT weight of 0.01 keeps the chosen response and the margin.",
        method=f"It is to end within {WITHIN:g} of the best of seven weights that keep {100 * KEPT:.0f} % of plain "
        f"DPO's log-ratio margin, and to keep that share itself. It was found in s1 and s2 of the MLP at β = 0.1.",
        lines={"sft": _travelled("mlp s1,s2", TRAVEL_ADAM, "0.03,0.1,0.3")},
        examine=weight_travels,
        pick=SCENARIO,
        here={"setting": "s1"},
        sides=(
            Side("setting", "s2", pick={"scenario": "s2"}),
            *(
                Side("setting", f"{scenario} at β = {beta:g}", pick={"scenario": scenario, "beta": beta})
                for beta in (0.03, 0.3)
                for scenario in ("s1", "s2")
            ),
            *(
                Side("setting", f"{scenario} of {label}" if label else scenario, {"sft": line}, {"scenario": scenario})
                for label, line, scenarios in (
                    ("", _travelled("mlp s3,s4", TRAVEL_ADAM), ("s3", "s4")),
                    ("16 units", _travelled("mlp s1,s2", f"{TRAVEL_ADAM} width=16"), ("s1", "s2")),
                    ("tanh", _travelled("mlp s1,s2", f"{TRAVEL_ADAM} activation=tanh"), ("s1", "s2")),
                    ("8 prompts", _travelled("mlp s1,s2", f"{TRAVEL_ADAM} prompts=8"), ("s1", "s2")),
                    ("one pair a step", _travelled("mlp s1,s2", f"{TRAVEL_ADAM} batch=1"), ("s1", "s2")),
                    (
                        "150 steps",
                        _travelled("mlp s1,s2", f"adam lr=1e-3 steps=150 {TRAVEL} every=3 dtype=float32"),
                        ("s1", "s2"),
                    ),
                    (
                        "16 units under plain SGD",
                        _travelled("mlp s1,s2", f"sgd lr=0.5 steps=2000 {TRAVEL} every=40 width=16 dtype=float32"),
                        ("s1", "s2"),
                    ),
                    (
                        "16 log-linear features",
                        _travelled("loglinear s1,s2", f"adam lr=0.05 steps=1000 {TRAVEL} every=20", "0.03,0.1,0.3"),
                        ("s1", "s2"),
                    ),
                )
                for scenario in scenarios
            ),
        ),
    ),
    Claim(
        "a_pilot_run_finds_a_better_weight",
        "The push left where log π⁺ peaks is a better SFT weight than 0.01.",
        method="The push is read off a run of plain DPO, and the nearest of six weights taken. In each of eight kinds "
        "of setting that 0.01 was not found in, a weight is on target as in a_hundredth_of_sft_travels; seed by seed.",
        lines={
            "s3, s4": _travelled("mlp s3,s4", TRAVEL_ADAM),
            "16 units": _travelled("mlp s1,s2", f"{TRAVEL_ADAM} width=16"),
            "tanh": _travelled("mlp s1,s2", f"{TRAVEL_ADAM} activation=tanh"),
            "8 prompts": _travelled("mlp s1,s2", f"{TRAVEL_ADAM} prompts=8"),
            "one pair a step": _travelled("mlp s1,s2", f"{TRAVEL_ADAM} batch=1"),
            "150 steps": _travelled("mlp s1,s2", f"adam lr=1e-3 steps=150 {TRAVEL} every=3 dtype=float32"),
            "plain SGD": _travelled("mlp s1,s2", f"sgd lr=0.5 steps=2000 {TRAVEL} every=40 width=16 dtype=float32"),
            "log-linear": _travelled("loglinear s1,s2", f"adam lr=0.05 steps=1000 {TRAVEL} every=20", "0.03,0.1,0.3"),
        },
        examine=pilot_finds_better,
    ),
    Claim(
        "beta_rejected_sets_the_depth",
        "How far log π⁻ falls is set by β⁻, whatever β⁺ is.",
        method="At each of three β⁻ the fall is to be the same within 20 % for β⁺ = 0.01 and for β⁺ = 0.2.",
        lines={"grid": GRID},
        examine=depth_is_rejected,
        pick=SCENARIO,
        here={"scenario": "s1"},
        sides=(Side("scenario", "s2", pick={"scenario": "s2"}),),
    ),
    Claim(
        "valley_has_two_arms",
        "The valley in β⁻ is a surplus of push below β⁺, an early end above.",
        method="A β⁻ below β⁺ is to keep more; with β⁺ far below β⁻ a larger β⁻ is to keep more; and there β⁺ is not "
        "to matter by more than 0.1, seed by seed.",
        lines={"grid": GRID},
        examine=two_arms,
        pick=SCENARIO,
        here={"scenario": "s1"},
        sides=(Side("scenario", "s2", pick={"scenario": "s2"}),),
    ),
)
