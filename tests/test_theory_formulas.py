"""Formulas kept as text: each is what the objective computes, at many states and settings, and reads as written."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import pytest
import torch

import lab
from lab.experiments.losses import CATALOGUE, build_objective
from lab.objectives import Objective, PairLogProbs
from lab.theory.catalogue import FORMULAS, formula
from lab.theory.formulas import SYMBOLS, Formula, written
from tests.worlds import draw

BOUNDS = {"shift": (0.1, 1.0), "smoothing": (0.01, 0.45), "clip": (0.5, 20.0), "alpha": (-0.5, 0.5)}
RUNS = 40


def drawn(objective: Objective, seed: int) -> Objective:
    """The same objective with settings drawn for each run."""
    changed = {}
    for place, field in enumerate(fields(objective) if is_dataclass(objective) else ()):
        value = getattr(objective, field.name)
        if isinstance(value, Objective):
            changed[field.name] = drawn(value, seed)
        else:
            low, high = BOUNDS.get(field.name, (0.05, 3.0))
            share = torch.rand(RUNS, generator=torch.Generator().manual_seed(100 * seed + place), dtype=torch.float64)
            changed[field.name] = low + (high - low) * share
    return replace(objective, **changed)


def states(scale: float, seed: int) -> PairLogProbs:
    """Log-probabilities of 40 runs, 6 states and 5 pairs, up to `scale` nats and more from their reference."""
    c, r = (-scale * draw(RUNS, 6, 5, seed=seed + k).abs() - 1e-3 for k in (0, 1))
    return PairLogProbs(
        c, r, *(-draw(RUNS, 1, 5, seed=seed + k).abs() for k in (2, 3)),
        chosen_length=torch.tensor([1.0, 2, 3, 4, 9], dtype=torch.float64),
        rejected_length=torch.tensor([2.0, 2, 8, 1, 5], dtype=torch.float64),
        kl=draw(RUNS, 6, 1, seed=seed + 4), chosen_confidence=-draw(RUNS, 6, 5, seed=seed + 5).abs(),
        rejected_confidence=-draw(RUNS, 6, 5, seed=seed + 6).abs(),
    )  # fmt: skip


def objective_of(word: str) -> Objective:
    experiment = lab.Experiment.parse(f"tabular s1 {word} sgd lr=1 steps=1")
    return build_objective(experiment, experiment.value)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("word", CATALOGUE)
def test_the_text_is_what_the_objective_computes(word, scale):
    """1200 states with settings of their own; the pushes to 1e-10 of themselves and 1e-13, where two of them cancel."""
    for seed in (1, 2):
        objective, pairs = drawn(objective_of(word), seed), states(scale, seed)
        loss, chosen, rejected = formula(objective).evaluate(objective, pairs)
        torch.testing.assert_close(loss, objective.loss(pairs), rtol=1e-10, atol=1e-11)
        for text, computed in zip((chosen, rejected), objective.response_weights(pairs), strict=True):
            assert bool(torch.isfinite(text).all())
            torch.testing.assert_close(text, computed, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("word", CATALOGUE)
def test_the_pushes_are_the_slopes_of_the_written_loss(word):
    """Automatic differentiation of the text itself: neither loss nor pushes come from the objective."""
    objective, pairs = drawn(objective_of(word), 3), states(1.0, 3)
    chosen, rejected = pairs.chosen.clone().requires_grad_(), pairs.rejected.clone().requires_grad_()
    moved = replace(pairs, chosen=chosen, rejected=rejected)
    total = formula(objective).evaluate(objective, moved)[0].sum()
    slopes = torch.autograd.grad(total, (chosen, rejected), allow_unused=True, materialize_grads=True)
    for slope, text in zip(slopes, formula(objective).evaluate(objective, pairs)[1:], strict=True):
        torch.testing.assert_close(slope, text, rtol=1e-8, atol=1e-12)


def test_every_class_behind_a_word_has_a_formula_and_uses_only_known_names():
    assert {type(objective_of(word)) for word in CATALOGUE} - {lab.WPO} == set(FORMULAS)
    for kind, kept in FORMULAS.items():
        settings = {field.name for field in fields(kind)}
        assert kept.used <= settings | set(SYMBOLS) | set("s log_s exp log abs max min score same_rank".split())


@pytest.mark.parametrize("wrong", ["-beta * s(m)", "-2 * beta * s(-m)", "beta * s(-m)", "-beta * s(-m) + 1e-9"])
def test_a_wrong_push_would_be_seen(wrong):
    pairs, objective = states(1.0, 1), lab.DPO(0.1)
    kept = formula(objective)
    broken = replace(kept, chosen=wrong).evaluate(objective, pairs)[1]
    assert not torch.allclose(broken, objective.response_weights(pairs)[0], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("-beta * s(-m)", "-β σ(-m)"),
        ("2 * (u - t)", "2 (u - t)"),
        ("d**2 - nll_weight * c / mean_C", "d² - nll_weight c / mean |chosen|"),
        ("-beta * (m < 1)", "-β [m < 1]"),
        ("-(1 - smoothing) * log_s(m)", "-(1 - e) log σ(m)"),
        ("(abs(m) <= clip) * (1 + penalty * (u < 0))", "[abs(m) ≤ clip] (1 + penalty [u < 0])"),
    ],
)
def test_a_formula_is_written_as_it_is_read(text, read):
    assert written(text) == read


def test_an_objective_without_a_closed_form_is_named():
    with pytest.raises(ValueError, match=r"no closed form of Divergence is kept; there are those of AOT, .*and of WPO"):
        formula(lab.Divergence(lab.DPO(0.1), "forward_kl"))


def test_a_formula_of_another_objective_is_refused():
    with pytest.raises(ValueError, match=r"uses 'beta', which SFT has no setting for; it has none, and the sym"):
        formula(lab.DPO(0.1)).evaluate(lab.SFT(), states(1.0, 1))


@pytest.mark.parametrize(
    ("objective", "lacking"),
    [(lab.KTO(0.1), "kl"), (lab.WPO(lab.DPO(0.1)), "chosen_confidence and rejected_confidence")],
)
def test_what_the_pairs_lack_is_named(objective, lacking):
    bare = replace(states(1.0, 1), kl=None, chosen_confidence=None)
    with pytest.raises(ValueError, match=f"these pairs lack it; give PairLogProbs {lacking}"):
        formula(objective).evaluate(objective, bare)


def test_an_abbreviation_that_hides_a_symbol_is_refused():
    with pytest.raises(ValueError, match="'u' stands for something else in formulas; abbreviate with another letter"):
        Formula("u", "1", "0", (("u", "v"),))
