"""Notebooks in JupyterLab as a student meets them: run, saved, reopened, answered."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests.browser.jupyter import KERNEL, ROOT

TWIN = 'lab.show(*lab.explorer.twin("tabular s2 dpo beta=0.1 sgd lr=1 steps=50 seeds=4"))'
CALL = 'lab.explore("tabular s2 dpo beta=0.1 sgd lr=1 steps=50 seeds=4")'

RUN = """() => jupyterapp.shell.currentWidget.content.widgets
    .every((cell) => cell.model.type !== "code" || cell.model.executionCount)"""


@pytest.fixture
def saved(folder):
    """A notebook with a picture and its explorer."""
    cells = [nbformat.v4.new_code_cell(text) for text in (f"import lab\n{TWIN}", CALL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / "saved.ipynb")
    return "saved.ipynb"


def cells_of(name: str) -> list[str]:
    return [cell.source for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells]


@pytest.mark.parametrize("name", ["00_tour", "03_dpo"])
def test_a_notebook_runs_from_its_menu_and_its_explorers_stand_ready(name, new_lab, complaints):
    lab = new_lab(f"notebooks/{name}.ipynb")
    lab.command("notebook:clear-all-cell-outputs")
    lab.page.get_by_role("menuitem", name="Run", exact=True).click()
    lab.page.locator('li[data-command="runmenu:run-all"]').click()
    lab.page.wait_for_function(RUN)  # JupyterLab moves on from cell to cell; until then no cell stays selected
    sources = cells_of(name)
    for place, source in enumerate(sources):
        if re.match(r"lab\.(explore|tour)\(", source):
            lab.select(place)
            cell = lab.page.locator(".jp-Notebook .jp-mod-active")
            cell.locator('.lab-explorer[data-lab-ready="1"]').wait_for()
            assert cell.locator(".lab-explorer").count() == 1
    lab.idle()
    assert not [text for text in map(lab.said, range(len(sources))) if re.match(r"\w+Error", text)]
    assert not complaints


def test_a_student_is_told_what_is_wrong_and_then_that_it_is_right(new_lab):
    lab, sources = new_lab("notebooks/03_dpo.ipynb"), cells_of("03_dpo")
    stub = next(place for place, source in enumerate(sources) if source.startswith("# exercise 3.1"))
    check = next(place for place, source in enumerate(sources) if source.startswith('check("3.1"'))
    first = next(place for place, source in enumerate(sources) if source.startswith("import"))
    for place in (first, stub, check):
        lab.write(place, sources[place])
    assert "3.1 is not written yet" in lab.said(check)
    lab.write(stub, sources[stub].replace('raise NotImplementedError("exercise 3.1")', "return 0.0"))
    lab.write(check, sources[check])
    assert lab.said(check).startswith("✗ 3.1") and "hint('3.1')" in lab.said(check)
    lab.write(check, 'solution("3.1")')
    lab.write(stub, lab.said(check))
    lab.write(check, sources[check])
    assert lab.said(check).startswith("✓ 3.1")


@pytest.fixture
def reopened(saved, new_lab):
    """A notebook that was run, saved and left by its kernel, on a new page."""
    lab = new_lab(saved)
    lab.command("notebook:run-all-cells")
    lab.explorer()
    lab.command("docmanager:save")
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    lab.page.close()
    return new_lab(saved)


def test_a_saved_notebook_still_shows_its_picture_and_wakes_its_explorer(reopened):
    picture = reopened.page.locator(".jp-OutputArea img")
    picture.wait_for()
    assert "Probability" in picture.get_attribute("alt") and picture.evaluate("image => image.naturalWidth") > 0
    assert reopened.page.locator(".lab-explorer").count() == 0
    reopened.command("notebook:run-all-cells")
    reopened.explorer().press("beta", "ArrowRight")
    assert "beta=0.13 " in reopened.explorer().line


def test_an_explorer_without_its_kernel_says_how_to_wake_it(reopened):
    output = reopened.page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea")
    output.get_by_text("Loading widget").wait_for(state="hidden")
    assert "run this cell" in output.inner_text()  # beside the error that JupyterLab shows where the widget was


def test_a_kernel_restarted_twice_leaves_one_fresh_explorer(saved, new_lab, complaints):
    lab = new_lab(saved)
    lab.command("notebook:run-all-cells")
    lab.explorer().press("beta", "ArrowRight")
    for _ in range(2):
        lab.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        lab.page.locator('li[data-command="runmenu:restart-and-run-all"]').click()
        lab.page.locator(".jp-Dialog .jp-mod-accept").click()
        lab.page.wait_for_function("() => document.querySelector('.lab-explorer')?.dataset.labRenders === '1'")
        lab.idle()
        explorer = lab.explorer()
        assert explorer.renders == 1 and "beta=0.1 " in explorer.line
        explorer.press("beta", "ArrowRight")
        assert "beta=0.13 " in explorer.line
    assert not complaints
