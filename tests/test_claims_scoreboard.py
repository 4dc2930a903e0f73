"""The claims of the scoreboard on shaped records: they say yes and no where they should."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lab.claims import scoreboard
from lab.claims.judging import together
from tests.test_properties import FALLING, STEPS, jitter, planted, through

RISING = through((0, 0.45), (40, 0.90), (100, 0.95))
LOST = through((0, 0.45), (40, 0.90), (100, 0.60))
UNLIKELY = through((0, 0.02), (30, 0.1), (100, 0.98))


def swept(chosen):
    """A record of all scenarios, each like the others."""
    one = planted(chosen + jitter(0.005), FALLING)
    return xr.concat(
        [one] * 4, xr.DataArray(["s1", "s2", "s3", "s4"], dims="scenario", name="scenario"), data_vars="all"
    )


def test_one_objective_that_loses_denies_the_push_of_its_own():
    kept = {"kto": swept(RISING), "nca": swept(RISING)}
    assert together(scoreboard.own_push(kept)) == "yes"
    assert together(scoreboard.own_push({**kept, "sft": swept(LOST)})) == "no"


def test_a_loss_that_comes_back_is_told_though_the_end_is_fine():
    back = through((0, 0.45), (40, 0.90), (60, 0.70), (100, 0.95))
    asked, anywhere = scoreboard.own_push({"kto": swept(back)})
    assert asked.answer == "yes" and anywhere.value == pytest.approx(0.20, abs=1e-9)


def test_one_objective_that_keeps_denies_the_endless_pull():
    lost = {"dpo": swept(LOST), "simpo": swept(LOST)}
    assert together(scoreboard.endless_pull(lost)) == "yes"
    assert together(scoreboard.endless_pull({**lost, "aot": swept(RISING)})) == "no"


def test_near_and_far_targets_are_asked_for_opposite_things():
    near = {name: planted(RISING + jitter(0.005), FALLING) for name in scoreboard.NEAR_TARGET}
    far = {name: planted(LOST + jitter(0.005), FALLING) for name in scoreboard.FAR_TARGET}
    assert together(scoreboard.near_target({**near, **far})) == "yes"
    assert together(scoreboard.near_target({**near, **dict.fromkeys(far, near["ipo"])})) == "no"


def test_early_dispersion_has_to_pass():
    rejected = np.log(np.clip(through((0, 0.9), (20, 0.2), (100, 1e-6)), 1e-9, None))
    early = planted(np.broadcast_to(UNLIKELY, (24, STEPS)) + jitter(0.001), rejected)
    assert together(scoreboard.early_dispersion({"dpo": early})) == "yes"
    stays = planted(through((0, 0.02), (100, 0.1)) + jitter(0.001), rejected)
    assert together(scoreboard.early_dispersion({"dpo": stays})) == "no"
