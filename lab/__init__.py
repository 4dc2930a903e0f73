"""The lab: exact dynamics of preference optimisation in a policy small enough to enumerate.

Start with `lab.run("mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24")`. Names are imported when they
are first used, so that `import lab` is quick and changes nothing global.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lab.comparisons as comparisons
    import lab.estimators as estimators
    import lab.explorer as explorer
    import lab.gradients as gradients
    import lab.metrics as metrics
    import lab.optima as optima
    import lab.plots as plots
    import lab.properties as properties
    import lab.theory as theory
    from lab.course.showing import show
    from lab.estimators import GRPO, PPO, REINFORCE, RLOO, ExpectedReward, PolicyGradient
    from lab.experiments.experiment import Experiment
    from lab.experiments.picture import picture
    from lab.experiments.running import run
    from lab.experiments.sheets import sheets
    from lab.experiments.sizes import record_size
    from lab.explorer import explore, tour
    from lab.objectives import (
        AOT,
        BCO,
        CDPO,
        CPO,
        DPO,
        DPOP,
        EXO,
        IPO,
        KTO,
        NCA,
        ORPO,
        SFT,
        SPPO,
        TPO,
        TPOL,
        WPO,
        AlphaPO,
        AOTUnpaired,
        APODown,
        APOZero,
        APOZeroUnpaired,
        AveragedDPO,
        AveragedIPO,
        BradleyTerry,
        CalDPO,
        ChiPO,
        DiscoPOP,
        Divergence,
        DPOShift,
        FlexDPO,
        FreeIPO,
        GoldSFT,
        OneTerm,
        PairLogProbs,
        RewardModel,
        RobustDPO,
        SimPO,
        SLiC,
        SLiCHF,
        TokenSFT,
        Unlikelihood,
        WeightedSum,
    )
    from lab.optimizers import SGD, Adam, Momentum
    from lab.peers import parity
    from lab.policies import MLP, LogLinear, Tabular
    from lab.preferences import Preferences
    from lab.problems import Problem
    from lab.space import RecordOnDisk
    from lab.training import NonFiniteError, Record, train
    from lab.trajectory import load, save

__version__ = "0.1.0"

# Public name -> module that holds it; None marks a module that is itself the public name.
_HOMES: dict[str, str | None] = {
    "AOT": "lab.objectives",
    "BCO": "lab.objectives",
    "CDPO": "lab.objectives",
    "CPO": "lab.objectives",
    "DPO": "lab.objectives",
    "DPOP": "lab.objectives",
    "EXO": "lab.objectives",
    "IPO": "lab.objectives",
    "KTO": "lab.objectives",
    "MLP": "lab.policies",
    "NCA": "lab.objectives",
    "ORPO": "lab.objectives",
    "SFT": "lab.objectives",
    "SGD": "lab.optimizers",
    "SPPO": "lab.objectives",
    "TPO": "lab.objectives",
    "TPOL": "lab.objectives",
    "WPO": "lab.objectives",
    "AOTUnpaired": "lab.objectives",
    "APODown": "lab.objectives",
    "APOZero": "lab.objectives",
    "APOZeroUnpaired": "lab.objectives",
    "Adam": "lab.optimizers",
    "AlphaPO": "lab.objectives",
    "AveragedDPO": "lab.objectives",
    "AveragedIPO": "lab.objectives",
    "CalDPO": "lab.objectives",
    "ChiPO": "lab.objectives",
    "DPOShift": "lab.objectives",
    "DiscoPOP": "lab.objectives",
    "Divergence": "lab.objectives",
    "Experiment": "lab.experiments.experiment",
    "FlexDPO": "lab.objectives",
    "FreeIPO": "lab.objectives",
    "GoldSFT": "lab.objectives",
    "LogLinear": "lab.policies",
    "Momentum": "lab.optimizers",
    "NonFiniteError": "lab.training",
    "OneTerm": "lab.objectives",
    "PairLogProbs": "lab.objectives",
    "Preferences": "lab.preferences",
    "Problem": "lab.problems",
    "Record": "lab.training",
    "RecordOnDisk": "lab.space",
    "RewardModel": "lab.objectives",
    "RobustDPO": "lab.objectives",
    "SLiC": "lab.objectives",
    "SLiCHF": "lab.objectives",
    "SimPO": "lab.objectives",
    "Tabular": "lab.policies",
    "TokenSFT": "lab.objectives",
    "Unlikelihood": "lab.objectives",
    "WeightedSum": "lab.objectives",
    "BradleyTerry": "lab.objectives",
    "ExpectedReward": "lab.estimators",
    "GRPO": "lab.estimators",
    "PPO": "lab.estimators",
    "REINFORCE": "lab.estimators",
    "RLOO": "lab.estimators",
    "PolicyGradient": "lab.estimators",
    "comparisons": None,
    "optima": None,
    "estimators": None,
    "explore": "lab.explorer",
    "explorer": None,
    "gradients": None,
    "load": "lab.trajectory",
    "metrics": None,
    "parity": "lab.peers",
    "picture": "lab.experiments.picture",
    "plots": None,
    "properties": None,
    "run": "lab.experiments.running",
    "save": "lab.trajectory",
    "record_size": "lab.experiments.sizes",
    "sheets": "lab.experiments.sheets",
    "show": "lab.course.showing",
    "theory": None,
    "tour": "lab.explorer",
    "train": "lab.training",
}

__all__ = [
    "AOT",
    "BCO",
    "CDPO",
    "CPO",
    "DPO",
    "DPOP",
    "EXO",
    "IPO",
    "KTO",
    "MLP",
    "NCA",
    "ORPO",
    "SFT",
    "SGD",
    "SPPO",
    "TPO",
    "TPOL",
    "WPO",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "APOZeroUnpaired",
    "Adam",
    "AlphaPO",
    "AveragedDPO",
    "AveragedIPO",
    "CalDPO",
    "ChiPO",
    "DPOShift",
    "DiscoPOP",
    "Divergence",
    "Experiment",
    "FlexDPO",
    "FreeIPO",
    "GoldSFT",
    "LogLinear",
    "Momentum",
    "NonFiniteError",
    "OneTerm",
    "PairLogProbs",
    "Preferences",
    "Problem",
    "Record",
    "RecordOnDisk",
    "RewardModel",
    "RobustDPO",
    "SLiC",
    "SLiCHF",
    "SimPO",
    "Tabular",
    "TokenSFT",
    "Unlikelihood",
    "WeightedSum",
    "BradleyTerry",
    "ExpectedReward",
    "GRPO",
    "PPO",
    "REINFORCE",
    "RLOO",
    "PolicyGradient",
    "__version__",
    "comparisons",
    "optima",
    "estimators",
    "explore",
    "explorer",
    "gradients",
    "load",
    "metrics",
    "parity",
    "picture",
    "plots",
    "properties",
    "record_size",
    "run",
    "save",
    "sheets",
    "show",
    "theory",
    "tour",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name in _HOMES:
        home = _HOMES[name]
        value = import_module(f"{__name__}.{name}") if home is None else getattr(import_module(home), name)
        globals()[name] = value
        return value
    if name.startswith("_"):
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    from difflib import get_close_matches

    lowered = {public.lower(): public for public in _HOMES}
    near = get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f" Did you mean lab.{lowered[near[0]]}?" if near else ""
    raise AttributeError(f"lab has no {name!r}.{hint} It has: {', '.join(sorted(_HOMES, key=str.lower))}.")


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(set(globals()) | set(__all__))
