"""From a line to the changes of its training, in the record's own coordinates."""

from __future__ import annotations

import numpy as np
import pytest

import lab
from lab.experiments.attribution import attribute

TINY = "tabular s1,s2 dpo beta=0.5 sgd lr=0.01,0.02 steps=5 every=2 seeds=2 prompts=2 responses=5 keep=predictions"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DPOLAB_CACHE", str(tmp_path))


def test_changes_stand_in_the_coordinates_of_the_record():
    changes, record = attribute(TINY), lab.run(TINY)
    assert changes.dims == ("scenario", "lr", "seed", "step", "term", "pair", "prompt", "response")
    for name in ("scenario", "lr", "seed", "term"):
        assert np.array_equal(changes[name], record[name])
    assert list(changes.step.values) == [0, 2, 4] == list(record.step.values[:-1])


def test_each_cell_is_attributed_with_its_own_settings():
    line = TINY.replace("every=2", "every=1")
    changes, record = attribute(line), lab.run(line)
    expected = record["linear_change"].isel(step=slice(0, -1))
    np.testing.assert_allclose(changes.sum(["term", "pair"]).values, expected.values, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(
        changes.sum("pair").values,
        record["predicted_change"].isel(step=slice(0, -1)).values, rtol=1e-9, atol=1e-13,
    )  # fmt: skip


def test_a_second_call_reads_the_cache(monkeypatch):
    first = attribute(TINY)

    def refuse(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr("lab.theory.attribute", refuse)
    assert attribute(TINY).identical(first)
    with pytest.raises(AssertionError, match="computed again"):
        attribute(TINY.replace("0.5", "0.6"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("batch=1", r"has batch=1 and dtype=float64; changes are attributed for the loss of all pairs in float64"),
        ("dtype=float32", r"has batch=0 and dtype=float32"),
        ("spread=drawn,even", r"loops over spread; attribute one of its cells\(\) at a time"),
    ],
)
def test_lines_that_cannot_be_attributed_are_refused(more, message):
    with pytest.raises(ValueError, match=message):
        attribute(f"{TINY} {more}")
