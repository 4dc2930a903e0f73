"""Anatomy of SLiC: a constant push up to the hinge, none beyond."""

from __future__ import annotations

from figures.layouts.anatomy import draw_anatomy
from figures.machinery import Figure

FIGURE = Figure(
    title="SLiC pushes fully up to its hinge and not at all beyond; the chosen response stays at its peak",
    paper="3D-Properties, figure of likelihoods and gradients for SLiC",
    lines={
        "slic": "mlp s1 slic beta=0.1 adam lr=1e-3 steps=500 seeds=24",
        "dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24",
    },
    draw=draw_anatomy,
)
