"""Falls of the chosen response, from its start and from its peak."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.metrics import fall_from_peak, fall_from_start, falls


def record():
    return lab.run("loglinear s1,s2 dpo beta=0.1 sgd lr=20 steps=40 seeds=4 features=4 overlap=0.9")


def test_falls_are_differences_of_log_probabilities_pair_by_pair():
    ds = record()
    start, peak = fall_from_start(ds), fall_from_peak(ds)
    log_prob = ds["log_prob"].transpose("scenario", "seed", "step", "prompt", "response").values
    rose = fell = 0
    for pair in range(4):
        chosen = log_prob[..., ds["pair_prompt"][pair].item(), ds["chosen"][pair].item()]
        here = start.isel(pair=pair).transpose("scenario", "seed", "step").values
        np.testing.assert_allclose(here, chosen[..., :1] - chosen, atol=1e-12)
        for step in range(41):
            highest = chosen[..., : step + 1].max(-1)
            found = peak.isel(pair=pair, step=step).transpose("scenario", "seed").values
            np.testing.assert_allclose(found, highest - chosen[..., step], atol=1e-12)
        rose, fell = rose + (here[..., -1] < 0).sum(), fell + (here[..., -1] > 0).sum()
    assert rose and fell and (peak >= 0).all() and (peak >= start - 1e-12).all()
    assert start.attrs["units"] == peak.attrs["units"] == "nats"


def test_four_falls_are_read_where_they_say():
    ds = record()
    found, start = falls(ds, early=5, margin=1.5), fall_from_start(ds)
    np.testing.assert_array_equal(found["first_steps"], start.sel(step=5))
    np.testing.assert_array_equal(found["end"], start.sel(step=40))
    np.testing.assert_array_equal(found["from_peak"], fall_from_peak(ds).sel(step=40))
    margin = lab.metrics.log_ratio_margin(ds)
    reached = missed = 0
    for index in np.ndindex(2, 4, 4):
        at = dict(zip(("scenario", "seed", "pair"), index, strict=True))
        way, fall = margin.isel(at).values, start.isel(at).values
        value = found["equal_margin"].isel(at).item()
        if (way >= 1.5).any():
            after = int(np.argmax(way >= 1.5))
            exact = np.interp(1.5, way[after - 1 : after + 1], fall[after - 1 : after + 1])
            assert value == pytest.approx(exact, abs=1e-12)
            reached += 1
        else:
            assert np.isnan(value)
            missed += 1
    assert reached and missed


def test_a_step_that_is_not_recorded_is_refused():
    with pytest.raises(ValueError, match=r"early is 50, which is not recorded; the record has 41 steps from 0 to 40"):
        falls(record(), early=50, margin=1.0)
