"""The closed form of every objective: its loss and its two pushes. `formulas.SYMBOLS` says what the letters are.

With s(m) + s(-m) = 1 a smoothed logistic loss pushes by beta (smoothing - s(-m)): DPO's push, less a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lab import objectives as o
from lab.objectives import Objective
from lab.theory.formulas import Formula

_MARGIN = ("m", "beta * (u - v)")
_SMOOTHED = "-(1 - smoothing) * log_s(m) - smoothing * log_s(-m)"
_NLL = "nll_weight * c / mean_C"
_AVERAGE = (("a", "c / C"), ("b", "r / R"))
_TARGET = ("t", "1 / (2 * beta)")
_GOLD = "gold_weight * chosen_is_gold"

FORMULAS: Mapping[type[Objective], Formula] = {
    o.DPO: Formula("-log_s(m)", "-beta * s(-m)", "beta * s(-m)", (_MARGIN,)),
    o.FlexDPO: Formula(
        "-log_s(m)", "-beta_chosen * s(-m)", "beta_rejected * s(-m)", (("m", "beta_chosen * u - beta_rejected * v"),)
    ),
    o.IPO: Formula("d**2", "2 * d", "-2 * d", (("d", "u - v - 1 / (2 * beta)"),)),
    o.SLiC: Formula("max(0, 1 - m)", "-beta * (m < 1)", "beta * (m < 1)", (_MARGIN,)),
    o.SFT: Formula("-c", "-1", "0"),
    o.TokenSFT: Formula("-c / mean_C", "-1 / mean_C", "0"),
    # Functions of the margin.
    o.CDPO: Formula(_SMOOTHED, "beta * (smoothing - s(-m))", "-beta * (smoothing - s(-m))", (_MARGIN,)),
    o.RobustDPO: Formula(
        "(-(1 - smoothing) * log_s(m) + smoothing * log_s(-m)) / (1 - 2 * smoothing)",
        "-beta * (s(-m) + k)",
        "beta * (s(-m) + k)",
        (_MARGIN, ("k", "smoothing / (1 - 2 * smoothing)")),
    ),
    o.EXO: Formula(
        "s(m) * (log_s(m) - log(1 - smoothing)) + s(-m) * (log_s(-m) - log(smoothing))",
        "beta * s(m) * s(-m) * (m - k)",
        "-beta * s(m) * s(-m) * (m - k)",
        (_MARGIN, ("k", "log((1 - smoothing) / smoothing)")),
    ),
    o.DiscoPOP: Formula(
        "-(1 - w) * log_s(m) + x",
        "beta * ((1 - w) * ((w * log_s(m) + x) / tau - s(-m)) - x)",
        "-beta * ((1 - w) * ((w * log_s(m) + x) / tau - s(-m)) - x)",
        (_MARGIN, ("w", "s(m / tau)"), ("x", "exp(log_s(m / tau) - m)")),
    ),
    o.AveragedDPO: Formula("-log_s(m)", "-beta * s(-m) / C", "beta * s(-m) / R", (("m", "beta * (u / C - v / R)"),)),
    o.AveragedIPO: Formula("d**2", "2 * d / C", "-2 * d / R", (("d", "u / C - v / R - 1 / (2 * beta)"),)),
    # A term for each response by itself.
    o.NCA: Formula(
        "-log_s(x) - log_s(-x) / 2 - log_s(-y) / 2",
        "beta * (s(x) / 2 - s(-x))",
        "beta * s(y) / 2",
        (("x", "beta * u"), ("y", "beta * v")),
    ),
    o.BCO: Formula("-log_s(beta * u) - log_s(-beta * v)", "-beta * s(-beta * u)", "beta * s(beta * v)"),
    o.SPPO: Formula("(u - t)**2 + (v + t)**2", "2 * (u - t)", "2 * (v + t)", (_TARGET,)),
    o.APOZero: Formula(
        "s(-x) + s(y)", "-beta * s(x) * s(-x)", "beta * s(y) * s(-y)", (("x", "beta * u"), ("y", "beta * v"))
    ),
    o.APODown: Formula(
        "s(x) + s(-m)",
        "beta * (s(x) * s(-x) - s(m) * s(-m))",
        "beta * s(m) * s(-m)",
        (("x", "beta * u"), _MARGIN),
    ),
    o.CalDPO: Formula(
        "-log_s(u - v) + (u - t)**2 + (v + t)**2",
        "2 * (u - t) - s(-(u - v))",
        "2 * (v + t) + s(-(u - v))",
        (_TARGET,),
    ),
    o.APOZeroUnpaired: Formula(
        "(desirable_weight * s(-x) + undesirable_weight * s(y)) / 2",
        "-desirable_weight / 2 * beta * s(x) * s(-x)",
        "undesirable_weight / 2 * beta * s(y) * s(-y)",
        (("x", "beta * u"), ("y", "beta * v")),
    ),
    o.KTO: Formula(
        "(desirable_weight * s(-x) + undesirable_weight * s(y)) / 2",
        "-desirable_weight / 2 * beta * s(x) * s(-x)",
        "undesirable_weight / 2 * beta * s(y) * s(-y)",
        (("x", "beta * (u - z0)"), ("y", "beta * (v - z0)")),
    ),
    # DPO with another margin.
    o.DPOP: Formula(
        "-log_s(m)",
        "-beta * s(-m) * (1 + penalty * (u < 0))",
        "beta * s(-m)",
        (("m", "beta * (u - v - penalty * max(0, -u))"),),
    ),
    o.DPOShift: Formula("-log_s(m)", "-beta * s(-m)", "shift * beta * s(-m)", (("m", "beta * (u - shift * v)"),)),
    o.ChiPO: Formula(
        "-log_s(max(-clip, min(clip, m)))",
        "-beta * s(-m) * (1 + exp(u)) * (abs(m) <= clip)",
        "beta * s(-m) * (1 + exp(v)) * (abs(m) <= clip)",
        (("m", "beta * (exp(u) + u - exp(v) - v)"),),
    ),
    # Pairs compared by rank.
    o.AOT: Formula(
        _SMOOTHED,
        "beta * (smoothing - s(-m))",
        "-beta * (smoothing - s(-m))",
        (("a", "c - r"), ("m", "beta * (a - same_rank(c_ref - r_ref, a))")),
    ),
    o.AOTUnpaired: Formula(
        _SMOOTHED,
        "beta * (smoothing - s(-m))",
        "-beta * (smoothing - s(-n))",
        (("m", "beta * (u - same_rank(v, u))"), ("n", "beta * (same_rank(u, v) - v)")),
    ),
    # Without a reference.
    o.CPO: Formula(
        f"{_SMOOTHED} - {_NLL}",
        "beta * (smoothing - s(-m)) - nll_weight / mean_C",
        "-beta * (smoothing - s(-m))",
        (("m", "beta * (c - r)"),),
    ),
    o.SLiCHF: Formula(
        f"max(0, 1 - m) - {_NLL}",
        "-beta * (m < 1) - nll_weight / mean_C",
        "beta * (m < 1)",
        (("m", "beta * (c - r)"),),
    ),
    o.FreeIPO: Formula(
        f"d**2 - {_NLL}",
        "2 * d / C - nll_weight / mean_C",
        "-2 * d / R",
        (("d", "c / C - r / R - 1 / (2 * beta)"),),
    ),
    o.SimPO: Formula(
        _SMOOTHED,
        "beta * (smoothing - s(-m)) / C",
        "-beta * (smoothing - s(-m)) / R",
        (("m", "beta * (c / C - r / R) - gamma"),),
    ),
    o.AlphaPO: Formula(
        _SMOOTHED,
        "beta * (smoothing - s(-m)) * exp(-alpha * a) / C",
        "-beta * (smoothing - s(-m)) * exp(-alpha * b) / R",
        (*_AVERAGE, ("m", "beta * (score(a, alpha) - score(b, alpha)) - gamma")),
    ),
    o.ORPO: Formula(
        f"-beta * log_s(log(p / (1 - p)) - log(q / (1 - q))) - {_NLL}",
        "-beta * q / x / C - nll_weight / mean_C",
        "beta * q * (1 - p) / x / (1 - q) / R",
        (("p", "exp(c / C)"), ("q", "exp(r / R)"), ("x", "p * (1 - q) + q * (1 - p)")),
    ),
    o.TPO: Formula(
        f"{_SMOOTHED} - {_GOLD} * c / mean_C",
        f"beta * (smoothing - s(-m)) - {_GOLD} / mean_C",
        "-beta * (smoothing - s(-m))",
        (("m", "beta * (c - r)"),),
    ),
    o.TPOL: Formula(
        f"{_SMOOTHED} - {_GOLD} * c / mean_C",
        f"beta * (smoothing - s(-m)) / C - {_GOLD} / mean_C",
        "-beta * (smoothing - s(-m)) / R",
        (("m", "beta * (c / C - r / R) - gamma"),),
    ),
    o.RewardModel: Formula(
        "-log_s(m) + center * (c + r)**2",
        "-s(-m) + 2 * center * (c + r)",
        "s(-m) + 2 * center * (c + r)",
        (("m", "c - r - margin"),),
    ),
    o.Unlikelihood: Formula("-c - weight * log(1 - q)", "-1", "weight * q / (1 - q)", (("q", "exp(r)"),)),
}


def formula(objective: Objective) -> Formula:
    """Return the closed form of an objective.

    Args:
        objective: an objective of single terms, or WPO around one.

    Returns:
        Its loss and pushes as text, in the names of its settings.

    Raises:
        ValueError: if no closed form is kept of it.
    """
    if isinstance(objective, o.WPO):
        inner = formula(objective.objective)
        return replace(
            inner,
            loss=f"W * ({inner.loss})", chosen=f"W * ({inner.chosen})", rejected=f"W * ({inner.rejected})",
        )  # fmt: skip
    if type(objective) not in FORMULAS:
        kept = ", ".join(sorted(each.__name__ for each in FORMULAS))
        raise ValueError(
            f"no closed form of {type(objective).__name__} is kept; there are those of {kept}, and of WPO around one. "
            "Its `response_weights` and its limits can be computed all the same."
        )
    return FORMULAS[type(objective)]
