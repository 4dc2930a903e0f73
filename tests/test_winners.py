"""Settings chosen on some seeds and read on the others: shaped gains whose best setting is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab.experiments.winners import by_prompts, settle


def shaped():
    """Gains of 5 seeds: settings that are best on the first two are the worst on the others."""
    rng = np.random.default_rng(0)
    dims = ("beta", "lr", "seed", "prompt", "budget")
    dpo = xr.DataArray(rng.random((2, 3, 5, 2, 2)), dims=dims, coords={"beta": [0.1, 1.0], "lr": [0.01, 0.02, 0.03]})
    ppo = dpo.rename(lr="length").assign_coords(length=[10, 20, 30]).transpose("length", ...) * 0.5
    for budget, (beta, knob) in enumerate(((0, 2), (1, 0))):
        for values, name in ((dpo, "lr"), (ppo, "length")):
            values[{"beta": beta, name: knob, "seed": slice(2), "budget": budget}] += 10
            values[{"beta": beta, name: knob, "seed": slice(2, None), "budget": budget}] -= 10
    by = {"dpo": dpo, "ppo": ppo}
    right = {f"{name}_agreement": each.isel(prompt=0, drop=True) for name, each in by.items()}
    return xr.Dataset({**by, **right})


def test_a_setting_is_chosen_on_the_first_seeds_alone_however_bad_it_is_on_the_others():
    played = shaped()
    found = settle(played, tuned_on=0.4)
    assert found["dpo_beta"].values.tolist() == [0.1, 1.0] and found["dpo_lr"].values.tolist() == [0.03, 0.01]
    assert found["ppo_beta"].values.tolist() == [0.1, 1.0] and found["ppo_length"].values.tolist() == [30, 10]
    assert found.sizes["seed"] == 3
    for budget, (beta, knob) in enumerate(((0, 2), (1, 0))):
        for name, axis in (("dpo", "lr"), ("ppo", "length")):
            place = {"beta": beta, axis: knob, "budget": budget, "seed": slice(2, None)}
            np.testing.assert_array_equal(found[name].isel(budget=budget).values, played[name][place].values)
            np.testing.assert_array_equal(
                found[f"{name}_agreement"].isel(budget=budget).values, played[f"{name}_agreement"][place].values
            )


def test_what_ppo_is_ahead_is_taken_seed_by_seed():
    found = settle(shaped(), tuned_on=0.4)
    np.testing.assert_array_equal(found["ahead"].values, found["ppo"].values - found["dpo"].values)


def test_cells_of_the_world_choose_each_for_itself():
    played = shaped()
    turned = played.assign_coords(beta=[1.0, 0.1]).sortby("beta")  # what was the first beta's is now the second's
    found = settle(xr.concat([played, turned], "agreement"), tuned_on=0.4)
    assert found["dpo_beta"].transpose("agreement", "budget").values.tolist() == [[0.1, 1.0], [1.0, 0.1]]


@pytest.mark.parametrize("share", [0.0, 1.0, 0.05])
def test_seeds_are_needed_on_both_sides(share):
    with pytest.raises(ValueError, match="of 5 seeds; both parts need at least one seed: give more"):
        settle(shaped(), tuned_on=share)


def test_prompts_without_data_are_the_last_and_are_averaged_apart():
    found = settle(shaped(), tuned_on=0.4)
    both = by_prompts(found["ahead"], 1)
    assert both["prompts"].values.tolist() == ["compared", "new"]
    for name, place in (("compared", 0), ("new", 1)):
        np.testing.assert_array_equal(both.sel(prompts=name).values, found["ahead"].isel(prompt=place).values)
    alone = by_prompts(found["ppo"], 0)
    np.testing.assert_allclose(alone.sel(prompts="compared").values, found["ppo"].mean("prompt").values)
