"""Norms and cosines with the unnamed responses folded into one row: those of the whole table."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab import metrics, trajectory
from tests.test_trajectory import parts


def whole_tables(ds) -> np.ndarray:
    """A - π Σ_y A of each term, pair by pair onto the full table, [seed, step, term, prompt · response]."""
    log_prob = ds["log_prob"].transpose("seed", "step", "prompt", "response").values
    weight = (ds["response_weight"] * ds["pair_weight"]).transpose("seed", "step", "term", "pair").values
    table = np.zeros((*log_prob.shape[:2], 2, *log_prob.shape[2:]))
    for pair, prompt in enumerate(ds["pair_prompt"].values):
        for term, which in enumerate(("chosen", "rejected")):
            table[:, :, term, prompt, ds[which].values[pair]] += weight[:, :, term, pair]
    return (table - np.exp(log_prob)[:, :, None] * table.sum(-1, keepdims=True)).reshape(*table.shape[:3], -1)


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ([1, 2], [3, 0], [0, 2]),
        ([1, 1, 4, 0], [2, 3, 1, 1], [0, 0, 0, 1]),  # shared responses, a bare prompt, unequal numbers of named ones
        ([0, 1, 2, 4], [1, 2, 3, 0], [1, 1, 1, 1]),  # every response of a prompt is named
        ([0, 0], [1, 1], [2, 2]),
    ],
)
def test_norms_and_cosines_in_logit_space_are_those_of_the_whole_table(chosen, rejected, prompt):
    given = parts({"seed": range(3)})
    log_prob = given["arrays"]["log_prob"]
    given["arrays"]["log_prob"] = log_prob - np.logaddexp.reduce(log_prob, -1)[..., None]
    pairs = len(chosen)
    rng = np.random.default_rng(1)
    given["arrays"] |= {
        "loss": rng.standard_normal((3, 4, pairs)), "response_weight": rng.standard_normal((3, 4, 2, pairs))
    }  # fmt: skip
    weight = rng.dirichlet(np.ones(pairs))
    given |= {"chosen": chosen, "rejected": rejected, "pair_prompt": prompt, "pair_weight": weight}
    ds = trajectory.assemble(**given)
    gradient = whole_tables(ds)
    norm = np.linalg.norm(gradient, axis=-1)
    cosine = (gradient[:, :, 0] * gradient[:, :, 1]).sum(-1) / norm.prod(-1)
    for each in (ds, ds.transpose("step", "seed", ...), ds.transpose("response", "prompt", ...)):
        found = metrics.gradient_log_norm(each).sel(space="logit").transpose("seed", "step", "term")
        np.testing.assert_allclose(found, np.log(norm), rtol=1e-12, atol=1e-12)
        found = metrics.gradient_cosine(each).sel(space="logit").transpose("seed", "step")
        np.testing.assert_allclose(found, cosine, rtol=1e-12, atol=1e-12)


def test_norms_of_a_derived_record_are_those_of_a_loaded_one():
    record = lab.run("tabular s1 dpo beta=0.1,0.5 sgd lr=1 steps=20 seeds=3")
    found = metrics.gradient_log_norm(record)
    plain = record.copy(deep=True)
    plain["log_prob"] = plain["log_prob"].dims, np.ascontiguousarray(plain["log_prob"].values)
    assert found.dims == metrics.gradient_log_norm(plain).dims
    np.testing.assert_allclose(found, metrics.gradient_log_norm(plain), rtol=1e-13, atol=1e-13)
