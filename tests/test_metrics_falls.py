"""Falls of the chosen response, from its start and from its peak."""

from __future__ import annotations

import numpy as np

import lab
from lab.metrics import fall_from_peak, fall_from_start


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
