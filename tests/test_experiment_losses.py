"""From the words of an objective to the objective: every word, every key, and what the record says of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import lab
from lab.experiments.losses import CATALOGUE
from lab.experiments.methods import METHODS, SETTINGS
from lab.experiments.running import build
from lab.experiments.vocabulary import COUPLED, WORDS

LINE = "tabular s1 {} sgd lr=0.1 steps=3 seeds=2"


def built(words: str):
    return build(lab.Experiment.parse(LINE.format(words)))


def test_every_word_is_in_the_catalogue_and_every_key_belongs_to_it():
    assert {*CATALOGUE, *METHODS, "rm"} == set(WORDS["objective"].choices)
    for word, (_, keys) in CATALOGUE.items():
        assert all(word in WORDS[key].owned_by for key in keys.values())
    own = {key for _, keys in CATALOGUE.values() for key in keys.values()}
    shared = {"sft_weight", "divergence", "chosen_length", "rejected_length", "terms"}
    methods = {*SETTINGS, "whiten", "reward_from"}
    assert {name for name, word in WORDS.items() if word.owner == "objective"} == own | shared | methods


@pytest.mark.parametrize("word", WORDS["objective"].choices)
def test_every_word_trains_and_its_line_comes_back(word):
    line = LINE.format(word) + (" truth=normal" if word in METHODS else "")
    record = lab.run(line)
    assert np.isfinite(record.loss).all() and np.isfinite(record.response_weight).all()
    assert lab.Experiment.parse(record.attrs["experiment"]) == lab.Experiment.parse(line)
    if word not in METHODS:
        assert built(word)[2].couples_pairs == (word in COUPLED)


@pytest.mark.parametrize(("word", "key"), [(w, k) for w, (_, keys) in CATALOGUE.items() for k in keys.values()])
def test_every_key_reaches_its_setting_and_may_be_an_axis(word, key):
    alone, pair = built(f"{word} {key}=0.3")[2], built(f"{word} {key}=0.2,0.3")[2]
    name = next(name for name, of in CATALOGUE[word][1].items() if of == key)
    inside = (alone.objective, pair.objective) if word == "wpo" else (alone, pair)
    assert getattr(inside[0], name) == 0.3
    assert torch.equal(getattr(inside[1], name), torch.tensor([0.2, 0.2, 0.3, 0.3], dtype=torch.float64))


@pytest.mark.parametrize("word", [word for word, (make, _) in CATALOGUE.items() if dataclasses.is_dataclass(make)])
def test_a_key_left_out_is_the_default_of_the_class(word):
    make, keys = CATALOGUE[word]
    for field in dataclasses.fields(make):
        if field.default is not dataclasses.MISSING and field.name in keys:
            default = WORDS[keys[field.name]].default[0]
            assert default == field.default or (word, field.name) == ("unlikelihood", "weight")


def test_a_divergence_goes_inside_and_an_sft_term_outside():
    assert built("exo divergence=alpha divergence_alpha=2 sft_weight=0.5")[2] == lab.WeightedSum(
        (lab.Divergence(lab.EXO(0.1, 0.1), "alpha", 2.0), lab.SFT()), (1.0, 0.5)
    )


def test_lengths_stand_on_the_responses_of_the_pairs():
    problem = built("simpo chosen_length=3 rejected_length=7")[0]
    chosen, rejected = problem.preferences.flat(10).tensor_split(2)
    lengths = problem.lengths.flatten()
    assert set(lengths[chosen].tolist()) == {3.0} and set(lengths[rejected].tolist()) == {7.0}
    assert lengths.sum() == 3 * 4 + 7 * 4 + 32
    assert built("simpo")[0].lengths is None


def test_a_sweep_over_objectives_of_all_kinds_has_one_record():
    record = lab.run(LINE.format("dpo,simpo,kto,aot,orpo,wpo,sft"))
    assert record.objective.values.tolist() == ["dpo", "simpo", "kto", "aot", "orpo", "wpo", "sft"]
    assert np.isnan(record.beta_chosen.sel(objective=["orpo", "sft"])).all()
    assert "Step 0" in str(lab.properties.audit(record))
