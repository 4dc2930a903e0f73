"""The lab: exact dynamics of preference optimisation in a policy small enough to enumerate.

Start with `lab.run("mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24")`. Names are imported when they
are first used, so that `import lab` is quick and changes nothing global.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lab.gradients as gradients
    import lab.metrics as metrics
    import lab.plots as plots
    import lab.properties as properties
    from lab.experiments.experiment import Experiment
    from lab.experiments.picture import picture
    from lab.experiments.running import run
    from lab.objectives import DPO, IPO, SFT, FlexDPO, SLiC, WeightedSum
    from lab.optimizers import SGD, Adam, Momentum
    from lab.policies import MLP, LogLinear, Tabular
    from lab.preferences import Preferences
    from lab.problems import Problem
    from lab.training import NonFiniteError, Record, train
    from lab.trajectory import load, save

__version__ = "0.1.0"

# Public name -> module that holds it; None marks a module that is itself the public name.
_HOMES: dict[str, str | None] = {
    "DPO": "lab.objectives",
    "IPO": "lab.objectives",
    "MLP": "lab.policies",
    "SFT": "lab.objectives",
    "SGD": "lab.optimizers",
    "Adam": "lab.optimizers",
    "Experiment": "lab.experiments.experiment",
    "FlexDPO": "lab.objectives",
    "LogLinear": "lab.policies",
    "Momentum": "lab.optimizers",
    "NonFiniteError": "lab.training",
    "Preferences": "lab.preferences",
    "Problem": "lab.problems",
    "Record": "lab.training",
    "SLiC": "lab.objectives",
    "Tabular": "lab.policies",
    "WeightedSum": "lab.objectives",
    "gradients": None,
    "load": "lab.trajectory",
    "metrics": None,
    "picture": "lab.experiments.picture",
    "plots": None,
    "properties": None,
    "run": "lab.experiments.running",
    "save": "lab.trajectory",
    "train": "lab.training",
}

__all__ = [
    "DPO",
    "IPO",
    "MLP",
    "SFT",
    "SGD",
    "Adam",
    "Experiment",
    "FlexDPO",
    "LogLinear",
    "Momentum",
    "NonFiniteError",
    "Preferences",
    "Problem",
    "Record",
    "SLiC",
    "Tabular",
    "WeightedSum",
    "__version__",
    "gradients",
    "load",
    "metrics",
    "picture",
    "plots",
    "properties",
    "run",
    "save",
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
