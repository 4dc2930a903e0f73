"""Policies: parameters in, logits out, with exact derivatives in both directions."""

from lab.policies.base import Policy, Workspace
from lab.policies.log_linear import LogLinear
from lab.policies.mlp import MLP
from lab.policies.tabular import Tabular

__all__ = ["MLP", "LogLinear", "Policy", "Tabular", "Workspace"]
