"""The command line as a user meets it: what it prints, what it leaves on the disk, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner, Result

import lab
from lab import doctor, space, store
from lab.cli import main, saving
from lab.cli.room import check_room
from lab.doctor import Diagnosis, examine
from lab.experiments.experiment import Experiment
from lab.experiments.picture import picture
from lab.experiments.vocabulary import WORDS
from lab.training import graphs, planning

ROOT = Path(__file__).resolve().parents[1]
LINE = "tabular s1 dpo beta=0.1 sgd lr=1 steps=3 seeds=3"
NAME = "tabular_s1_dpo_beta0.1_sgd_lr1_steps3_seeds3"
BROKEN = "tabular s1 ipo beta=0.1 sgd lr=1e300 steps=5 seeds=2"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="python -m lab")


def test_a_line_whose_record_has_no_room_is_refused_before_it_runs(place: Path) -> None:
    result = call("run", "mlp s1 dpo adam lr=1e-3 steps=100000000 seeds=1000000")
    assert result.exit_code == 2
    assert "(1000000 runs, 100000001 recorded states) takes a million GB and" in result.output
    assert "lower seeds or steps, or raise every, or name another folder as scratch" in result.output
    assert os.listdir(place) == []


def test_a_record_that_lies_in_files_is_told_of_before_it_is_computed() -> None:
    size = lab.record_size(LINE)
    experiment = Experiment.parse(LINE)
    assert check_room(experiment, memory=size.bytes) == ""
    said = check_room(experiment, memory=size.bytes - 1)
    assert said.startswith(f"The record of this line ({size.runs} runs, {size.states} recorded states) takes ")
    assert "it lies in files in" in said


def test_a_run_whose_record_lies_in_files_saves_it_all_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lab.run(LINE)
    monkeypatch.setattr(space, "free_memory", lambda: 10.0)
    result = call("run", LINE, "--out", "one.nc")
    assert result.exit_code == 0, result.output
    assert "it lies in files in" in result.output
    monkeypatch.undo()
    xr.testing.assert_identical(lab.load(place / "one.nc"), expected)


def test_the_size_of_a_record_is_told_without_running_it() -> None:
    result = call("size", "tabular", "s1", "kto", "sgd", "lr=1", "steps=9", "seeds=3")
    assert result.exit_code == 0
    assert "record   1.25e-05 GB: 3 runs of 10 recorded states\n" in result.output
    assert "half of what is free; a larger record lies in files" in result.output and "disk     " in result.output
    assert call("size", "tabular s1 dop").exit_code == 2


def test_the_help_shows_each_example_on_a_line_of_its_own() -> None:
    shown = [line.strip() for line in call("--help").output.splitlines()]
    assert 'python -m lab run "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24"' in shown
    assert "\\b" not in call("--help").output


def test_a_run_saves_the_record_and_a_picture_and_prints_the_verdicts(place: Path) -> None:
    result = call("run", LINE)
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(place / "runs")) == [f"{NAME}.nc", f"{NAME}.png"]
    record = lab.load(place / "runs" / f"{NAME}.nc")
    assert record.attrs["experiment"] == LINE
    assert (place / "runs" / f"{NAME}.png").read_bytes().startswith(b"\x89PNG")
    assert result.output.splitlines()[0] == LINE
    for words in (
        "Step 0: ",
        "loss = log 2",
        "Drastic drop: ",
        "Degradation: ",
        "Dispersion: ",
        "threshold",
        "3 seeds",
    ):
        assert words in result.output
    assert f"record   runs/{NAME}.nc" in result.output and f"picture  runs/{NAME}.png" in result.output
    assert f"lab.load('runs/{NAME}.nc')" in result.output


def test_the_record_is_the_one_that_python_gives(place: Path) -> None:
    call("run", LINE, "--out", "x.nc")
    assert lab.load("x.nc").identical(lab.run(LINE))


def test_the_line_needs_no_quotes_and_any_order(place: Path) -> None:
    assert call("run", *reversed(LINE.split())).exit_code == 0
    assert (place / "runs" / f"{NAME}.nc").exists()


def test_a_sweep_prints_a_table_with_a_row_for_each_cell(place: Path) -> None:
    result = call("run", "tabular s1,s2 dpo,ipo beta=0.05,0.1 sgd lr=1 steps=3 seeds=3", "--out", "sweep.nc")
    assert result.exit_code == 0, result.output
    header = next(line for line in result.output.splitlines() if "degradation" in line)
    assert header.split() == ["objective", "scenario", "beta", "drop", "degradation", "dispersion"] or set(
        header.split()
    ) == {"objective", "scenario", "beta", "drop", "degradation", "dispersion"}
    rows = [line for line in result.output.splitlines() if line.count("absent") + line.count("present") >= 3]
    assert len(rows) == 8
    assert dict(lab.load("sweep.nc").sizes)["beta"] == 2


@pytest.mark.parametrize("out", ["here.nc", "new/deep/here.nc", "folder", "folder/"])
def test_the_record_goes_where_it_is_told(place: Path, out: str) -> None:
    assert call("run", LINE, "--out", out).exit_code == 0
    expected = out if out.endswith(".nc") else f"folder/{NAME}.nc"
    assert (place / expected).exists() and (place / expected).with_suffix(".png").exists()


def test_a_second_run_replaces_the_first(place: Path) -> None:
    (place / "x.nc").write_text("old")
    assert call("run", LINE, "--out", "x.nc").exit_code == 0
    assert lab.load("x.nc").attrs["experiment"] == LINE
    assert sorted(os.listdir(place)) == ["x.nc", "x.png"]


def test_a_long_line_gets_a_name_that_a_disk_takes() -> None:
    one, other = (saving.slug(f"mlp s1 dpo beta={'0.1,' * 200}{last}") for last in "12")
    assert one != other and len(one) < 200 and one.startswith("mlp_s1_dpo_beta0.1,0.1")


def test_a_run_that_becomes_non_finite_keeps_what_was_recorded(place: Path) -> None:
    result = call("run", BROKEN)
    assert result.exit_code == 1
    assert "Error: non-finite " in result.output and f"in: {BROKEN}, seed 0, step " in result.output
    (partial,) = os.listdir(place / "runs")
    assert partial.endswith(".partial.nc") and f"What was recorded is in runs/{partial}." in result.output
    record = lab.load(place / "runs" / partial)
    assert 1 <= record.sizes["step"] < 6 and bool((record["log_prob"] <= 0).all())
    assert "present" not in result.output and "absent" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp s5"], "Error: 's5' is not a word of the experiment line. Did you mean s4?"),
        ([LINE, "--out", "x.png"], "Error: --out is x.png; allowed is a name ending in .nc, or a folder. Write x.nc."),
        ([LINE, "--out", "file/x.nc"], "Error: The folder file cannot be written (a file is in the way). Name another"),
        ([LINE, "--device", "cuda:77"], "Error: device is 'cuda:77', which is not there; allowed here are cpu"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_cure_and_leaves_nothing(
    place: Path, arguments: list[str], message: str
) -> None:
    (place / "file").write_text("")
    result = call("run", *arguments)
    assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output
    assert [file for file in place.rglob("*") if file.is_file()] == [place / "file"]


@pytest.mark.skipif(os.name != "posix" or not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_folder_without_permission_is_named_before_anything_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = place / "locked"
    locked.mkdir()
    if os.geteuid() == 0:  # permissions do not stop root
        import tempfile

        def refuse(dir: Path, prefix: str) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    locked.chmod(0o500)
    monkeypatch.setattr(lab, "run", lambda *_, **__: pytest.fail("it ran"), raising=False)
    result = call("run", LINE, "--out", "locked/x.nc")
    assert result.exit_code == 2
    assert "The folder locked cannot be written (Permission denied). Name another place: --out FOLDER" in result.output


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "Stopped by hand. Files that were there before are unchanged."),
        (MemoryError(), 1, "There is not enough memory for this line. Lower seeds or steps, raise every, keep less."),
        (RuntimeError("the fit misses its target"), 1, "Error: the fit misses its target"),
    ],
)
def test_other_endings_are_sentences_too(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    monkeypatch.setattr(lab, "run", raising(error), raising=False)
    result = call("run", LINE)
    assert result.exit_code == code and message in result.output and "Traceback" not in result.output
    assert not [file for file in place.rglob("*") if file.is_file()]


def test_a_full_disk_while_saving_is_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "save", raising(OSError(28, "cannot save to 'x.nc': No space left")), raising=False)
    result = call("run", LINE, "--out", "x.nc")
    assert result.exit_code == 1 and "Error: cannot save to 'x.nc': No space left. Name another place" in result.output
    assert os.listdir(place) == []


def test_a_picture_that_cannot_be_written_leaves_the_record(place: Path) -> None:
    (place / "x.png").mkdir()
    result = call("run", LINE, "--out", "x.nc")
    assert result.exit_code == 1 and "The picture x.png cannot be written" in result.output
    assert "the record is saved" in result.output and lab.load("x.nc").attrs["experiment"] == LINE
    assert sorted(os.listdir(place)) == ["x.nc", "x.png"]


def test_a_warning_is_shown_as_its_text_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_run = lab.run

    def warn(*arguments: object, **options: object) -> object:
        warnings.warn("the cache is full", UserWarning, stacklevel=1)
        return true_run(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(lab, "run", warn, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = call("run", LINE)
    assert result.exit_code == 0 and "Warning: the cache is full\n" in result.output


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9)])
def test_a_kill_leaves_the_old_files_and_no_half_one(place: Path, sent: signal.Signals, code: int) -> None:
    (place / "x.nc").write_text("old")
    line = "tabular s1 dpo sgd lr=0.1 steps=10000000 every=100000 seeds=1 prompts=1 keep=none"
    # An import of torch that is interrupted may lose the signal or abort, so it is imported before the line is printed.
    program = "import sys, lab; lab.run; from lab.cli import main; main(sys.argv[1:], prog_name='python -m lab')"
    command = [sys.executable, "-c", program, "run", line, "--out", "x.nc"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("tabular s1 dpo")  # printed before anything is computed
    time.sleep(0.5)
    process.send_signal(sent)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in output
    assert os.listdir(place) == ["x.nc"] and (place / "x.nc").read_text() == "old"


def test_an_output_without_greek_gets_question_marks(place: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "lab", "run", LINE]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "log ?? fell" in done.stdout and (place / "runs" / f"{NAME}.png").exists()


@pytest.mark.parametrize("module", ["figures", "lab.claims"])
def test_the_other_commands_print_without_greek_as_well(place: Path, module: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "DPOLAB_CACHE": str(place)}
    command = [sys.executable, "-m", module, "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "?" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "tabular s1 dpo,sft sgd lr=1 steps=2 seeds=2 responses=4 pairs=2 on=0.5",  # nothing unseen, no rejected push
        "tabular s1,s2,s3,s4 dpo,ipo sgd lr=1 steps=1 seeds=2 every=7",  # more cells than rows
        "mlp s4 slic sgd lr=1 steps=2 seeds=1 prompts=1 width=2 dtype=float32",  # one seed, no interval
    ],
)
def test_every_kind_of_record_has_a_picture(line: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = picture(lab.run(line))
        figure.canvas.draw()
    rows = min(6, int(np.prod([len(values) for values in lab.Experiment.parse(line).axes.values()])))
    assert len(figure.subfigs) == rows and all(len(band.axes) == 3 for band in figure.subfigs)
    assert figure.get_suptitle().startswith(str(lab.Experiment.parse(line)))
    assert ("the first 6 of 8 cells" in figure.get_suptitle()) == (rows == 6)


def test_a_folder_with_brackets_is_named_as_it_is(place: Path) -> None:
    result = call("run", LINE, "--out", "a [old]/b[/i].nc")
    assert result.exit_code == 0 and (place / "a [old]" / "b[" / "i].png").exists()
    assert "record   a [old]/b[/i].nc\n" in result.output and "lab.load('a [old]/b[/i].nc')" in result.output


def test_a_picture_needs_the_seeds() -> None:
    with pytest.raises(ValueError, match=r"no dimension 'seed'; keep it: ds.isel\(seed=\[0\]\)"):
        picture(lab.run("tabular s1 dpo sgd lr=1 steps=2 seeds=2").isel(seed=0))


def test_help_and_words() -> None:
    assert "python -m lab run" in call("--help").output
    words = call("lines")
    assert words.exit_code == 0
    for name, word in WORDS.items():
        assert (name if word.kind == "bare" else f"{name}=") in words.output
        assert all(choice in words.output for choice in word.choices)
    assert lab.__version__ in call("--version").output
    unknown = call("rum")
    assert unknown.exit_code == 2 and "No such command 'rum'" in unknown.output


def test_the_cache_is_measured_and_emptied(place: Path) -> None:
    store.fetch_arrays(store.key(1), lambda: {"x": np.ones(3)})
    assert call("cache").output.startswith("1 file, 0.0 MB in ")
    assert call("cache", "--clear").output.startswith("deleted: 1 file, ")
    assert call("cache").output.startswith("0 files")


def test_the_doctor_finds_this_installation_well(place: Path) -> None:
    found = {}
    for diagnosis in examine():
        found[diagnosis.name] = diagnosis
    assert {"python", "packages", "cores", "torch", "GPU", "engine", "cache", "netCDF", "self-test"} <= set(found)
    assert not [diagnosis for diagnosis in found.values() if diagnosis.status == "fail"]
    assert "agree with theory" in found["self-test"].finding
    result = call("doctor")
    assert result.exit_code == 0 and "self-test" in result.output


def test_the_doctor_says_how_the_engine_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (found,) = doctor._engine()
    assert found.status == "ok" and "the plain path, on the processor, as there is no GPU" in found.finding
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(planning, "find_spec", lambda name: None)
    for right, status, said in ((True, "ok", "captured as CUDA graphs"), (False, "fail", "does not replay as it was")):
        monkeypatch.setattr(graphs, "replays", lambda device, right=right: right)
        found, kernels = doctor._engine()
        assert (found.status, said in found.finding) == (status, True)
        assert "take the plain path on a GPU: Triton, which builds the kernel, is not installed" in kernels.finding
    monkeypatch.setattr(planning, "find_spec", lambda name: name)
    monkeypatch.setenv("CC", "a-compiler")
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: f"9.9 of {name}")
    assert "take a kernel of Triton 9.9 of triton" in list(doctor._engine())[1].finding


def test_the_doctor_names_a_missing_and_an_old_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires",
        lambda _: ["not-a-real-package>=1", "numpy>=999", "torch>=2", 'pytest>=999; extra == "dev"'],
    )  # fmt: skip
    found = [diagnosis for diagnosis in examine() if diagnosis.status == "fail"]
    assert [diagnosis.name for diagnosis in found] == ["not-a-real-package", "numpy"]
    assert found[0].finding == "missing; needed is >=1" and "needed is >=999" in found[1].finding
    assert all("make test" in diagnosis.cure for diagnosis in found)
    result = call("doctor")
    assert result.exit_code == 1 and "Error: 2 of these do not work; each says its cure." in result.output


def test_the_doctor_goes_on_after_a_check_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "run", raising(RuntimeError("broken build")), raising=False)
    found = {diagnosis.name: diagnosis for diagnosis in examine()}
    assert found["netCDF"].status == found["self-test"].status == "fail"
    assert found["self-test"].finding == "RuntimeError: broken build" and found["notebooks"].status != "fail"


def test_the_doctor_sees_a_wrong_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "DPO", lambda beta: lab.SLiC(beta), raising=False)
    (found,) = (diagnosis for diagnosis in examine() if diagnosis.name == "self-test")
    assert found.status == "fail" and "loss is 0.400000, should be 0.437488" in found.finding


def test_the_doctor_warns_about_a_cache_that_cannot_be_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv(store.VARIABLE, str(place / "file" / "cache"))
    (found,) = (diagnosis for diagnosis in examine() if diagnosis.name == "cache")
    assert found.status == "warn" and "cannot be written" in found.finding and store.VARIABLE in found.cure


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bad", "x", "y", "z"), r"The status is 'bad'; allowed are ok, warn, fail\. Use one of them\."),
        (("warn", "x", "y"), r"The diagnosis of x has no cure; a complaint needs one\. Say what to do\."),
    ],
)
def test_a_diagnosis_is_validated(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Diagnosis(*arguments)


def test_a_python_without_the_command_line_library_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-m", "lab"], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 1
    assert "python -m lab needs click, which this Python" in done.stderr and "Traceback" not in done.stderr


def test_a_break_in_a_sweep_saves_the_cells_before_it(place: Path) -> None:
    result = call("run", "tabular s1 dpo,ipo beta=0.01 sgd lr=1e6 steps=30 seeds=2")
    assert result.exit_code == 1 and "One cell before it is whole in runs." in " ".join(result.output.split())
    partial, finished = sorted(os.listdir(place / "runs"), key=lambda name: "partial" not in name)
    assert partial.endswith(".partial.nc")
    assert lab.load(place / "runs" / finished).attrs["experiment"].startswith("tabular s1 dpo beta")
