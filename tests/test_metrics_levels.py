"""Quantities read at equal progress, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import metrics

STEPS = np.arange(0, 60, 3)


def curves(*rows, name="loss"):
    """Runs [seed, step] of a named quantity."""
    array = xr.DataArray(np.array(rows, float), dims=("seed", "step"), coords={"seed": range(len(rows)), "step": STEPS})
    return array.rename(name).assign_attrs(long_name=name, units="nats")


def test_a_quantity_that_is_linear_in_the_progress_is_read_exactly():
    rising = curves(np.sqrt(STEPS), np.log1p(STEPS), name="margin")
    levels = np.linspace(0, 3.9, 17)
    read = metrics.when_reached(2 - 3 * rising, rising, levels)
    np.testing.assert_allclose(read, np.broadcast_to(2 - 3 * levels, (2, 17)), atol=1e-12)
    assert read.dims == ("seed", "level")
    assert read["level"].attrs == {"long_name": "margin", "units": "nats"}


def test_a_loss_reaches_its_levels_from_above():
    loss = curves(np.exp(-STEPS / 20))
    steps = loss.copy(data=np.broadcast_to(STEPS, loss.shape))
    levels = np.array([1.0, 0.5, 0.2])
    read = metrics.when_reached(steps, loss, levels, falling=True)
    np.testing.assert_allclose(read[0], -20 * np.log(levels), atol=0.06)


def test_the_first_time_counts_when_a_run_comes_back():
    there_and_back = curves(np.minimum(STEPS, 30) - np.maximum(STEPS - 30, 0))
    steps = there_and_back.copy(data=np.broadcast_to(STEPS, (1, len(STEPS))))
    np.testing.assert_allclose(metrics.when_reached(steps, there_and_back, [10, 29]), [[10, 29]])


def test_a_level_that_is_never_reached_and_a_run_without_numbers_give_nan():
    progress = curves(STEPS / 60, np.full(len(STEPS), np.nan))
    read = metrics.when_reached(progress, progress, [0.5, 2.0])
    np.testing.assert_allclose(read, [[0.5, np.nan], [np.nan, np.nan]])


def test_the_order_of_dimensions_does_not_matter_and_other_ones_are_refused():
    progress = curves(STEPS, STEPS**2)
    turned = metrics.when_reached(progress.T, progress, [7.0])
    np.testing.assert_allclose(turned.transpose("seed", "level"), [[7.0], [7.0]])
    with pytest.raises(ValueError, match=r"dimensions \['seed', 'step', 'pair'\].*over_pairs"):
        metrics.when_reached(progress.expand_dims(pair=2, axis=-1), progress, [1.0])
