"""An explorer in JupyterLab in a real browser: keys, drags and words reach the kernel, and its numbers come back."""

from __future__ import annotations

import pytest

import lab

LINE = "tabular s2 dpo beta=0.1 sgd lr=1 steps=100 seeds=4"
CALL = f'lab.explore("{LINE}")'


def final(line: str) -> dict[str, float]:
    """Where the roles of a line end, out of the package itself."""
    record = lab.run(line)
    pairs = {"chosen": lab.metrics.chosen_prob(record), "rejected": lab.metrics.rejected_prob(record)}
    found = {role: lab.metrics.over_pairs(value, record) for role, value in pairs.items()}
    found["unseen"] = lab.metrics.over_prompts(lab.metrics.unseen_mass(record), record)
    return {role: float(value.isel(step=-1).median("seed")) for role, value in found.items()}


def assert_shows(explorer, line: str) -> None:
    assert explorer.line == line
    for role, value in final(line).items():
        assert explorer.number(role) == pytest.approx(value, rel=1e-9), role


def test_a_slider_moved_by_key_shows_the_numbers_of_its_line(explore):
    explorer = explore(CALL)
    assert_shows(explorer, LINE)
    before = explorer.renders, explorer.summary, explorer.slider("beta").get_attribute("aria-valuetext")
    explorer.press("beta", "ArrowRight")
    assert explorer.renders > before[0] and explorer.summary != before[1]
    assert_shows(explorer, LINE.replace("beta=0.1", "beta=0.13"))
    assert before[2] == "β = 0.1" and explorer.slider("beta").get_attribute("aria-valuetext") == "β = 0.13"


def test_a_typed_value_shows_its_numbers_and_a_wrong_one_its_reason(explore):
    explorer = explore(CALL)
    typed = LINE.replace("beta=0.1", "beta=0.123")
    explorer.enter(typed)
    assert_shows(explorer, typed)
    assert explorer.slider("beta").get_attribute("aria-valuetext") == "β = 0.123"
    wrong = LINE.replace("dpo", "dop")
    explorer.enter(wrong)
    alert = explorer.root.get_by_role("alert")
    assert "dop" in alert.inner_text() and "dpo" in alert.inner_text() and "Traceback" not in alert.inner_text()
    assert explorer.root.get_by_label("experiment line", exact=True).input_value() == wrong  # stays, to be mended
    assert_shows(explorer, typed)  # and the last good state is still shown
    explorer.enter(LINE)
    assert not alert.is_visible()


def test_of_a_drag_of_forty_moves_the_last_one_wins(explore):
    line = LINE.replace("steps=100 seeds=4", "steps=500 seeds=24")  # slower to draw than to drag: moves pile up
    explorer = explore(f'lab.explore("{line}")')
    mouse, box = explorer.root.page.mouse, explorer.slider("beta").bounding_box()
    height, left, width = box["y"] + box["height"] / 2, box["x"] + 8, box["width"] - 16
    mouse.move(left, height)
    mouse.down()
    for move in range(40):
        mouse.move(left + width * (move + 1) / 40, height)
    mouse.move(left + width * 0.6, height)
    mouse.up()
    explorer.settle()
    where = explorer.slider("beta").input_value()
    value = explorer.slider("beta").get_attribute("aria-valuetext").removeprefix("β = ")
    assert 0 < int(where) < int(explorer.slider("beta").get_attribute("max"))
    assert_shows(explorer, line.replace("beta=0.1", f"beta={value}"))


def test_a_copied_line_shows_the_same_in_another_explorer(explore):
    explorer = explore(CALL)
    explorer.press("beta", "ArrowRight", "ArrowRight")
    explorer.control("objective").locator("select").select_option("ipo")
    explorer.settle()
    line, numbers = explorer.line, {role: explorer.number(role) for role in ("chosen", "rejected", "unseen")}
    assert "ipo beta=0.18" in line
    explorer.click("copy the experiment line")
    other = explore('lab.explore("mlp s1 dpo beta=0.1 adam lr=1e-3 steps=20 seeds=1")')
    other.root.get_by_label("experiment line", exact=True).click()
    for key in ("ControlOrMeta+a", "ControlOrMeta+v", "Enter"):
        other.root.page.keyboard.press(key)
    other.settle()
    assert other.line == line
    assert {role: other.number(role) for role in numbers} == numbers


def test_a_cursor_scrubs_and_plays_and_a_run_is_pinned_and_branched(explore):
    line = "tabular s2 dpo beta=0.1 sgd lr=1 steps=20 seeds=4"
    explorer = explore(f'lab.explore("{line}")')
    end = explorer.number("chosen")
    explorer.press("cursor", "Home")
    assert explorer.number("step") == 0 and explorer.number("chosen") == pytest.approx(0.02)
    explorer.button("play").click()
    explorer.root.page.wait_for_function(
        "root => root.dataset.labNumberStep === '20'", arg=explorer.root.element_handle()
    )
    explorer.button("play").wait_for()  # no longer "pause": it stops by itself
    assert explorer.number("chosen") == end
    explorer.press("cursor", "Home", *["ArrowRight"] * 5)
    step = int(explorer.number("step"))
    assert step == 5
    explorer.click("branch at step 5")
    pins = explorer.control("pins").get_by_role("listitem")
    assert pins.count() == 1 and line in pins.inner_text()
    explorer.press("beta", "End")
    branched = "tabular s2 dpo beta=0.1 sgd lr=1 steps=5 seeds=4 then beta=10 steps=15"
    assert_shows_end(explorer, branched)
    explorer.click("pin this run")
    assert pins.count() == 2
    explorer.click("remove pin 1")
    assert pins.count() == 1 and line not in pins.inner_text()


def assert_shows_end(explorer, line: str) -> None:
    explorer.press("cursor", "End")
    assert_shows(explorer, line)


def test_a_reader_who_is_to_predict_sees_nothing_of_the_future(explore):
    explorer = explore(f'lab.explore("{LINE}", predict=True)')
    pictures = explorer.root.locator("figure img")
    assert pictures.count() == 1 and "at step 0" in pictures.get_attribute("alt")
    assert explorer.root.get_attribute("data-lab-number-chosen") is None
    # In a table, at one pair a prompt, the chosen response never falls (README, "Why is my rewards/chosen negative?").
    explorer.click("below where it started")
    chosen = final(LINE)["chosen"]
    assert pictures.count() == 4
    assert explorer.summary.startswith(
        f"You said below where it started; the chosen response ends at {chosen:.2f}, near its highest point."
    )
    assert_shows(explorer, LINE)
    explorer.click("predict the next one")
    explorer.click("near its highest point")
    assert explorer.summary.startswith("You were right")


REACHED = """root => [...root.querySelectorAll("input, select, button, summary, [tabindex='0']")]
    .filter((node) => !node.disabled && node.checkVisibility() && (node.type !== "radio" || node.checked)).length"""
FOCUSED = """root => {
    const node = document.activeElement;
    if (!root.contains(node)) return null;
    node.dataset.reached = "yes";
    const style = getComputedStyle(node);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
}"""


def test_the_keyboard_alone_reaches_every_control_and_fires_no_shortcut_of_jupyterlab(explore, desk):
    explorer = explore(CALL)
    keyboard, root = desk.page.keyboard, explorer.root
    cells = desk.page.locator(".jp-Notebook .jp-Cell").count()
    keyboard.press("Escape")
    for _ in range(20):
        keyboard.press("Tab")
        if root.evaluate(FOCUSED) is not None:
            break
    visible = [root.evaluate(FOCUSED)]
    while visible[-1] is not None:
        keyboard.press("Tab")
        visible.append(root.evaluate(FOCUSED))
    assert root.locator("[data-reached]").count() == root.evaluate(REACHED)
    assert all(visible[:-1])
    explorer.slider("cursor").focus()
    for key in ("a", "b", "x", "d", "d", "m", "i", "i", "0", "0", "Shift+M"):
        keyboard.press(key)
    explorer.press("cursor", "ArrowLeft")
    assert desk.page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert desk.page.locator(".jp-Dialog").count() == 0
    assert explorer.number("step") < 100
