"""Preferences and problems: what pairs mean, where the probabilities start, and every refusal."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lab
from lab.problems import SCENARIOS, scenario_problem
from lab.randomness import BATCHES, FEATURES, WEIGHTS, WORLD, generator

GRID = lab.Preferences.grid(4, 10)


def scenario(
    name="s1", on=0.45, off=0.02, *, seeds=(0, 1, 2), pairs=GRID, prompts=4, responses=10, spread="drawn"
) -> lab.Problem:
    return scenario_problem(
        pairs,
        prompts,
        responses,
        scenario=[name for _ in seeds],
        on=[on for _ in seeds],
        off=[off for _ in seeds],
        seeds=seeds,
        spread=spread,
    )


def test_weights_are_normalised_and_equal_by_default():
    assert GRID.weight.tolist() == [0.25] * 4
    assert lab.Preferences([0, 0], [1, 2], [3, 4], [1, 3]).weight.tolist() == [0.25, 0.75]
    assert lab.Preferences([0, 0], [1, 2], [3, 4], [0.3, 0.7]).weight.tolist() == [0.3, 0.7], "not rounded to float32"


@given(prompts=st.integers(1, 6), pairs=st.integers(1, 4), spare=st.integers(0, 5))
def test_a_grid_gives_every_prompt_disjoint_pairs(prompts, pairs, spare):
    responses = 2 * pairs + spare
    grid = lab.Preferences.grid(prompts, responses, pairs)
    assert len(grid) == prompts * pairs and grid.prompt.bincount().tolist() == [pairs] * prompts
    assert grid.unseen(prompts, responses).sum(-1).tolist() == [spare] * prompts
    grid.check_within(prompts, responses)


def test_the_papers_grid_is_the_one_described():
    assert GRID.prompt.tolist() == [0, 1, 2, 3]
    assert GRID.chosen.tolist() == [0, 1, 2, 3] and GRID.rejected.tolist() == [5, 6, 7, 8]


@given(prompts=st.integers(1, 30), pairs=st.integers(1, 3), spare=st.integers(0, 5))
def test_with_kept_roles_no_response_is_chosen_here_and_rejected_there(prompts, pairs, spare):
    responses = 2 * pairs + spare
    kept = lab.Preferences.grid(prompts, responses, pairs, roles="kept")
    assert not set(kept.chosen.tolist()) & set(kept.rejected.tolist())
    assert len(kept) == prompts * pairs and kept.unseen(prompts, responses).sum(-1).tolist() == [spare] * prompts
    few = min(prompts, responses // (2 * pairs))
    mixed = lab.Preferences.grid(few, responses, pairs)
    for name in ("prompt", "chosen", "rejected"):
        assert getattr(kept, name)[: few * pairs].tolist() == getattr(mixed, name).tolist(), "alike for few prompts"


def test_mixed_roles_are_chosen_for_some_prompts_and_rejected_for_as_many():
    mixed = lab.Preferences.grid(20, 10)
    assert mixed.chosen.bincount().tolist() == mixed.rejected.bincount().tolist() == [2] * 10


def test_flat_places_and_the_unseen_mask_belong_together():
    pairs = lab.Preferences([0, 1], [2, 0], [1, 3])
    assert pairs.flat(4).tolist() == [2, 4, 1, 7]
    assert pairs.unseen(2, 4).tolist() == [[True, False, False, True], [False, True, True, False]]


@pytest.mark.parametrize(("name", "on_policy"), SCENARIOS.items())
@pytest.mark.parametrize("spread", ["even", "drawn"])
def test_a_scenario_starts_where_it_says(name, on_policy, spread):
    """on = .45 and off = .02 to 1e-12; the rest is unseen mass; each prompt sums to 1."""
    prob = scenario(name, spread=spread).target_log_prob.exp()
    starts = [0.45 if on else 0.02 for on in on_policy]
    for places, start in zip((GRID.chosen, GRID.rejected), starts, strict=True):
        torch.testing.assert_close(
            prob[:, GRID.prompt, places], torch.full((3, 4), start, dtype=torch.float64), rtol=1e-12, atol=0
        )
    torch.testing.assert_close(prob.sum(-1), torch.ones(3, 4, dtype=torch.float64), rtol=1e-14, atol=0)
    unseen = prob[:, GRID.unseen(4, 10)].view(3, 4, 8)
    if spread == "even":
        torch.testing.assert_close(unseen, torch.full_like(unseen, (1 - sum(starts)) / 8), rtol=1e-12, atol=0)
    else:
        assert (unseen.std(-1) > 0).all() and not torch.equal(unseen[0], unseen[1])


def test_several_pairs_share_the_mass_and_a_bare_prompt_spreads_all_of_it():
    pairs = lab.Preferences([0, 0], [0, 1], [2, 3])
    prob = scenario("s3", pairs=pairs, prompts=2, responses=6, spread="even").target_log_prob.exp()
    expected = [[0.225, 0.225, 0.01, 0.01, 0.265, 0.265], [1 / 6] * 6]
    torch.testing.assert_close(prob[1], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_without_an_unseen_response_the_starts_must_sum_to_one():
    pairs = lab.Preferences([0], [0], [1])
    prob = scenario("s2", 0.8, 0.2, pairs=pairs, prompts=1, responses=2).target_log_prob.exp()
    torch.testing.assert_close(prob[0, 0], torch.tensor([0.2, 0.8], dtype=torch.float64), rtol=1e-12, atol=0)


def test_the_world_depends_on_the_seed_alone():
    """Not on the other runs, the order, the scenario's masses or torch's global state."""
    first = scenario(seeds=(0, 1, 2))
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again = scenario(seeds=(2, 0, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.target_log_prob[[2, 0, 2]], again.target_log_prob)
    rest, other = (
        scenario(name).target_log_prob[:, GRID.unseen(4, 10)].view(3, 4, 8).log_softmax(-1) for name in ("s1", "s4")
    )
    torch.testing.assert_close(rest, other, rtol=1e-10, atol=1e-12)


def test_streams_of_seeds_and_purposes_do_not_meet():
    draws = {
        (seed, stream): torch.rand(1, generator=generator(seed, stream)).item()
        for seed in range(200)
        for stream in (WORLD, FEATURES, WEIGHTS, BATCHES)
    }
    assert len(set(draws.values())) == len(draws)


TARGET = torch.zeros(2, 4, 10, dtype=torch.float64).log_softmax(-1)


def changed(value: float) -> torch.Tensor:
    target = TARGET.clone()
    target[1, 2, 3] = value
    return target


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (([], [], []), r"the list of pairs is empty; an objective needs at least one pair: give prompt, chosen and"),
        (
            ([0], [3], [3]),
            r"pair 0 has chosen equal to rejected \(response 3 of prompt 0\); .* two different responses",
        ),
        (
            ([0, 1], [3], [4]),
            r"lengths {'prompt': 2, 'chosen': 1.*}; all must have one entry a pair: make them equally",
        ),
        (([0], [1], [2], [1, 1]), r"'weight': 2}; all must have one entry a pair"),
        (([0], [1], [2], [[[1.0]]]), r"pair weights have shape \(1, 1, 1\); give one number a pair"),
        (([0], [1], [2], torch.tensor(1.0)), r"pair weights have shape \(\); give one number a pair"),
        (([0], [-1], [2]), r"pair 0 is \(0, -1, 2\); indices count from 0: give non-negative ones"),
        (([math.nan], [1], [2]), r"pair members are torch.float32 numbers; allowed are integers; give indices from 0"),
        (([0], [1], [2], [math.nan]), r"pair weights are \[nan\]; allowed are finite numbers >= 0, not all 0"),
        (([0], [1], [2], [math.inf]), r"pair weights are \[inf\]; allowed are finite numbers >= 0"),
        (([0], [1], [2], [-1]), r"pair weights are \[-1.0\]; allowed are finite numbers >= 0"),
        (([0], [1], [2], [0]), r"pair weights are \[0.0\]; .* not all 0: correct them"),
    ],
)
def test_bad_pairs_are_refused(members, message):
    with pytest.raises(ValueError, match=message):
        lab.Preferences(*members)


@pytest.mark.parametrize("pairs", [6, 0])
def test_a_grid_that_does_not_fit_is_refused(pairs):
    with pytest.raises(
        ValueError, match=rf"{pairs} pairs for each of 4 prompts with 10 responses; .* at least 2 \* pairs"
    ):
        lab.Preferences.grid(4, 10, pairs)


def test_an_unknown_word_for_the_roles_is_refused():
    with pytest.raises(ValueError, match="roles is 'fixed'; allowed are 'mixed' and 'kept'"):
        lab.Preferences.grid(4, 10, roles="fixed")


@pytest.mark.parametrize(
    ("pairs", "target", "seeds", "message"),
    [
        (
            ([4], [0], [1]),
            TARGET,
            (0, 1),
            r"prompt=4, out of range: the problem has 4 prompts, allowed are 0 to 3; cor",
        ),
        (([0], [10], [1]), TARGET, (0, 1), r"pair 0 has chosen=10, out of range: the problem has 10 responses"),
        (([0, 0], [0, 1], [1, 12]), TARGET, (0, 1), r"pair 1 has rejected=12, out of range: .* allowed are 0 to 9"),
        (([0], [0], [1]), TARGET[0], (0, 1), r"shape \(4, 10\); allowed is \[run, prompt, response\]"),
        (([0], [0], [1]), TARGET[:0], (), r"target_log_prob has 0 runs; allowed are 1 or more: give at least one seed"),
        (([0], [0], [1]), TARGET, (0,), r"1 seeds for 2 runs; give one seed a run"),
        (
            ([0], [0], [1]),
            changed(math.nan),
            (0, 1),
            r"target_log_prob holds NaN or infinity; .* use a small probability",
        ),
        (([0], [0], [1]), changed(-math.inf), (0, 1), r"target_log_prob holds NaN or infinity"),
        (
            ([0, 2], [3, 3], [1, 1]),
            changed(-math.inf),
            (0, 1),
            r"pair 1 has chosen=3 of prompt 2, which the reference gives no probability; .* drop the pair",
        ),
        (([2], [1], [3]), changed(-math.inf), (0, 1), r"pair 0 has rejected=3 of prompt 2, which the reference"),
        (([0], [0], [1]), changed(-1.0), (0, 1), r"probabilities sum to exp\(.*\), not 1; normalise with log_softmax"),
    ],
)
def test_bad_problems_are_refused(pairs, target, seeds, message):
    with pytest.raises(ValueError, match=message):
        lab.Problem(lab.Preferences(*pairs), target, seeds)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "s5"}, r"scenario is 's5'; allowed are s1, s2, s3, s4"),
        ({"spread": "odd"}, r"spread is 'odd'; allowed are 'even' and 'drawn'"),
        ({"on": 0.5}, r"s1 sum to 1 \(chosen 0.5, rejected 0.5\); they must stay below 1 .*: lower on or off"),
        ({"name": "s3", "on": 0.9, "off": 0.3}, r"s3 sum to 1.2 \(chosen 0.9, rejected 0.3\)"),
        ({"on": 1.0}, r"start probabilities are on=1, off=0.02; allowed are values strictly between 0 and 1"),
        ({"off": 0.0}, r"start probabilities are on=0.45, off=0; allowed"),
        ({"on": math.nan}, r"start probabilities are on=nan, off=0.02; allowed"),
        ({"off": math.nan}, r"start probabilities are on=0.45, off=nan; allowed"),
        (
            {"pairs": lab.Preferences([0], [0], [1]), "prompts": 1, "responses": 2},
            r"sum to 0.9 but a prompt has no unseen",
        ),
        ({"pairs": lab.Preferences([0, 0], [0, 1], [1, 2])}, r"chosen in one pair and rejected in another of the same"),
        ({"pairs": lab.Preferences([0], [0], [11])}, r"pair 0 has rejected=11, out of range"),
        ({"seeds": (0, -1)}, r"seed is -1; allowed are 0, 1, 2, ...; give a non-negative integer"),
    ],
)
def test_bad_scenarios_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        scenario(**given)


def test_per_run_lists_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"lengths scenario=1, on=2, off=1, seeds=1; each needs one value a run: make"):
        scenario_problem(GRID, 4, 10, scenario=["s1"], on=[0.45] * 2, off=[0.02], seeds=[0])
