"""What the scoreboard says and writes, on planted scores."""

from __future__ import annotations

import io
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lab.properties import NAMES, NOT_REACHED
from lab.scoreboard import __main__ as command
from lab.scoreboard.entries import ENTRIES
from lab.scoreboard.findings import findings
from lab.scoreboard.measuring import END, QUANTITIES
from lab.scoreboard.report import markdown, read_glance
from lab.scoreboard.settings import PROGRESS, SCENARIOS, SETTINGS
from lab.scoreboard.writing import csv, glance, grid, latex

HORIZONS = (END, *(str(each) for each in PROGRESS))
LIFTS = {entry.name for entry in ENTRIES if entry.lifts}


def planted(**verdicts: set[str]) -> pd.DataFrame:
    """Scores in which nothing happens but degradation in s1 of the network under Adam, at the end, of the named."""
    rng = np.random.default_rng(0)
    rows = []
    for setting, entry, scenario, horizon in itertools.product(SETTINGS, ENTRIES, SCENARIOS, HORIZONS):
        row = {
            "entry": entry.name,
            "setting": setting.name,
            "line": "",
            "scenario": scenario,
            "horizon": horizon,
            "reached": 1.0,
            "n": 24,
        }
        for name in NAMES:
            there = (setting.name, scenario, horizon) == ("mlp adam", "s1", END) and entry.name in verdicts.get(
                name, ()
            )
            row[f"{name}_verdict"] = "present" if there else "absent"
            row |= {f"{name}{end}": (0.3 if there else 0.0) + add for end, add in BOUNDS.items()}
        for name in QUANTITIES:
            row |= {f"{name}{end}": float(rng.uniform(1, 2)) for end in BOUNDS}
        rows.append(row)
    return pd.DataFrame(rows)


BOUNDS = {"": 0.0, "_low": -0.05, "_high": 0.05}


@pytest.fixture(scope="module")
def scores():
    found = planted(drop={"dpo", "ipo"}, degradation={"dpo", "kto", "cdpo"})
    cell = (found["entry"] == "slic") & (found["setting"] == "tabular sgd") & (found["scenario"] == "s4")
    found.loc[cell & (found["horizon"] == END), "dispersion_verdict"] = "inconclusive"
    far = (found["horizon"] == str(PROGRESS[1])) & (found["entry"] == "ipo")
    for name in NAMES:
        found.loc[far, f"{name}_verdict"] = NOT_REACHED
        found.loc[far, [f"{name}{end}" for end in BOUNDS]] = np.nan
    return found


def about(scores, title):
    (found,) = [each for each in findings(scores) if each.startswith(f"**{title}")]
    return found


def test_findings_count_what_is_present(scores):
    assert "under Adam 2 have the drastic drop, 3 have degradation, 0 have dispersion" in about(
        scores, "In the network"
    )
    own = about(scores, "A push of its own")
    assert f"Of the {len(LIFTS)} objectives" in own and "1 lose chosen mass in the network (KTO)" in own
    assert f"of the other {len(ENTRIES) - len(LIFTS)}, 2 do" in own and "SLiC, IPO" in own
    target = about(scores, "A finite target")
    assert "1 lose chosen mass (cDPO)" in target
    where = about(scores, "Where it happens")
    assert "mlp adam 3, mlp sgd 0" in where and f"In none of the settings: {len(ENTRIES) - 3} (" in where


def test_findings_change_with_the_scores(scores):
    turned = scores.copy()
    turned["log_ratio_margin"] = turned["log_ratio_margin_high"] = -1.5
    assert about(scores, "The wrong way") == "**The wrong way** goes none: every margin ends above 0 somewhere."
    assert "DPO (median −1.50 nats)" in about(turned, "The wrong way")
    far = scores.copy()
    there = (far["entry"] == "dpo") & (far["horizon"] == str(PROGRESS[1])) & (far["setting"] == "mlp sgd")
    far.loc[there, "degradation_verdict"] = "present"
    head = "At an equal margin of 30"
    assert f"which {len(ENTRIES) - 1} objectives reach, 0 have degradation." in about(scores, head)
    assert f"which {len(ENTRIES) - 1} objectives reach, 1 have degradation (DPO)." in about(far, head)


def test_rows_with_the_same_numbers_are_named_together(scores):
    twin = scores.copy()
    numbers = [f"{name}{end}" for name in (*NAMES, *QUANTITIES) for end in BOUNDS]
    source, target = (twin.index[twin["entry"] == name] for name in ("sft", "sft_token"))
    twin.loc[target, numbers] = twin.loc[source, numbers].to_numpy()
    assert "SFT = SFT over tokens" in about(twin, "The same in this world")
    assert "SFT = SFT over tokens" not in about(scores, "The same in this world")


def test_the_glance_counts_scenarios_and_marks_what_is_open(scores):
    assert glance(scores, "mlp adam")["dpo"] == "1 · 1 · 0"
    assert glance(scores, "mlp sgd")["dpo"] == "0 · 0 · 0"
    assert glance(scores, "tabular sgd")["slic"] == "0 · 0 · 0?"


def test_the_glance_reads_back_out_of_the_report(scores):
    found = read_glance(markdown(scores))
    assert len(found) == len(ENTRIES) * len(SETTINGS)
    for setting in SETTINGS:
        words = glance(scores, setting.name)
        assert {entry.label: found[entry.label, setting.name] for entry in ENTRIES} == {
            entry.label: words[entry.name] for entry in ENTRIES
        }
    assert read_glance("# nothing\n| a | b |\n") == {}


def test_a_grid_writes_intervals_bold_where_present_and_a_dash_where_not_reached(scores):
    at_end = {row[0]: row[1:] for row in grid(scores, "mlp adam", END, "degradation", ".2f")}
    assert at_end["DPO"] == ("**0.30 [0.25, 0.35]**", *["0.00 [−0.05, 0.05]"] * 3)
    assert at_end["objective"] == SCENARIOS and len(at_end) == len(ENTRIES) + 1
    far = {row[0]: row[1:] for row in grid(scores, "mlp adam", str(PROGRESS[1]), "degradation", ".2f")}
    assert far["IPO"] == ("–",) * 4
    open_ = {row[0]: row[1:] for row in grid(scores, "tabular sgd", END, "dispersion", ".2f")}
    assert open_["SLiC"][3] == "0.00 [−0.05, 0.05]?"


def test_latex_has_one_row_an_objective_and_only_its_own_characters(scores):
    text = latex(scores)
    tables = re.findall(r"\\begin\{tabular\}\{(l+r+)\}(.*?)\\end\{tabular\}", text, re.S)
    assert len(tables) == 4
    for columns, body in tables:
        rows = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert len(rows) == len(ENTRIES) + 1
        assert {row.count(" & ") for row in rows} == {len(columns) - 1}
    assert text.isascii() and "\\textbf{0.30 [0.25, 0.35]}" in text


def test_csv_reads_back_as_the_scores(scores):
    back = pd.read_csv(io.StringIO(csv(scores)))
    assert list(back.columns) == list(scores.columns) and len(back) == len(scores)
    np.testing.assert_allclose(back["degradation"], scores["degradation"], rtol=1e-5)
    assert list(back["dispersion_verdict"]) == list(scores["dispersion_verdict"])


def test_the_report_of_the_same_scores_is_the_same(scores):
    assert markdown(scores) == markdown(scores.copy())


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch, scores):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "_scores", lambda jobs: scores)
    return tmp_path


def test_it_writes_report_and_tables_once_and_leaves_them_alone_after(place):
    first, second = (CliRunner().invoke(command.main, []) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert first.output.strip().endswith("SCOREBOARD.md written")
    assert second.output.strip().endswith("SCOREBOARD.md unchanged")
    assert {file.name for file in (place / "figures" / "out").iterdir()} == {"scores.csv", "scores.tex"}
    other = CliRunner().invoke(command.main, ["--out", str(place / "paper")])
    assert other.exit_code == 0 and (place / "paper" / "scores.tex").is_file()


def test_check_agrees_with_its_own_report_and_leaves_with_3_where_a_verdict_moved(place, monkeypatch, scores):
    nothing = CliRunner().invoke(command.main, ["--check"])
    assert nothing.exit_code == 3 and "DPO, mlp adam: 1 · 1 · 0 now, nothing in SCOREBOARD.md" in nothing.output
    CliRunner().invoke(command.main, [])
    before = (place / "SCOREBOARD.md").read_bytes()
    agrees = CliRunner().invoke(command.main, ["--check"])
    assert agrees.exit_code == 0 and f"all {len(ENTRIES) * len(SETTINGS)} cells agree" in agrees.output
    moved = scores.copy()
    moved.loc[(moved["entry"] == "bco") & (moved["setting"] == "mlp sgd"), "drop_verdict"] = "present"
    monkeypatch.setattr(command, "_scores", lambda jobs: moved)
    differs = CliRunner().invoke(command.main, ["--check"])
    assert differs.exit_code == 3 and "BCO, mlp sgd: 4 · 0 · 0 now, 0 · 0 · 0 in SCOREBOARD.md" in differs.output
    assert (place / "SCOREBOARD.md").read_bytes() == before


def test_a_failing_experiment_leaves_the_report_alone(place, monkeypatch):
    def fail(jobs):
        raise RuntimeError("non-finite loss in: tabular s1 dpo")

    monkeypatch.setattr(command, "_scores", fail)
    found = CliRunner().invoke(command.main, [])
    assert found.exit_code == 1 and "non-finite loss in: tabular s1 dpo. SCOREBOARD.md is unchanged." in found.output
    assert not (place / "SCOREBOARD.md").exists()


def test_without_a_checkout_it_says_so_before_computing(place, monkeypatch):
    (place / "pyproject.toml").unlink()
    monkeypatch.setattr(command, "_scores", lambda jobs: pytest.fail("it computed"))
    found = CliRunner().invoke(command.main, [])
    assert found.exit_code == 2 and "SCOREBOARD.md stands at the root of the checkout" in found.output
