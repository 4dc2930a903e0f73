"""Anatomy of IPO: a finite target, at which the push vanishes and past which it turns round."""

from __future__ import annotations

from figures.layouts.anatomy import draw_anatomy
from figures.machinery import Figure

FIGURE = Figure(
    title="IPO has a finite target: its push vanishes there and turns round beyond; the chosen response stays up",
    paper="3D-Properties, figure of likelihoods and gradients for IPO",
    lines={
        "ipo": "mlp s1 ipo beta=0.1 adam lr=1e-3 steps=500 seeds=24",
        "dpo": "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24",
    },
    draw=draw_anatomy,
)
