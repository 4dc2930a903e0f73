"""Predictors of the fall of the chosen response: numbers of each pair that are known at step 0, before any update."""

from lab.predictors.hidden import ches, feature_overlap, hidden_states, normalised_ches, unembedding_fall
from lab.predictors.slopes import (
    first_order_fall,
    first_update,
    gradient_cosine,
    interference,
    loss_gradient,
    others_fall,
    own_fall,
    pair_gradients,
)
from lab.predictors.step_zero import PREDICTORS, Predictor, step_zero

__all__ = [
    "PREDICTORS",
    "Predictor",
    "ches",
    "feature_overlap",
    "first_order_fall",
    "first_update",
    "gradient_cosine",
    "hidden_states",
    "interference",
    "loss_gradient",
    "others_fall",
    "normalised_ches",
    "own_fall",
    "pair_gradients",
    "step_zero",
    "unembedding_fall",
]
