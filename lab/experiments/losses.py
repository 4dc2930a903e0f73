"""From the words of an objective to the objective itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from lab import objectives as o
from lab.experiments.experiment import Experiment

# word: the class, and the key of the line behind each of its settings
CATALOGUE: Mapping[str, tuple[Callable[..., o.Objective], Mapping[str, str]]] = {
    "dpo": (o.DPO, {"beta": "beta"}),
    "flex": (o.FlexDPO, {"beta_chosen": "beta_chosen", "beta_rejected": "beta_rejected"}),
    "ipo": (o.IPO, {"beta": "beta"}),
    "slic": (o.SLiC, {"beta": "beta"}),
    "sft": (o.SFT, {}),
    "cdpo": (o.CDPO, {"beta": "beta", "smoothing": "smoothing"}),
    "robust": (o.RobustDPO, {"beta": "beta", "smoothing": "smoothing"}),
    "exo": (o.EXO, {"beta": "beta", "smoothing": "smoothing"}),
    "discopop": (o.DiscoPOP, {"beta": "beta", "tau": "tau"}),
    "dpo_avg": (o.AveragedDPO, {"beta": "beta"}),
    "ipo_avg": (o.AveragedIPO, {"beta": "beta"}),
    "nca": (o.NCA, {"beta": "beta"}),
    "bco": (o.BCO, {"beta": "beta"}),
    "sppo": (o.SPPO, {"beta": "beta"}),
    "apo_zero": (o.APOZero, {"beta": "beta"}),
    "apo_down": (o.APODown, {"beta": "beta"}),
    "caldpo": (o.CalDPO, {"beta": "beta"}),
    "dpop": (o.DPOP, {"beta": "beta", "penalty": "penalty"}),
    "dposhift": (o.DPOShift, {"beta": "beta", "shift": "shift"}),
    "chipo": (o.ChiPO, {"beta": "beta", "clip": "clip"}),
    "wpo": (lambda beta: o.WPO(o.DPO(beta)), {"beta": "beta"}),
    "aot": (o.AOT, {"beta": "beta"}),
    "aot_unpaired": (o.AOTUnpaired, {"beta": "beta"}),
    "kto": (
        o.KTO,
        {"beta": "beta", "desirable_weight": "desirable_weight", "undesirable_weight": "undesirable_weight"},
    ),
    "apo_unpaired": (
        o.APOZeroUnpaired,
        {"beta": "beta", "desirable_weight": "desirable_weight", "undesirable_weight": "undesirable_weight"},
    ),
    "cpo": (o.CPO, {"beta": "beta", "nll_weight": "nll_weight"}),
    "slichf": (o.SLiCHF, {"beta": "beta", "nll_weight": "nll_weight"}),
    "ipo_free": (o.FreeIPO, {"beta": "beta", "nll_weight": "nll_weight"}),
    "simpo": (o.SimPO, {"beta": "beta", "gamma": "gamma"}),
    "alphapo": (o.AlphaPO, {"beta": "beta", "gamma": "gamma", "alpha": "alpha"}),
    "orpo": (o.ORPO, {"beta": "beta", "nll_weight": "nll_weight"}),
    "tpo": (o.TPO, {"beta": "beta", "gold_weight": "gold_weight"}),
    "tpo_l": (o.TPOL, {"beta": "beta", "gamma": "gamma", "gold_weight": "gold_weight"}),
    "reward": (o.RewardModel, {"margin": "reward_margin", "center": "centering"}),
    "unlikelihood": (o.Unlikelihood, {"weight": "unlikelihood_weight"}),
    "sft_token": (o.TokenSFT, {}),
}


def build_objective(experiment: Experiment, hyper: Callable[[str], float | Tensor]) -> o.Objective:
    """Build the objective that an experiment with one objective names.

    Args:
        experiment: the experiment.
        hyper: gives the value of a key, a number or one a run.

    Returns:
        The objective, with its divergence inside and an added SFT term outside, where the line asks for them; the one
        term that is followed is one of this whole.
    """
    make, keys = CATALOGUE[experiment.value("objective")]
    # A beta of one response that the line leaves out follows beta.
    given = {name: key if getattr(experiment, key) else "beta" for name, key in keys.items()}
    objective = make(**{name: hyper(key) for name, key in given.items()})
    if experiment.value("divergence") != "reverse_kl":
        objective = o.Divergence(objective, experiment.value("divergence"), hyper("divergence_alpha"))
    if experiment.sft_weight != (0.0,):
        objective = o.WeightedSum((objective, o.SFT()), (1.0, hyper("sft_weight")))
    term = experiment.value("terms")
    return objective if term == "both" else o.OneTerm(objective, term)
