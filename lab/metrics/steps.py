"""What one step does, to first order: the plain gradient's step beside the optimiser's own, at the same state."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.pairs import at_pairs, over_pairs
from lab.metrics.probabilities import label

UPDATES = ("gradient", "optimizer")


def chosen_per_rejected_nat(ds: xr.Dataset) -> xr.DataArray:
    """Compute what a step does to the chosen response for each nat that it takes from the rejected one.

    Δlog π⁺ / |Δlog π⁻|, first-order changes, each averaged over the pairs

    The size of a step cancels, so that a plain gradient step and the optimiser's own update from the same state can be
    compared: below 0 the step lowers the chosen response.

    Args:
        ds: A record that keeps predictions.

    Returns:
        [..., step, update], update being gradient or optimizer; NaN at the last step, which takes no update.

    Raises:
        ValueError: If the record keeps no predictions.

    Source: first-order expansion, own derivation; tests/test_metrics_steps.py.
    """
    missing = [name for name in ("predicted_change", "linear_change") if name not in ds]
    if missing:
        raise ValueError(
            f"the record has no {' and no '.join(missing)}; it was kept without predictions. "
            "Run the experiment with keep=predictions."
        )
    rates = []
    for change in (ds["predicted_change"].sum("term", skipna=False), ds["linear_change"]):
        chosen, rejected = (over_pairs(at_pairs(change, ds, which), ds) for which in ("chosen", "rejected"))
        with np.errstate(invalid="ignore", divide="ignore"):
            rates.append(chosen / abs(rejected))
    # The gradient is known at the last step too, but nothing is done with it there.
    rate = xr.concat(rates, "update").assign_coords(update=list(UPDATES)).transpose(..., "update")
    rate = rate.where(rate.sel(update="optimizer", drop=True).notnull())
    return label(rate, "chosen_per_rejected_nat", "change of log π⁺ for each nat taken from log π⁻", "1")
