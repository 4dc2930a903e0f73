"""Pages that open from a folder, without a server: the contact sheet of figures, and the site."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.browser.jupyter import PATIENCE, ROOT

QUICK = "network_leaves_the_flow_of_a_table"
PAGES = (
    "index", "CLAIMS", "SCOREBOARD", "gallery/index", "gallery/three_properties", "notebooks/00_tour",
    "notebooks/03_dpo", "notebooks/06_losses_and_fixes", "notebooks/TEACHING", "lab/gradients.py",
)  # fmt: skip
WORDLESS = "() => [...document.images].filter((each) => !each.alt.trim()).length"
BROKEN = """async () => {
    for (const each of document.images) each.loading = "eager";
    await Promise.all([...document.images].map((each) => each.decode().catch(() => null)));
    return [...document.images].filter((each) => each.naturalWidth === 0).map((each) => each.src.slice(0, 80));
}"""


def made(folder, *command: str):
    done = subprocess.run([sys.executable, "-m", *command, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def page(browser):
    """A page that sees no server at all, with the addresses that it asked for and what it complained of."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda message: opened.complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    yield opened
    context.close()


def assert_whole(page) -> None:
    """Every picture is there and has words, nothing was asked for elsewhere, and nothing is wider than the screen."""
    assert not page.evaluate(BROKEN)
    assert not page.evaluate(WORDLESS)
    assert not [each for each in page.asked if not each.startswith(("file:", "data:"))]
    assert not page.complaints
    assert page.evaluate("() => { scrollTo(900, 0); return scrollX; }") == 0, page.url


def test_the_contact_sheet_of_figures_opens_from_its_folder(page, tmp_path):
    folder = made(tmp_path / "out", "figures", QUICK, "--quick", "--out")
    page.goto((folder / "index.html").as_uri())
    assert page.locator("article img").count() == 1
    assert_whole(page)


def test_the_site_opens_from_its_folder_on_wide_and_narrow_screens(page, tmp_path):
    folder = made(tmp_path / "site", "pages")
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for name in PAGES:
            page.goto((folder / f"{name}.html").as_uri())
            assert_whole(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((folder / "search.html").as_uri() + "?q=dispersion")
    page.locator("#search-results li").first.wait_for()  # the search needs no server either
    page.goto((folder / "notebooks" / "03_dpo.html").as_uri())
    tall = page.locator("math[display=block]").first.bounding_box()["height"]
    assert tall > 25  # a fraction, drawn by the browser itself
