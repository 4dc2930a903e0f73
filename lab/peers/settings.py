"""From the settings of TRL's trainers to the lab's objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lab import objectives as o
from lab.objectives.divergences import TAKEN
from lab.peers.reading import OutOfScope

Made = TypeVar("Made")
DIVERGENCES = {"forward_kl": "forward_kl", "js_divergence": "jensen_shannon", "alpha_divergence": "alpha"}


class Settings:
    """The settings of a case; reading them notes which were used, so that none is passed over.

    Args:
        hyper: names and values as in the file.
    """

    def __init__(self, hyper: Mapping[str, Any]) -> None:
        self._hyper = dict(hyper)
        self._known: set[str] = set()

    def number(self, name: str, default: float) -> float:
        """Return a number, or its default where the file does not give it."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise OutOfScope(f"{name}={value!r} is not a number")
        return float(value)

    def get(self, name: str, default: Any) -> Any:
        """Return any value; null counts as not given."""
        self._known.add(name)
        value = self._hyper.get(name)
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false, or its default where the file does not give it."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise OutOfScope(f"{name}={value!r} is neither true nor false")
        return value

    def choice(self, name: str, default: str, allowed: Mapping[Any, str]) -> str:
        """Return the lab's word for one of several, or for its default where the file does not give it."""
        value = self.get(name, default)
        if isinstance(value, list | dict) or value not in allowed:
            raise OutOfScope(f"{name}={value!r}; the lab has {', '.join(map(str, allowed))}")
        return allowed[value]

    def check(self) -> None:
        """Raise OutOfScope if the case has a setting that was not read."""
        strange = sorted(set(self._hyper) - self._known)
        if strange:
            raise OutOfScope(f"unknown setting {', '.join(f'{name}={self._hyper[name]!r}' for name in strange)}")


def dpo_objectives(case: Settings) -> list[tuple[str, o.Objective, float]]:
    """Return the losses of the DPO trainer that a case adds up: name, objective, weight."""
    beta = case.number("beta", 0.1)
    smoothing, tau = case.number("label_smoothing", 0.0), case.number("discopop_tau", 0.05)
    table: dict[str, Callable[[], o.Objective]] = {
        "sigmoid": lambda: o.DPO(beta),
        "hinge": lambda: o.SLiC(beta),
        "ipo": lambda: o.AveragedIPO(beta),
        "exo_pair": lambda: o.EXO(beta, smoothing),
        "nca_pair": lambda: o.NCA(beta),
        "robust": lambda: o.RobustDPO(beta, smoothing),
        "bco_pair": lambda: o.BCO(beta),
        "sppo_hard": lambda: o.SPPO(beta),
        "aot": lambda: o.AOT(beta, smoothing),
        "aot_unpaired": lambda: o.AOTUnpaired(beta, smoothing),
        "apo_zero": lambda: o.APOZero(beta),
        "apo_down": lambda: o.APODown(beta),
        "discopop": lambda: o.DiscoPOP(beta, tau),
        "sft": lambda: o.TokenSFT(),
        "sigmoid_norm": lambda: o.AveragedDPO(beta),
    }
    names = case.get("loss_type", ["sigmoid"])
    names = [names] if isinstance(names, str) else names
    weights = case.get("loss_weights", [1.0] * len(names))
    if not isinstance(weights, list) or len(weights) != len(names):
        count = len(weights) if isinstance(weights, list) else repr(weights)
        raise OutOfScope(f"{len(names)} loss types and {count} loss weights")
    found = []
    for name, weight in zip(names, weights, strict=True):
        objective = made(table, name)
        found.append((name, _modified(case, name, objective), float(weight)))
    return found


def _modified(case: Settings, name: str, objective: o.Objective) -> o.Objective:
    """Put a divergence and WPO's weights around a loss, where the settings say so."""
    kind, alpha = case.get("f_divergence_type", "reverse_kl"), case.number("f_alpha_divergence_coef", 0.5)
    if kind != "reverse_kl" and name != "sft":
        if not isinstance(kind, str) or kind not in DIVERGENCES or type(objective) not in TAKEN:
            raise OutOfScope(f"f_divergence_type={kind!r} with loss_type {name!r}")
        objective = o.Divergence(objective, DIVERGENCES[kind], alpha)
    if case.get("use_weighting", False):
        objective = o.WPO(objective)
    return objective


def cpo_objective(case: Settings) -> tuple[o.Objective, float]:
    """Return the contrast of the CPO trainer and the weight of the likelihood of the chosen response."""
    kind = case.get("loss_type", "sigmoid")
    weight = case.number("cpo_alpha", 1.0)
    if kind == "alphapo":
        kind, weight = "simpo", 0.0
    beta, smoothing = case.number("beta", 0.1), case.number("label_smoothing", 0.0)
    gamma, alpha = case.number("simpo_gamma", 0.5), case.number("alpha", 0.0)
    if alpha and kind != "simpo":
        raise OutOfScope(f"alpha={alpha:g} with loss_type {kind!r}: the lab has AlphaPO's score for simpo only")
    table: dict[str, Callable[[], o.Objective]] = {
        "sigmoid": lambda: o.CPO(beta, 0.0, smoothing),
        "hinge": lambda: o.SLiCHF(beta, 0.0),
        "ipo": lambda: o.FreeIPO(beta, 0.0),
        "simpo": lambda: o.AlphaPO(beta, gamma, smoothing, alpha) if alpha else o.SimPO(beta, gamma, smoothing),
    }
    return made(table, kind), weight


def tpo_objective(case: Settings) -> tuple[o.Objective, float]:
    """Return the contrast of the TPO trainer and the weight of the likelihood of the gold response."""
    beta, smoothing = case.number("beta", 0.01), case.number("label_smoothing", 0.0)
    gamma = case.number("tpo_l_gamma", 0.5)
    table: dict[str, Callable[[], o.Objective]] = {
        "sigmoid": lambda: o.TPO(beta, 0.0, smoothing),
        "hinge": lambda: o.SLiCHF(beta, 0.0),
        "ipo": lambda: o.FreeIPO(beta, 0.0),
        "tpo-l": lambda: o.TPOL(beta, gamma, smoothing, 0.0),
    }
    return made(table, case.get("loss_type", "sigmoid")), case.number("tpo_alpha", 1.0)


def kto_objective(case: Settings, good: bool) -> o.Objective:
    """Return the loss of the KTO trainer with the other kind of response switched off."""
    beta, weight = case.number("beta", 0.1), case.number("desirable_weight" if good else "undesirable_weight", 1.0)
    weights = (weight, 0.0) if good else (0.0, weight)
    table: dict[str, Callable[[], o.Objective]] = {
        "kto": lambda: o.KTO(beta, *weights),
        "apo_zero_unpaired": lambda: o.APOZeroUnpaired(beta, *weights),
    }
    return made(table, case.get("loss_type", "kto"))


def online_objective(case: Settings) -> o.Objective:
    """Return the loss of the online DPO trainer; its "ipo" is on sums."""
    beta = case.number("beta", 0.1)
    table: dict[str, Callable[[], o.Objective]] = {"sigmoid": lambda: o.DPO(beta), "ipo": lambda: o.IPO(beta)}
    return made(table, case.get("loss_type", "sigmoid"))


def made(table: Mapping[str, Callable[[], Made]], name: Any) -> Made:
    """Return the entry of a table, made; raise OutOfScope if there is none or its settings are not allowed."""
    if not isinstance(name, str) or name not in table:
        raise OutOfScope(f"no objective for loss_type {name!r}")
    try:
        return table[name]()
    except ValueError as error:
        raise OutOfScope(f"loss_type {name!r}: {error}") from None
