"""`python -m figures` as a whole: what it prints, writes, keeps and removes, and how it ends."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from figures.machinery.commands import main
from figures.machinery.provenance import digest, explain
from figures.machinery.settings import Settings
from lab.experiments.cached import cached_path
from tests import tiny_figures
from tests.tiny_figures import NON_FINITE_LINE, QUICK_LINE

SECOND_LINE = QUICK_LINE.replace("s1", "s2")
FILES = {"png", "pdf", "svg", "csv", "json"}


def call(folder: Path, *words: str) -> tuple[int, str]:
    """Do `python -m figures WORDS` for a folder; return the exit code and everything printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main(["--jobs", "1", *words], folder)
    return int(ended.value.code or 0), said.getvalue()


def files_of(name: str, folder: Path) -> dict[str, Path]:
    return {file.name.removeprefix(f"{name}."): file for file in folder.glob(f"{name}.*")}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPOLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Path, int, str]:
    """A folder after its first call: one figure of two lines, one that diverges, one that cannot be read."""
    lines = {
        "pair": {"first": QUICK_LINE, "second": SECOND_LINE},
        "diverging": NON_FINITE_LINE,
        "unreadable": QUICK_LINE,
    }
    folder = tiny_figures.write(tmp_path_factory.mktemp("house") / "figures", lines)
    (folder / "unreadable.py").write_text("from figures.machinery import Figur\n")
    old = folder / "out"
    old.mkdir()
    for name in ("diverging", "unreadable"):
        (old / f"{name}.png").write_text("an old picture")
    code, said = call(folder)
    return folder, code, said


def test_one_line_a_figure_and_a_summary(drawn):
    _, code, said = drawn
    assert code == 1
    rows = {words[0]: words[1:] for words in map(tiny_figures.words_of, said.splitlines())}
    assert re.match(r"dpolab figures · no commit · torch \S+ · cpu", said)
    assert rows["pair"][0] == "drawn" and re.fullmatch(r"\d+\.\d s", rows["pair"][1])
    assert rows["diverging"][0] == "FAILED" and rows["unreadable"][0] == "FAILED"
    assert "cannot import name 'Figur'" in rows["unreadable"][1]
    assert re.search(r"^1 fresh, 2 failed · \d+ s · .*out/index.html$", said, re.M)


def test_a_failure_names_line_seed_and_step_and_leaves_no_old_picture(drawn):
    folder, _, said = drawn
    row = next(line for line in said.splitlines() if line.startswith(" diverging"))
    assert re.search(r"in: mlp s2 flex .*seeds=3, seed \d+, step \d+", row)
    for name in ("diverging", "unreadable"):
        assert set(files_of(name, folder / "out")) == {"error.txt"}
        assert "Traceback" in (folder / "out" / f"{name}.error.txt").read_text()


def test_every_file_comes_out_and_the_record_vouches_for_it(drawn):
    folder, _, _ = drawn
    there = files_of("pair", folder / "out")
    assert set(there) == FILES
    record = json.loads(there["json"].read_text())
    assert record["outputs"] == {there[ending].name: digest(there[ending]) for ending in FILES - {"json"}}
    assert list(record["lines"].values()) == [QUICK_LINE, SECOND_LINE]
    assert record["seeds"] == {"first": 3, "second": 3}
    for key in ("command", "typed", "commit", "dirty", "platform", "device", "threads", "wall_seconds", "drawn", "alt"):
        assert key in record
    assert {"python", "dpolab", "torch", "matplotlib"} <= set(record["versions"])
    assert not list((folder / "out").glob(".drawing-*"))


def test_the_table_beside_the_picture_holds_medians_and_seeds(drawn):
    rows = list(csv.DictReader((drawn[0] / "out" / "pair.csv").read_text().splitlines()))
    assert list(rows[0]) == ["panel", "series", "seed", "x", "y", "low", "high", "n"]
    assert len(rows) == 2 * 7 * (1 + 3)
    start = [float(row["y"]) for row in rows if row["x"] == "0" and row["panel"] == "first"]
    assert start == pytest.approx([0.45] * 4)


def test_each_format_carries_its_provenance(drawn):
    folder, _, _ = drawn
    for ending in ("png", "pdf", "svg"):
        known = explain(folder / "out" / f"pair.{ending}")
        assert known["figure"] == "pair" and list(known["lines"].values()) == [QUICK_LINE, SECOND_LINE]
        assert known["command"].startswith("python -m figures")
    code, said = call_explain(folder / "out" / "pair.pdf")
    assert code == 0 and QUICK_LINE in said
    with Image.open(folder / "out" / "pair.png") as picture:
        assert picture.info["Description"].startswith("The chosen response starts")


def call_explain(file: Path) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main(["explain", str(file)])
    return int(ended.value.code or 0), said.getvalue()


def test_the_gallery_and_the_numbers_are_written_for_committing(drawn):
    folder, _, _ = drawn
    picture = folder / "gallery" / "pair.png"
    assert picture.stat().st_size <= 150_000
    known = explain(picture)
    assert "commit" not in known and known["command"] == "python -m figures pair"
    expected = json.loads((folder / "expected" / "pair.json").read_text())
    assert expected["numbers"]["chosen at the end"]["tolerance"] == 1e-6
    assert not (folder / "gallery" / "diverging.png").exists()


def test_the_contact_sheet_shows_every_figure_and_asks_nothing_of_the_network(drawn):
    text = (drawn[0] / "out" / "index.html").read_text()
    assert not re.search(r"(src|href)=\"(?!pair\.|diverging\.|unreadable\.)", text)
    assert not re.search(r"https?:|@import|url\(|<script", text)
    record = json.loads((drawn[0] / "out" / "pair.json").read_text())
    assert f'alt="{record["alt"]}"' in text
    for file in ("pair.csv", "pair.json", "pair.svg", "pair.pdf"):
        assert f'href="{file}"' in text
    assert "diverging failed" in text and "seed 0" in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_nothing_is_done_twice(drawn):
    folder, _, _ = drawn
    before = {file: file.stat().st_mtime_ns for file in files_of("pair", folder / "out").values()}
    code, said = call(folder, "pair")
    assert code == 0
    assert tiny_figures.words_of(said.splitlines()[1]) == ["pair", "cached"]
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_damaged_picture_is_drawn_again_to_the_same_bytes(drawn):
    folder, _, _ = drawn
    there = files_of("pair", folder / "out")
    before = {ending: there[ending].read_bytes() for ending in ("png", "pdf", "svg", "csv")}
    there["svg"].write_bytes(before["svg"][:1000])
    there["pdf"].unlink()
    code, said = call(folder)
    assert code == 1
    assert "warning: pair: pair.pdf is missing; pair.svg is not what was written; it is drawn again" in said
    assert {ending: there[ending].read_bytes() for ending in before} == before


def test_a_damaged_record_is_run_again_with_a_warning(drawn):
    folder, _, _ = drawn
    record = cached_path(QUICK_LINE)
    good = record.read_bytes()
    record.write_bytes(good[: len(good) // 2])
    (folder / "out" / "pair.json").unlink()
    code, said = call(folder, "pair")
    assert code == 0
    assert re.search(r"warning\s+The cached record .* cannot be used .*its experiment is run again", said)
    assert len(record.read_bytes()) == len(good)


@pytest.fixture
def copy(drawn, tmp_path) -> Path:
    """A folder of its own with a drawn figure, whose experiment is in the cache already."""
    folder = tiny_figures.write(tmp_path / "figures", {"one": QUICK_LINE, "other": QUICK_LINE})
    assert call(folder)[0] == 0
    return folder


def test_why_names_the_input_that_changed(copy):
    assert "one: fresh" in call(copy, "--why", "one")[1]
    tiny_figures.change(copy, "one", "lr=0.5", "lr=0.25")
    code, said = call(copy, "--why")
    assert code == 0
    assert re.search(r"^one: out of date$", said, re.M) and re.search(r"^other: fresh$", said, re.M)
    assert re.search(r"line only changed: .*lr=0.5.* → .*lr=0.25", said) and "one.py changed" in said
    assert re.search(r"would run +tabular s1 dpo .*lr=0.25", said) and "would draw  one" in said
    assert (copy / "out" / "one.png").exists(), "nothing is done"


def test_a_drawing_that_fails_takes_the_old_picture_away_and_no_other(copy):
    tiny_figures.change(copy, "one", "# HERE", "raise RuntimeError('no ink')")
    code, said = call(copy)
    assert code == 1
    assert re.search(r" one +FAILED +RuntimeError: no ink in: tabular s1 dpo", said) and " other  cached" in said
    assert set(files_of("one", copy / "out")) == {"error.txt"} and set(files_of("other", copy / "out")) == FILES
    tiny_figures.change(copy, "one", "raise RuntimeError('no ink')", "")
    code, said = call(copy)
    assert code == 0 and set(files_of("one", copy / "out")) == FILES


def test_a_drawing_without_its_parts_is_refused(copy):
    tiny_figures.change(copy, "one", 'alt=f"The', 'alt="" and f"The')
    tiny_figures.change(copy, "other", 'numbers={"chosen at the end": (end, 1e-6)}', 'numbers={"end": (end, 0.0)}')
    code, said = call(copy)
    assert code == 1
    assert "alt is ''; a reader who cannot see the picture needs a sentence" in said
    assert "the key number 'end' is" in said and "tolerance finite and above 0" in said


def everything_in(folder):
    """What the script itself wrote: Python's own caches come and go with its settings."""
    return [path for path in folder.rglob("*") if "__pycache__" not in path.parts]


def test_check_agrees_differs_and_draws_nothing(copy):
    before = sorted(everything_in(copy))
    code, said = call(copy, "--check")
    assert code == 0 and re.search(r" one +agrees .*1 numbers", said) and "2 agree" in said
    expected = copy / "expected" / "one.json"
    known = json.loads(expected.read_text())
    value = known["numbers"]["chosen at the end"]["value"]
    known["numbers"]["chosen at the end"]["value"] = value + 0.01
    expected.write_text(json.dumps(known))
    (copy / "expected" / "other.json").unlink()
    code, said = call(copy, "--check")
    assert code == 1
    assert re.search(r" one +differs +chosen at the end is \S+; committed \S+ ± 1e-06", said)
    assert re.search(r" other +FAILED +there are no committed numbers in .*other.json; draw it", said)
    assert sorted([*everything_in(copy), copy / "expected" / "other.json"]) == before
    assert json.loads(expected.read_text()) == known, "checking writes nothing"


def test_numbers_within_tolerance_stay_as_committed_and_others_are_said(copy):
    expected = copy / "expected" / "one.json"
    known = json.loads(expected.read_text())
    known["numbers"]["chosen at the end"]["value"] += 5e-7
    expected.write_text(json.dumps(known))
    assert call(copy, "--force", "one")[0] == 0
    assert json.loads(expected.read_text()) == known
    known["numbers"]["chosen at the end"]["value"] += 1
    expected.write_text(json.dumps(known))
    code, said = call(copy, "--force", "one")
    assert code == 0 and "key numbers changed: chosen at the end is" in said
    assert json.loads(expected.read_text()) != known


def test_quick_figures_keep_to_themselves(copy):
    before = {file: file.stat().st_mtime_ns for file in everything_in(copy) if file.is_file()}
    tiny_figures.change(copy, "one", "seeds=3", "seeds=24")
    code, _ = call(copy, "--quick", "one")
    assert code == 0
    record = json.loads((copy / "out" / "quick" / "one.json").read_text())
    assert record["quick"] is True and record["seeds"] == {"only": 4}
    svg = (copy / "out" / "quick" / "one.svg").read_text()
    assert '"quick": true' in svg.replace("&quot;", '"') and "<!-- QUICK -->" in svg
    untouched = {file: time for file, time in before.items() if file.name not in ("one.py", ".lock")}
    assert {file: file.stat().st_mtime_ns for file in untouched} == untouched


def test_seeds_formats_width_and_folder_are_as_asked(copy, tmp_path):
    place = tmp_path / "elsewhere"
    before = digest(copy / "gallery" / "one.png")
    words = ("--seeds", "5", "--format", "png", "--width", "slides", "--out", str(place))
    code, _ = call(copy, *words, "one")
    assert code == 0
    assert set(files_of("one", place)) == {"png", "csv", "json"}
    record = json.loads((place / "one.json").read_text())
    assert record["lines"]["only"].endswith("seeds=5") and record["width"] == "slides"
    assert digest(copy / "gallery" / "one.png") == before, "only the figure as its file states it is published"
    with Image.open(place / "one.png") as slide, Image.open(copy / "out" / "one.png") as page:
        assert slide.width > page.width


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pari"], "there is no figure 'pari'. Did you mean pair? Figures: diverging, pair, unreadable."),
        (["--format", "gif"], "'gif' is no format; the formats are png, pdf, svg"),
        (["--format", "pdf"], "png must be among them"),
        (["--jobs", "0"], "jobs is 0; it must be at least 1"),
        (["--seeds", "0"], "seeds is 0; it must be at least 1"),
        (["--quick", "--seeds", "9"], "--quick takes 4 seeds, and --seeds asks for 9. Give one of them."),
        (["--check", "--quick"], "leave --quick and --seeds out"),
        (["--width", "poster"], "'poster' is no context; the contexts are paper, slides, notebook"),
        (["--device", "tpu"], "tpu"),
        (["--sedes", "9"], "No such option"),
    ],
)
def test_wrong_use_says_what_is_allowed(drawn, words, said):
    code, printed = call(drawn[0], *words)
    assert code == 2
    assert said in " ".join(printed.split())


def test_an_output_folder_that_cannot_be_written_is_said(drawn, tmp_path):
    (tmp_path / "file").touch()
    code, said = call(drawn[0], "pair", "--out", str(tmp_path / "file" / "out"))
    assert code == 2
    assert re.search(r"file/out cannot be written \(Not a directory\). Permit it, or give another folder", said)


def test_a_second_call_at_once_is_refused(drawn):
    from filelock import FileLock

    with FileLock(drawn[0] / "out" / ".lock"):
        code, said = call(drawn[0], "pair")
    assert code == 1
    assert "another call is drawing into" in said and "give another folder with --out" in " ".join(said.split())


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (None, "nothing.png", "there is no file"),
        (b"x", "notes.txt", "is no picture of ours; give a file that ends in .png, .pdf, .svg"),
        (b"not a picture", "broken.png", "cannot be read as a picture"),
        (b"not a picture", "broken.pdf", "cannot be read as a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "foreign.svg", "holds no provenance of a figure"),
    ],
)
def test_a_picture_that_is_not_ours_is_said(tmp_path, content, name, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, printed = call_explain(tmp_path / name)
    assert code == 2 and said in " ".join(printed.split())


def test_the_list_shows_state_and_loads_nothing_heavy(drawn):
    code, said = call(drawn[0], "--list")
    assert code == 0
    lines = said.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("pair"))
    name, state, seeds, last = tiny_figures.words_of(lines[at])
    assert (name, state, seeds) == ("pair", "fresh", "3 seeds") and re.fullmatch(r"[\d.]+ s", last)
    assert [line.strip() for line in lines[at + 1 : at + 3]] == ["What pair shows", "Toy, figure 1"]
    assert next(line for line in lines if line.startswith("diverging")).split()[1] == "failed"
    assert "cannot import name 'Figur'" in next(line for line in lines if line.startswith("unreadable"))
    check = (
        "import sys; from figures.machinery.commands import main\n"
        "try: main(['--list'])\n"
        "except SystemExit as ended: assert not ended.code\n"
        "heavy = {'torch', 'matplotlib', 'scipy', 'IPython'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run(
        [sys.executable, "-c", check], cwd=tiny_figures.ROOT, check=True, timeout=120, stdout=subprocess.PIPE
    )


def test_a_worker_that_is_killed_fails_its_figure_only(tmp_path):
    folder = tiny_figures.write(tmp_path / "figures", {"one": QUICK_LINE, "deadly": QUICK_LINE})
    tiny_figures.change(folder, "deadly", "# HERE", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    code, said = call(folder, "--jobs", "2")
    assert code == 1
    assert re.search(r" deadly +FAILED +its worker process was killed twice", said) and re.search(r" one +drawn", said)
    assert set(files_of("deadly", folder / "out")) == {"error.txt"}


def test_settings_say_where_things_go(tmp_path):
    assert Settings(folder=tmp_path).place == tmp_path / "out"
    assert Settings(folder=tmp_path, quick=True).place == tmp_path / "out" / "quick"
    assert Settings(folder=tmp_path, out=tmp_path / "x", quick=True).place == tmp_path / "x"
    assert Settings(folder=tmp_path).publishes
    for other in ({"quick": True}, {"seeds": 30}, {"width": "paper"}, {"device": "cuda"}, {"out": tmp_path}):
        assert not Settings(folder=tmp_path, **other).publishes
    assert os.path.samefile(Settings().folder, tiny_figures.ROOT / "figures")
