"""Parity with TRL 1.16.0: the numbers stored in tests/data/given.json, and what a wrong one is answered."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import lab
from lab.cli import main

GIVEN = Path(__file__).parent / "data" / "given.json"
CONTENT = json.loads(GIVEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found():
    return lab.parity(GIVEN)


def file_of(folder: Path, *groups: dict, **more: object) -> Path:
    path = folder / "other.json"
    path.write_text(json.dumps({"format": "preference-parity/1", "groups": list(groups), **more}), encoding="utf-8")
    return path


def group(name: str, case: int = 0) -> dict:
    """One case of a group of the given file, free to be changed."""
    whole = copy.deepcopy(next(each for each in CONTENT["groups"] if each["objective"] == name))
    return whole | {"cases": [whole["cases"][case]]}


def shell(path: Path):
    return CliRunner().invoke(main, ["parity", str(path)])


def test_every_objective_of_the_file_agrees_on_every_case(found):
    assert {row.objective: row.cases for row in found.agreements} == {
        each["objective"]: len(each["cases"]) for each in CONTENT["groups"]
    }
    assert len(found.agreements) == 51 and sum(row.cases for row in found.agreements) == 580
    assert not found.absent
    assert not [row for row in found.agreements if not row.agrees]
    assert found.agrees


def test_every_number_that_the_other_library_returned_is_compared(found):
    def count(value) -> int:
        return sum(map(count, value)) if isinstance(value, list) else 1

    outputs = {"loss", "per_example", "nll", "kl", "first_is_chosen"}
    for each in CONTENT["groups"]:
        here = outputs | ({"advantages"} if each["kind"] == "advantages" else set())
        (row,) = (row for row in found.agreements if row.objective == each["objective"])
        numbers = sum(
            count(value)
            for case in each["cases"]
            for name, value in case.items()
            if name in here or name.startswith("grad_")
        )
        assert row.values == numbers


def test_the_command_prints_agreements_and_ends_with_0():
    done = shell(GIVEN)
    assert done.exit_code == 0
    assert "51 of 51 objectives agree" in done.output and "deviates" not in done.output
    for each in CONTENT["groups"]:
        assert each["objective"] in done.output
    assert "Not compared" not in done.output and "trl 1.16.0" in done.output


def test_the_command_lists_what_is_not_compared_and_agrees_on_the_rest(tmp_path):
    stranger = group("grpo.grpo") | {"objective": "xpo.sigmoid"}
    done = shell(file_of(tmp_path, group("grpo.grpo"), stranger))
    assert done.exit_code == 0
    assert "1 of 1 objectives agree" in done.output and "Not compared (1 cases)" in done.output
    assert "xpo.sigmoid" in done.output and "no trainer 'xpo' in the lab" in done.output


@pytest.mark.parametrize("output", ["loss", "per_example", "grad_chosen", "grad_rejected"])
@pytest.mark.parametrize("name", ["dpo.sigmoid", "dpo.aot", "cpo.simpo", "orpo"])
def test_a_number_that_is_wrong_by_2e9th_deviates(name, output, tmp_path):
    wrong = group(name, 3)
    case = wrong["cases"][0]
    if output == "loss":
        case[output] *= 1 + 2e-9
    else:
        index = max(range(len(case[output])), key=lambda i: abs(case[output][i]))
        case[output][index] = case[output][index] * (1 + 2e-9) + 1e-12
    path = file_of(tmp_path, wrong)
    (row,) = lab.parity(path).agreements
    assert not row.agrees and row.worst_output == output and row.worst_case == 0
    assert 1 < row.worst_share
    done = shell(path)
    assert done.exit_code == 1 and f"Beyond the tolerance: {name}." in done.output


RL = [each["objective"] for each in CONTENT["groups"] if each["kind"] == "rl"]
JUDGED = [each["objective"] for each in CONTENT["groups"] if each["kind"] == "advantages"]


@pytest.mark.parametrize("output", ["loss", "grad_policy"])
@pytest.mark.parametrize("name", RL)
def test_a_loss_or_a_slope_of_a_token_that_is_wrong_by_2e9th_deviates(name, output, tmp_path):
    wrong = group(name, 1)
    case = wrong["cases"][0]
    output = output if output in case else f"{output}_tokens"
    holder, key = case, output
    while isinstance(holder[key], list):
        holder, key = holder[key], -1
    holder[key] += math.copysign(2e-9 * abs(holder[key]) + 1e-11, holder[key])
    (found,) = lab.parity(file_of(tmp_path, wrong)).agreements
    assert not found.agrees and found.worst_output == output


@pytest.mark.parametrize("name", JUDGED)
def test_an_advantage_that_is_wrong_by_more_than_its_groups_tolerance_deviates(name, tmp_path):
    for factor, agrees in ((1 + 5e-5, True), (1 + 3e-4, False)):
        changed = group(name, 1)
        advantages = changed["cases"][0]["advantages"]
        index = max(range(len(advantages)), key=lambda i: abs(advantages[i]))
        advantages[index] *= factor
        (found,) = lab.parity(file_of(tmp_path, changed)).agreements
        assert found.agrees == agrees and found.worst_output == "advantages"


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("a2po", {"beta2": 0.002}),
        ("grpo.grpo", {"epsilon": 0.02}),
        ("grpo.grpo", {"epsilon": 0.02, "epsilon_high": 3.0}),
        ("grpo.grpo", {"delta": 1.01}),
        ("grpo.grpo", {"importance_sampling_level": "sequence"}),
        ("grpo.bnpo", {"loss_type": "grpo"}),
        ("grpo.dr_grpo", {"max_completion_length": 17}),
        ("grpo.dapo", {"epsilon_high": 0.01}),
        ("grpo.cispo", {"epsilon_high": 0.27}),
        ("grpo.sapo", {"sapo_temperature_pos": 0.6}),
        ("grpo.sapo", {"sapo_temperature_neg": 1.9}),
        ("grpo.luspo", {"loss_type": "grpo"}),
        ("grpo.vespo", {"vespo_k_pos": 2.1}),
        ("grpo.vespo", {"vespo_lambda_pos": 3.1}),
        ("grpo.vespo", {"vespo_k_neg": 3.1}),
        ("grpo.vespo", {"vespo_lambda_neg": 2.1}),
        ("grpo.gspo", {"importance_sampling_level": "token"}),
        ("grpo.kl", {"beta": 0.3}),
        ("grpo.kl", {"use_bias_correction_kl": True}),
        ("gmpo", {"epsilon": 0.01}),
        ("rloo", {"epsilon": 0.01}),
        ("grpo.advantages", {"num_generations": 8}),
        ("grpo.advantages", {"scale_rewards": "none"}),
        ("rloo.advantages", {"normalize_advantages": True}),
        ("rloo.advantages", {"reward_clip_range": [-0.1, 0.1]}),
    ],
)
def test_a_setting_that_is_moved_makes_a_deviation(name, moved, tmp_path):
    """No setting is read and then passed over."""
    whole = copy.deepcopy(next(each for each in CONTENT["groups"] if each["objective"] == name))
    for case in whole["cases"]:
        case["hyper"] |= moved
    (found,) = lab.parity(file_of(tmp_path, whole)).agreements
    assert not found.agrees


def test_inputs_of_sampled_responses_are_all_read(tmp_path):
    for name in RL:
        for key in ("policy", "old", "ref", "advantages", "rewards", "v_star"):
            wrong = copy.deepcopy(next(each for each in CONTENT["groups"] if each["objective"] == name))
            holders = [case for case in wrong["cases"] if key in case]
            for case in holders:
                row = case[key][0] if isinstance(case[key][0], list) else case[key]
                row[0] -= 0.05
            if holders:
                (found,) = lab.parity(file_of(tmp_path, wrong)).agreements
                assert not found.agrees, (name, key)


def test_a_group_may_bring_its_own_tolerance(tmp_path):
    wrong = group("dpo.hinge", 3) | {"rtol": 1e-4}
    wrong["cases"][0]["loss"] *= 1 + 5e-5
    assert lab.parity(file_of(tmp_path, wrong)).agrees


def test_a_nan_or_an_infinity_is_a_deviation(tmp_path):
    for value in (math.nan, math.inf):
        wrong = group("dpo.sigmoid")
        wrong["cases"][0]["loss"] = value
        (row,) = lab.parity(file_of(tmp_path, wrong)).agreements
        assert row.worst_share == math.inf and not row.agrees


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("dpo.sigmoid", {"loss_type": ["sigmod"]}, "no objective for loss_type 'sigmod'"),
        ("dpo.sigmoid", {"sharpness": 3}, "unknown setting sharpness=3"),
        ("dpo.sigmoid", {"f_divergence_type": "tv"}, "f_divergence_type='tv' with loss_type 'sigmoid'"),
        (
            "dpo.bco_pair",
            {"f_divergence_type": "forward_kl"},
            "f_divergence_type='forward_kl' with loss_type 'bco_pair'",
        ),
        ("dpo.robust", {"label_smoothing": 0.5}, "loss_type 'robust': smoothing is 0.5; allowed are finite numbers"),
        ("dpo.sigmoid", {"loss_weights": [1, 2]}, "1 loss types and 2 loss weights"),
        ("dpo.sigmoid", {"loss_weights": 0.5}, "1 loss types and 0.5 loss weights"),
        ("dpo.sigmoid", {"f_divergence_type": ["tv"]}, "f_divergence_type=['tv'] with loss_type 'sigmoid'"),
        ("online_dpo.ipo", {"beta": [0.1, 0.2]}, "beta=[0.1, 0.2] is not a number"),
        ("cpo.sigmoid", {"alpha": 0.5}, "alpha=0.5 with loss_type 'sigmoid'"),
        ("cpo.sigmoid", {"loss_type": ["sigmoid"]}, "no objective for loss_type ['sigmoid']"),
        ("grpo.grpo", {"loss_type": "grop"}, "no objective for loss_type 'grop'"),
        ("grpo.grpo", {"loss_type": ["grpo"]}, "no objective for loss_type ['grpo']"),
        (
            "grpo.grpo",
            {"importance_sampling_level": "word"},
            "importance_sampling_level='word'; the lab has token, seq",
        ),
        ("grpo.grpo", {"delta": 0.5}, "loss_type 'grpo': cap is 0.5; allowed are numbers >= 1"),
        ("grpo.grpo", {"epsilon": "wide"}, "epsilon='wide' is not a number"),
        ("grpo.grpo", {"entropy_coef": 0.1}, "entropy_coef=0.1: what it adds is not in the case"),
        ("grpo.grpo", {"off_policy_mask_threshold": 0.5}, "off_policy_mask_threshold=0.5: what it adds is not in the"),
        ("grpo.grpo", {"beta": 0.1}, "a case has no 'ref'"),
        ("grpo.grpo", {"loss_type": "dapo"}, "a case has no 'num_items_in_batch'"),
        ("grpo.grpo", {"warmth": 2}, "unknown setting warmth=2"),
        (
            "grpo.dr_grpo",
            {"max_completion_length": 0},
            "loss_type 'dr_grpo': budget is 0.0; allowed are finite numbers",
        ),
        ("grpo.sapo", {"sapo_temperature_pos": 0}, "loss_type 'sapo': good is 0; allowed are finite numbers"),
        ("grpo.kl", {"use_bias_correction_kl": "yes"}, "use_bias_correction_kl='yes' is neither true nor false"),
        ("gmpo", {"epsilon": -0.1}, "low is -0.1; allowed are numbers >= 0"),
        ("rloo", {"delta": 2.0}, "unknown setting delta=2.0"),
        ("a2po", {"beta2": 0}, "beta is 0; allowed are finite numbers"),
        ("grpo.advantages", {"scale_rewards": "all"}, "scale_rewards='all'; the lab has group, batch, none"),
        ("grpo.advantages", {"num_generations": 3}, "num_generations=3 for 8 rewards"),
        ("rloo.advantages", {"num_generations": 1}, "num_generations=1 for 8 rewards"),
        ("rloo.advantages", {"reward_clip_range": [1]}, "reward_clip_range=[1] is not two numbers"),
        ("rloo.advantages", {"reward_clip_range": [None, 1]}, "reward_clip_range=[None, 1] is not two numbers"),
        ("rloo.advantages", {"beta": 0.1}, "a case has no 'old'"),
    ],
)
def test_a_setting_that_the_lab_does_not_know_is_listed_and_not_passed_over(name, change, reason, tmp_path):
    strange = group(name)
    strange["cases"][0]["hyper"] |= change
    found = lab.parity(file_of(tmp_path, strange))
    assert not found.agreements and not found.agrees
    assert found.absent[0].objective == name and reason in found.absent[0].reason
    done = shell(tmp_path / "other.json")
    assert done.exit_code == 1 and "Nothing was compared" in done.output and name in done.output


def test_an_unknown_trainer_output_or_input_is_listed(tmp_path):
    stranger = group("dpo.sigmoid") | {"objective": "new.loss"}
    more = group("dpo.sigmoid")
    more["cases"][0]["grad_margin"] = [1.0]
    fewer = group("tpo.tpo-l")
    fewer["cases"][0].pop("gold")
    nobody = group("grpo.advantages") | {"objective": "a2po.advantages"}
    unscored = group("grpo.advantages")
    unscored["cases"][0]["rewards"][0] = None
    mute = group("rloo.advantages")
    mute["cases"][0].pop("advantages")
    silent = group("rloo")
    silent["cases"] = [{key: silent["cases"][0][key] for key in ("hyper", "policy", "old", "advantages")}]
    found = lab.parity(file_of(tmp_path, stranger, more, fewer, nobody, unscored, mute, silent))
    assert [gone.reason.split(";")[0] for gone in found.absent] == [
        "no trainer 'new' in the lab",
        "the lab does not compute grad_margin",
        "a case has no 'gold'",
        "no advantages of a trainer 'a2po' in the lab",
        "a reward is not a number",
        "a case has no outputs",
        "a case has no outputs",
    ]


def test_a_setting_left_out_is_trls_default(tmp_path):
    """A second file, of the same form: settings written out or left out say the same."""
    for name, hyper in {
        "dpo.sigmoid": {"beta": 0.1, "loss_type": ["sigmoid"]},
        "cpo.sigmoid": {"beta": 0.1, "cpo_alpha": 1.0, "label_smoothing": 0.0, "simpo_gamma": 0.5, "alpha": 0.0},
        "kto.kto": {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0, "loss_type": "kto"},
    }.items():
        shares = []
        for given in (hyper, {}):
            each = group(name)
            each["cases"][0]["hyper"] = given
            shares.append(lab.parity(file_of(tmp_path, each)).agreements[0].worst_share)
        assert shares[0] == shares[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "has the format None; allowed is 'preference-parity/1'"),
        ('{"format": "preference-parity/2"}', "has the format 'preference-parity/2'"),
        ('{"format": "preference-parity/1", "groups": []}', "has no groups; a parity file lists at least one"),
        ('{"format": "preference-parity/1", "groups": [3]}', "group 0 is a int; allowed is an object"),
        ('{"format": "preference-parity/1", "groups": [{}]}', "group 0 has objective=None; allowed is a str"),
        (json.dumps({"format": "preference-parity/1", "groups": [{"objective": "a", "kind": "b", "cases": []}]}),
         r"group 0 \(a\) has no cases"),
        (json.dumps({"format": "preference-parity/1", "groups": [{"objective": "a", "kind": "b", "cases": [{}]}]}),
         r"group 0 \(a\), case 0 has no hyper"),
        (json.dumps({"format": "preference-parity/1", "groups": [{"objective": "a", "kind": "b", "cases": [1],
         "rtol": -1}]}), r"group 0 \(a\) has rtol=-1; allowed are numbers from 0 to below 1"),
        (json.dumps({"format": "preference-parity/1", "groups": [group("dpo.sigmoid") | {"cases": [
            group("dpo.sigmoid")["cases"][0] | {"chosen": [["x"]]}]}]}), "dpo.sigmoid, case 0 cannot be read"),
        (json.dumps({"format": "preference-parity/1", "groups": [group("dpo.sigmoid") | {"cases": [
            group("dpo.sigmoid")["cases"][0] | {"grad_chosen": [1.0, 2.0]}]}]}), "grad_chosen has 2 numbers for 1"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_why_and_ends_with_2(text, message, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        lab.parity(path)
    done = shell(path)
    assert done.exit_code == 2 and "Traceback" not in done.output


def test_a_missing_file_or_a_folder_ends_with_2(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file .*none.json; give the path of a parity file in JSON"):
        lab.parity(tmp_path / "none.json")
    with pytest.raises(ValueError, match="cannot be read"):
        lab.parity(tmp_path)
    assert shell(tmp_path / "none.json").exit_code == shell(tmp_path).exit_code == 2


def test_the_dpo_authors_own_loss_is_the_papers_ipo_and_cdpo():
    """Their formulas (section 10 of their trainer), on sums: IPO's squared distance, DPO with label smoothing."""
    values = [[-2.0, -3.1, -14.0], [-3.5, -2.0, -0.1], [-2.2, -3.0, -9.0], [-3.2, -2.3, -0.4]]
    c, r, start_c, start_r = (torch.tensor(row, dtype=torch.float64) for row in values)
    pairs = lab.PairLogProbs(c[None], r[None], start_c[None], start_r[None])
    margin = (c - r) - (start_c - start_r)
    torch.testing.assert_close(lab.IPO(0.2).loss(pairs)[0], (margin - 1 / 0.4) ** 2)
    expected = -0.9 * torch.log(torch.sigmoid(0.2 * margin)) - 0.1 * torch.log(1 - torch.sigmoid(0.2 * margin))
    torch.testing.assert_close(lab.CDPO(0.2, 0.1).loss(pairs)[0], expected)
