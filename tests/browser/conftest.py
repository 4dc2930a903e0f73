"""One JupyterLab and one browser for all tests of this folder; both end with it, as they keep an event loop running."""

from __future__ import annotations

import os
import shutil

import nbformat
import pytest

from tests.browser.jupyter import KERNEL, MISSING, PATIENCE, ROOT, Lab, a_browser, a_server


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def browser():
    with a_browser() as found:
        if found is None:
            # Continuous integration promises these tests; elsewhere a reader may do without.
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
        yield found


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """A copy of the notebooks, with what they read beside them, and an empty one."""
    place = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", place / "notebooks", ignore=shutil.ignore_patterns(".*", "src"))
    shutil.copy(ROOT / "CLAIMS.md", place)
    empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("")], metadata=KERNEL)
    nbformat.write(empty, place / "empty.ipynb")
    return place


@pytest.fixture(scope="package")
def server(folder, session_cache):
    with a_server(folder) as address:
        yield address


@pytest.fixture(scope="package")
def requests():
    """Every address that any page of these tests asked for."""
    return []


@pytest.fixture(scope="package")
def context(browser, requests):
    opened = browser.new_context(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(PATIENCE)
    opened.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.on("request", lambda request: requests.append(request.url))
    yield opened
    opened.close()


@pytest.fixture
def complaints():
    """What the browser's console reports as errors during a test."""
    return []


@pytest.fixture
def new_lab(context, server, complaints):
    """Open a notebook on a page of its own."""
    pages = []

    def open_page(path):
        page = context.new_page()
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        found = Lab(page, server)
        found.open(path)
        return found

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="package")
def desk(context, server):
    """A page with an empty notebook, which serves many tests: a cell that runs anew makes a new explorer."""
    page = context.new_page()
    found = Lab(page, server)
    found.open("empty.ipynb")
    yield found
    page.close()


@pytest.fixture
def explore(desk):
    """Run a call of the lab in the empty notebook, and return its explorer."""

    def run(call):
        desk.write(0, f"import lab\n{call}")
        return desk.explorer()

    return run
