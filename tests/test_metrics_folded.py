"""Quantities of moving tables: what is derived from the moved logits alone equals what whole tables give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import lab
from lab import metrics
from lab.trajectory import table_behind

QUANTITIES = (
    metrics.log_unseen_mass, metrics.gradient_log_norm, metrics.gradient_cosine, metrics.pair_gradient_log_magnitude,
    metrics.chosen_log_prob,
)  # fmt: skip


def record(kind: str) -> xr.Dataset:
    if kind == "one pair a prompt":
        return lab.run("tabular s1 dpo beta=0.1,0.5 sgd lr=1 steps=20 seeds=3")
    if kind == "far from the start":  # squares of 1 - π underflow
        return lab.run("tabular s1 dpo beta=0.003,0.5 sgd lr=1e6 steps=60 seeds=2")
    # Prompt 0 has three pairs, of which two share their chosen response; prompt 1 none; prompt 2 two of four responses.
    pairs = lab.Preferences([0, 0, 0, 2], [0, 0, 1, 3], [2, 3, 4, 1], weight=[0.1, 0.2, 0.3, 0.4])
    target = torch.randn(5, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)
    problem = lab.Problem(pairs, target, tuple(range(5)))
    return lab.train(problem, lab.Tabular(3, 6), lab.IPO(0.3), lab.Adam(0.1), steps=30)


def whole(ds: xr.Dataset) -> xr.Dataset:
    """The same record with all its log-probabilities in an array."""
    plain = ds.copy(deep=True)
    plain["log_prob"] = plain["log_prob"].dims, np.ascontiguousarray(plain["log_prob"].values), plain["log_prob"].attrs
    return plain


PARTS = {
    "all": lambda ds: ds,
    "one run": lambda ds: ds.isel(seed=1),
    "some runs, backwards": lambda ds: ds.isel(seed=[1, 0]),
    "some steps": lambda ds: ds.isel(step=slice(3, 15, 4)),
    "steps by list": lambda ds: ds.isel(step=[17, 2, 5]),
    "one step": lambda ds: ds.isel(step=7),
    "fewer pairs": lambda ds: ds.isel(pair=slice(0, 3)),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["one pair a prompt", "far from the start", "several pairs a prompt"])
def test_quantities_of_a_moving_table_are_those_of_the_whole_one(kind, part):
    moving = record(kind)
    plain = PARTS[part](whole(moving))
    for quantity in QUANTITIES:
        found, expected = quantity(PARTS[part](moving)), quantity(plain)
        assert found.dims == expected.dims and set(found.coords) == set(expected.coords), quantity.__name__
        xr.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_runs_with_weights_of_their_own_have_unseen_responses_of_their_own():
    pairs = lab.Preferences([0, 0], [0, 2], [1, 3], weight=torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    target = torch.zeros(2, 1, 5, dtype=torch.float64).log_softmax(-1)
    ds = lab.train(lab.Problem(pairs, target, (0, 1)), lab.Tabular(1, 5), lab.DPO(0.5), lab.SGD(1.0), steps=4)
    np.testing.assert_allclose(np.exp(metrics.log_unseen_mass(ds)[:, 0, 0]), [0.2, 0.6])


def test_the_table_is_found_where_whole_rows_are_computed_and_only_there():
    ds = record("one pair a prompt")
    source = table_behind(ds["log_prob"].variable)
    assert source is table_behind(ds["log_prob"].variable) and source.shape == (6, 21, 4, 10)
    part = table_behind(ds.isel(beta=1, step=slice(2, 9, 3))["log_prob"].variable)
    assert part.shape == (3, 3, 4, 10)
    np.testing.assert_array_equal(part.moves, source.moves[3:, 2:9:3])
    assert table_behind(ds["log_prob"].isel(prompt=slice(1, 3)).variable) is None
    assert table_behind(ds["log_prob"].isel(response=[0, 1]).variable) is None
    assert table_behind(ds["reference_log_prob"].variable) is None
    assert table_behind(whole(ds)["log_prob"].variable) is None
    ds["log_prob"].values.sum()  # looked at whole, the numbers are kept as they are
    assert table_behind(ds["log_prob"].variable) is None


def test_some_spaces_are_measured_if_asked_for():
    ds = record("one pair a prompt")
    for measure in (metrics.gradient_log_norm, metrics.gradient_cosine):
        every = measure(ds)
        assert every["space"].values.tolist() == ["log_probability", "probability", "logit", "parameter"]
        for spaces in (("parameter", "probability"), ("logit",)):
            xr.testing.assert_identical(measure(ds, spaces), every.sel(space=list(spaces)))
        with pytest.raises(
            ValueError, match=r"spaces are 'logits'; this record has log_probability, .*: choose of these"
        ):
            measure(ds, "logits")
        with pytest.raises(ValueError, match="spaces are none"):
            measure(ds, ())


def test_a_network_without_recorded_gradients_has_no_parameter_space():
    ds = lab.run("mlp s1 dpo beta=0.1 sgd lr=0.1 steps=2 seeds=1 keep=none")
    with pytest.raises(
        ValueError, match="spaces are 'parameter'; this record has log_probability, probability, logit:"
    ):
        metrics.gradient_log_norm(ds, ("parameter",))


def test_blocks_on_several_cores_give_the_same_numbers(monkeypatch):
    ds = record("one pair a prompt")
    alone = [quantity(ds) for quantity in QUANTITIES]
    for module in ("lab.trajectory.blocks",):
        monkeypatch.setattr(f"{module}.SHARED", 0)
        monkeypatch.setattr(f"{module}.BLOCK", 200)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    again = record("one pair a prompt")
    for quantity, expected in zip(QUANTITIES, alone, strict=True):
        xr.testing.assert_allclose(quantity(again), expected, rtol=1e-14, atol=1e-14)
