"""The sheet of an objective, from Python and from the shell."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

import lab
from lab.cli import main
from lab.experiments.losses import CATALOGUE
from lab.experiments.sheets import sheets
from lab.theory.limits import FAMILIES


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("theory", *arguments), prog_name="python -m lab")


def test_a_sheet_is_about_the_objective_that_the_line_would_train():
    (simpo,) = sheets("simpo beta=2 gamma=1 chosen_length=20")
    assert simpo.word == "simpo" and simpo.objective == lab.SimPO(2.0, 1.0)
    assert simpo.settings == {"beta": "2", "gamma": "1", "chosen_length": "20"}
    assert simpo.limits.start[0] == pytest.approx(simpo.limits.start[1] / -20, rel=1e-12)
    assert simpo.about.startswith("SimPO: -log s(beta (c/|chosen| - r/|rejected|) - gamma).")
    assert simpo.source == "Meng et al. 2024 (arXiv 2405.14734), eq. 6."


def test_without_a_word_every_objective_has_its_sheet_in_the_order_of_the_catalogue():
    found = sheets()
    assert [sheet.word for sheet in found] == list(CATALOGUE)
    for sheet in found:
        assert sheet.source and sheet.about and ":" in sheet.about
        assert all(sheet.meaning(name) for name in sheet.formula.used - {"exp", "log", "abs", "max", "min", "log_s"})


def test_words_may_be_joined_by_commas_and_settings_go_to_those_that_take_them():
    one, two = sheets("dposhift,ipo beta=0.5 shift=0.2")
    assert (one.objective, two.objective) == (lab.DPOShift(0.5, 0.2), lab.IPO(0.5))
    assert two.settings == {"beta": "0.5"} and one.settings == {"beta": "0.5", "shift": "0.2"}
    assert sheets("flex beta=0.5 beta_rejected=0.2")[0].settings == {"beta_chosen": "0.5", "beta_rejected": "0.2"}
    assert [sheet.word for sheet in sheets("kto dpo kto")] == ["kto", "dpo"]


MISTAKES = [
    ("dop", r"'dop' is no objective\. Did you mean dpop\? There are dpo, flex,"),
    ("adam", r"'adam' is no objective\. .*There are dpo, flex,"),
    ("dpo bta=3", r"'bta' is no setting of an objective\. Did you mean beta\? There are beta, beta_chosen,"),
    ("dpo lr=3", r"'lr' is no setting of an objective\."),
    ("dpo gamma=3", r"gamma.*simpo"),
    ("dpo beta=0", r"beta=0: beta is a finite number above 0"),
    ("dpo beta=0.1,0.2", r"'beta=0\.1,0\.2' has several values; limits are computed for one\. Give one value\."),
    ("dpo divergence=forward_kl", r"no closed form of Divergence is kept"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_answered_with_its_cure_in_python_and_in_the_shell(words, message):
    with pytest.raises(ValueError, match=message) as error:
        sheets(words)
    result = call(*words.split())
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert " ".join(result.output.split()) == " ".join(f"Error: {error.value}".split())


def test_one_word_prints_all_that_is_known():
    result = call("ipo", "beta=0.5")
    assert result.exit_code == 0, result.output
    for words in ("ipo beta=0.5", "Identity Preference Optimization", "a⁺   = 2 d", "d = u - v - 1 / (2 β)", "β = 0.5",
                  "family: stops at a target", "both: turns at 1.", "Source: Azar et al. 2023"):  # fmt: skip
        assert words in result.output


def test_several_words_print_a_table_by_family():
    result = call("slic", "kto", "apo_down", "simpo", "dpo")
    assert result.exit_code == 0, result.output
    heads = [line.partition(":")[0] for line in result.output.splitlines() if line.partition(":")[0] in FAMILIES]
    assert heads == list(FAMILIES)
    assert "-β [m < 1]" in result.output and "both: stops at 10" in result.output
    assert "a⁻ vanishes like exp(-0.1 t)" in result.output


def test_the_whole_table_names_every_objective():
    output = call().output
    starts = {line.split()[0] for line in output.splitlines() if line.strip()}
    assert set(CATALOGUE) <= starts


def test_the_command_is_in_the_help():
    assert "python -m lab theory" in CliRunner().invoke(main, ["--help"]).output
    assert "Settings may follow: `python -m lab theory dpo beta=0.5`" in " ".join(call("--help").output.split())
