"""The state of an experiment at its start and end, with intervals over seeds."""

from __future__ import annotations

import xarray as xr

from lab import metrics
from lab.intervals import interval_over_seeds


def summary(ds: xr.Dataset, *, level: float = 0.95) -> xr.Dataset:
    """Summarise the start and the end of a record.

    Args:
        ds: A record; probabilities are averaged over pairs, unseen mass and divergence over prompts.
        level: Probability that an interval is to cover.

    Returns:
        Over [axes..., moment (start, end), statistic (median, low, high)]: chosen_prob, rejected_prob, unseen_mass,
        chosen_log_prob, rejected_log_prob, margin, kl_from_reference, total_loss.

    Raises:
        ValueError: If the record has no seeds.

    Source: own definition; tests/test_properties.py.
    """
    moments = ds.isel(step=[0, -1])
    by_pair = (
        metrics.chosen_prob,
        metrics.rejected_prob,
        metrics.chosen_log_prob,
        metrics.rejected_log_prob,
        metrics.margin,
    )
    arrays = [metrics.over_pairs(metric(moments), moments).rename(metric.__name__) for metric in by_pair]
    for metric in (metrics.unseen_mass, metrics.kl_from_reference):
        arrays.append(metrics.over_prompts(metric(moments), moments).rename(metric.__name__))
    arrays.append(metrics.total_loss(moments))
    table = xr.Dataset()
    for array in arrays:
        ends = interval_over_seeds(array, level)
        table[array.name] = xr.concat(ends, "statistic").transpose(..., "step", "statistic")
    table = table.drop_vars("step").rename(step="moment")
    return table.assign_coords(moment=["start", "end"], statistic=["median", "low", "high"])
