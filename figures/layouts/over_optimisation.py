"""True and learned reward along KL, the same in every figure of over-optimisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lab import metrics, plots

if TYPE_CHECKING:
    import xarray as xr

KL = np.array([0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.0])


def over_kl(rewards: xr.Dataset, kind: str) -> plots.Summary:
    """Summarise a reward along KL, as far as half of the worlds go.

    Args:
        rewards: `kl` and both rewards along `point`, as `lab.experiments.over_optimisation.both_rewards` gives them.
        kind: which of the rewards, "true" or "learned".
    """
    reach = float(rewards["kl"].max("point").median())
    levels = [*KL[reach > KL], reach]
    nothing = rewards["kl"].isel(point=0, drop=True) * 0
    gain = metrics.along_kl(rewards["kl"], rewards[kind], levels, over="point", start=nothing)
    return plots.over_seeds(gain.assign_attrs(long_name="gain", units="1"), x="level")
