"""The audit of step 0: is the start what the properties take it to be."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lab import metrics
from lab.trajectory import find_word

OBJECTIVES = ("dpo", "flex", "ipo", "slic", "sft")
HOLDS, FAILS, NOT_APPLICABLE = "holds", "fails", "not applicable"


@dataclass(frozen=True)
class Check:
    """One statement about step 0.

    Attributes:
        name: What is checked.
        deviation: The largest deviation from what is expected; NaN where the check does not apply.
        tolerance: The largest deviation that passes.
        outcome: "holds", "fails" or "not applicable".
        sentence: The outcome in words, with its reason.
    """

    name: str
    deviation: float
    tolerance: float
    outcome: str
    sentence: str

    def __str__(self) -> str:
        """Print the sentence."""
        return self.sentence


@dataclass(frozen=True)
class Audit:
    """The checks of one record; `passed` says that none fails."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Say whether no check fails."""
        return all(check.outcome != FAILS for check in self.checks)

    def __str__(self) -> str:
        """Print the outcome in one line, and a line for each check that fails or does not apply."""
        held = [check for check in self.checks if check.outcome == HOLDS]
        others = [check for check in self.checks if check.outcome != HOLDS]
        head = "Step 0: " + ("; ".join(check.sentence for check in held) if held else "no check holds") + "."
        return "\n".join([head, *(f"Step 0, {check.outcome}: {check.sentence}." for check in others)])


def audit(ds: xr.Dataset) -> Audit:
    """Check the start of a record: the policy is the reference, so margins are 0 and the loss is known.

    At π = π_ref the margin and both implicit rewards are 0, and a pair's loss is log 2 (DPO, Flex-DPO), 1/(4β²) (IPO)
    or 1 (SLiC). The objective is read from the axis `objective` or the experiment line.

    Args:
        ds: A record, swept or not; a check covers all its cells.

    Returns:
        The checks: reference, loss, margin, implicit rewards, probabilities; each holds, fails or does not apply.

    Source: own definition; the losses at margin 0, own derivation; tests/test_properties.py.
    """
    tolerance = 1e-9 if ds["log_prob"].dtype == np.float64 else 1e-4
    start = ds.isel(step=0)
    gap = _largest(start["log_prob"] - start["reference_log_prob"])
    away = f", because the start is {gap:.3g} nats away from the reference" if not gap <= tolerance else ""
    no_beta = "the objective has no β"
    rewards = np.fmax(
        _largest(metrics.chosen_implicit_reward(start)), _largest(metrics.rejected_implicit_reward(start))
    )
    later = ""
    if gap > tolerance and "reference=stage" in str(ds.attrs.get("experiment", "")):
        later, gap, rewards = "the record's reference is the policy of a later stage", np.nan, np.nan
    total = _largest(metrics.prob(ds).sum("response", skipna=False) - 1)
    expected, words, reason = _expected_loss(ds)
    loss = np.nan if expected is None else _largest(start["loss"] / expected - 1)
    return Audit(
        (
            _check(
                "reference", gap, tolerance, "the policy is the reference", "the policy is not the reference", later
            ),
            _check("loss", loss, tolerance, f"loss = {words}", f"the loss is not {words}{away}", reason),
            _check(
                "margin",
                np.nan if later else _largest(metrics.margin(start)),
                tolerance,
                "margin = 0",
                f"the margin is not 0{away}",
                later or no_beta,
            ),
            _check(
                "implicit rewards",
                float(rewards),
                tolerance,
                "implicit rewards = 0",
                f"the implicit rewards are not 0{away}",
                later or no_beta,
            ),
            _check("probabilities", total, tolerance, "probabilities sum to 1", "probabilities do not sum to 1", ""),
        )
    )


def _check(name: str, deviation: float, tolerance: float, good: str, bad: str, reason: str) -> Check:
    if np.isnan(deviation) and reason:
        return Check(name, deviation, tolerance, NOT_APPLICABLE, f"{name}: {reason}")
    if deviation <= tolerance:
        return Check(name, deviation, tolerance, HOLDS, good)
    return Check(name, deviation, tolerance, FAILS, f"{bad} (off by {deviation:.3g}, allowed {tolerance:.0e})")


def _largest(array: xr.DataArray) -> float:
    """The largest magnitude, cells without the quantity (NaN) left out; NaN where there is none."""
    sizes = np.abs(array.values)
    sizes = sizes[~np.isnan(sizes)]
    return float(sizes.max()) if sizes.size else np.nan


def _expected_loss(ds: xr.Dataset) -> tuple[xr.DataArray | None, str, str]:
    """The loss at margin 0 (NaN in cells where it is not known), in words, and why it is not known."""
    if " then " in str(ds.attrs.get("experiment", "")):
        return None, "", "the line has stages, each with a loss of its own scale; the betas are those of the last one"
    objectives = find_word(ds, "objective", OBJECTIVES)
    if objectives is None:
        return None, "", "the experiment line names no objective whose loss at margin 0 is known"
    sft_weight = _sft_weight(ds)
    if sft_weight is None or not (sft_weight == 0).any():
        return None, "", "the SFT term adds a part that depends on the chosen response's probability"
    known = {
        "dpo": (np.log(2), "log 2"),
        "flex": (np.log(2), "log 2"),
        "ipo": (1 / (4 * ds["beta_chosen"] ** 2), "1/(4β²)"),
        "slic": (1.0, "1"),
    }
    expected = xr.full_like(objectives, np.nan, dtype=np.float64)
    words = []
    for name in np.unique(objectives.values):
        if name in known:
            expected = xr.where(objectives == name, known[name][0], expected)
            words.append(known[name][1])
    if not words:
        return None, "", "an SFT loss at step 0 is -log π of the chosen response, whatever the start"
    expected = expected.where(sft_weight == 0)
    where = " (in the cells where it is known)" if expected.isnull().any() else ""
    return expected, " or ".join(dict.fromkeys(words)) + where, ""


def _sft_weight(ds: xr.Dataset) -> xr.DataArray | None:
    if "sft_weight" in ds.coords:
        return ds["sft_weight"]
    given = re.search(r"\bsft_weight=(\S+)", str(ds.attrs.get("experiment", "")))
    try:
        return xr.DataArray(float(given.group(1)) if given else 0.0)
    except ValueError:
        return None
