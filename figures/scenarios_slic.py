"""The four scenarios under SLiC: chosen, rejected and unseen probability over the steps."""

from __future__ import annotations

from figures.layouts.scenarios import draw_scenarios
from figures.machinery import Figure

FIGURE = Figure(
    title="SLiC: the chosen response stays at its peak in all four scenarios; unseen responses still gain mass in s2",
    paper="3D-Properties, figure of the four scenarios for SLiC",
    lines={"slic": "mlp s1,s2,s3,s4 slic beta=0.1 adam lr=1e-3 steps=500 seeds=24"},
    draw=draw_scenarios,
)
