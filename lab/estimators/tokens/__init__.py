"""Policy-gradient losses of responses made of many tokens: each its equation, its closed-form gradient, its average."""

from lab.estimators.tokens.batch import LEVELS, TokenBatch
from lab.estimators.tokens.groups import SCALES, group_advantages, left_out_advantages
from lab.estimators.tokens.losses import AVERAGES, METHODS, TokenLoss
from lab.estimators.tokens.ratios import SAPO, Clipped, Geometric, RatioTerm
from lab.estimators.tokens.regression import AStarPO, optimal_value
from lab.estimators.tokens.terms import CISPO, K3, VESPO, Term, WeightedLikelihood

__all__ = [
    "AVERAGES", "CISPO", "K3", "LEVELS", "METHODS", "SAPO", "SCALES", "VESPO", "AStarPO", "Clipped", "Geometric",
    "RatioTerm", "Term", "TokenBatch", "TokenLoss", "WeightedLikelihood", "group_advantages", "left_out_advantages",
    "optimal_value",
]  # fmt: skip
