"""Objectives: log-probabilities in, one loss a pair out."""

from lab.objectives.base import Objective, PairLogProbs
from lab.objectives.pairwise import DPO, IPO, FlexDPO, SLiC
from lab.objectives.supervised import SFT
from lab.objectives.weighted import WeightedSum

__all__ = ["DPO", "IPO", "SFT", "FlexDPO", "Objective", "PairLogProbs", "SLiC", "WeightedSum"]
