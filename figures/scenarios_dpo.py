"""The four scenarios under DPO: chosen, rejected and unseen probability over the steps."""

from __future__ import annotations

from figures.layouts.scenarios import draw_scenarios
from figures.machinery import Figure

FIGURE = Figure(
    title="DPO: the chosen response falls from its peak in all four scenarios, most in s3; it ends highest in s1",
    paper="3D-Properties, figure of the four scenarios",
    lines={"dpo": "mlp s1,s2,s3,s4 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"},
    draw=draw_scenarios,
)
