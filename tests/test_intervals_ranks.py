"""Rank correlations and their intervals: SciPy's, resample by resample, and what pooling settings can do."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

from lab.intervals import rank_correlations

DIMS = ("setting", "seed", "pair")


def dataset(*, sizes=(2, 9, 3), seed=0, **given):
    """Two variables of half-integers, so that there are ties."""
    rng = np.random.default_rng(seed)
    drawn = {name: rng.integers(0, 12, sizes) / 2 for name in ("one", "two")}
    return xr.Dataset({name: (DIMS, values) for name, values in {**drawn, **given}.items()})


def by_scipy(x, y, drawn, *, within):
    """ρ of resampled seeds, the mean over settings if within."""
    x, y = x[:, drawn], y[:, drawn]
    if not within:
        return spearmanr(x.ravel(), y.ravel())[0]
    return np.mean([spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(x, y, strict=True)])


@pytest.mark.parametrize("within", [(), ("setting",)])
def test_value_and_interval_are_those_of_scipys_correlation_in_every_resample(within):
    first, second = dataset(), dataset(seed=1)
    found = rank_correlations(first, second, within=within, resamples=60, seed=3)
    draws = np.random.default_rng(3).integers(0, 9, (60, 9))
    for predictor in first:
        for outcome in second:
            x, y = first[predictor].values, second[outcome].values
            row = found.sel(predictor=predictor, outcome=outcome)
            assert row.value == pytest.approx(by_scipy(x, y, np.arange(9), within=within), abs=1e-12)
            every = [by_scipy(x, y, drawn, within=within) for drawn in draws]
            np.testing.assert_allclose([row.low, row.high], np.quantile(every, [0.025, 0.975]), atol=1e-12)
    assert (found.cells == (2 if within else 1)).all()


def test_one_order_is_1_and_the_other_minus_1_whatever_the_scale():
    first = dataset()
    second = xr.Dataset({"same": np.exp(3 * first["one"]), "turned": -(first["one"] ** 3)})
    found = rank_correlations(first, second, resamples=20)
    for name, value in (("same", 1), ("turned", -1)):
        row = found.sel(predictor="one", outcome=name)
        np.testing.assert_allclose([row.value, row.low, row.high], value, rtol=1e-12)


def test_settings_that_differ_can_make_a_correlation_that_no_setting_has():
    level = np.arange(6.0)[:, None, None]
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(2, 6, 40, 2))
    first = xr.Dataset({"x": (DIMS, 10 * level - noise[0])})
    second = xr.Dataset({"y": (DIMS, 10 * level + noise[0] + 0.1 * noise[1])})
    assert rank_correlations(first, second, resamples=50).value.item() > 0.9
    assert rank_correlations(first, second, within=("setting",), resamples=50).high.item() < -0.9


def test_entries_without_an_outcome_are_left_out():
    first, second = dataset(), dataset(seed=1)
    hole = second["one"].values.copy()
    hole[0, 2:5] = np.nan
    hole[1, :, 1] = np.nan
    found = rank_correlations(first, second.assign(one=(DIMS, hole)), resamples=10)
    there = np.isfinite(hole)
    exact = spearmanr(first["two"].values[there], hole[there])[0]
    assert found.value.sel(predictor="two", outcome="one").item() == pytest.approx(exact, abs=1e-12)
    whole = rank_correlations(first, second, resamples=10)
    xr.testing.assert_allclose(found.sel(outcome="two"), whole.sel(outcome="two"))


def test_a_setting_in_which_something_never_varies_does_not_count():
    first, second = dataset(), dataset(seed=1)
    still = first["one"].values.copy()
    still[0] = 0.7 + 1e-13 * np.arange(27).reshape(9, 3)  # rounding is no order
    found = rank_correlations(first.assign(one=(DIMS, still)), second, within=("setting",), resamples=10)
    row = found.sel(predictor="one", outcome="two")
    exact = spearmanr(still[1].ravel(), second["two"].values[1].ravel())[0]
    assert row.value.item() == pytest.approx(exact, abs=1e-12) and row.cells == 1
    assert (found.cells.sel(predictor="two") == 2).all()
    nothing = first.assign(one=xr.zeros_like(first["one"]), two=first["two"] * np.nan)
    found = rank_correlations(nothing, second, resamples=10)
    assert found.value.isnull().all() and found.low.isnull().all() and (found.cells == 0).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says_where_pairs_of_a_seed_go_together():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(120):
        shared, own = rng.normal(size=(2, 1, 40, 1)), rng.normal(size=(2, 1, 40, 6))
        x, y = (shared + 0.3 * own)[:, :]  # independent of each other: the truth is 0
        found = rank_correlations(xr.Dataset({"x": (DIMS, x)}), xr.Dataset({"y": (DIMS, y)}), resamples=200, seed=trial)
        covered += bool(found.low <= 0 <= found.high)
    assert 0.87 <= covered / 120 <= 1.0


def test_more_resamples_at_once_than_fit_give_the_same():
    first, second = dataset(sizes=(1, 30, 400)), dataset(sizes=(1, 30, 400), seed=1)
    whole = rank_correlations(first, second, resamples=70)  # 12 000 entries: in several blocks
    draws = np.random.default_rng(0).integers(0, 30, (70, 30))
    every = [by_scipy(first["one"].values, second["two"].values, drawn, within=False) for drawn in draws]
    low = whole.low.sel(predictor="one", outcome="two").item()
    assert low == pytest.approx(np.quantile(every, 0.025), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"within": ("seed",)},
            r"within is \['seed'\] and the dimensions are \['setting', 'seed', 'pair'\]; 'seed' must",
        ),
        ({"within": ("prompt",)}, r"within is \['prompt'\]"),
        ({"level": 95}, "level is 95; it must lie between 0 and 1"),
        ({"resamples": 0}, "resamples is 0; it must be at least 1"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rank_correlations(dataset(), dataset(seed=1), **options)


def test_other_coordinates_are_refused():
    with pytest.raises(ValueError, match="seed"):
        rank_correlations(dataset().assign_coords(seed=range(9)), dataset().assign_coords(seed=range(1, 10)))
