"""`python -m lab.claims` as a user meets it: what it writes, what it prints, how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab import store
from lab.claims import __main__ as command
from lab.claims import registry, running
from lab.claims.claim import Claim
from lab.claims.evidence import above
from lab.claims.readings import chosen_gained

ROOT = Path(__file__).resolve().parent.parent
LINE = "tabular s1 dpo beta=0.1 sgd lr=1 steps=3 seeds=20"
OTHER = LINE.replace("steps=3", "steps=4")
BROKEN = "tabular s1 ipo beta=0.1 sgd lr=1e300 steps=5 seeds=20"


def rises(data):
    return (above("chosen mass gained", chosen_gained(data["dpo"]), 0),)


def sinks(data):
    return (above("chosen mass gained", chosen_gained(data["dpo"]), 1),)


def claims(line=LINE, examine=rises):
    first = Claim("it_rises", "It rises.", "3.1", "toy", "Asked.", {"dpo": line}, examine)
    second = Claim("it_rises_again", "It rises again.", lines={"dpo": OTHER}, examine=rises, method="Asked again.")
    return {claim.name: claim for claim in (first, second)}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A checkout with two small claims and a cache of its own."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(command, "ROOT", tmp_path)
    use(monkeypatch, claims())
    return tmp_path


def use(monkeypatch, mapping):
    monkeypatch.setattr(registry, "CLAIMS", mapping)
    monkeypatch.setattr(command, "CLAIMS", mapping)


def call(*words):
    return CliRunner().invoke(command.main, ["--jobs", "1", *words], prog_name="python -m lab.claims")


def test_it_writes_the_report_once_and_leaves_it_alone_after(place):
    result = call()
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("2 claims · ") and "CLAIMS.md written" in result.output
    text = (place / "CLAIMS.md").read_bytes()
    assert b"| [it_rises](#it_rises) | It rises. (section 3.1)" in text and b"\r" not in text
    os.utime(place / "CLAIMS.md", (1, 1))
    again = call()
    assert "CLAIMS.md unchanged" in again.output
    assert (place / "CLAIMS.md").read_bytes() == text and (place / "CLAIMS.md").stat().st_mtime == 1
    assert sorted(path.name for path in place.iterdir()) == ["CLAIMS.md", "cache", "pyproject.toml"]


def test_experiments_that_are_in_the_cache_are_not_run_again(place, monkeypatch):
    assert running.lines_to_run(list(claims().values())) == [OTHER, LINE]
    call()
    assert running.lines_to_run(list(claims().values())) == []
    monkeypatch.setattr("lab.experiments.running.run", None)
    assert call().exit_code == 0


def test_named_claims_are_shown_and_nothing_is_written(place):
    result = call("it_rises")
    assert result.exit_code == 0, result.output
    assert "### it_rises\n" in result.output and "Verdict: **reproduced**." in result.output
    assert "it_rises_again" not in result.output and not (place / "CLAIMS.md").exists()


def test_check_compares_verdicts_and_writes_nothing(place, monkeypatch):
    call()
    before = (place / "CLAIMS.md").read_bytes()
    result = call("--check")
    assert result.exit_code == 0 and "all 2 verdicts agree with CLAIMS.md" in result.output
    use(monkeypatch, claims(examine=sinks))
    result = call("--check")
    assert result.exit_code == 3
    assert result.output.splitlines()[0] == "it_rises: not reproduced now, reproduced in CLAIMS.md"
    assert "1 of 2 verdicts differ" in result.output and "`python -m lab.claims` writes the new ones" in result.output
    assert call("--check", "it_rises_again").exit_code == 0
    assert (place / "CLAIMS.md").read_bytes() == before


def test_check_sees_claims_that_are_on_one_side_only(place, monkeypatch):
    call()
    one = dict(list(claims().items())[:1])
    use(monkeypatch, one)
    result = call("--check")
    assert result.exit_code == 3 and "it_rises_again: no such claim now, **holds** in CLAIMS.md" in result.output
    (place / "CLAIMS.md").unlink()
    result = call("--check")
    assert result.exit_code == 3 and "it_rises: reproduced now, no verdict in CLAIMS.md" in result.output


def test_the_list_runs_nothing(place):
    result = call("--list")
    assert result.exit_code == 0 and "It rises again." in result.output and "none yet" in result.output
    assert not (place / "cache").exists()
    call()
    assert "reproduced" in call("--list").output


def test_an_unknown_claim_is_a_mistake(place):
    result = call("it_rise")
    assert result.exit_code == 2 and "there is no claim 'it_rise'; did you mean 'it_rises'?" in result.output


def test_a_failing_experiment_is_named_and_the_report_stays(place, monkeypatch):
    call()
    before = (place / "CLAIMS.md").read_bytes()
    use(monkeypatch, claims(line=BROKEN))
    result = call()
    assert result.exit_code == 1
    assert BROKEN.replace("lr=1e300", "lr=1e+300") in result.output or BROKEN in result.output
    assert "CLAIMS.md is unchanged" in result.output
    assert (place / "CLAIMS.md").read_bytes() == before


def test_a_breaking_examination_names_its_claim(place, monkeypatch):
    def broken(data):
        return (above("x", data["dpo"]["log_prob"], 0),)

    use(monkeypatch, claims(examine=broken))
    result = call()
    assert result.exit_code == 1 and "evidence needs one number a seed" in result.output
    assert "in: it_rises" in result.output


def test_an_interrupt_leaves_the_report_and_the_finished_experiments(place, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "judge_all", interrupt)
    result = call()
    assert result.exit_code == 130 and "Finished experiments are kept; CLAIMS.md is unchanged" in result.output
    assert not (place / "CLAIMS.md").exists() and running.lines_to_run(list(claims().values())) == []


def test_without_a_checkout_only_named_claims_are_judged(place):
    (place / "pyproject.toml").unlink()
    result = call()
    assert result.exit_code == 2 and "CLAIMS.md stands at the root of the checkout" in result.output
    assert not (place / "cache").exists()
    assert call("it_rises").exit_code == 0


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_run(place):
    place.chmod(0o500)
    try:
        result = call()
    finally:
        place.chmod(0o700)
    assert result.exit_code == 2 and "cannot be written" in result.output and not (place / "cache").exists()


def test_several_processes_run_the_lines_and_name_the_one_that_fails(place):
    done = []
    running.run_lines([LINE, OTHER], jobs=2, finished=done.append)
    assert sorted(done) == sorted([LINE, OTHER]) and running.lines_to_run(list(claims().values())) == []
    with pytest.raises(RuntimeError, match="non-finite .* in: tabular s1 ipo"):
        running.run_lines([BROKEN, OTHER], jobs=2, finished=done.append)


def test_a_longer_line_is_more_work():
    assert running.work(OTHER) > running.work(LINE)
    assert running.work(LINE.replace("s1", "s1,s2")) == pytest.approx(2 * running.work(LINE))
    mlp = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=3 seeds=20"
    assert running.work(f"{mlp} width=16,128") > running.work(f"{mlp} width=64") > running.work(LINE)


def gone(group, patience=30):
    """Whether no process of the group is left; one that has ended may wait a moment for its parent's notice."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name == "nt", reason="signals are sent another way there")
def test_an_interrupted_process_leaves_no_worker_and_no_half_file(place):
    long = "mlp s1 dpo beta=0.1 sgd lr=0.1 steps=200000 seeds=20 every=1000 keep=none"
    code = (
        "import lab.claims.running as running, sys\n"
        f"lines = [{long!r}, {long.replace('lr=0.1', 'lr=0.2')!r}]\n"
        "if __name__ == '__main__':\n"
        "    print('ready', flush=True)\n"
        "    try:\n"
        "        running.run_lines(lines, jobs=2, finished=print)\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    script = place / "script.py"
    script.write_text(code, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert gone(process.pid)
    finally:
        process.stdout.close()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert not list((place / "cache").rglob("*.nc"))


# --- the arrangement with the figures -----------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("arguments", "judged"), [([], True), (["ARGS=--quick"], False), (["ARGS=scenarios_dpo"], False)]
)
def test_make_figures_judges_the_claims_only_after_all_figures_in_full(arguments, judged):
    done = subprocess.run(
        ["make", "--dry-run", "figures", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ("-m lab.claims" in done.stdout) is judged
    assert "-m figures" in done.stdout


def test_no_option_of_the_command_takes_fewer_seeds(place):
    assert call("--quick").exit_code == 2 and call("--seeds", "4").exit_code == 2
