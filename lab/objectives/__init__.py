"""Objectives: log-probabilities in, one loss a pair out."""

from lab.objectives.anchored import BCO, NCA, SPPO, APODown, APOZero, CalDPO
from lab.objectives.averaged import AveragedDPO, AveragedIPO
from lab.objectives.base import Objective, PairLogProbs
from lab.objectives.coupled import AOT, AOTUnpaired
from lab.objectives.divergences import Divergence
from lab.objectives.margins import CDPO, EXO, DiscoPOP, RobustDPO
from lab.objectives.modified import DPOP, ChiPO, DPOShift
from lab.objectives.odds import ORPO
from lab.objectives.one_term import OneTerm
from lab.objectives.pairwise import DPO, IPO, FlexDPO, SLiC
from lab.objectives.prospect import KTO, APOZeroUnpaired
from lab.objectives.reference_free import CPO, AlphaPO, FreeIPO, SimPO, SLiCHF
from lab.objectives.rewards import BradleyTerry, RewardModel
from lab.objectives.supervised import SFT, TokenSFT, Unlikelihood
from lab.objectives.triple import TPO, TPOL, GoldSFT
from lab.objectives.weighted import WeightedSum
from lab.objectives.weighting import WPO

__all__ = [
    "AOT", "BCO", "CDPO", "CPO", "DPO", "DPOP", "EXO", "IPO", "KTO", "NCA", "ORPO", "SFT", "SPPO", "TPO", "TPOL", "WPO",
    "APODown", "APOZero", "APOZeroUnpaired", "AOTUnpaired", "AlphaPO", "AveragedDPO", "AveragedIPO", "BradleyTerry",
    "CalDPO", "ChiPO", "DPOShift", "DiscoPOP", "Divergence", "FlexDPO", "FreeIPO", "GoldSFT", "Objective", "OneTerm",
    "PairLogProbs", "RewardModel", "RobustDPO", "SLiC", "SLiCHF", "SimPO", "TokenSFT", "Unlikelihood", "WeightedSum",
]  # fmt: skip
