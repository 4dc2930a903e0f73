"""The explorer without a browser: controls, changes and views of the training scene against the record itself."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import lab
from lab.explorer.limits import Limited
from lab.explorer.scene import Control, Picture
from lab.explorer.sheets import Frame, Sheet, mark
from lab.explorer.training import panels
from lab.explorer.training.controls import of_the_line, stops
from lab.explorer.training.lines import with_word
from lab.explorer.training.records import reading, record_of, row_of, stride
from lab.explorer.training.scene import TrainingScene, what_happened
from lab.explorer.training.state import Training
from lab.explorer.training.worlds import rounded
from lab.explorer.widget import ASLEEP, PAGE, shown

LINE = "tabular s2 dpo beta=0.1 sgd lr=1 steps=100 seeds=4"
SCENE = TrainingScene()


def state(line: str = LINE, **view) -> Training:
    return Training(str(lab.Experiment.parse(line)), **view)


def control(key: str, at: Training) -> Control:
    return next(each for each in SCENE.controls(at) if each.key == key)


def test_the_numbers_are_those_of_the_line_run_plainly():
    view = SCENE.show(state(step=50))
    record = lab.run(LINE)
    for word, metric in (("chosen", lab.metrics.chosen_prob), ("rejected", lab.metrics.rejected_prob)):
        wanted = lab.metrics.over_pairs(metric(record), record).sel(step=50).median("seed")
        assert view.numbers[word] == pytest.approx(float(wanted), rel=1e-12)
    unseen = lab.metrics.over_prompts(lab.metrics.unseen_mass(record), record).sel(step=50).median("seed")
    assert view.numbers["unseen"] == pytest.approx(float(unseen), rel=1e-12)
    assert f"step 50: chosen {view.numbers['chosen']:.2f} (started 0.02) ↑" in view.summary


def test_one_seed_shows_that_seed():
    view = SCENE.show(SCENE.change(state(), "shown", "2"))
    record = lab.run(LINE).sel(seed=[2])
    wanted = lab.metrics.over_pairs(lab.metrics.chosen_prob(record), record).isel(step=-1, seed=0)
    assert view.numbers["chosen"] == pytest.approx(float(wanted), rel=1e-12)
    assert "seed 2" in view.summary


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("beta", "0.5", "tabular s2 dpo beta=0.5 sgd lr=1 steps=100 seeds=4"),
        ("scenario", "s4", "tabular s4 dpo beta=0.1 sgd lr=1 steps=100 seeds=4"),
        ("objective", "simpo", "tabular s2 simpo beta=0.1 sgd lr=1 steps=100 seeds=4"),
        ("optimizer", "momentum", "tabular s2 dpo beta=0.1 momentum lr=1 momentum=0.9 steps=100 seeds=4"),
        ("sft_weight", "0.01", "tabular s2 dpo beta=0.1 sft_weight=0.01 sgd lr=1 steps=100 seeds=4"),
    ],
)
def test_a_control_changes_its_own_word_of_the_line(key, value, line):
    assert SCENE.change(state(), key, value).line == line


def test_the_settings_of_an_objective_come_and_go_with_it():
    simpo = SCENE.change(SCENE.change(state(), "objective", "simpo"), "gamma", "1")
    assert "gamma=1" in simpo.line and control("gamma", simpo).value == "1"
    back = SCENE.change(simpo, "objective", "dpo")
    assert "gamma" not in back.line and "gamma" not in {each.key for each in SCENE.controls(back)}


def test_a_flex_beta_may_follow_beta_again():
    flex = SCENE.change(SCENE.change(state(), "objective", "flex"), "beta_rejected", "0.02")
    assert "beta_rejected=0.02" in flex.line
    assert "beta_rejected" not in SCENE.change(flex, "beta_rejected", "").line
    both = SCENE.change(flex, "beta_chosen", "0.1")
    assert "beta" not in {each.key for each in SCENE.controls(both)}  # it has no effect there


def test_every_objective_of_pairs_can_be_chosen_and_no_other():
    choices = control("objective", state()).choices
    assert {"dpo", "kto", "simpo", "orpo", "sft_token"} <= set(choices)
    assert not {"ppo", "rm", "grpo"} & set(choices)


@pytest.mark.parametrize("objective", ["dpo", "flex", "simpo", "kto", "discopop", "dpo_avg"])
def test_every_choice_of_every_control_of_the_line_is_a_valid_line(objective):
    experiment = with_word(lab.Experiment.parse(LINE), "objective", objective)
    for each in of_the_line(experiment):
        assert each.value in each.choices
        for value in each.choices:
            if each.key not in ("batch", "prompts", "responses", "on", "off"):  # these must fit each other
                changed = with_word(experiment, each.key, value)
                assert lab.Experiment.parse(str(changed)) == changed


def test_a_typed_value_between_the_stops_stands_among_them_in_order():
    found = [float(value) for value in stops("beta", (0.123,))]
    assert 0.123 in found and found == sorted(found)
    assert float(stops("lr", (1e-3,))[0]) == 1e-5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("line", "mlp s1 dpo", "lacks an optimizer"),
        ("line", "tabular s1,s2 dpo beta=0.1 sgd lr=1 steps=10", "sweeps scenario, and the explorer shows one setting"),
        ("line", "tabular open dpo sgd lr=1 steps=10 truth=normal", "the explorer shows fixed pairs. Choose s1"),
        ("line", "tabular s1 rm sgd lr=1 steps=10", "rm has no pairs to push.*Choose an objective of pairs"),
        ("beta", "-1", "beta is a finite number above 0"),
        ("beta", "much", "beta=much: beta is a finite number above 0"),
        ("cursor", "101", "allowed are the steps 0 to 100"),
        ("shown", "7", "allowed are median and 0, 1, 2, 3"),
        ("prompt", "4", "allowed are 0 to 3"),
        ("speed", "1", "there is no control 'speed'; the controls are scenario, policy, objective, beta"),
    ],
)
def test_a_change_that_is_not_allowed_says_what_is(key, value, message):
    with pytest.raises(ValueError, match=message):
        SCENE.change(state(), key, value)


def test_a_shorter_run_keeps_the_cursor_within_it():
    changed = SCENE.change(state(step=80, prompt=3), "line", LINE.replace("steps=100", "steps=20") + " prompts=2")
    assert changed.step == -1 and changed.prompt == 1 and SCENE.show(changed).numbers["step"] == 20


def test_pinned_runs_are_listed_drawn_and_removed():
    pinned = SCENE.change(SCENE.change(state(), "pin", ""), "beta", "0.5")
    assert control("pins", pinned).choices == (state().line,)
    before, after = SCENE.show(SCENE.change(pinned, "pins", state().line)), SCENE.show(pinned)
    assert after.pictures[0].png != before.pictures[0].png
    assert "1 pinned" in after.pictures[0].alt and [row[0] for row in after.rows].count("pin 1") == 3
    assert SCENE.change(pinned, "pins", state().line).pins == ()


def test_at_most_four_runs_are_pinned():
    full = state(pins=tuple(LINE.replace("seeds=4", f"seeds={n}") for n in (1, 2, 3, 5)))
    with pytest.raises(ValueError, match="5 runs are pinned; at most 4 can be. Remove one first."):
        SCENE.change(full, "pin", "")


def test_a_branch_goes_on_as_the_run_did_until_something_is_changed():
    whole = state(step=40)
    branched = SCENE.change(whole, "branch", "")
    assert branched.line == f"{LINE.replace('steps=100', 'steps=40')} then steps=60" and branched.pins == (LINE,)
    table = [record_of(each.line)["log_prob"] for each in (whole, branched)]
    np.testing.assert_allclose(table[1], table[0], rtol=0, atol=1e-12)
    changed = SCENE.change(branched, "beta", "0.5")
    assert changed.line.endswith("then beta=0.5 steps=60") and control("beta", changed).value == "0.5"
    before, after = (record_of(each.line)["log_prob"] for each in (branched, changed))
    np.testing.assert_array_equal(before.sel(step=slice(0, 40)), after.sel(step=slice(0, 40)))
    assert abs(before - after).sel(step=100).max() > 0.1
    assert "DPO β=0.5 · SGD 1 since step 40" in SCENE.show(changed).summary


def test_what_stages_share_is_changed_in_all_of_them():
    branched = SCENE.change(state(step=40), "branch", "")
    assert SCENE.change(branched, "scenario", "s4").line.startswith("tabular s4 dpo beta=0.1 sgd lr=1 steps=40")
    again = SCENE.change(replace(branched, step=20), "branch", "")
    assert again.line == f"{LINE.replace('steps=100', 'steps=20')} then steps=80"


@pytest.mark.parametrize("step", [0, 100])
def test_a_branch_needs_steps_on_both_sides(step):
    assert control("branch", state(step=step)).locked
    with pytest.raises(
        ValueError, match=f"a branch at step {step} leaves nothing on one side; move the cursor to 1 to 99"
    ):
        SCENE.change(state(step=step), "branch", "")


def test_the_table_of_a_world_gives_the_same_world_back():
    own = SCENE.change(state(), "world", control("world", state()).value)
    assert own.line.startswith("tabular own dpo beta=0.1 sgd lr=1 steps=100 seeds=4 compare=0:0>5+1:")
    table, drawn = json.loads(control("world", own).value), json.loads(control("world", state()).value)
    assert table == drawn
    start = np.exp(record_of(own.line)["reference_log_prob"].isel(seed=0)).values
    np.testing.assert_allclose(start, np.array(table["start"], float), atol=2e-6)
    np.testing.assert_allclose(start, np.exp(lab.run(LINE)["reference_log_prob"].isel(seed=0)), atol=2e-4)
    assert not {"prompts", "responses", "on", "off"} & {each.key for each in SCENE.controls(own)}
    assert SCENE.change(own, "scenario", "s1").line == LINE.replace("s2", "s1")


def test_an_edited_table_is_what_is_trained():
    table = {"start": [["0.5", "0.3", "0.2"]], "pairs": [["0", "2", "0", "1"], ["0", "2", "1", "3"]]}
    own = SCENE.change(state(), "world", json.dumps(table))
    assert "compare=0:2>0+0:2>1*3 start=0.5/0.3/0.2" in own.line
    np.testing.assert_allclose(record_of(own.line)["pair_weight"], [0.25, 0.75])
    assert [role.label for role in panels.response_roles(record_of(own.line), 0)] == ["rejected", "rejected", "chosen"]


@pytest.mark.parametrize(
    ("start", "pairs", "message"),
    [
        ([["0.5", "0.3", "0.1"]], [["0", "2", "0", "1"]], "the probabilities of prompt 0 sum to 0.9"),
        ([["0.5", "0.3", "x"]], [["0", "2", "0", "1"]], "'x' is no number; give a probability above 0"),
        ([["0.5", "0.3", "0.2"]], [["0", "a", "0", "1"]], "a pair has 'a' where a prompt or a response stands"),
        ([["0.5", "0.3", "0.2"]], [], "there is no pair left. Add one"),
        ([["0.5", "0.3", "0.2"]], [["0", "1", "3", "1"]], "there are 3 responses, 0 to 2, and a pair names response 3"),
    ],
)
def test_a_table_that_makes_no_world_says_why(start, pairs, message):
    with pytest.raises(ValueError, match=message):
        SCENE.change(state(), "world", json.dumps({"start": start, "pairs": pairs}))


@given(st.lists(st.floats(1e-7, 1.0), min_size=3, max_size=20))
def test_rounded_probabilities_sum_to_one(weights):
    row = np.array(weights) / np.sum(weights)
    found = rounded(row)
    assert found.sum() == pytest.approx(1, abs=1e-9) and found.min() > 0
    assert abs(found - row).max() < 1e-4 * (1 + len(row))


def test_one_term_only_is_a_word_of_the_line():
    only = SCENE.change(state(), "terms", "chosen")
    assert "terms=chosen" in only.line and "DPO β=0.1, chosen term only" in SCENE.show(only).summary


def test_nothing_of_the_future_is_shown_before_the_guess():
    waiting = state(predict=True)
    view = SCENE.show(waiting)
    assert [picture.key for picture in view.pictures] == ["responses"]
    assert "at step 0" in view.pictures[0].alt and set(view.numbers) == {"step"} and not view.rows
    assert not {"cursor", "shown"} & {each.key for each in SCENE.controls(waiting)}
    start = np.exp(record_of(waiting.line)["reference_log_prob"].isel(prompt=0).median("seed")).values
    assert f"0 (chosen) {start[0]:.2f}" in view.pictures[0].alt


@pytest.mark.parametrize(
    ("line", "happened"),
    [
        # With one pair a prompt the chosen response of a table never falls; without any push it stays where it is.
        (LINE, "stays"),
        ("tabular s1 unlikelihood sgd lr=1 steps=100 seeds=1 unlikelihood_weight=0", "stays"),
    ],
)
def test_a_guess_is_judged_by_the_run(line, happened):
    asked = state(line, predict=True)
    assert what_happened(asked.line)[0] == happened
    end = SCENE.show(state(line)).numbers["chosen"]
    assert (
        f"You were right: the chosen response ends at {end:.2f}"
        in SCENE.show(SCENE.change(asked, "guess", happened)).summary
    )
    wrong = SCENE.show(SCENE.change(asked, "guess", "below")).summary
    assert wrong.startswith("You said below where it started; the chosen response ends at")


def test_what_happened_follows_the_curve(monkeypatch):
    import xarray as xr

    for curve, wanted in (
        ([0.4, 0.9], "stays"),
        ([0.4, 0.9, 0.5], "falls"),
        ([0.4, 0.9, 0.3], "below"),
        ([0.4, 0.39], "below"),
    ):
        table = np.log(np.array([[[value, 1 - value]] for value in curve]))[None]
        record = xr.Dataset(
            {"log_prob": (("seed", "step", "prompt", "response"), table)},
            coords={
                "seed": [0], "step": range(len(curve)), "pair_prompt": ("pair", [0]), "chosen": ("pair", [0]),
                "rejected": ("pair", [1]), "pair_weight": ("pair", [1.0]),
            },
        )  # fmt: skip
        monkeypatch.setattr("lab.explorer.training.scene.record_of", lambda _, record=record: record)
        assert what_happened("any") == (wanted, pytest.approx(curve[-1]))


def test_the_pushes_are_the_response_weights_of_the_record():
    run = reading(state().line)
    weight = lab.run(LINE)["response_weight"].isel(pair=1).sel(step=50)
    at = row_of(run.record, 50)
    for term in ("chosen", "rejected"):
        wanted = -float(weight.sel(term=term).median("seed"))
        assert panels.push(run, at, 1, term) == pytest.approx(wanted, rel=1e-12)
    assert panels.push(run, at, 1, "chosen") > 0 > panels.push(run, at, 1, "rejected")


def test_the_change_that_is_told_is_what_the_next_step_did():
    record = lab.run(LINE)
    change = (record["log_prob"].sel(step=51) - record["log_prob"].sel(step=50)).isel(prompt=0).median("seed").values
    run = reading(state().line)
    told = panels.sentence_of_changes(run, row_of(run.record, 50), 0)
    assert told.startswith(f"0 (chosen) {change[0]:+.2g}, 1 (unseen) {change[1]:+.2g}".replace("-", "−"))


@pytest.mark.parametrize(
    "line", [LINE, "tabular s3 kto beta=0.5 adam lr=0.05 steps=70 seeds=2 then sft sgd lr=1 steps=9"]
)
def test_the_changes_of_a_table_are_those_that_the_engine_records(line):
    record = record_of(str(lab.Experiment.parse(line)))
    engine = lab.run(replace(lab.Experiment.parse(line), keep="predictions")).sel(step=record["step"])
    for name in ("realised_change", "linear_change"):
        np.testing.assert_allclose(record[name], engine[name].transpose(*record[name].dims), rtol=1e-9, atol=1e-12)
    for name in ("log_prob", "loss", "response_weight"):
        np.testing.assert_allclose(record[name], engine[name], rtol=1e-12, atol=1e-12)


def test_the_last_state_shows_the_step_before_it():
    assert "At step 98 prompt 0's responses are pushed" in SCENE.show(state()).pictures[3].alt


@pytest.mark.parametrize("objective", ["flex", "sft", "kto", "orpo", "reward", "aot", "unlikelihood", "sft_token"])
@pytest.mark.parametrize("log", [False, True])
def test_every_kind_of_objective_is_shown(objective, log):
    line = f"tabular s1 {objective} adam lr=0.1 steps=10 seeds=2"
    at = state(line, log=log)
    json.dumps(shown(SCENE.controls(at), SCENE.show(at)), allow_nan=False)


def test_pairs_that_share_a_prompt_are_shown_together():
    view = SCENE.show(state("tabular s1 dpo beta=0.1 sgd lr=1 steps=10 seeds=2 prompts=1 pairs=2"))
    assert view.pictures[2].alt.count("(chosen)") == view.pictures[2].alt.count("(rejected)") == 2


def test_a_cursor_redraws_the_lower_panels_only():
    first, second = SCENE.show(state(step=10)), SCENE.show(state(step=90))
    same = [before.png == after.png for before, after in zip(first.pictures, second.pictures, strict=True)]
    assert same == [True, True, False, False]
    assert first.pictures[0].mark[0] < second.pictures[0].mark[0]


def test_a_mark_stands_where_its_step_is_drawn():
    frame = Frame("title", (0, 200), (0, 1))
    sheet = Sheet()
    plain = _pixels(sheet.png(frame, lambda ax: None))
    drawn = _pixels(sheet.png(frame, lambda ax: ax.axvline(50, color="red", linewidth=3)))
    rows, columns = np.nonzero((plain != drawn).any(-1))
    x, top, height = mark(frame, 50)
    assert columns.mean() / plain.shape[1] == pytest.approx(x, abs=0.004)
    assert rows.min() / plain.shape[0] == pytest.approx(top, abs=0.01)
    assert (rows.max() - rows.min()) / plain.shape[0] == pytest.approx(height, abs=0.01)


def test_a_sheet_draws_a_frame_alike_whatever_was_drawn_before():
    frames = [Frame("one", (0, 10), (0, 1)), Frame("two", (0, 20), (-5, 1), symlog=True)]
    sheet = Sheet()
    alone = [Sheet().png(frame, lambda ax: ax.plot([1, 2], [0.2, 0.8], color="k")) for frame in frames]
    for _ in range(2):
        assert [sheet.png(frame, lambda ax: ax.plot([1, 2], [0.2, 0.8], color="k")) for frame in frames] == alone


def test_pictures_have_alt_text_with_numbers_of_the_run():
    view = SCENE.show(state())
    assert f"chosen from 0.02 to {view.numbers['chosen']:.2f}" in view.pictures[0].alt
    assert all(len(picture.alt) > 60 for picture in view.pictures)
    with pytest.raises(ValueError, match="picture 'a' has no alt text"):
        Picture("a", b"", "")


def test_extreme_runs_are_drawn():
    extreme = "tabular s4 dpo beta=0.1 adam lr=5 steps=100 seeds=1"
    for log in (False, True):
        assert len(SCENE.show(state(extreme, log=log, step=50)).pictures) == 4


def test_the_recorded_states_are_few_and_even():
    for steps in (1, 20, 59, 60, 61, 500, 777, 5000):
        assert steps / stride(steps) <= 60 and (stride(steps) == 1 or steps / stride(steps) > 60 / 2.6)


def test_a_locked_control_stays_whatever_is_changed():
    scene = Limited(SCENE, lock=("beta",), hide=("optimizer",))
    left = {each.key: each for each in scene.controls(state())}
    assert "optimizer" not in left and left["beta"].locked and not left["lr"].locked
    assert "lr=0.5" in scene.change(state(), "lr", "0.5").line
    with pytest.raises(ValueError, match="beta is locked here; change another control"):
        scene.change(state(), "beta", "0.5")
    with pytest.raises(ValueError, match="beta is locked at 0.1 here; keep it"):
        scene.change(state(), "line", LINE.replace("beta=0.1", "beta=0.2"))


def test_an_unknown_control_to_hide_or_lock_names_the_allowed():
    with pytest.raises(ValueError, match=r"lock has 'betta'\. Did you mean beta\? The controls are scenario, policy,"):
        lab.explore(LINE, lock=("betta",))
    with pytest.raises(TypeError, match=r"hide is the text 'beta'; give a tuple of keys, such as hide=\('beta',\)"):
        lab.explore(LINE, hide="beta")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "dial"}, "the kind of 'a' is 'dial'; the kinds are slider, cursor"),
        ({"kind": "slider", "value": "3", "choices": ("1", "2")}, "'a' is '3', not one of its choices 1, 2"),
        (
            {"kind": "slider", "value": "1", "choices": ("1", "2"), "texts": ("one",)},
            "1 texts for 2 choices; give one each",
        ),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Control("a", "a", **fields)


def test_the_widget_shows_an_error_and_keeps_the_last_good_view():
    widget = lab.explore(LINE)
    before = widget.view
    widget.change("line", "tabular s1 dop beta=0.1 sgd lr=1 steps=10")
    assert "Did you mean" in widget.view["error"] and widget.view["pictures"] == before["pictures"]
    widget.change("beta", "0.5")
    assert widget.view["error"] == "" and "beta=0.5" in widget.view["line"]


def test_a_defect_is_seen_and_not_swallowed(monkeypatch):
    widget = lab.explore(LINE)
    monkeypatch.setattr(TrainingScene, "show", lambda *_: 1 / 0)
    widget.change("beta", "0.5")
    assert widget.view["error"] == "The explorer failed (ZeroDivisionError: division by zero)."
    assert "beta=0.1" in widget.state.line


def test_the_widget_answers_each_request_once():
    widget, sent = lab.explore(LINE), []
    widget.send = sent.append
    widget._receive(widget, {"kind": "change", "key": "beta", "value": "0.5", "id": 7, "page": "lab-1"}, [])
    assert sent == [{"kind": "done", "id": 7, "page": "lab-1"}] and "beta=0.5" in widget.view["line"]


def test_the_view_is_plain_json_and_small():
    text = json.dumps(lab.explore(LINE).view, allow_nan=False)
    assert len(text) < 250_000


def test_beside_the_widget_stands_a_sentence_for_readers_without_a_kernel(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda what, **_: shown.append(what))
    widget = lab.explore(LINE)
    widget._ipython_display_()
    sentence, bundle = shown
    assert "run this cell to use it" in sentence.data and LINE in sentence.data and "Explorer(" not in sentence.data
    assert repr(widget).startswith(f"lab.explore('{LINE}')  # tabular · s2 · DPO β=0.1")
    assert bundle["text/plain"] == repr(widget) and any("widget-view" in kind for kind in bundle)
    # The style of a widget that lives hides the sentence.
    assert f'class="{ASLEEP}"' in sentence.data and f".{ASLEEP} {{" in (PAGE / "explorer.css").read_text()


def test_the_twin_is_the_same_picture_without_a_page():
    figure, alt = lab.explorer.twin(LINE, step=50, pins=(LINE.replace("beta=0.1", "beta=1"),))
    view = SCENE.show(state(step=50))
    assert alt.startswith(view.summary) and "1 pinned" in alt
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Who has the mass", "How far it moved", "Every response of prompt 0", "Change of log π by the next step (nats)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="the prompt is 9; allowed are 0 to 3"):
        lab.explorer.twin(LINE, prompt=9)


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
