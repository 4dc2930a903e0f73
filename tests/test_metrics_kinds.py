"""What a response is to a prompt, and the mass of each kind."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab import metrics


def record() -> xr.Dataset:
    """Prompt 0 has two pairs, prompt 1 one, prompt 2 none; response 1 is rejected at 0 and chosen at 1."""
    prob = np.array([[0.4, 0.3, 0.1, 0.05, 0.15], [0.1, 0.2, 0.3, 0.35, 0.05], [0.2, 0.2, 0.3, 0.2, 0.1]])
    return xr.Dataset(
        {"log_prob": (("seed", "step", "prompt", "response"), np.log(prob)[None, None])},
        coords={
            "pair_prompt": ("pair", [0, 0, 1]),
            "chosen": ("pair", [0, 0, 1]),
            "rejected": ("pair", [1, 3, 2]),
            "pair_weight": ("pair", [0.25, 0.25, 0.5]),
        },
    )


def test_own_pairs_count_before_others_and_chosen_before_rejected():
    expected = [
        ["chosen", "rejected", "rejected elsewhere", "rejected", "never named"],
        ["chosen elsewhere", "chosen", "rejected", "rejected elsewhere", "never named"],
        ["chosen elsewhere", "chosen elsewhere", "rejected elsewhere", "rejected elsewhere", "never named"],
    ]
    np.testing.assert_array_equal(metrics.response_kind(record()), expected)


def test_unseen_responses_are_those_that_no_own_pair_names():
    kind = metrics.response_kind(record())
    np.testing.assert_array_equal(~kind.isin(["chosen", "rejected"]), metrics.unseen_mask(record()))


def test_masses_of_the_kinds_are_sums_over_their_responses():
    mass = metrics.mass_by_kind(record())
    assert mass.dims == ("seed", "step", "prompt", "kind")
    expected = [[0.4, 0.35, 0, 0.1, 0.15], [0.2, 0.3, 0.1, 0.35, 0.05], [0, 0, 0.4, 0.5, 0.1]]
    np.testing.assert_allclose(mass.isel(seed=0, step=0), expected)
    unseen = mass.sel(kind=["chosen elsewhere", "rejected elsewhere", "never named"]).sum("kind")
    np.testing.assert_allclose(unseen, metrics.unseen_mass(record()))


def test_a_run_without_numbers_has_no_mass():
    ds = record()
    ds["log_prob"][..., 0, 0] = np.nan
    mass = metrics.mass_by_kind(ds).isel(seed=0, step=0)
    assert mass.isel(prompt=0).isnull().all() and mass.isel(prompt=1).notnull().all()


def test_the_gained_mass_is_shared_out_among_the_kinds_that_gained():
    """By hand: chosen elsewhere +0.3, rejected elsewhere +0.1 - 0.25, never named +0.2 + 0.05; prompt 2 has no pair."""
    ds = record()
    gain = [[-0.2, -0.1, 0.1, 0, 0.2], [0.3, -0.1, 0, -0.25, 0.05], [0, 0, -0.2, 0.2, 0]]
    ds["reference_log_prob"] = ds["log_prob"].isel(step=0)
    last = np.log(np.exp(ds["log_prob"]) + np.array(gain))
    ds = xr.concat([ds, ds.assign(log_prob=last)], "step", data_vars=["log_prob"]).assign_coords(step=[0, 5])
    share = metrics.gained_share_by_kind(ds)
    assert list(share.kind.values) == ["chosen elsewhere", "rejected elsewhere", "never named"]
    np.testing.assert_allclose(share.isel(seed=0), [6 / 11, 0, 5 / 11], rtol=1e-12)
    turned = xr.DataArray([0.0], dims="seed", coords={"seed": [0]})
    ds = ds.assign_coords(seed=[0])
    np.testing.assert_allclose(metrics.gained_share_by_kind(ds, since=turned), share)
    assert metrics.gained_share_by_kind(ds, since=turned + np.inf).isnull().all(), "it never turned"
    assert metrics.gained_share_by_kind(ds, since=turned + 5).isnull().all(), "nothing was gained since"
