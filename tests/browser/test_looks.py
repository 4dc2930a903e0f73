"""What a reader sees and what a screen reader is told: in both themes, on wide and narrow screens."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

CALL = 'lab.explore("mlp s2 dpo beta=0.1 adam lr=1e-3 steps=20 seeds=4")'
TWIN = 'lab.show(*lab.explorer.twin("tabular s2 dpo beta=0.1 sgd lr=1 steps=50 seeds=4"))'
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SIZES = ((1280, 800), (800, 600))
# What sticks out of the explorer; a table may be wider than its box, which scrolls.
OUTSIDE = """root => {
    const box = root.getBoundingClientRect();
    return [...root.querySelectorAll("*")]
        .filter((node) => node.checkVisibility() && !node.parentElement.closest(".lab-scroll"))
        .map((node) => [node, node.getBoundingClientRect()])
        .filter(([, own]) => own.right > box.right + 1 || own.left < box.left - 1)
        .map(([node]) => node.outerHTML.slice(0, 80));
}"""
# Text that is wider than the control that it stands in.
CUT = """root => [...root.querySelectorAll("label, legend, output, button, select, summary")]
    .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0)
    .map((node) => node.textContent)"""


def serious(page, selector: str) -> list[str]:
    """What axe finds that is serious or critical."""
    # JupyterLab's body has no height and hides what sticks out, so axe takes all text for invisible and skips contrast.
    page.evaluate("() => { document.body.style.minHeight = '100vh'; }")
    found = Axe().run(page, context=selector).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found if each["impact"] in ("serious", "critical")
    ]


@pytest.fixture
def opened(explore):
    """An explorer with its drawers unfolded."""
    explorer = explore(f"{TWIN}\n{CALL}")
    for summary in explorer.root.locator("details > summary").all():
        summary.click()
    return explorer


def plant(explorer) -> None:
    """Give an explorer a control without a label, one that sticks out, and text too pale to read."""
    explorer.root.locator("label", has_text="β").first.evaluate("label => label.remove()")
    explorer.control("steps").evaluate("node => { node.style.width = '3000px'; }")
    explorer.root.locator(".lab-summary").evaluate("node => { node.style.color = 'var(--jp-border-color2)'; }")


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_is_cut_off_and_axe_has_no_serious_complaint(theme, opened, desk, tmp_path):
    page = desk.page
    desk.command("apputils:change-theme", theme=THEMES[theme])
    page.locator(f'body[data-jp-theme-light="{"true" if theme == "light" else "false"}"]').wait_for(state="attached")
    try:
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            opened.press("cursor", "ArrowLeft")
            area = opened.root.locator("xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')]")
            assert area.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), (theme, width)
            assert not opened.root.evaluate(OUTSIDE), (theme, width)
            assert not opened.root.evaluate(CUT), (theme, width)
            assert opened.root.locator("figure img").evaluate_all(
                "all => all.every((image) => image.naturalWidth > 300)"
            )
            assert not serious(page, ".jp-OutputArea"), (theme, width)
            page.set_viewport_size({"width": width, "height": 2400})  # all of it on one picture, to be looked at
            opened.root.screenshot(path=tmp_path / f"explorer_{theme}_{width}.png")
        # The same eye sees what is planted, on a tall page: axe judges no contrast of what is clipped.
        page.set_viewport_size({"width": 1280, "height": 2400})
        plant(opened)
        assert {each.split(":")[0] for each in serious(page, ".jp-OutputArea")} == {"label", "color-contrast"}
        assert opened.root.evaluate(OUTSIDE)
    finally:
        page.set_viewport_size({"width": 1280, "height": 800})


def test_no_page_asked_for_anything_outside_this_machine(opened, desk, requests, server):
    def outside():
        return [each for each in requests if not each.startswith((server, "ws://127.0.0.1", "data:", "blob:", "file:"))]

    assert len(requests) > 50
    assert not outside()
    desk.page.evaluate("() => fetch('https://example.org/').catch(() => null)")
    assert outside() == ["https://example.org/"]
    requests.remove("https://example.org/")
