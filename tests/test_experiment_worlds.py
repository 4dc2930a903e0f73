"""The open world on the line: what is drawn, who labels, what is covered, and which reward is climbed."""

# ruff: noqa: E501 (the table of errors keeps what a reader sees in one piece)
from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import lab
from lab.comparisons import bradley_terry, noisy_judge, population, sampled
from lab.experiments.running import build, build_pairwise
from lab.optima import reward_and_kl

LINE = "tabular open dpo beta=0.5 adam lr=0.05 steps=3 seeds=3 prompts=3 responses=5 truth=normal"


def built(words: str):
    return build(lab.Experiment.parse(f"{LINE} {words}"))


def table(pairs: lab.Preferences, responses: int = 5) -> torch.Tensor:
    """The weights as [run, prompt, chosen, rejected]."""
    found = torch.zeros(len(pairs.weight), 3, responses, responses, dtype=torch.float64)
    found[:, pairs.prompt, pairs.chosen, pairs.rejected] = pairs.weight
    return found


def test_the_population_of_the_line_is_that_of_its_reference_and_its_reward() -> None:
    problem = built("")[0]
    assert problem.seeds == (0, 1, 2) and problem.reward.shape == (3, 3, 5)
    expected = population(problem.target_log_prob, bradley_terry(problem.reward))
    torch.testing.assert_close(problem.preferences.weight, expected.weight, rtol=1e-13, atol=1e-16)


def test_a_sample_is_counted_and_grows_with_its_size() -> None:
    problem = built("data=sampled comparisons=7 repeats=2")[0]
    wins = bradley_terry(problem.reward)
    expected = sampled(problem.target_log_prob, wins, seeds=(0, 1, 2), comparisons=7, repeats=2)
    torch.testing.assert_close(problem.preferences.weight, expected.weight, rtol=1e-13, atol=1e-16)
    counts = problem.preferences.weight * 7 * 2 * 3
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-9)


def test_a_noisy_judge_is_right_at_its_rate_and_may_differ_from_run_to_run() -> None:
    problem, *_, axes = built("judge=noisy agreement=0.6,1")
    assert list(axes) == ["agreement", "seed"]
    rates = torch.tensor([0.6] * 3 + [1.0] * 3, dtype=torch.float64)
    expected = population(problem.target_log_prob, noisy_judge(problem.reward, rates))
    torch.testing.assert_close(problem.preferences.weight, expected.weight, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("words", ["sampler=even", "sampler=tilted tilt=2", "sharpness=3"])
def test_samplers_and_references_are_what_they_say(words) -> None:
    plain, problem = built("")[0], built(words)[0]
    assert torch.equal(plain.reward, problem.reward), "the truth stays"
    if words == "sharpness=3":
        sampler = (3 * plain.target_log_prob).log_softmax(-1)
        torch.testing.assert_close(problem.target_log_prob, sampler)
    else:
        assert torch.equal(plain.target_log_prob, problem.target_log_prob)
        tilted = (plain.target_log_prob + 2 * plain.reward).log_softmax(-1)
        sampler = tilted if "tilt" in words else torch.full_like(tilted, -np.log(5))
    expected = population(sampler, bradley_terry(problem.reward))
    torch.testing.assert_close(problem.preferences.weight, expected.weight, rtol=1e-12, atol=1e-15)


def test_the_policy_s_own_responses_are_drawn_anew_as_often_as_the_line_says() -> None:
    problem = built("sampler=policy refresh=3 data=sampled comparisons=6 repeats=2 held=1")[0]
    assert (problem.online.refresh, problem.online.comparisons, problem.online.repeats) == (3, 6, 2)
    assert problem.online.prompt_weight.tolist() == [1, 1, 0]
    assert built("sampler=policy")[0].online.comparisons == 0 and built("")[0].online is None
    online, fixed = (lab.run(f"{LINE} {words}") for words in ("sampler=policy", ""))
    np.testing.assert_allclose(online["log_prob"].isel(step=1), fixed["log_prob"].isel(step=1), rtol=1e-13)
    assert np.abs(online["log_prob"] - fixed["log_prob"]).isel(step=-1).max() > 1e-4


def test_coverage_and_held_out_prompts_leave_pairs_without_weight() -> None:
    weights = table(built("coverage=2 held=1")[0].preferences)
    assert not weights[:, 2].any()
    assert ((weights > 0).flatten(2).sum(-1)[:, :2] == 2).all(), "one couple, both ways"


def test_a_linear_truth_is_a_function_of_the_features_that_a_policy_has() -> None:
    problem, policy, *_ = build(
        lab.Experiment.parse(f"loglinear {LINE.removeprefix('tabular ')[:-13]} truth=linear features=4")
    )
    for run in range(3):
        phi, reward = policy.features[run].flatten(0, 1), problem.reward[run].flatten()
        weights = torch.linalg.lstsq(phi, reward[:, None]).solution
        torch.testing.assert_close((phi @ weights)[:, 0], reward, rtol=1e-9, atol=1e-9)


def test_every_setting_of_a_policy_gradient_is_on_the_line() -> None:
    assert built("")[2] == lab.DPO(0.5)
    line = (
        LINE.replace("dpo", "grpo")
        + " samples=3 epochs=2 ratio_clip=0.1 baseline=value whiten=yes kl=exact rollouts=data"
    )
    assert build(lab.Experiment.parse(line))[2] == lab.GRPO(
        0.5, samples=3, epochs=2, clip=0.1, baseline="value", whiten=True, kl="exact", rollouts="data"
    )
    for word, kind in {"pg": lab.ExpectedReward, "reinforce": lab.REINFORCE, "rloo": lab.RLOO, "ppo": lab.PPO}.items():
        assert build(lab.Experiment.parse(LINE.replace("dpo", word)))[2] == kind(0.5)


def test_a_learned_reward_is_that_of_its_reward_model_on_the_same_data() -> None:
    words = "data=sampled comparisons=50"
    ds = lab.run(f"{LINE.replace('dpo', 'pg')} {words} reward_from=model model_steps=40 model_lr=0.1")
    model = lab.run(f"{LINE.replace('dpo beta=0.5', 'rm').replace('lr=0.05 steps=3', 'lr=0.1 steps=40')} {words}")
    np.testing.assert_array_equal(ds["learned_reward"].values, model["score"].isel(step=-1).values)
    score = torch.from_numpy(ds["learned_reward"].values)[:, None]
    taped = torch.from_numpy(ds["log_prob"].values), torch.from_numpy(ds["reference_log_prob"].values)[:, None]
    earned, kl = reward_and_kl(*taped, score)
    np.testing.assert_allclose(ds["loss"].values, (0.5 * kl - earned)[..., ds["pair_prompt"].values].numpy(), rtol=1e-9)


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("beta", (0.2, 0.5, 1.0), "model_lr=0.1"),
        ("lr", (0.05, 0.2), "model_lr=0.1"),
        ("lr", (0.05, 0.2), ""),
        ("model_lr", (0.05, 0.2), ""),
        ("agreement", (0.7, 0.9), "judge=noisy"),
    ],
)
def test_runs_of_an_axis_climb_the_learned_reward_of_their_own_world(key, values, words) -> None:
    base = re.sub(rf" {key}=\S+", "", LINE.replace("dpo", "pg"))
    base = f"{base} data=sampled comparisons=50 reward_from=model model_steps=40 {words}"
    swept = lab.run(f"{base} {key}={','.join(map(str, values))}")
    for value in values:
        alone = lab.run(f"{base} {key}={value}")
        for name in ("learned_reward", "log_prob"):
            np.testing.assert_allclose(swept[name].sel({key: value}).values, alone[name].values, rtol=1e-9, atol=1e-12)


def test_a_network_starts_from_its_fitted_reference_and_a_reward_model_from_zero() -> None:
    line = LINE.replace("tabular", "mlp") + " width=8"
    ds = lab.run(line)
    target = build(lab.Experiment.parse(line))[0].target_log_prob
    assert np.abs(np.exp(ds["reference_log_prob"].values) - target.exp().numpy()).max() < 0.02
    assert not lab.run(line.replace("dpo beta=0.5", "rm"))["score"].isel(step=0).values.any()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINE.replace(" truth=normal", ""), "the scenario is open and there is no true reward to compare by. Write truth=normal."),
        (LINE.replace("open", "open,s1"), "scenario=open,s1: an open scenario has other pairs than the rest."),
        (LINE + " pairs=2", "pairs=2: pairs belongs to scenarios of fixed pairs, and the scenario here is open"),
        (LINE + " coverage=1", "coverage=1: a comparison needs 2 responses and there are 5. Give 2 to 5, or 0 for all."),
        (LINE + " held=3", "held=3: of 3 prompts at least one needs data. Give 0 to 2."),
        (LINE.replace("dpo", "aot"), "aot compares each pair with all others as equals, and the pairs of an open scenario have"),
        (LINE + " comparisons=5", "comparisons=5: comparisons belongs to data sampled, and the data here is population"),
        (LINE + " agreement=0.7", "agreement=0.7: agreement belongs to judge noisy, and the judge here is bradley_terry"),
        (LINE + " judge=noisy agreement=0.4", "agreement=0.4: agreement is a finite number of at least 0.5 and at most 1."),
        (LINE + " judge=noisy agreement=1.1", "agreement=1.1: agreement is a finite number of at least 0.5 and at most 1."),
        (LINE + " data=sampled comparisons=0", "comparisons=0: comparisons is a whole number of at least 1."),
        (LINE.replace("dpo", "ppo") + " ratio_clip=0", "ratio_clip=0: ratio_clip is a finite number above 0."),
        (LINE.replace("dpo", "ppo") + " samples=-1", "samples=-1: samples is a whole number of at least 0."),
        (LINE.replace("dpo", "rloo") + " epochs=0", "epochs=0: epochs is a whole number of at least 1."),
        (LINE + " sampler=tilted tilt=nan", "tilt=nan: tilt is a finite number."),
        ("tabular s1 ppo sgd lr=1 steps=2", "ppo climbs a reward and there is none. Write truth=normal, or reward_from=model"),
        ("tabular s1 ppo sgd lr=1 steps=2 truth=normal batch=1", "batch=1: ppo draws its own responses. Give samples instead."),
        ("tabular s1 dpo sgd lr=1 steps=2 truth=linear", "truth=linear need not agree with fixed pairs. Write truth=normal"),
        ("tabular s1 dpo sgd lr=1 steps=2 samples=4", "samples=4: samples belongs to objective pg or reinforce or rloo or grpo"),
    ],
)  # fmt: skip
def test_words_that_do_not_fit_each_other_are_refused_with_their_cure(line, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        lab.Experiment.parse(line)


def test_what_looks_at_the_pushes_of_pairs_refuses_a_policy_gradient() -> None:
    with pytest.raises(ValueError, match="ppo is no objective of a policy's pairs, and this looks at their pushes"):
        build_pairwise(lab.Experiment.parse("tabular s1 ppo sgd lr=1 steps=2 truth=normal"))
    with pytest.raises(ValueError, match="the scenario is open, in which every run has pairs of its own"):
        build_pairwise(lab.Experiment.parse(LINE))


def test_prompts_without_data_are_left_alone_where_rollouts_are_for_those_with_data() -> None:
    line = f"{LINE.replace('dpo', 'ppo')} held=1"
    fewer = lab.run(f"{line} rollouts=data")
    reference = fewer["reference_log_prob"].isel(prompt=-1)
    np.testing.assert_array_equal(
        fewer["log_prob"].isel(prompt=-1), reference.broadcast_like(fewer["log_prob"].isel(prompt=-1))
    )
    assert (fewer["log_prob"] != fewer["reference_log_prob"]).isel(step=-1, prompt=0).any()
    assert (lab.run(line)["log_prob"].isel(prompt=-1) != reference).any()
    np.testing.assert_array_equal(
        *(lab.run(f"{LINE.replace('dpo', 'ppo')}{word}")["log_prob"] for word in ("", " rollouts=data"))
    )


def test_rollouts_for_prompts_with_data_are_those_of_a_world_without_the_others() -> None:
    """In a table prompts share nothing but the mean over them: 2 of 3 prompts move as all do at 3/2 of the rate."""
    line = LINE.replace("dpo", "pg").replace("adam lr=0.05", "sgd lr={}")
    held = lab.run(f"{line.format(0.5)} held=1 rollouts=data")["log_prob"].isel(prompt=slice(2))
    every = lab.run(line.format(0.75))["log_prob"].isel(prompt=slice(2))
    np.testing.assert_allclose(held, every, rtol=1e-12)
