"""Tuning on some seeds and reporting on others: shaped shares with a known best, and a small world."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import lab
from lab.experiments.frontiers import at_equal_kl
from lab.experiments.tuning import SEEDS, SETTINGS, tune, tuned_shares, tuning_lines


def shaped(values) -> xr.DataArray:
    """Shares [setting, seed, level] of settings 10, 25, 500."""
    array = np.asarray(values, float)
    coords = {"setting": [10, 25, 500], "seed": np.arange(array.shape[1]), "level": np.arange(array.shape[2]) + 0.5}
    return xr.DataArray(array, dims=("setting", "seed", "level"), coords=coords)


def test_the_setting_is_chosen_on_the_first_half_and_reported_on_the_second():
    """At the first KL setting 25 is best on the first seeds and worst on the last, at the second it is setting 10."""
    values = np.zeros((3, 4, 2))
    values[1, :2, 0], values[1, 2:, 0] = 0.9, -0.7
    values[0, :, 1] = 0.4
    values[2, 2:, :] = 0.2
    found = tune(shaped(values))
    assert found["setting"].values.tolist() == [25, 10]
    np.testing.assert_array_equal(found["tuned"].values, [[-0.7, 0.4]] * 2)
    np.testing.assert_array_equal(found["plain"].values, [[0.2, 0.2]] * 2)
    assert found["seed"].values.tolist() == [2, 3]


def test_what_is_reported_never_sways_the_choice():
    values = np.random.default_rng(0).normal(size=(3, 10, 2))
    first = tune(shaped(values))["setting"]
    values[:, 5:] = np.random.default_rng(1).normal(size=(3, 5, 2)) + 10 * np.arange(3)[:, None, None]
    assert tune(shaped(values))["setting"].equals(first)


def test_a_setting_without_a_number_is_not_chosen():
    values = np.zeros((3, 4, 1))
    values[0, 0] = np.nan
    values[1] = -1
    assert tune(shaped(values))["setting"].item() == 500


def test_one_seed_cannot_be_tuned_on_and_reported():
    with pytest.raises(ValueError, match="there is 1 seed; tuning takes one half of them: give two or more"):
        tune(shaped(np.zeros((3, 1, 1))))


def test_every_method_is_given_as_many_settings_and_as_many_labels():
    for policy in ("tabular", "mlp"):
        made = {name: lab.Experiment.parse(line) for name, line in tuning_lines(policy).items()}
        for name, each in made.items():
            assert each.value("seeds") == SEEDS and each.beta == made["dpo"].beta
            if name == "ppo":
                assert each.model_steps == SETTINGS
            else:
                assert all(setting % each.value("every") == 0 for setting in SETTINGS)
                assert each.value("steps") == SETTINGS[-1]
        rounds = made["online"].value("steps") / made["online"].value("refresh")
        assert rounds * made["online"].value("comparisons") == made["dpo"].value("comparisons")
    with pytest.raises(ValueError, match="policy is 'loglinear'; the policies are tabular, mlp"):
        tuning_lines("loglinear")


@pytest.fixture(scope="module")
def small():
    names = ("dpo", "ppo")
    return {name: lab.run(f"{tuning_lines('tabular', seeds=2)[name]} prompts=2 responses=4") for name in names}


def test_the_last_setting_is_the_frontier_that_is_read_without_tuning(small):
    """The same records through the reading of `at_equal_kl`, which knows the end of training alone."""
    found = tuned_shares(small, [0.2, 0.6])
    assert {name: each.dims for name, each in found.items()} == dict.fromkeys(
        ("dpo", "ppo", "best_of_n"), ("setting", "seed", "level")
    )
    plain = at_equal_kl({"dpo": small["dpo"], "ppo": small["ppo"].sel(model_steps=500, drop=True)}, [0.2, 0.6])
    for name, each in found.items():
        np.testing.assert_allclose(each.sel(setting=500).values, plain[name].values, atol=1e-12)


def test_an_earlier_setting_is_that_state_of_dpo_and_that_reward_model_of_ppo(small):
    found = tuned_shares(small, [0.4])
    early = at_equal_kl(
        {"dpo": small["dpo"].sel(step=slice(0, 50)), "ppo": small["ppo"].sel(model_steps=50, drop=True)}, [0.4]
    )
    for name, each in found.items():
        np.testing.assert_allclose(each.sel(setting=50).values, early[name].values, atol=1e-12)
        assert float(abs(each.sel(setting=50) - each.sel(setting=500)).max()) > 1e-4 or name == "best_of_n"
