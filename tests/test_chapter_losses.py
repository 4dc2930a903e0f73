"""Notebook 06: solutions against the lab's own losses, limits and readings, and the numbers of its drawings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import lab
from lab.course.chapters.losses.dpop import dpop_loss
from lab.course.chapters.losses.equal_margin import at_margin
from lab.course.chapters.losses.fates import fates
from lab.course.chapters.losses.flex import tune
from lab.course.chapters.losses.sft_weight import cheapest_weight
from lab.course.chapters.losses.simpo import simpo_loss
from lab.course.chapters.losses.two_losses import two_losses
from lab.course.drawings import losses as drawings

FALLS = np.array([0.0, 1.0, 7.0, 30.0, 200.0])
RUN = "tabular s1,s2 dpo beta=0.1 sft_weight=0.01,1 sgd lr=2 steps=100 seeds=4 every=50 keep=none"


def _pairs(u, v):
    rows = [torch.from_numpy(each)[None] for each in (u - 60, v - 60, 0 * u - 60, 0 * v - 60)]
    return lab.PairLogProbs(*rows)


@pytest.mark.parametrize("beta", [0.05, 0.3, 2.0])
def test_the_solutions_are_the_losses_of_the_lab(beta):
    rng = np.random.default_rng(0)
    u, v = rng.normal(0, 4, (2, 20))
    ipo, slic = two_losses(u, v, beta)
    np.testing.assert_allclose(ipo, lab.IPO(beta).loss(_pairs(u, v))[0], rtol=1e-12)
    np.testing.assert_allclose(slic, lab.SLiC(beta).loss(_pairs(u, v))[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dpop_loss(u, v, beta, 7.0), lab.DPOP(beta, 7.0).loss(_pairs(u, v))[0], rtol=1e-12)


def test_simpo_is_that_of_the_lab():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 30, (2, 8)).astype(float)
    chosen, rejected = -rng.exponential(size=(2, 8)) * lengths
    zero = torch.zeros(1, 8, dtype=torch.float64)
    pairs = lab.PairLogProbs(
        *(torch.from_numpy(each)[None] for each in (chosen, rejected)), zero, zero,
        chosen_length=torch.from_numpy(lengths[0]), rejected_length=torch.from_numpy(lengths[1]),
    )  # fmt: skip
    mine = simpo_loss(chosen, rejected, *lengths, 2.5, 1.4)
    np.testing.assert_allclose(mine, lab.SimPO(2.5, gamma=1.4).loss(pairs)[0], rtol=1e-12)


def test_what_is_left_of_a_push_follows_the_formulas():
    start = {word: drawings.chosen_push(word, 0.0) for word in ("dpo", "ipo", "slic", "cdpo", "kto")}
    share = {word: drawings.chosen_push(word, FALLS) / start[word] for word in start}
    np.testing.assert_allclose(share["dpo"], 2 / (1 + np.exp(0.1 * FALLS)), rtol=1e-12)
    np.testing.assert_allclose(share["ipo"], 1 - 0.2 * FALLS, rtol=1e-12)
    np.testing.assert_array_equal(share["slic"], FALLS < 10)
    np.testing.assert_allclose(share["cdpo"], (1 / (1 + np.exp(0.1 * FALLS)) - 0.1) / 0.4, rtol=1e-12)
    np.testing.assert_array_equal(share["kto"], 1)


def test_the_fates_are_the_laws_that_the_theory_finds():
    for sheet in lab.sheets(" ".join(fates()) + " beta=0.1"):
        tail = sheet.limits.rejected_gone.chosen
        word = "turns" if tail.sign > 0 and not tail.vanishes else "stops" if tail.law == "cutoff" else None
        word = word or ("fades" if tail.vanishes else "stays")
        assert fates()[sheet.word][0] == word, sheet.word


def test_the_reading_at_equal_margin_is_that_of_the_lab():
    rng = np.random.default_rng(2)
    for level in (0.5, 2.0, 40.0):
        margin, value = np.cumsum(rng.normal(0.3, 0.5, 60)), rng.random(60)
        margin[0] = 0.0
        curves = (xr.DataArray(each, dims="step", coords={"step": np.arange(60)}) for each in (value, margin))
        expected = lab.metrics.when_reached(*curves, [level]).item()
        assert at_margin(margin, value, level) == pytest.approx(-1.0 if np.isnan(expected) else expected)


def test_the_cheapest_weight_holds_and_no_smaller_one_does():
    rng = np.random.default_rng(3)
    for _ in range(50):
        weights, chosen = rng.permutation(8) / 10, rng.beta(rng.uniform(2, 12, (8, 1)), 1, (8, 20))
        found = cheapest_weight(weights, chosen, 0.6)
        held = {weight: np.sum(row >= 0.6) >= 19 for weight, row in zip(weights, chosen, strict=True)}
        assert held.get(found, False) == any(held.values())
        assert not any(fine for weight, fine in held.items() if weight < found)


def test_the_tuned_line_is_one_of_flex_alone():
    experiment = lab.Experiment.parse(tune())
    assert experiment.objective == ("flex",)
    assert experiment.sft_weight == (0.0,)


def test_the_ends_are_those_of_the_record():
    record = lab.run(RUN)
    margin, chosen = drawings.ends(record)
    last = record.isel(step=-1)
    cell = last.isel(scenario=0, sft_weight=1, seed=2)
    at = cell.log_prob.values[cell.pair_prompt.values, cell.chosen.values]
    assert chosen.isel(scenario=0, sft_weight=1, seed=2).item() == pytest.approx(np.exp(at).mean())
    expected = lab.metrics.log_ratio_margin(record).isel(step=-1).mean("pair")
    np.testing.assert_allclose(margin.transpose(*expected.dims), expected)


def test_the_picture_of_prices_says_what_is_kept():
    record = lab.run(RUN)
    _, alt = drawings.price({"SFT term": record})
    middle = drawings.ends(record.sel(scenario="s2"))[1].median("seed").values
    assert f"s2, SFT term: chosen {middle.min():.2f} to {middle.max():.2f}" in alt


def test_the_picture_of_what_is_left_says_the_last_shares():
    _, alt = drawings.fading(("dpo", "slic"))
    left = 2 / (1 + np.exp(0.1 * drawings.FALLS[-1]))
    assert f"DPO {left:.2g}, SLiC 0" in alt


def test_the_picture_of_landscapes_says_where_training_ends():
    record = lab.run("tabular s1 dpo,ipo,slic,cdpo,bco beta=0.1 sgd lr=0.1 steps=500 seeds=2 every=50 keep=none")
    _, alt = drawings.landscapes(record.sel(objective=["ipo", "slic"]))
    v = lab.metrics.rejected_log_ratio(record.sel(objective="ipo")).isel(step=-1).mean("pair").median("seed").item()
    assert f"v = {v:+.0f} nats" in alt.split("IPO: ")[1]
    with pytest.raises(ValueError, match="the record has 5 losses.*four fit"):
        drawings.landscapes(record)
