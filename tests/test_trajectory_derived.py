"""Derived log-probabilities: the softmax of whole tables, computed for what is asked, inside any Dataset."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import xarray as xr
from scipy.special import log_softmax

from lab import metrics, trajectory
from lab.trajectory import blocks
from tests.test_trajectory import parts

AXES = {"lr": [0.1, 0.2], "seed": [5, 6, 7]}
RUNS, STEPS, PROMPTS, RESPONSES = 6, 4, 3, 5
# Prompt 0 has one moving logit, prompt 1 none, prompt 2 all of its five.
CELLS = np.array([12, 3, 10, 14, 11, 13])


def table(scale: float = 2.0, dtype=np.float64) -> trajectory.TableLogProb:
    rng = np.random.default_rng(0)
    moves = scale * rng.standard_normal((RUNS, STEPS, 4))
    start = rng.standard_normal((RUNS, PROMPTS, RESPONSES))
    entry, factor = np.array([0, 3, 0, 1, 2, 1]), np.array([0.5, 1.0, -0.5, 0.5, 1.0, -0.5])
    return trajectory.TableLogProb(moves.astype(dtype), start.astype(dtype), CELLS, entry, factor.astype(dtype))


def spelt_out(source: trajectory.TableLogProb) -> np.ndarray:
    """The log-softmax of the full logits."""
    logits = np.repeat(source.start.reshape(RUNS, 1, -1), source.shape[1], 1)
    logits[..., source.cells] += source.factor * source.moves[..., source.entry]
    return log_softmax(logits.reshape(source.shape), -1)


def records(scale: float = 2.0) -> tuple[xr.Dataset, xr.Dataset]:
    """A record with derived log-probabilities, and one with the same numbers in an array."""
    source = table(scale)
    given = parts(AXES)
    lazy, plain = (
        trajectory.assemble(**{**given, "arrays": {**given["arrays"], "log_prob": log_prob}})
        for log_prob in (source, spelt_out(source))
    )
    return lazy, plain


def is_lazy(array: xr.DataArray) -> bool:
    return not array.variable._in_memory


def assert_alike(one, other) -> None:
    assert one.dims == other.dims and one.dtype == other.dtype and one.shape == other.shape
    xr.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


# --- The numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 50, 2**15])
@pytest.mark.parametrize("scale", [0.0, 2.0, 1e3])
def test_they_are_the_log_softmax_of_all_logits(scale, block, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", block)
    source = table(scale)
    whole = source.at(np.arange(RUNS), np.arange(STEPS), np.arange(PROMPTS * RESPONSES))
    np.testing.assert_allclose(whole.reshape(source.shape), spelt_out(source), rtol=1e-13, atol=1e-13)
    runs, steps, cells = np.array([5, 0, 2]), np.array([3, 1]), np.array([14, 2, 3, 3, 12])
    some = source.at(runs, steps, cells)
    np.testing.assert_array_equal(some, whole[np.ix_(runs, steps, cells)])
    assert source.at(runs[:0], steps, cells).shape == (0, 2, 5)
    assert source.at(runs, steps, cells[:0]).shape == (3, 2, 0)


def test_float32_stays_float32():
    source = table(dtype=np.float32)
    found = source.at(np.arange(RUNS), np.arange(STEPS), np.arange(15)).reshape(source.shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, spelt_out(source), rtol=1e-5, atol=1e-5)


# --- A record with them is any Dataset -------------------------------------------------------------------------------

POINTS = xr.DataArray([0, 2, 2], dims="pair")
TURNS = xr.DataArray([[0, 1, 3], [2, 2, 0]], dims=("lr", "seed"), coords=AXES)
LOOKS = {
    "all": lambda a: a,
    "one number": lambda a: a.isel(lr=1, seed=-1, step=2, prompt=0, response=3),
    "a step": lambda a: a.isel(step=-1),
    "slices": lambda a: a.isel(seed=slice(None, None, -1), step=slice(1, 3), response=slice(4, 0, -2)),
    "lists": lambda a: a.isel(lr=[1, 0, 1], step=[3, 0], response=[4, 4, 1]),
    "nothing": lambda a: a.isel(step=slice(0, 0)),
    "by value": lambda a: a.sel(lr=0.2, seed=[7, 5]),
    "slice of slices": lambda a: a.isel(step=slice(1, 4)).isel(step=[2, 0]).isel(lr=0),
    "picks": lambda a: a.isel(prompt=POINTS, response=xr.DataArray([3, 1, 0], dims="pair")),
    "equal picks": lambda a: a.isel(prompt=POINTS, response=xr.DataArray([1, 1, 1], dims="pair")),
    "one pick": lambda a: a.isel(prompt=POINTS[:1], response=POINTS[:1]),
    "picks of a slice": lambda a: a.isel(lr=1, step=slice(2)).isel(prompt=POINTS, response=POINTS),
    "picks by runs": lambda a: a.isel(prompt=POINTS, seed=POINTS, response=1),
    "a step of its own for every run": lambda a: a.isel(step=TURNS),
    "that at picks": lambda a: a.isel(step=TURNS, prompt=POINTS, response=POINTS),
    "transposed": lambda a: a.transpose("response", "step", ...),
    "picks of it transposed": lambda a: a.transpose("response", ...).isel(prompt=POINTS, response=POINTS),
    "a slice of it transposed": lambda a: a.transpose("response", ...).isel(step=1, response=slice(2)),
    "where": lambda a: a.where(a > -2, -np.inf),
    "mean": lambda a: a.mean(("seed", "step")),
    "difference": lambda a: a.diff("step") / 2,
    "shifted": lambda a: a.shift(step=1),
    "stacked": lambda a: a.stack(cell=("prompt", "response")).isel(cell=[3, 9]),
    "widened": lambda a: a.expand_dims(policy=["tabular", "mlp"]),
    "joined": lambda a: xr.concat([a, a.isel(step=slice(2))], "step"),
    "quantile": lambda a: a.quantile(0.3, "seed"),
    "loaded": lambda a: a.load(),
    "as float32": lambda a: a.astype(np.float32),
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_way_of_looking_finds_the_numbers_of_a_plain_record(look):
    lazy, plain = records()
    assert is_lazy(lazy["log_prob"])
    assert_alike(LOOKS[look](lazy["log_prob"]), LOOKS[look](plain["log_prob"]))
    assert_alike(lazy["log_prob"], plain["log_prob"])
    # And once all of them are there.
    assert_alike(LOOKS[look](lazy["log_prob"]), LOOKS[look](plain["log_prob"]))


@pytest.mark.parametrize(
    "metric",
    ["chosen_log_prob", "rejected_log_prob", "unseen_mass", "margin", "entropy", "kl_from_reference", "accuracy"],
)
def test_metrics_do_not_see_the_difference(metric):
    lazy, plain = records()
    assert_alike(getattr(metrics, metric)(lazy), getattr(metrics, metric)(plain))


COPIES = {
    "copy": lambda ds: ds.copy(),
    "deep copy": lambda ds: ds.copy(deep=True),
    "deepcopy": copy.deepcopy,
    "pickle": lambda ds: pickle.loads(pickle.dumps(ds)),
    "another attribute": lambda ds: ds.assign_attrs(experiment="another"),
    "some of it": lambda ds: ds[["log_prob", "loss"]],
    "a run": lambda ds: ds.isel(seed=[1]),
    "joined": lambda ds: trajectory.combine([ds, ds], "policy", ["tabular", "mlp"]),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_hold_the_numbers(how):
    lazy, plain = records()
    xr.testing.assert_allclose(COPIES[how](lazy), COPIES[how](plain), rtol=1e-13, atol=1e-13)


def test_a_saved_record_comes_back_whole(tmp_path):
    lazy, plain = records()
    trajectory.save(lazy, tmp_path / "a.nc")
    back = trajectory.load(tmp_path / "a.nc")
    xr.testing.assert_identical(back, lazy)
    xr.testing.assert_allclose(back, plain, rtol=1e-13, atol=1e-13)


def test_picks_and_slices_leave_the_rest_uncomputed_and_the_whole_is_computed_once(monkeypatch):
    lazy, _ = records()
    asked = []
    at = trajectory.TableLogProb.at

    def spy(self, runs, steps, cells):
        asked.append(len(runs) * len(steps) * len(cells))
        return at(self, runs, steps, cells)

    monkeypatch.setattr(trajectory.TableLogProb, "at", spy)
    metrics.chosen_log_prob(lazy).load()
    lazy["log_prob"].isel(step=-1).load()
    lazy["log_prob"].sel(lr=0.1, seed=6).isel(step=[0, 1]).load()
    assert asked == [RUNS * STEPS * 2, RUNS * PROMPTS * RESPONSES, 2 * PROMPTS * RESPONSES]
    assert is_lazy(lazy["log_prob"])
    lazy["log_prob"].values, lazy["log_prob"].values, metrics.entropy(lazy)
    assert asked[3:] == [RUNS * STEPS * PROMPTS * RESPONSES] and not is_lazy(lazy["log_prob"])
    metrics.chosen_log_prob(lazy).load()
    assert len(asked) == 4


@pytest.mark.parametrize("first", [False, True])
def test_it_may_be_written_to_and_copies_stay_as_they_were(first):
    lazy, plain = records()
    kept = lazy.copy(deep=True)
    if first:
        lazy["log_prob"].load()
    for ds in (lazy, plain):
        ds["log_prob"][{"step": 0}] = 1.0
        ds["log_prob"].loc[{"lr": 0.2, "seed": [5, 7]}] = 2.0
    assert_alike(lazy["log_prob"], plain["log_prob"])
    assert_alike(kept["log_prob"], records()[1]["log_prob"])
    shown = records()[0]["log_prob"].isel(step=0).values
    shown[:] = 0.0  # an array of its own


def test_a_representation_computes_nothing():
    lazy, _ = records()
    assert "log_prob" in repr(lazy) and "log_prob" in lazy._repr_html_() and is_lazy(lazy["log_prob"])
