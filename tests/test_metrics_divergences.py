"""The divergence of two policies: against plain sums, its decomposition, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab import metrics

DIMS = ("seed", "prompt", "response")


def drawn(seed: int) -> xr.DataArray:
    logits = 3 * np.random.default_rng(seed).standard_normal((3, 2, 5))
    return xr.DataArray(logits - np.log(np.exp(logits).sum(-1, keepdims=True)), dims=DIMS)


def test_the_divergence_is_the_plain_sum_and_0_from_itself() -> None:
    first, second = drawn(0), drawn(1)
    expected = (np.exp(first.values) * (first.values - second.values)).sum(-1)
    np.testing.assert_allclose(metrics.divergence(first, second).values, expected, rtol=1e-13)
    assert not metrics.divergence(first, first).any()
    assert (metrics.divergence(first, second) > 0).all()


def test_the_whole_is_the_part_between_two_groups_and_the_parts_within_each() -> None:
    """The chain rule of the divergence."""
    first, second = drawn(2), drawn(3)
    among = xr.DataArray(np.random.default_rng(4).permuted(np.tile(np.arange(5) < 2, (3, 2, 1)), axis=-1), dims=DIMS)
    mass, other = (np.exp(each).where(among, 0).sum("response") for each in (first, second))
    between = mass * np.log(mass / other) + (1 - mass) * np.log((1 - mass) / (1 - other))
    within = mass * metrics.divergence(first, second, among=among)
    without = (1 - mass) * metrics.divergence(first, second, among=~among)
    np.testing.assert_allclose(metrics.divergence(first, second), between + within + without, rtol=1e-12)


def test_a_response_without_mass_adds_nothing_and_one_that_only_the_other_lacks_makes_it_infinite() -> None:
    lacking = xr.DataArray([0.0, -np.inf], dims="response")
    even = xr.DataArray(np.log([0.5, 0.5]), dims="response")
    assert float(metrics.divergence(lacking, even)) == pytest.approx(np.log(2), rel=1e-15)
    assert float(metrics.divergence(lacking, lacking)) == 0
    assert float(metrics.divergence(even, lacking)) == np.inf
    assert np.isnan(metrics.divergence(even * np.nan, even))


def test_a_group_without_responses_is_an_error() -> None:
    none = xr.zeros_like(drawn(0), dtype=bool)
    with pytest.raises(ValueError, match="among leaves a prompt without responses; mark at least one"):
        metrics.divergence(drawn(0), drawn(1), among=none)
